// Drives the built console in a headless Chromium: signs in, creates, publishes, watches, by mouse
// and by keyboard alone; runs axe on every page in both themes; leaves pictures in e2e/shots.
//
//   npm run build && npm run e2e                                  against the mock server
//   MAINSTEM_URL=… MAINSTEM_KEY=… npm run e2e                     against a real one
//
// CHROMIUM names the browser's executable; Debian's is the default. Exit status 1 on any failure.

import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const SHOTS = fileURLToPath(new URL('./shots/', import.meta.url));
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ANSWER_MS_MAX = 15_000;

const mock = process.env.MAINSTEM_URL ? undefined : await (await import('../mock/server.mjs')).start({ port: 0 });
const base = (process.env.MAINSTEM_URL ?? mock.url).replace(/\/$/, '');
const key = process.env.MAINSTEM_KEY ?? mock?.key;
if (!key) throw new Error('MAINSTEM_KEY is not set');
await mkdir(SHOTS, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, colorScheme: 'light', reducedMotion: 'reduce' });
// axe comes in by the debugger's evaluation, so the page's own policy stays in force.
const page = await context.newPage();
page.setDefaultTimeout(ANSWER_MS_MAX);

const problems = [];
const expectedStatus = new Set();
page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
page.on('console', (message) => {
  if (message.type() !== 'error') return;
  const known = [...expectedStatus].some((status) => message.text().includes(`status of ${status}`));
  // The console asks for what a server may not offer; the browser reports the 404, the page copes.
  const optional = /\/v1\/(stats|connections)$/.test(message.location().url) && message.text().includes('404');
  if (!known && !optional) problems.push(`console error: ${message.text()}`);
});
page.on('request', (request) => {
  const url = new URL(request.url());
  if (url.origin !== new URL(base).origin && url.protocol !== 'data:') problems.push(`foreign request: ${url}`);
  if (request.url().includes(key)) problems.push(`the key is in an address: ${url.pathname}`);
});

let failed = 0;
async function check(name, run) {
  problems.length = 0;
  const startedAt = Date.now();
  try {
    await run();
    if (problems.length > 0) throw new Error(problems.join('\n'));
    console.log(`ok    ${name} (${Date.now() - startedAt} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${String(error.message).split('\n').slice(0, 14).join('\n      ')}`);
    await page.screenshot({ path: `${SHOTS}failed-${failed}.png` }).catch(() => {});
  }
}

function must(condition, what) {
  if (!condition) throw new Error(what);
}

async function theme(name) {
  await page.emulateMedia({ colorScheme: name, reducedMotion: 'reduce' });
  await page.waitForTimeout(50);
}

