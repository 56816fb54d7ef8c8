// A real server from an empty data folder and a browser before it, for checks that go through
// pages as people do: pictures, axe in both themes, and no request elsewhere.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const SHOTS = fileURLToPath(new URL('./shots/', import.meta.url));
const ANSWER_MS_MAX = 20_000;
const looks = { viewport: { width: 1280, height: 860 }, colorScheme: 'light', reducedMotion: 'reduce' };

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

export function must(condition, what) {
  if (!condition) throw new Error(what);
}

export async function until(what, probe) {
  const end = Date.now() + ANSWER_MS_MAX;
  while (Date.now() < end) {
    const found = await probe().catch(() => undefined);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no ${what}`);
}

/** Starts the server and the browser; `name` begins the pictures' names. */
export async function stage(name) {
  const program = process.env.MAINSTEM_BIN;
  if (!program) throw new Error('MAINSTEM_BIN is not set: the path of a built mainstem');
  await mkdir(SHOTS, { recursive: true });
  const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const data = await mkdtemp(join(tmpdir(), `mainstem-${name}-`));
  const [port, adminPort] = [await freePort(), await freePort()];
  // Passkeys and letters know the console by its name.
  const [shop, base] = [`http://127.0.0.1:${port}`, `http://localhost:${adminPort}`];
  const server = spawn(program, ['dev', '--data', data, '--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${adminPort}`, '--kafka-listen', '127.0.0.1:0', '--log', 'info'], { stdio: 'ignore' });
  const credentials = await until('credentials', async () => JSON.parse(await readFile(join(data, 'dev-credentials.json'), 'utf8')));
  const operator = credentials.admin_token;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
  });
  const problems = [];
  /** Origins besides its own that a page may go to. */
  const friends = new Set();
  const stand = { base, shop, operator, credentials, friends, failed: 0, page: undefined };

  function watch(page) {
    page.setDefaultTimeout(ANSWER_MS_MAX);
    page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
    page.on('console', (message) => {
      // Refusals are part of the play; the browser reports them.
      const optional = /\/v1\/(stats|connections)$/.test(message.location().url) && message.text().includes('404');
      if (message.type() === 'error' && !optional && !/status of (400|401|403|409|429)/.test(message.text())) problems.push(`console error: ${message.text()}`);
    });
    page.on('request', (request) => {
      const url = new URL(request.url());
      const isOwn = [base, shop, base.replace('localhost', '127.0.0.1'), ...friends].includes(url.origin);
      if (!isOwn && !['data:', 'blob:'].includes(url.protocol)) problems.push(`foreign request: ${url}`);
      if (/mss_|msr_|msi_|msadmin_|ms_live_/.test(request.url())) problems.push(`a secret is in an address: ${url.pathname}`);
    });
    return page;
  }

  /** A person of his own: another browser, as far as the server can tell. */
  stand.newPage = async () => {
    const context = await browser.newContext(looks);
    return watch(await context.newPage());
  };

  /** The link in the newest letter to this address. */
  stand.linkTo = (address) =>
    until(`letter to ${address}`, async () => {
      for (const file of (await readdir(join(data, 'mail'))).sort().reverse()) {
        const text = (await readFile(join(data, 'mail', file), 'utf8')).replace(/=\r?\n/g, '').replace(/=3D/g, '=');
        const link = text.includes(`To: ${address}`) && /http\S+#token=\S+/.exec(text)?.[0];
        if (link) return link;
      }
      return undefined;
    });

  stand.check = async (what, run) => {
    problems.length = 0;
    const startedAt = Date.now();
    try {
      await run();
      if (problems.length > 0) throw new Error(problems.join('\n'));
      console.log(`ok    ${what} (${Date.now() - startedAt} ms)`);
    } catch (error) {
      stand.failed += 1;
      console.log(`FAIL  ${what}\n      ${String(error.message).split('\n').slice(0, 14).join('\n      ')}`);
      await stand.page?.screenshot({ path: `${SHOTS}${name}-failed-${stand.failed}.png` }).catch(() => {});
    }
  };

  /** No violation in either theme, and a picture of each. */
  stand.audit = async (shot) => {
    const { page } = stand;
    for (const colours of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: colours, reducedMotion: 'reduce' });
      await page.waitForTimeout(80);
      await page.evaluate(axeSource);
      const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
      await page.screenshot({ path: `${SHOTS}${name}-${shot}-${colours}.png` });
      const lines = found.violations.map((one) => `${one.id}: ${one.help}\n  ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ''}`).join('\n  ')}`);
      must(found.violations.length === 0, `axe, ${colours}: ${lines.join('\n')}`);
    }
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  };

  stand.end = async () => {
    await browser.close();
    server.kill('SIGTERM');
    await new Promise((resolve) => (server.exitCode === null ? server.on('exit', resolve) : resolve()));
    await rm(data, { recursive: true, force: true });
    console.log(stand.failed === 0 ? 'all passed' : `${stand.failed} failed`);
    process.exit(stand.failed === 0 ? 0 : 1);
  };
  return stand;
}
