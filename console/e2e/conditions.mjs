// Roles under conditions before a real server: an owner puts conditions on a colleague's role by
// keyboard, notes an attribute that fulfils them, asks whether he may, and is kept from locking herself
// out; the colleague sees on his account what is in force and why not; with axe in both themes.
// Pictures are left in e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:conditions

import { must, stage } from './stage.mjs';

const PASSWORD = 'correct horse battery';
const stand = await stage('conditions');
const { base, operator, check, audit } = stand;
const ann = (stand.page = await stand.newPage());
const heading = (page, name) => page.getByRole('heading', { name, exact: true });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const goTo = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).click();

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
await check('an installation has an owner, a tenant, and somebody in it', async () => {
  await ann.goto(`${base}/`);
  await heading(ann, 'Set up Mainstem').waitFor();
  await ann.getByLabel('Operator token').fill(operator);
  await ann.getByLabel('Your name').fill('Ann');
  await ann.getByLabel('Email').fill('ann@example.org');
  await ann.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await ann.keyboard.press('Enter');
  await heading(ann, 'Overview').waitFor();
  tenant = await api('POST', '/v1/tenants', { name: 'Acme' });
  await api('POST', '/v1/users/invite', { email: 'bob@example.org', role: 'admin', tenant: tenant.id });
  bob = await stand.newPage();
  await bob.goto(await stand.linkTo('bob@example.org'));
  await bob.getByLabel('Your name').fill('Bob');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await button(bob, 'Set the password').click();
  await button(bob, 'Sign in').click();
  await bob.getByLabel('Email').fill('bob@example.org');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await bob.keyboard.press('Enter');
  await bob.getByRole('navigation').getByRole('link', { name: 'Tenants', exact: true }).waitFor();
});

await check('conditions are put on a role by keyboard, and what cannot be read is told', async () => {
  await goTo(ann, 'Users');
  await button(ann, 'bob@example.org').click();
  await ann.getByRole('button', { name: /^Conditions of admin in Acme/ }).focus();
  await ann.keyboard.press('Enter');
  await heading(ann, 'Conditions of admin in Acme').waitFor();
  await ann.getByLabel('From these networks').focus();
  await ann.keyboard.type('127.0.0.0/8');
  await ann.keyboard.press('Tab');
  await ann.keyboard.type('weekdays');
  await ann.keyboard.press('Tab');
  await ann.keyboard.press('Tab');
  await ann.keyboard.press('Tab');
  await ann.keyboard.press('Tab');
  await ann.keyboard.press('Tab');
  await ann.keyboard.type('department=ops');
  await audit('form');
  await button(ann, 'Save the conditions').focus();
  await ann.keyboard.press('Enter');
  await ann.getByText('“weekdays” are no hours').waitFor();
  await ann.getByLabel('In these hours').fill('mon-sun 00:00-24:00');
  await ann.getByLabel('As clocks show it in').fill('Europe/Atlantis');
  await ann.keyboard.press('Enter');
  await proof(ann);
  await ann.getByText('conditions.hours.zone').waitFor();
  await ann.getByLabel('As clocks show it in').fill('Europe/Berlin');
  await ann.keyboard.press('Enter');
  await heading(ann, 'Conditions of admin in Acme').waitFor({ state: 'detached' });
  const panel = ann.getByRole('dialog');
  await panel.getByText('not in force now').waitFor();
  await panel.getByText('Only from 127.0.0.0/8, mon-sun 00:00-24:00 Europe/Berlin, department is ops.').waitFor();
});

await check('the colleague sees at once that his role is not in force, and why, but not what it asks for', async () => {
  await goTo(bob, 'Account');
  await heading(bob, 'Roles').waitFor();
  await bob.getByText('not in force now').waitFor();
  await bob.getByText('an attribute of the person is not what it has to be').waitFor();
  must((await bob.getByText('127.0.0.0').count()) === 0, 'the networks are told');
  must((await bob.getByRole('navigation').getByRole('link', { name: 'Users', exact: true }).count()) === 0, 'pages are offered that would be refused');
  stand.page = bob;
  await audit('account');
  stand.page = ann;
});

await check('whether he may is asked, and what decides is named', async () => {
  await ann.getByText('May this person…?').click();
  await ann.getByLabel('May do').selectOption('keys:write');
  await ann.getByLabel('From the address').fill('10.1.2.3');
  await ann.keyboard.press('Enter');
  await ann.getByText(/a role would allow it, and is not in force: not from this network/).waitFor();
  await audit('explained');
});

await check('what is noted of him lets the role count, in his open session', async () => {
  await ann.getByText('What is noted of this person').click();
  await ann.getByLabel('Noted of this person in Acme').fill('department=ops');
  await button(ann, 'Note it').click();
  await proof(ann);
  const panel = ann.getByRole('dialog');
  await panel.getByText('conditional', { exact: true }).waitFor();
  await audit('noted');
  await ann.getByLabel('From the address').fill('127.0.0.1');
  await button(ann, 'Explain').click();
  await ann.getByText('a role allows it', { exact: true }).waitFor();
  await ann.keyboard.press('Escape');
  await ann.getByRole('row', { name: /bob@example.org/ }).getByText('conditional').waitFor();
  await audit('users');
  await goTo(bob, 'Account');
  await bob.reload();
  await heading(bob, 'Roles').waitFor();
  await bob.getByText('conditional', { exact: true }).waitFor();
  await bob.getByRole('navigation').getByRole('link', { name: 'Users', exact: true }).waitFor();
});

await check('the last owner cannot lock herself out', async () => {
  await button(ann, 'ann@example.org').click();
  await ann.getByRole('button', { name: /^Conditions of owner everywhere/ }).click();
  await ann.getByRole('checkbox', { name: 'over TLS' }).check();
  await button(ann, 'Save the conditions').click();
  await proof(ann);
  await ann.getByText('make another active user owner without conditions first').waitFor();
  await audit('last-owner');
  await ann.keyboard.press('Escape');
  await heading(ann, 'Conditions of owner everywhere').waitFor({ state: 'detached' });
  await ann.keyboard.press('Escape');
});

await check('the trail shows the conditions', async () => {
  await goTo(ann, 'Audit');
  await ann.getByText('role.condition').first().waitFor();
});

await stand.end();