/** 0 violations in both themes, and a picture of each. */
async function audit(name) {
  for (const colours of ['light', 'dark']) {
    await theme(colours);
    await page.evaluate(axeSource);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    await page.screenshot({ path: `${SHOTS}${name}-${colours}.png` });
    const lines = found.violations.map((one) => `${one.id}: ${one.help}\n  ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ''}`).join('\n  ')}`);
    must(found.violations.length === 0, `axe, ${colours}: ${lines.join('\n')}`);
  }
  await theme('light');
}

const status = () => page.locator('header .badge').first();
const press = (...keys) => keys.reduce((before, next) => before.then(() => page.keyboard.press(next)), Promise.resolve());
const topic = `e2e-${Date.now().toString(36)}`;
/** A topic of its own: its consumer makes another one for dead letters. */
const consumed = `worked-off-${Date.now().toString(36)}`;

await check('a wrong key is refused with words', async () => {
  expectedStatus.add(401);
  await page.goto(`${base}/`);
  await page.getByLabel('API key').fill('ms_test_wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The server does not accept this key.').waitFor();
  await audit('sign-in');
});

await check('signing in by keyboard connects', async () => {
  await page.reload();
  // The page has the field take the keys; on a busy machine that is after it has loaded.
  await page.getByLabel('API key').and(page.locator(':focus')).waitFor();
  await page.keyboard.type(key);
  await page.keyboard.press('Enter');
  await status().getByText('Connected').waitFor();
  must(!page.url().includes(key), 'the key is in the address');
  must((await page.evaluate(() => sessionStorage.getItem('mainstem.key'))) === key, 'the key is not in sessionStorage');
});

await check('the first Tab is a way past the navigation', async () => {
  await page.reload();
  await status().getByText('Connected').waitFor();
  await press('Tab');
  must((await page.evaluate(() => document.activeElement.textContent)) === 'Skip to the content', 'no skip link');
  await press('Enter');
  must((await page.evaluate(() => document.activeElement.id)) === 'main', 'the skip link does not skip');
});

await check('a topic is created', async () => {
  await page.getByRole('link', { name: 'Topics' }).click();
  await page.getByRole('button', { name: 'New topic' }).click();
  await page.getByLabel('Name').fill('not allowed!');
  await page.getByRole('button', { name: 'Create' }).click();
  must((await page.getByLabel('Name').getAttribute('aria-invalid')) === 'true', 'a bad name is not marked');
  await page.getByLabel('Name').fill(topic);
  await page.getByLabel('Partitions').fill('2');
  await page.getByLabel('Keep for').fill('3');
  await audit('topic-form');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { level: 1, name: topic }).waitFor();
  await page.getByText('Waiting for records').waitFor();
  await page.getByText('kept 3 days').waitFor();
});

await check('a record is published and arrives live', async () => {
  await page.getByTestId('phase').getByText('Live').waitFor();
  await press('n');
  await page.getByLabel('Key (optional)').fill('berlin/till-1');
  await page.getByLabel('Value, as JSON').fill('{"broken": ');
  await page.getByText('Line 1, column 12').waitFor();
  await page.getByLabel('Value, as JSON').fill('{"item": "espresso", "count": 1}');
  await page.getByRole('button', { name: 'Add a header' }).click();
  await page.getByLabel('Name of header 1').fill('source');
  await page.getByLabel('Value of header 1').fill('e2e');
  await audit('publish');
  await page.getByLabel('Value, as JSON').focus();
  await press('Control+Enter');
  await page.getByTestId('published').waitFor();
  await press('Escape');
  await page.getByRole('option').getByText('espresso').waitFor();
});

await check('the list is driven by arrows, details open and close by keys', async () => {
  await page.getByRole('listbox').focus();
  await press('End', 'Enter');
  const details = page.getByRole('complementary', { name: 'Details of the record' });
  await details.getByText('berlin/till-1').waitFor();
  await details.getByText('source', { exact: true }).waitFor();
  await audit('record');
  await press('Escape');
  await details.waitFor({ state: 'detached' });
  const focused = await page.evaluate(() => document.activeElement.getAttribute('role'));
  must(focused === 'listbox', `focus went to ${focused}, not back to the list`);
});

async function publish(count, from = 0) {
  const records = Array.from({ length: count }, (_, index) => ({ topic, key: `k/${index % 5}`, data: { number: from + index } }));
  const answer = await fetch(`${base}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(records),
  });
  must(answer.ok, `publishing answered ${answer.status}`);
}

const shownCount = async () => Number((await page.locator('.count').innerText()).split(' ')[0].replaceAll(',', ''));
const waitFor = async (what, test) => {
  for (const until = Date.now() + ANSWER_MS_MAX; Date.now() < until; await page.waitForTimeout(50)) {
    if (await test()) return;
  }
  throw new Error(`never: ${what}`);
};

await check('pause holds the view, resume shows all that waited', async () => {
  await page.getByRole('listbox').focus();
  await press('p');
  await page.getByTestId('phase').getByText('Paused').waitFor();
  await publish(40);
  await page.getByTestId('phase').getByText('+40').waitFor();
  must((await shownCount()) === 1, 'the paused view moved');
  await press('p');
  await waitFor('41 rows', async () => (await shownCount()) === 41);
});

await check('thousands of rows: only those on the screen exist', async () => {
  await publish(3_000, 1_000);
  await waitFor('3,041 rows', async () => (await shownCount()) === 3_041);
  const drawn = await page.getByRole('option').count();
  must(drawn < 80, `${drawn} rows are in the document`);
  must((await page.getByRole('option').last().getAttribute('aria-setsize')) === '3041', 'the size of the set is not told');
  await page.getByRole('listbox').focus();
  await press('Home');
  await page.getByRole('option').getByText('espresso').waitFor();
  await page.getByRole('button', { name: 'Newest' }).waitFor();
  await publish(5, 9_000);
  await page.getByRole('button', { name: '+5' }).click();
  await page.getByRole('option').getByText('"number":9004').waitFor();
});

