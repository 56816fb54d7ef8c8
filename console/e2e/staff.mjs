// Drives the staff pages of a real server, from an empty data folder: sets it up, invites, gives a
// role, switches a second factor on, ends sessions; by mouse and by keyboard, with axe on every
// page in both themes. Pictures are left in e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:staff
//
// CHROMIUM names the browser's executable; Debian's is the default. Exit status 1 on any failure.

import { spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const SHOTS = fileURLToPath(new URL('./shots/', import.meta.url));
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ANSWER_MS_MAX = 20_000;
const PASSWORD = 'correct horse battery';
const program = process.env.MAINSTEM_BIN;
if (!program) throw new Error('MAINSTEM_BIN is not set: the path of a built mainstem');
await mkdir(SHOTS, { recursive: true });

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

const data = await mkdtemp(join(tmpdir(), 'mainstem-staff-'));
const [port, adminPort] = [await freePort(), await freePort()];
// As the links in letters name it.
const base = `http://localhost:${adminPort}`;
const server = spawn(program, ['dev', '--data', data, '--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${adminPort}`, '--log', 'warn'], { stdio: 'ignore' });

async function until(what, probe) {
  const end = Date.now() + ANSWER_MS_MAX;
  while (Date.now() < end) {
    const found = await probe().catch(() => undefined);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no ${what}`);
}

const operator = (await until('credentials', async () => JSON.parse(await readFile(join(data, 'dev-credentials.json'), 'utf8')))).admin_token;

/** The link in the newest letter to this address. */
const linkTo = (address) =>
  until(`letter to ${address}`, async () => {
    for (const name of (await readdir(join(data, 'mail'))).sort().reverse()) {
      const text = (await readFile(join(data, 'mail', name), 'utf8')).replace(/=\r?\n/g, '').replace(/=3D/g, '=');
      const link = text.includes(`To: ${address}`) && /http\S+#token=\S+/.exec(text)?.[0];
      if (link) return link;
    }
    return undefined;
  });

/** What an authenticator shows (RFC 6238). */
function authenticator(secret) {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((digit) => digits.indexOf(digit).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const tag = createHmac('sha1', key).update(step).digest();
  const at = tag[19] & 15;
  return String((tag.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
const looks = { viewport: { width: 1280, height: 860 }, colorScheme: 'light', reducedMotion: 'reduce' };
const context = await browser.newContext(looks);
let page = await context.newPage();
const problems = [];

function watch(watched) {
  watched.setDefaultTimeout(ANSWER_MS_MAX);
  watched.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
  watched.on('console', (message) => {
    // Refusals are part of the play; the browser reports them.
    if (message.type() === 'error' && !/status of (400|401|403|409)/.test(message.text())) problems.push(`console error: ${message.text()}`);
  });
  watched.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== base && url.protocol !== 'data:') problems.push(`foreign request: ${url}`);
    if (/mss_|msr_|msi_|msadmin_/.test(request.url())) problems.push(`a secret is in an address: ${url.pathname}`);
  });
}
watch(page);

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
    await page.screenshot({ path: `${SHOTS}staff-failed-${failed}.png` }).catch(() => {});
  }
}

function must(condition, what) {
  if (!condition) throw new Error(what);
}

async function audit(name) {
  for (const colours of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: colours, reducedMotion: 'reduce' });
    await page.waitForTimeout(50);
    await page.evaluate(axeSource);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    await page.screenshot({ path: `${SHOTS}staff-${name}-${colours}.png` });
    const lines = found.violations.map((one) => `${one.id}: ${one.help}\n  ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ''}`).join('\n  ')}`);
    must(found.violations.length === 0, `axe, ${colours}: ${lines.join('\n')}`);
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

const heading = (name) => page.getByRole('heading', { name, exact: true });
const type = async (...texts) => {
  for (const text of texts) {
    if (text !== '') await page.keyboard.type(text);
    await page.keyboard.press('Tab');
  }
};

await check('a fresh installation asks for its owner, and is set up by keyboard', async () => {
  await page.goto(`${base}/`);
  await heading('Set up Mainstem').waitFor();
  await audit('setup');
  await page.getByLabel('Operator token').focus();
  await type(operator, 'Ann', 'ann@example.org', PASSWORD);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await heading('Overview').waitFor();
  await page.getByRole('link', { name: 'Users' }).click();
  await heading('Users').waitFor();
  await page.getByRole('cell', { name: /ann@example.org/ }).waitFor();
  await audit('users');
});

await check('a colleague is invited with a role, after a fresh proof', async () => {
  await page.getByRole('button', { name: 'Invite' }).click();
  await page.getByLabel('Email').fill('bob@example.org');
  await page.getByRole('combobox', { name: 'Role', exact: true }).selectOption('support');
  await audit('invite');
  await page.getByRole('button', { name: 'Send the invitation' }).click();
  await heading('Is it you?').waitFor();
  await audit('prove');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'bob@example.org' }).waitFor();
  await page.getByText('invited', { exact: true }).waitFor();
});

let bob;
const ann = page;
await check('the colleague follows the link, chooses a password and sees what his role allows', async () => {
  const link = await linkTo('bob@example.org');
  const other = await browser.newContext(looks);
  page = bob = await other.newPage();
  watch(bob);
  await bob.goto(link);
  await heading('Welcome to Mainstem').waitFor();
  must(!bob.url().includes('token'), 'the token stays in the address');
  await audit('accept');
  await bob.getByLabel('Your name').fill('Bob');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await bob.getByRole('button', { name: 'Set the password' }).click();
  await bob.getByRole('button', { name: 'Sign in', exact: true }).click();
  await bob.getByLabel('Email').fill('bob@example.org');
  await bob.getByLabel('Password', { exact: true }).fill('a wrong password');
  await bob.getByRole('button', { name: 'Sign in', exact: true }).click();
  await bob.getByText('the address or the password is wrong').waitFor();
  await audit('sign-in');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await bob.keyboard.press('Enter');
  await heading('Overview').waitFor();
  await bob.getByRole('link', { name: 'Users' }).click();
  await heading('Users').waitFor();
  must((await bob.getByRole('button', { name: 'Invite' }).count()) === 0, 'support is offered an invitation');
});
page = ann;

await check('a role is given and counts in the open session', async () => {
  await page.reload();
  await page.getByRole('button', { name: 'bob@example.org' }).click();
  await page.getByRole('combobox', { name: 'Role', exact: true }).selectOption('admin');
  await page.getByRole('button', { name: 'Give the role' }).click();
  await page.getByRole('dialog').getByRole('button', { name: /^Take admin/ }).waitFor();
  await audit('user');
  await page.keyboard.press('Escape');
  await bob.reload();
  await bob.getByRole('button', { name: 'Invite' }).waitFor();
});

await check('a role is made and deleted', async () => {
  await page.getByRole('link', { name: 'Roles' }).click();
  await heading('Roles').waitFor();
  await page.getByRole('button', { name: 'New role' }).click();
  await page.getByLabel('Name', { exact: true }).fill('auditor');
  await page.getByLabel('What it is for').fill('Reads the trail.');
  await page.getByRole('checkbox', { name: /audit:read/ }).check();
  await audit('role-form');
  await page.getByRole('button', { name: 'Make the role' }).click();
  await page.getByRole('heading', { name: 'auditor' }).waitFor();
  await page.locator('summary').first().click();
  await audit('roles');
  await page.getByRole('button', { name: 'Delete the role auditor' }).click();
  await page.getByRole('heading', { name: 'auditor' }).waitFor({ state: 'detached' });
});

await check('an access list is made by keyboard, changed, explained, compared and gone back to', async () => {
  await page.getByRole('link', { name: 'Access lists' }).click();
  await heading('Access lists').waitFor();
  await page.getByText('This project has no list').waitFor();
  await audit('access-none');
  await page.getByRole('button', { name: 'New entry' }).focus();
  await page.keyboard.press('Enter');
  await heading('New entry').waitFor();
  await page.getByLabel('Name', { exact: true }).focus();
  await type('shops', '');
  await type('jwt:shop-7', '', '');
  // About a topic, whose name is this; any key.
  await type('orders', '');
  await page.keyboard.press('Space');
  await audit('access-form');
  await page.getByLabel('Note', { exact: true }).focus();
  await page.keyboard.type('for the fair');
  await page.keyboard.press('Enter');
  // The topic is not there yet: said once, and meant.
  await page.getByText('the project has no such topic now').waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'shops', exact: true }).waitFor();
  await page.getByRole('button', { name: 'New entry' }).click();
  await page.getByLabel('Name', { exact: true }).fill('no-secrets');
  await page.getByLabel('Effect', { exact: true }).last().selectOption('deny');
  await page.getByLabel('Who', { exact: true }).fill('*');
  await page.getByRole('checkbox', { name: 'publish' }).check();
  await page.getByLabel('Topic', { exact: true }).selectOption('filter');
  await page.getByLabel('Filter', { exact: true }).fill('#');
  await page.getByLabel('Key', { exact: true }).selectOption('prefix');
  await page.getByLabel('Key’s text').fill('secret/');
  await page.getByText('Only when…').click();
  await page.getByLabel('From these networks').fill('10.0.0.7/8');
  await page.getByRole('button', { name: 'Save the entry' }).click();
  await page.getByRole('alert').waitFor();
  await page.getByLabel('From these networks').fill('10.0.0.0/8');
  await page.getByRole('button', { name: 'Save the entry' }).click();
  await page.getByRole('button', { name: 'no-secrets', exact: true }).waitFor();
  await page.getByLabel('Find').fill('jwt:shop orders');
  await page.getByRole('button', { name: 'no-secrets', exact: true }).waitFor({ state: 'detached' });
  await page.getByLabel('Find').fill('');
  await page.getByRole('button', { name: 'New group' }).click();
  await page.getByLabel('Name', { exact: true }).fill('shops');
  await page.getByLabel('Members').fill('jwt:shop-7\njwt:shop-8');
  await page.getByRole('button', { name: 'Save the group' }).click();
  await page.getByText('2 members').waitFor();
  await audit('access');
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.getByLabel('Who', { exact: true }).fill('jwt:shop-7');
  await page.getByLabel('Topic', { exact: true }).fill('orders');
  await page.getByLabel('Key', { exact: true }).fill('secret/1');
  await page.getByLabel('From the address').fill('10.1.2.3');
  await page.keyboard.press('Enter');
  await page.getByText('an entry denies it').waitFor();
  await audit('access-explain');
  await page.getByLabel('From the address').fill('192.0.2.1');
  await page.keyboard.press('Enter');
  await page.getByText('an entry allows it, and none denies it').waitFor();
  await page.getByText('does not count: networks').waitFor();
  await page.getByRole('button', { name: 'Versions', exact: true }).click();
  await page.getByRole('button', { name: 'Diff: what version 2 changed' }).click();
  await heading('Version 1 to 2').waitFor();
  await page.getByText(/deny \* publish #\/secret\/…|deny \* publish/).waitFor();
  await audit('access-versions');
  await page.getByRole('button', { name: 'Go back to version 1' }).click();
  await page.getByRole('row', { name: /^4 in force/ }).waitFor();
  await page.getByRole('button', { name: 'Entries', exact: true }).click();
  await page.getByText('1 of 1 entries').waitFor();
});

