// Signing in with a provider through the browser: an owner sets one up with a rule and tests it by
// keyboard, somebody unknown comes by it, proves himself once more at it, and is out when it is
// switched off; with axe in both themes. Pictures are left in e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:oidc

import { startProvider } from './provider.mjs';
import { must, stage, until } from './stage.mjs';

const PASSWORD = 'correct horse battery';
const [clientId, secret] = ['mainstem-console', 'a secret of the client'];
const provider = await startProvider({ clientId, secret });
const stand = await stage('oidc');
stand.friends.add(provider.issuer);
const { base, check, audit } = stand;
const owner = (stand.page = await stand.newPage());
const heading = (page, name) => page.getByRole('heading', { name, exact: true });
const say = async (text) => {
  await owner.keyboard.type(text);
  await owner.keyboard.press('Tab');
};

await check('an owner sets a provider up by keyboard, with a rule', async () => {
  await owner.goto(`${base}/`);
  await heading(owner, 'Set up Mainstem').waitFor();
  await owner.getByLabel('Operator token').fill(stand.operator);
  await owner.getByLabel('Your name').fill('Ann');
  await owner.getByLabel('Email').fill('ann@example.org');
  await owner.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await owner.keyboard.press('Enter');
  await heading(owner, 'Overview').waitFor();
  await owner.getByRole('link', { name: 'Sign-in' }).click();
  await heading(owner, 'Sign-in providers').waitFor();
  await audit('none');
  await owner.getByRole('button', { name: 'New provider' }).focus();
  await owner.keyboard.press('Enter');
  await heading(owner, 'New sign-in provider').waitFor();
  await owner.getByLabel('Name', { exact: true }).focus();
  await say('Acme');
  await owner.keyboard.press('Tab');
  await say(provider.issuer);
  await say(clientId);
  await say('a wrong secret');
  await owner.getByLabel('Claim that lists groups').fill('groups');
  await owner.getByRole('button', { name: 'Add a rule' }).focus();
  await owner.keyboard.press('Enter');
  await owner.getByLabel('Group 1').fill('leads');
  await owner.getByLabel('Role 1').selectOption('admin');
  await owner.getByLabel('Let in people without an account').check();
  await audit('form');
  await owner.getByRole('button', { name: 'Set it up' }).focus();
  await owner.keyboard.press('Enter');
  await heading(owner, 'Is it you?').waitFor();
  await owner.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await owner.keyboard.press('Enter');
  await heading(owner, 'Acme').waitFor();
});

await check('the test says what is wrong, and then that all is well', async () => {
  await owner.getByRole('button', { name: 'Test Acme' }).click();
  await owner.getByText('the secret is wrong').waitFor();
  await audit('test-wrong');
  await owner.getByRole('button', { name: 'Change Acme' }).click();
  await owner.getByLabel('Client secret').fill(secret);
  await owner.getByRole('button', { name: 'Save' }).click();
  await owner.getByRole('button', { name: 'Test Acme' }).click();
  await owner.getByText('takes its secret').waitFor();
  await audit('test-good');
});

const guest = await stand.newPage();

await check('somebody unknown comes by the provider, and is what his groups say', async () => {
  stand.page = guest;
  await guest.goto(`${base}/`);
  const button = guest.getByRole('button', { name: 'Sign in with Acme' });
  await button.waitFor();
  await audit('sign-in');
  provider.person.groups = ['leads'];
  await button.focus();
  await guest.keyboard.press('Enter');
  await guest.getByRole('link', { name: 'Yes, it is me' }).click();
  await heading(guest, 'Overview').waitFor();
  must(!guest.url().includes('code='), 'the code stays in the address');
  await guest.getByText('bob@acme.example').first().waitFor();
  await guest.getByRole('link', { name: 'Account' }).click();
  await heading(guest, 'Account').waitFor();
  await guest.getByText(provider.issuer).waitFor();
  await audit('account');
});

await check('a fresh proof is another visit, and what was begun goes on', async () => {
  await guest.getByRole('link', { name: 'Roles' }).click();
  await heading(guest, 'Roles').waitFor();
  await guest.getByRole('button', { name: 'New role' }).click();
  await guest.getByLabel('Name', { exact: true }).fill('watcher');
  await guest.getByLabel('audit:read').check();
  await guest.getByRole('button', { name: 'Make the role' }).click();
  await heading(guest, 'Is it you?').waitFor();
  await audit('prove');
  const [opened] = await Promise.all([guest.waitForEvent('popup'), guest.getByRole('button', { name: 'Go to the provider' }).click()]);
  await opened.getByRole('link', { name: 'Yes, it is me' }).click();
  await heading(guest, 'watcher').waitFor();
  must(provider.visits.at(-1).max_age === '0', 'the provider was not asked to ask again');
});

await check('what came back wrong is told', async () => {
  await guest.goto(`${base}/sign-in/return?error=access_denied&error_description=Not+today`);
  await guest.getByText('Not today').waitFor();
  await audit('refused');
});

await check('switched off, its people are out', async () => {
  stand.page = owner;
  await owner.getByRole('button', { name: 'Switch off Acme' }).click();
  await owner.getByText('off', { exact: true }).waitFor();
  await until('the guest is out', async () => {
    await guest.goto(`${base}/roles`);
    return heading(guest, 'Sign in to Mainstem').isVisible();
  });
  must((await guest.getByRole('button', { name: 'Sign in with Acme' }).count()) === 0, 'it is still offered');
});

provider.stop();
await stand.end();