await check('filters: text over what is shown, key levels at the server', async () => {
  await press('/');
  await page.keyboard.type('espresso');
  await waitFor('one row', async () => (await shownCount()) === 1);
  await page.getByLabel('Text', { exact: true }).fill('');
  await page.getByLabel('Key filter').fill('berlin/+');
  await press('Enter');
  await waitFor('one row of Berlin', async () => (await shownCount()) === 1);
  await page.getByLabel('Key filter').fill('');
  await page.getByLabel('Start').selectOption('offset');
  await page.getByRole('textbox', { name: 'Offset' }).fill('0');
  await page.getByRole('button', { name: 'Replay' }).click();
  await waitFor('the whole topic', async () => (await shownCount()) === 3_046);
});

await check('a lost connection heals without gap or repetition', async () => {
  // A second tab whose socket the test can cut: what is published meanwhile must be there, once.
  const tab = await context.newPage();
  const sockets = [];
  await tab.routeWebSocket(/\/v1\/ws$/, (socket) => {
    socket.connectToServer();
    sockets.push(socket);
  });
  await tab.goto(`${base}/topics/${topic}`);
  await tab.getByLabel('API key').fill(key);
  await tab.keyboard.press('Enter');
  await tab.getByLabel('Start').selectOption('earliest');
  const count = async () => (await tab.locator('.count').innerText()).split(' ')[0];
  await waitFor('the whole topic', async () => (await count()) === '3,046');
  await sockets[0].close({ code: 1012, reason: 'service restart' });
  await publish(3, 20_000);
  await waitFor('three more', async () => (await count()) === '3,049');
  must(sockets.length === 2, `${sockets.length} connections were opened`);
  await publish(1, 30_000);
  await waitFor('and live again', async () => (await count()) === '3,050');
  await tab.close();
});

await check('usage shows the month, the plan and the invoice', async () => {
  await page.goto(`${base}/usage`);
  await page.getByRole('heading', { level: 1, name: 'Usage' }).waitFor();
  await page.getByRole('rowheader', { name: 'Events published' }).waitFor();
  await page.getByRole('heading', { level: 2, name: 'The invoice as it stands' }).waitFor();
  await page.getByRole('img', { name: /^Now, events per second/ }).waitFor();
  await audit('usage');
});

await check('consumers: dead letters are inspected, replayed and purged by keyboard', async () => {
  await makeDeadLetters();
  await page.goto(`${base}/topics/${consumed}/consumers`);
  const opener = page.getByRole('button', { name: /^Dead letters of mail: 3/ });
  await opener.waitFor();
  await opener.focus();
  await press('Enter');
  await page.getByRole('heading', { level: 2, name: 'Dead letters of mail' }).waitFor();
  await page.getByText('the mail server is down').first().waitFor();
  await audit('consumers');
  await page.getByRole('button', { name: /^Inspect/ }).first().focus();
  await press('Enter');
  await page.getByRole('heading', { name: /^Dead letter 0:/ }).waitFor();
  await audit('dead-letter');
  await page.getByRole('button', { name: 'Replay to the topic' }).focus();
  await press('Enter');
  await page.getByRole('button', { name: /^Dead letters of mail: 2/ }).waitFor();
  await page.getByRole('button', { name: 'Purge 2 letters' }).focus();
  await press('Enter');
  await page.getByRole('button', { name: 'Purge', exact: true }).focus();
  await press('Enter');
  await page.getByText('Nothing failed for good.').waitFor();
  await page.getByRole('button', { name: /^Dead letters of mail: 0/ }).waitFor();
});