await check('an entry about a Kafka consumer group is made, found and explained', async () => {
  await page.getByRole('button', { name: 'New entry' }).click();
  await page.getByLabel('Name', { exact: true }).fill('billing');
  await page.getByLabel('Who', { exact: true }).fill('jwt:billing');
  await page.getByLabel('About', { exact: true }).selectOption('consumer_group');
  must((await page.getByRole('checkbox', { name: 'publish' }).count()) === 0, 'nobody publishes to a group');
  await page.getByLabel('Group', { exact: true }).selectOption('prefix');
  await page.getByLabel('Group’s name').fill('billing-');
  await audit('access-group-form');
  await page.getByRole('button', { name: 'Save the entry' }).click();
  // Without an operation it means nothing.
  await page.getByRole('alert').waitFor();
  await page.getByRole('checkbox', { name: 'read' }).check();
  await page.getByRole('button', { name: 'Save the entry' }).click();
  await page.getByRole('button', { name: 'billing', exact: true }).waitFor();
  await page.getByLabel('Find').fill('group billing-');
  await page.getByText('1 of 2 entries').waitFor();
  await audit('access-group');
  await page.getByLabel('Find').fill('');
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.getByLabel('Who', { exact: true }).fill('jwt:shop-7');
  await page.getByLabel('About', { exact: true }).selectOption('consumer_group');
  await page.getByLabel('Does what').selectOption('read');
  await page.getByLabel('Group', { exact: true }).fill('billing-eu');
  await page.keyboard.press('Enter');
  await page.getByText('no entry allows it').waitFor();
  await page.getByText('does not count: principals').waitFor();
  await page.getByLabel('Group', { exact: true }).fill('orders');
  await page.keyboard.press('Enter');
  await page.getByText('no entry gives the name to anybody').waitFor();
  await page.getByRole('button', { name: 'Entries', exact: true }).click();
});

