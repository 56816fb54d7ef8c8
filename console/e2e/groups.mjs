// Kafka's groups on a real server: one with a member is seen and left alone, and put elsewhere and
// deleted when that has gone; by keyboard too, with axe in both themes. Pictures are left in
// e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:groups

import { Kafka } from './kafka.mjs';
import { must, stage } from './stage.mjs';

const PASSWORD = 'correct horse battery';
const TOPIC = 'orders';
const GROUP = 'billing/eu';
const stand = await stage('groups');
const { base, shop, credentials, check, audit } = stand;
const ann = (stand.page = await stand.newPage());
const heading = (name) => ann.getByRole('heading', { name, exact: true });
const button = (name) => ann.getByRole('button', { name, exact: true });

/** Gives the password again when it is asked for. */
async function proof() {
  const asked = heading('Is it you?');
  if (await asked.waitFor({ timeout: 1_500 }).then(() => true, () => false)) {
    await ann.keyboard.type(PASSWORD);
    await ann.keyboard.press('Enter');
  }
}

/** One request as the project's key. */
async function publish(value) {
  const headers = { authorization: `Bearer ${credentials.api_key}`, 'content-type': 'application/json' };
  const answer = await fetch(`${shop}/v1/topics/${TOPIC}/records`, { method: 'POST', headers, body: JSON.stringify(value) });
  must(answer.ok, `publishing: ${answer.status} ${await answer.text()}`);
}

await ann.goto(`${base}/`);
await ann.getByLabel('Operator token').fill(stand.operator);
await ann.getByLabel('Your name').fill('Ann');
await ann.getByLabel('Email').fill('ann@example.org');
await ann.getByLabel('Password', { exact: true }).fill(PASSWORD);
await ann.keyboard.press('Enter');
await heading('Overview').waitFor();

await check('a project without groups says how one comes to be', async () => {
  await ann.goto(`${base}/tenants/${credentials.tenant}/projects/${credentials.project}`);
  await ann.getByRole('link', { name: 'Kafka groups' }).focus();
  await ann.keyboard.press('Enter');
  await heading('Kafka groups').waitFor();
  await ann.getByText('No group yet').waitFor();
  must((await ann.evaluate(() => document.activeElement?.tagName)) === 'H1', 'the new page does not take the focus');
  await audit('none');
});

let member;
await check('a group with a member is listed, and shows who reads what', async () => {
  for (let count = 0; count < 5; count += 1) await publish({ count });
  member = await Kafka.signedIn(credentials.kafka);
  await member.join(GROUP, TOPIC);
  await member.commit(GROUP, TOPIC, 2);
  // It comes by itself.
  await ann.getByRole('row', { name: /^billing\/eu Stable 1 classic range/ }).waitFor();
  await audit('list');
  await ann.getByRole('link', { name: GROUP }).focus();
  await ann.keyboard.press('Enter');
  await heading(GROUP).waitFor();
  await ann.getByRole('row', { name: /browser-check 127\.0\.0\.1 1$/ }).waitFor();
  await ann.getByRole('row', { name: /^orders 0 2 5 3 browser-check/ }).waitFor();
  must((await ann.getByTestId('lag').innerText()) === '3 behind', 'the lag is not told');
  must(await button('Reset offsets').isDisabled(), 'a group with members can be reset');
  must(await button('Delete group').isDisabled(), 'a group with members can be deleted');
  await audit('members');
});

await check('when the member has gone it is put elsewhere by keyboard, after a look', async () => {
  await member.leave(GROUP);
  await ann.getByText('Nobody is in it').waitFor();
  await button('Reset offsets').focus();
  await ann.keyboard.press('Enter');
  await heading('Reset offsets').waitFor();
  await ann.getByLabel('To', { exact: true }).selectOption('offset');
  await ann.getByLabel('Offset', { exact: true }).focus();
  await ann.keyboard.type('many');
  await ann.keyboard.press('Enter');
  await ann.getByText('A whole number.').waitFor();
  await ann.getByLabel('Offset', { exact: true }).fill('4');
  await ann.keyboard.press('Enter');
  await ann.getByRole('row', { name: 'orders 0 2 4' }).waitFor();
  await audit('preview');
  await ann.getByRole('dialog').getByRole('button', { name: 'Reset', exact: true }).focus();
  await ann.keyboard.press('Enter');
  await proof();
  await ann.getByRole('row', { name: /^orders 0 4 5 1/ }).waitFor();
  must((await ann.getByRole('dialog').count()) === 0, 'the form is still open');
});

await check('it is deleted, which the trail of the project tells', async () => {
  await button('Delete group').click();
  await audit('delete');
  await button('Delete it').focus();
  await ann.keyboard.press('Enter');
  await proof();
  await ann.getByText('No group yet').waitFor();
  await ann.goto(`${base}/tenants/${credentials.tenant}/projects/${credentials.project}`);
  const trail = ann.getByRole('region', { name: 'The newest records of the audit trail' });
  await trail.getByRole('row', { name: /kafka_group\.reset/ }).waitFor();
  await trail.getByRole('row', { name: /kafka_group\.delete/ }).waitFor();
});

await check('a narrow screen scrolls in one direction only', async () => {
  member = await Kafka.signedIn(credentials.kafka);
  await member.join(GROUP, TOPIC);
  await member.commit(GROUP, TOPIC, 1);
  await ann.setViewportSize({ width: 390, height: 844 });
  for (const [name, path] of Object.entries({ list: '', group: `/${encodeURIComponent(GROUP)}` })) {
    await ann.goto(`${base}/tenants/${credentials.tenant}/projects/${credentials.project}/groups${path}`);
    await ann.getByRole('table').first().waitFor();
    const wide = await ann.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector('main').scrollWidth > innerWidth);
    must(!wide, `${name} is wider than the screen`);
    await audit(`narrow-${name}`);
  }
  await member.leave(GROUP);
});

await stand.end();