/** Three records that a consumer gives up; the mock server has them by itself. */
async function makeDeadLetters() {
  const ask = async (method, path, body) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const answer = await fetch(`${base}/v1${path}`, { method, headers, body: JSON.stringify(body) });
    must(answer.ok, `${method} ${path} answered ${answer.status}`);
    return answer.json();
  };
  await ask('PUT', `/topics/${consumed}`, {});
  if (mock) return;
  const consumer = `/topics/${consumed}/consumers/mail`;
  await ask('PUT', consumer, {});
  await ask('POST', '/events', [1, 2, 3].map((number) => ({ topic: consumed, key: `k/${number}`, data: { number } })));
  const { deliveries } = await ask('POST', `${consumer}/fetch`, { records_max: 3, wait_ms: 5_000 });
  const reject = ({ token }) => ({ token, action: 'reject', reason: 'the mail server is down' });
  await ask('POST', `${consumer}/settle`, { settlements: deliveries.map(reject) });
}

if (mock) {
  await check('traffic is shown as it flows', async () => {
    await page.goto(`${base}/topics/orders`);
    await page.getByTestId('phase').getByText('Live').waitFor();
    await waitFor('300 orders', async () => (await shownCount()) > 300);
    await page.waitForTimeout(6_000);
    await page.getByRole('listbox').focus();
    await press('ArrowUp', 'ArrowUp', 'ArrowUp', 'Enter');
    await audit('topic');
  });
}

await check('the overview', async () => {
  await press('Escape');
  await page.evaluate(() => document.activeElement.blur());
  await press('g', 'o');
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  for (let round = 0; round < 5; round += 1) {
    await publish(20, 30_000);
    await page.waitForTimeout(800);
  }
  await page.getByRole('link', { name: topic, exact: true }).waitFor();
  await audit('overview');
});

await check('connections', async () => {
  await press('g', 'c');
  await page.getByRole('heading', { level: 1, name: 'Connections' }).waitFor();
  await page.getByText(/Loading/).waitFor({ state: 'detached' });
  await audit('connections');
});