let secret = '';
await check('a second factor is set up, and its recovery codes are shown once', async () => {
  await page.getByRole('link', { name: 'Account' }).click();
  await heading('Account').waitFor();
  await audit('account');
  await page.getByRole('button', { name: 'Set up' }).click();
  secret = await page.getByTestId('totp-secret').innerText();
  await audit('second-factor');
  await page.getByLabel('Code', { exact: true }).fill(authenticator(secret));
  await page.getByRole('button', { name: 'Switch it on' }).click();
  const codes = page.getByTestId('recovery-codes').locator('li');
  await codes.first().waitFor();
  must((await codes.count()) === 10, 'not ten recovery codes');
  secret = await codes.first().innerText();
  await audit('recovery-codes');
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('button', { name: 'Switch it off' }).waitFor();
});

await check('signing in asks for the second factor, which a recovery code is too', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading('Sign in to Mainstem').waitFor();
  must((await page.evaluate(() => localStorage.getItem('mainstem.staff.tokens'))) === null, 'tokens are left');
  await page.getByLabel('Email').focus();
  await page.keyboard.type('ann@example.org');
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByLabel('Code', { exact: true }).waitFor();
  await audit('code');
  await page.keyboard.type('000000');
  await page.keyboard.press('Enter');
  await page.getByText('the code is wrong').waitFor();
  await page.getByLabel('Code', { exact: true }).fill(secret);
  await page.keyboard.press('Enter');
  // Where one was before.
  await heading('Account').waitFor();
});

