// Two people before a real server: one marks an act as critical, does it and sees that it waits; the
// other approves it, refuses to take the mark off; by mouse and by keyboard, with axe in both
// themes. Pictures are left in e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:approvals

import { must, stage, until } from './stage.mjs';

const PASSWORD = 'correct horse battery';
const stand = await stage('approvals');
const { base, operator, check, audit } = stand;
const ann = (stand.page = await stand.newPage());
const heading = (page, name) => page.getByRole('heading', { name, exact: true });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const goTo = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
const section = (page, name) => page.getByRole('region', { name, exact: true });

/** One request as the operator. */
async function api(method, path, body) {
  const headers = { authorization: `Bearer ${operator}`, 'content-type': 'application/json' };
  const answer = await fetch(`${base}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  must(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}

/** Gives the password again when it is asked for. */
async function proof(page) {
  const asked = heading(page, 'Is it you?');
  if (await asked.waitFor({ timeout: 2_000 }).then(() => true, () => false)) {
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await asked.waitFor({ state: 'detached' });
  }
}

let bob;
let tenant;
await check('an installation has two owners and a tenant', async () => {
  await ann.goto(`${base}/`);
  await heading(ann, 'Set up Mainstem').waitFor();
  await ann.getByLabel('Operator token').fill(operator);
  await ann.getByLabel('Your name').fill('Ann');
  await ann.getByLabel('Email').fill('ann@example.org');
  await ann.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await ann.keyboard.press('Enter');
  await heading(ann, 'Overview').waitFor();
  await api('POST', '/v1/users/invite', { email: 'bob@example.org', role: 'owner' });
  bob = await stand.newPage();
  await bob.goto(await stand.linkTo('bob@example.org'));
  await bob.getByLabel('Your name').fill('Bob');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await button(bob, 'Set the password').click();
  await button(bob, 'Sign in').click();
  await bob.getByLabel('Email').fill('bob@example.org');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await bob.keyboard.press('Enter');
  await heading(bob, 'Overview').waitFor();
  tenant = await api('POST', '/v1/tenants', { name: 'Acme' });
});

await check('an act of a tenant is marked, by keyboard', async () => {
  await ann.goto(`${base}/tenants/${tenant.id}`);
  await heading(ann, 'Critical acts').waitFor();
  await section(ann, 'Critical acts').getByText('No act is marked.').waitFor();
  await ann.getByLabel('Act', { exact: true }).selectOption('suspend_tenant');
  await ann.getByLabel('Act', { exact: true }).focus();
  await ann.keyboard.press('Tab');
  await ann.keyboard.press('Enter');
  await proof(ann);
  await section(ann, 'Critical acts').getByText(/waits 24 h/).waitFor();
  await audit('critical-acts');
});

await check('the act waits, which a notice says, and nothing is done', async () => {
  await button(ann, 'Suspend…').click();
  await ann.getByLabel('Why it is suspended').fill('unpaid for months');
  await button(ann, 'Suspend').click();
  await ann.getByText('bob@example.org may approve it. Nothing was done yet.').waitFor();
  must((await api('GET', `/v1/tenants/${tenant.id}`)).status === 'active', 'it was done');
  await audit('waits');
  await ann.getByRole('link', { name: 'Show it' }).click();
  await heading(ann, 'Approvals').waitFor();
  await section(ann, 'Mine').getByText(/unpaid for months/).waitFor();
  await section(ann, 'Waiting for me').getByText('Nothing waits for you.').waitFor();
  await audit('mine');
});

const open = async (page, name) => {
  const entry = section(page, name).getByRole('button').first();
  await entry.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('Asked by').waitFor();
};

await check('who asked may take it back, but not decide', async () => {
  await open(ann, 'Mine');
  must((await button(ann, 'Approve').count()) === 0, 'Ann may approve her own');
  await button(ann, 'Withdraw').waitFor();
  await audit('own-details');
  await ann.keyboard.press('Escape');
});

await check('the second person sees what would change, proves who he is and approves, by keyboard', async () => {
  stand.page = bob;
  await goTo(bob, 'Approvals');
  await section(bob, 'Waiting for me').getByText(/ann@example.org: unpaid for months/).waitFor();
  await open(bob, 'Waiting for me');
  await bob.getByRole('region', { name: 'What is sent' }).getByText('unpaid for months').waitFor();
  await bob.getByRole('region', { name: 'What it is about' }).getByText('Acme').waitFor();
  await audit('details');
  await bob.getByLabel('Comment').focus();
  await bob.keyboard.type('as agreed');
  await bob.keyboard.press('Tab');
  await bob.keyboard.press('Enter');
  await proof(bob);
  await bob.getByRole('dialog').getByText('done', { exact: true }).waitFor();
  await audit('approved');
  await bob.keyboard.press('Escape');
  await section(bob, 'Past').getByText(/decided by bob@example.org/).waitFor();
  stand.page = ann;
});

await check('the act is done under the name of who asked, and is in the trail of the tenant', async () => {
  must((await api('GET', `/v1/tenants/${tenant.id}`)).status === 'suspended', 'it was not done');
  const records = (await api('GET', '/v1/audit?action=tenant.suspend')).records;
  must(records.length === 1 && records[0].actor.endsWith('ann@example.org'), JSON.stringify(records));
  await goTo(ann, 'Approvals');
  await section(ann, 'Past').getByText(/decided by bob@example.org/).waitFor();
});

await check('taking the mark off waits too, and is refused with a comment', async () => {
  await ann.goto(`${base}/tenants/${tenant.id}`);
  await section(ann, 'Critical acts').getByRole('button', { name: /^Take off/ }).click();
  await proof(ann);
  await ann.getByLabel('Waiting for approval').waitFor();
  stand.page = bob;
  await bob.reload();
  await open(bob, 'Waiting for me');
  await bob.getByLabel('Comment').fill('we agreed on it in spring');
  await button(bob, 'Refuse').click();
  await proof(bob);
  await bob.getByRole('dialog').getByText('refused', { exact: true }).waitFor();
  await bob.keyboard.press('Escape');
  stand.page = ann;
  await until('mark', async () => (await api('GET', `/v1/approval-rules?tenant=${tenant.id}`)).rules.length === 1);
  await goTo(ann, 'Approvals');
  await open(ann, 'Past');
  await ann.getByText(/we agreed on it in spring/).waitFor();
  await ann.keyboard.press('Escape');
});

await check('what is asked for is taken back', async () => {
  await ann.goto(`${base}/tenants/${tenant.id}`);
  await section(ann, 'Critical acts').getByRole('button', { name: /^Take off/ }).click();
  await proof(ann);
  await ann.getByRole('link', { name: 'Show it' }).click();
  await open(ann, 'Mine');
  await button(ann, 'Withdraw').click();
  await ann.getByRole('dialog').getByText('withdrawn', { exact: true }).waitFor();
  await ann.keyboard.press('Escape');
  await audit('past');
});

await stand.end();
