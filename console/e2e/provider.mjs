// A small OpenID Connect provider for the checks: real HTTP on loopback, a real RS256 key, a page
// with one button. It vouches for whomever it is told to.

import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';

/** As forms are encoded (RFC 6749 section 2.3.1): a space is a plus. */
const formed = (value) => new URLSearchParams({ '': value }).toString().slice(1);
const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export async function startProvider({ clientId, secret }) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' };
  const codes = new Map();
  const provider = { person: { sub: 's-1', email: 'bob@acme.example', email_verified: true, name: 'Bob', groups: [] }, visits: [] };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, provider.issuer);
    const json = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (url.pathname === '/.well-known/openid-configuration') {
      return json(200, {
        issuer: provider.issuer,
        authorization_endpoint: `${provider.issuer}/authorize`,
        token_endpoint: `${provider.issuer}/token`,
        jwks_uri: `${provider.issuer}/keys`,
        response_types_supported: ['code'],
        id_token_signing_alg_values_supported: ['RS256'],
        code_challenge_methods_supported: ['S256'],
      });
    }
    if (url.pathname === '/keys') return json(200, { keys: [key] });
    if (url.pathname === '/authorize') {
      const asked = Object.fromEntries(url.searchParams);
      provider.visits.push(asked);
      const code = randomUUID();
      codes.set(code, { ...asked, at: Math.floor(Date.now() / 1000) });
      const back = new URL(asked.redirect_uri);
      back.searchParams.set('state', asked.state);
      back.searchParams.set('code', code);
      const shown = back.toString().replace(/&/g, '&amp;');
      const page = `<!doctype html><html lang="en"><title>Acme</title><h1>Acme</h1><a href="${shown}">Yes, it is me</a></html>`;
      return response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    }
    if (url.pathname === '/token') {
      let body = '';
      for await (const piece of request) body += piece;
      const form = new URLSearchParams(body);
      const pair = Buffer.from(`${formed(clientId)}:${formed(secret)}`).toString('base64');
      if (request.headers.authorization !== `Basic ${pair}`) return json(401, { error: 'invalid_client' });
      const asked = codes.get(form.get('code'));
      codes.delete(form.get('code'));
      const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
      if (asked === undefined || challenge !== asked.code_challenge) return json(400, { error: 'invalid_grant' });
      const now = Math.floor(Date.now() / 1000);
      const claims = { iss: provider.issuer, aud: clientId, iat: now, exp: now + 300, nonce: asked.nonce, auth_time: asked.at, ...provider.person };
      const input = `${text({ alg: 'RS256', kid: 'one' })}.${text(claims)}`;
      const signature = sign('sha256', Buffer.from(input), privateKey).toString('base64url');
      return json(200, { id_token: `${input}.${signature}`, access_token: 'none', token_type: 'Bearer' });
    }
    // A browser asks for an icon too.
    return response.writeHead(url.pathname === '/favicon.ico' ? 204 : 404).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  provider.issuer = `http://127.0.0.1:${server.address().port}`;
  provider.stop = () => server.close();
  return provider;
}