await check('ending a colleague’s sessions signs him out', async () => {
  await page.getByRole('link', { name: 'Users' }).click();
  await page.getByRole('button', { name: 'bob@example.org' }).click();
  await page.getByRole('button', { name: 'End all sessions' }).click();
  await page.getByText('Sessions ended').waitFor({ state: 'attached' });
  await bob.reload();
  await bob.getByRole('heading', { name: 'Sign in to Mainstem' }).waitFor();
  await page.keyboard.press('Escape');
});

await check('the audit trail is searched, looked into, checked and followed', async () => {
  await page.getByRole('link', { name: 'Audit' }).click();
  await heading('Audit').waitFor();
  await page.getByRole('button', { name: 'user.invite' }).waitFor();
  await audit('audit');
  await page.getByLabel('Action').fill('role.*');
  await page.getByLabel('Action').press('Enter');
  await page.getByRole('button', { name: 'user.invite' }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'role.create' }).first().focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('ann@example.org').first().waitFor();
  await audit('audit-details');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByRole('button', { name: 'Verify the chain' }).click();
  await page.getByText('The chain holds').first().waitFor();
  await audit('audit-verified');
  await page.getByRole('button', { name: 'Follow' }).click();
  await page.getByRole('button', { name: 'Stop following' }).waitFor();
  // Somebody who may not: the page fills by itself.
  await fetch(`${base}/v1/tenants`, { headers: { authorization: 'Bearer nothing-of-ours-at-all' } });
  await page.getByRole('button', { name: 'credential.check' }).first().waitFor();
  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export' }).click();
  const lines = (await readFile(await (await saving).path(), 'utf8')).trim().split('\n');
  must(lines.length > 5 && lines.every((line) => JSON.parse(line).hash.length === 64), 'the export is not the chain');
});