await check('webhooks: defined, tested, dead letters replayed', async () => {
  await press('g', 'w');
  await page.getByRole('heading', { level: 1, name: 'Webhooks' }).waitFor();
  await page.getByText(/Loading/).waitFor({ state: 'detached' });
  await audit('webhooks-empty');
  await page.getByRole('button', { name: 'New webhook' }).focus();
  await press('Enter');
  await page.getByLabel('Endpoint').fill('nonsense');
  await page.getByRole('button', { name: 'Create' }).click();
  must((await page.getByLabel('Endpoint').getAttribute('aria-invalid')) === 'true', 'a bad address is not marked');
  expectedStatus.add(400);
  await page.getByLabel('Records').fill(topic);
  await page.getByLabel('Description').fill('the shop');
  await audit('webhook-form');
  await page.getByLabel('Endpoint').fill('https://example.org/hooks/orders');
  await page.keyboard.press('Enter');
  const secret = await page.getByTestId('secret').innerText();
  must(secret.startsWith('whsec_'), `no secret: ${secret}`);
  await audit('webhook-secret');
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('heading', { level: 1, name: 'https://example.org/hooks/orders' }).waitFor();
  must(!(await page.content()).includes(secret), 'the secret is still in the page');
  if (mock) {
    await page.getByRole('button', { name: 'Send a test event' }).focus();
    await press('Enter');
    await page.getByRole('cell', { name: 'test', exact: true }).waitFor();
    await audit('webhook');
    await page.getByRole('button', { name: /^Replay .*:/ }).first().click();
    await waitFor('one dead letter', async () => (await page.getByRole('button', { name: /^Purge .*:/ }).count()) === 1);
    await page.getByRole('button', { name: 'Replay all' }).click();
    await page.getByText('None: nothing was given up.').waitFor();
  }
  await page.getByRole('button', { name: 'Disable' }).click();
  await page.locator('#main').getByText('Disabled', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.getByText('Nothing is sent anywhere yet').waitFor();
  expectedStatus.delete(400);
});

await check('the API reference', async () => {
  await press('g', 'a');
  await page.getByRole('heading', { level: 3 }).first().waitFor();
  await audit('api');
});

await check('the demo draws what is replayed', async () => {
  await replaySome();
  await press('g', 'd');
  await page.getByRole('listitem').getByText('km').first().waitFor();
  await audit('demo');
  await page.getByRole('button', { name: 'Flights' }).click();
  await page.waitForTimeout(400);
  await audit('demo-flights');
});

/** A few records of the shape that examples/replay publishes, so that the page has content. */
async function replaySome() {
  const auth = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  for (const name of ['earthquakes', 'flights']) {
    const found = await fetch(`${base}/v1/topics/${name}`, { headers: auth });
    if (found.status === 404) await fetch(`${base}/v1/topics/${name}`, { method: 'PUT', headers: auth, body: '{"partitions":1}' });
  }
  const quakes = [[-118.7, 34.5, 2, 'Castaic, CA'], [142.4, 38.3, 6.1, 'Honshu, Japan'], [-71.6, -30.1, 4.7, 'Coquimbo, Chile'], [28.9, 40.8, 3.4, 'Marmara, Turkey'], [-150, 61, 1.4, 'Anchorage, Alaska']];
  const ports = { SFO: [-122.4, 37.6, 'San Francisco'], JFK: [-73.8, 40.6, 'New York'], ORD: [-87.9, 42, 'Chicago'], DFW: [-97, 32.9, 'Dallas'] };
  const place = ([longitude, latitude, city]) => ({ longitude, latitude, city });
  const records = quakes.map(([longitude, latitude, magnitude, where]) => ({
    topic: 'earthquakes',
    key: `e2e/${magnitude}`,
    data: { magnitude, place: `12 km from ${where}`, time_ms: 1517966773840, longitude, latitude, depth_km: 9 },
  }));
  for (const [origin, destination, delay_minutes] of [['SFO', 'JFK', 75], ['ORD', 'SFO', -3], ['DFW', 'JFK', 22]]) {
    const data = { origin, destination, delay_minutes, time_ms: 979151200000, from: place(ports[origin]), to: place(ports[destination]) };
    records.push({ topic: 'flights', key: `${origin}/${destination}`, data });
  }
  const answer = await fetch(`${base}/v1/events`, { method: 'POST', headers: auth, body: JSON.stringify(records) });
  must(answer.ok, `publishing answered ${answer.status}`);
}

await check('shortcuts are listed, and single keys can be switched off', async () => {
  await page.evaluate(() => document.activeElement.blur());
  await press('?');
  await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor();
  await audit('shortcuts');
  await page.getByLabel('Single keys act as shortcuts').uncheck();
  await press('Escape');
  await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor({ state: 'detached' });
  await press('?');
  must((await page.locator('dialog[open]').count()) === 0, 'the key still acts');
  await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
  await page.getByLabel('Single keys act as shortcuts').check();
  await press('Escape');
});

await check('the theme is switched by hand and kept', async () => {
  const button = page.getByRole('button', { name: /^Theme/ });
  await button.click();
  await button.click();
  await page.reload();
  must((await page.evaluate(() => document.documentElement.dataset.theme)) === 'dark', 'the theme was not kept');
  await page.getByRole('button', { name: /^Theme/ }).click();
});

await check('a topic list, moved through by arrows, and a deletion with its name', async () => {
  await page.getByRole('link', { name: 'Topics' }).click();
  await page.getByRole('link', { name: topic, exact: true }).waitFor();
  await audit('topics');
  await page.getByLabel('Find a topic').fill(topic);
  await page.getByRole('button', { name: `Delete ${topic}`, exact: true }).click();
  const confirm = page.getByRole('button', { name: 'Delete the topic' });
  must(await confirm.isDisabled(), 'deletion needs no confirmation');
  await page.locator('#confirm-name').fill(topic);
  await audit('delete');
  await confirm.click();
  await page.getByRole('link', { name: topic, exact: true }).waitFor({ state: 'detached' });
});

await check('a narrow screen scrolls in one direction only', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ['/', '/topics', '/topics/flights', '/topics/flights/consumers', '/connections', '/demo', '/docs/api']) {
    await page.goto(base + path);
    await page.locator('main h1').waitFor();
    await page.waitForTimeout(250);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector('main').scrollWidth > innerWidth);
    must(!wide, `${path} is wider than the screen`);
    await audit(`narrow${path.replaceAll('/', '-')}`);
  }
});

await check('signing out forgets the key', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.goto(`${base}/`);
  await page.getByRole('heading', { name: 'Sign in to Mainstem' }).waitFor();
  must((await page.evaluate(() => sessionStorage.length)) === 0, 'something is left');
});

await browser.close();
mock?.stop();
console.log(failed === 0 ? 'all passed' : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
