// A stand-in for the server while one works on the console: the tenant API and the WebSocket
// subprotocol over arrays in memory, one project, one key. It keeps the shapes and the order of
// frames; it has no durability, no limits worth the name, and no place in a deployment.
//
//   node mock/server.mjs [--port 8099] [--quiet]     then sign in with ms_test_mock

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { startTraffic } from './traffic.mjs';
import { account, windows } from './account.mjs';
import { Consumers } from './consumers.mjs';
import { Log, Refused } from './log.mjs';
import { openapi } from './openapi.mjs';
import { Webhooks } from './webhooks.mjs';

export const KEY = 'ms_test_mock';
const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const BODY_BYTES_MAX = 16 * 1024 * 1024;
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};
// What the console is built to live under; the browser test fails on any violation.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function start({ port = 8099, traffic = true } = {}) {
  const log = new Log();
  const connections = new Map();
  const webhooks = new Webhooks();
  const consumers = new Consumers(log);
  const server = createServer((request, response) => {
    answer({ log, connections, webhooks, consumers }, request, response).catch((error) => sendError(response, error));
  });
  const sockets = new WebSocketServer({
    server,
    path: '/v1/ws',
    handleProtocols: (offered) => (offered.has('mainstem.v1.json') ? 'mainstem.v1.json' : false),
  });
  sockets.on('connection', (socket, request) => serveSocket(log, connections, socket, request));
  const stopTraffic = traffic ? startTraffic(log) : () => {};
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => {
      const url = `http://127.0.0.1:${server.address().port}`;
      const stop = () => {
        stopTraffic();
        for (const socket of sockets.clients) socket.terminate();
        server.close();
      };
      resolve({ url, key: KEY, stop, log });
    });
  });
}

/** Two visitors of every topic itself, and nobody at its keys. */
function present(topic, key) {
  const entered_at = Date.now() - 60_000;
  const one = (member, connections) => ({ member, principal: `jwt:${member}`, data: { topic }, entered_at, connections });
  const members = key ? [] : [one('ann', 2), one('ben', 1)];
  const connections = members.reduce((sum, { connections }) => sum + connections, 0);
  return { members, counts: { members: members.length, connections } };
}

async function answer({ log, connections, webhooks, consumers }, request, response) {
  const url = new URL(request.url, 'http://mock');
  if (url.pathname === '/openapi.json') return sendJson(response, 200, openapi);
  if (!url.pathname.startsWith('/v1/')) return sendFile(url.pathname, response);
  if (request.headers.authorization !== `Bearer ${KEY}`) {
    throw new Refused(401, 'INVALID_API_KEY', 'The API key is malformed or unknown.');
  }
  const [, , resource, name, part, ...rest] = url.pathname.split('/').map(decodeURIComponent);
  const body = await readBody(request);
  if (resource === 'topics' && part === 'consumers') {
    return sendJson(response, 200, consumers.answer(request.method, name, rest, JSON.parse(body || '{}')));
  }
  if (resource === 'webhooks') {
    const [status, answer] = webhooks.answer(request.method, name, part, rest[0], JSON.parse(body || '{}'));
    return sendJson(response, status, answer);
  }
  const route = `${request.method} ${resource}${name ? '/:' : ''}${part ? `/${part}` : ''}`;
  switch (route) {
    case 'GET topics': {
      const list = log.list(url.searchParams.get('cursor') ?? '');
      return sendJson(response, 200, { topics: list, next_cursor: null });
    }
    case 'GET topics/:':
      return sendJson(response, 200, log.view(log.get(name)));
    case 'PUT topics/:': {
      const { topic, created } = log.put(name, JSON.parse(body || '{}'));
      return sendJson(response, created ? 201 : 200, log.view(topic));
    }
    case 'DELETE topics/:':
      log.remove(name);
      return sendJson(response, 204, undefined);
    case 'GET topics/:/records': {
      const limit = Number(url.searchParams.get('limit') ?? 100);
      return sendJson(response, 200, log.read(name, url.searchParams.get('from') ?? 'latest', limit));
    }
    case 'GET presence/:':
      return sendJson(response, 200, present(name, url.searchParams.get('key')));
    case 'POST events': {
      const parsed = JSON.parse(body);
      const answer = Array.isArray(parsed) ? parsed.map((record) => log.publish(record)) : log.publish(parsed);
      return sendJson(response, 200, answer);
    }
    case 'GET connections': {
      const list = [...connections.values()].map((entry) => entry.view());
      return sendJson(response, 200, { connections: list, next_cursor: null });
    }
    case 'DELETE connections/:': {
      const entry = connections.get(name);
      if (!entry) throw new Refused(404, 'NOT_FOUND', 'There is no such connection.');
      entry.close();
      return sendJson(response, 204, undefined);
    }
    case 'GET account':
      return sendJson(response, 200, account(Date.now()));
    case 'GET usage/:':
      return sendJson(response, 200, { windows: windows(Date.now()), next_cursor: null });
    case 'GET stats':
      return sendJson(response, 200, log.stats(connections.size));
    default:
      throw new Refused(404, 'NOT_FOUND', `Nothing answers to ${request.method} ${url.pathname}.`);
  }
}