await check('a compliance report is made by keyboard, and its digest is in the trail', async () => {
  await page.getByRole('button', { name: 'Report', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('From 20', { exact: false }).waitFor();
  await audit('audit-report');
  const made = async (format) => {
    await page.getByLabel('Period').focus();
    await page.keyboard.type('Days');
    await page.getByLabel('First day').waitFor();
    await audit(`audit-report-days-${format}`);
    await page.getByLabel('As', { exact: true }).selectOption(format);
    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Make the report' }).focus();
    await page.keyboard.press('Enter');
    const download = await saving;
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  };
  const json = await made('json');
  const report = JSON.parse(json.bytes.toString('utf8'));
  must(report.tenant === null && report.chain.holds && report.chain.checked > 5, `the chain: ${JSON.stringify(report.chain)}`);
  must(report.access.people.items.some((person) => person.email === 'ann@example.org' && person.roles.length > 0), 'Ann is not in it');
  must(report.access_changes.items.some((act) => act.action === 'user.invite'), 'the invitation is not in it');
  must(/^mainstem-report-installation-.*\.json$/.test(json.name), `the file is called ${json.name}`);
  await page.getByRole('button', { name: 'Report', exact: true }).click();
  const text = await made('markdown');
  must(text.bytes.toString('utf8').startsWith('# Compliance report') && text.name.endsWith('.md'), 'the text is no report');
  const answer = await fetch(`${base}/v1/audit?action=audit.report`, { headers: { authorization: `Bearer ${operator}` } });
  const digests = (await answer.json()).records.map((record) => record.details.sha256);
  for (const { name, bytes } of [json, text]) {
    must(digests.includes(createHash('sha256').update(bytes).digest('hex')), `the trail does not know ${name}`);
  }
});

await check('alerts: a rule fires, is silenced, and a channel is tested', async () => {
  await page.getByRole('link', { name: 'Alerts' }).click();
  await heading('Alerts').waitFor();
  await page.getByText('The log takes no more appends').waitFor();
  await audit('alerts');
  await page.getByRole('button', { name: 'New channel' }).click();
  await page.getByLabel('Name', { exact: true }).fill('ops');
  await page.getByLabel('Address', { exact: true }).fill('ops@example.org');
  await audit('alert-channel');
  await page.getByRole('button', { name: 'Add the channel' }).click();
  await page.getByRole('button', { name: 'Test ops' }).click();
  await until('a test letter', async () => {
    for (const name of await readdir(join(data, 'mail'))) {
      if ((await readFile(join(data, 'mail', name), 'utf8')).includes('To: ops@example.org')) return true;
    }
    return undefined;
  });
  await page.getByRole('button', { name: 'New rule' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Always');
  await page.getByLabel('Is', { exact: true }).selectOption('at_least');
  await page.getByLabel('Figure').selectOption('mainstem_alert_rules');
  await page.getByLabel('Must last, seconds').fill('0');
  await audit('alert-rule');
  await page.getByRole('button', { name: 'Save the rule' }).click();
  await page.getByRole('button', { name: 'Silence Always' }).waitFor({ timeout: 45_000 });
  await audit('alerts-firing');
  await page.getByRole('button', { name: 'Silence Always' }).click();
  await page.getByLabel('Why').fill('a test');
  await audit('alert-silence');
  await page.getByRole('button', { name: 'Silence', exact: true }).click();
  await page.getByRole('button', { name: 'End the silence a test' }).waitFor();
  await page.getByRole('button', { name: 'Delete the rule Always' }).click();
  await page.getByRole('button', { name: 'Delete the rule Always' }).waitFor({ state: 'detached' });
});

await check('security: findings by severity, one is accepted and counts again', async () => {
  await page.getByRole('link', { name: 'Security' }).click();
  await heading('Security').waitFor();
  await page.getByText("Tenants' webhooks may reach").waitFor();
  await audit('security');
  await page.getByLabel('Severity').selectOption('warning');
  await page.getByText("Tenants' webhooks may reach").waitFor({ state: 'detached' });
  const mail = page.locator('summary').getByText('Letters with links to passwords are files in a folder');
  await mail.click();
  await page.getByText('Whoever reads the folder').waitFor();
  await audit('security-cure');
  // By keyboard: the same opens and closes.
  await mail.locator('xpath=ancestor::summary').focus();
  await page.keyboard.press('Enter');
  await page.getByText('Whoever reads the folder').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Accept Letters with links' }).click();
  await page.getByLabel('Why it may stay').fill('a machine for tests');
  await audit('security-accept');
  await page.getByRole('button', { name: 'Accept the finding' }).click();
  await mail.waitFor({ state: 'detached' });
  await page.getByLabel('State').selectOption('accepted');
  await mail.waitFor();
  await page.getByRole('button', { name: 'Let Letters with links' }).click();
  await mail.waitFor({ state: 'detached' });
});

await check('a narrow screen scrolls in one direction only', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ['/users', '/roles', '/access', '/audit', '/alerts', '/security', '/account']) {
    await page.goto(base + path);
    await page.locator('main h1').waitFor();
    await page.waitForTimeout(250);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector('main').scrollWidth > innerWidth);
    must(!wide, `${path} is wider than the screen`);
    await audit(`narrow${path.replaceAll('/', '-')}`);
  }
});

await browser.close();
server.kill('SIGTERM');
await new Promise((resolve) => server.on('exit', resolve));
await rm(data, { recursive: true, force: true });
console.log(failed === 0 ? 'all passed' : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