function serveSocket(log, connections, socket, request) {
  const id = `conn_${Math.random().toString(36).slice(2, 10)}`;
  const stops = new Map();
  const send = (frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame));
  const openedAt = Date.now();
  let signedIn = false;
  const handle = (frame) => {
    if (frame.type === 'connect') {
      if (frame.token !== KEY) {
        throw new Refused(401, 'INVALID_API_KEY', 'The API key is malformed or unknown.');
      }
      signedIn = true;
      const view = () => ({
        id,
        protocol: 'websocket',
        principal: 'key_console',
        address: `${request.socket.remoteAddress}:${request.socket.remotePort}`,
        opened_at: openedAt,
        subscriptions: stops.size,
      });
      connections.set(id, { view, close: () => socket.close(4403, 'closed by an administrator') });
      const project = 'prj_demo';
      return send({ type: 'connected', id: frame.id, project, principal: 'key_console', keepalive_ms: 25_000 });
    }
    if (!signedIn) throw new Refused(401, 'CREDENTIAL_MISSING', 'Connect first.');
    switch (frame.type) {
      case 'subscribe': {
        const sub = frame.sub ?? frame.id;
        const started = log.follow(frame.filter, frame.from ?? 'latest', (record) => {
          send({ type: 'record', sub, ...record });
        });
        send({ type: 'subscribed', id: frame.id, sub, cursor: started.cursor });
        stops.set(sub, started.begin());
        return send({ type: 'caught_up', sub });
      }
      case 'unsubscribe':
        stops.get(frame.sub)?.();
        stops.delete(frame.sub);
        return send({ type: 'unsubscribed', id: frame.id, sub: frame.sub });
      case 'publish': {
        const records = (frame.records ?? []).map((record) => log.publish(record));
        return send({ type: 'published', id: frame.id, records });
      }
      case 'ping':
        return send({ type: 'pong', id: frame.id });
      default:
        throw new Refused(400, 'INVALID_REQUEST', `The type ${frame.type} does not exist.`);
    }
  };
  socket.on('message', (data) => {
    let frame = {};
    try {
      frame = JSON.parse(String(data));
      handle(frame);
    } catch (error) {
      send({ type: 'error', id: frame.id, error: errorView(error) });
      if (!signedIn) socket.close(4401, 'unauthenticated');
    }
  });
  socket.on('close', () => {
    for (const stop of stops.values()) stop();
    connections.delete(id);
  });
}

function readBody(request) {
  return new Promise((resolve, reject) => {
    const parts = [];
    let bytes = 0;
    request.on('data', (part) => {
      bytes += part.length;
      if (bytes > BODY_BYTES_MAX) reject(new Refused(413, 'PAYLOAD_TOO_LARGE', 'The body is too large.'));
      else parts.push(part);
    });
    request.on('end', () => resolve(Buffer.concat(parts).toString()));
    request.on('error', reject);
  });
}

async function sendFile(path, response) {
  const wanted = normalize(path).replace(/^[/.]+/, '');
  const isAsset = wanted.startsWith('assets/');
  const file = join(DIST, isAsset ? wanted : 'index.html');
  try {
    const bytes = await readFile(file);
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
      'cache-control': isAsset ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    response.end(bytes);
  } catch {
    throw new Refused(404, 'NOT_FOUND', 'No such file; build the console first: npm run build.');
  }
}

function sendJson(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_mock' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function errorView(error) {
  if (error instanceof Refused) return error.view();
  const message = error instanceof SyntaxError ? `The body is not JSON: ${error.message}` : String(error);
  return { code: 'INVALID_REQUEST', message, details: {}, request_id: 'req_mock' };
}

function sendError(response, error) {
  sendJson(response, error instanceof Refused ? error.status : 400, { error: errorView(error) });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--port');
  const port = at > 0 ? Number(process.argv[at + 1]) : 8099;
  const { url, key } = await start({ port, traffic: !process.argv.includes('--quiet') });
  console.log(`mock server: ${url}   key: ${key}`);
}
