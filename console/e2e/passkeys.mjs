// Passkeys through the browser: Chromium's own virtual authenticator (CDP `WebAuthn`) makes one, signs
// in with it by button and by itself in the address field, proves who one is, confirms a terminal by its
// code, and is removed; by keyboard, with axe in both themes. Pictures are left in e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:passkeys

import { must, stage, until } from './stage.mjs';

const PASSWORD = 'correct horse battery';
const stand = await stage('passkeys');
const { base, check, audit } = stand;
const page = (stand.page = await stand.newPage());
const heading = (name) => page.getByRole('heading', { name, exact: true });

const cdp = await page.context().newCDPSession(page);
await cdp.send('WebAuthn.enable');
const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
  options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
});
const credentials = async () => (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
/** Whether the authenticator answers by itself: off, whoever is asked waits. */
const answering = (enabled) => cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });
const knowing = (isUserVerified) => cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });

async function signOut() {
  // The browser would sign in by itself at once: conditional requests are answered too.
  await answering(false);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading('Sign in to Mainstem').waitFor();
}

await check('an owner adds a passkey by keyboard, after a fresh proof', async () => {
  await page.goto(`${base}/`);
  await heading('Set up Mainstem').waitFor();
  await page.getByLabel('Operator token').fill(stand.operator);
  await page.getByLabel('Your name').fill('Ann');
  await page.getByLabel('Email').fill('ann@example.org');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await heading('Overview').waitFor();
  await page.getByRole('link', { name: 'Account' }).click();
  await heading('Passkeys').waitFor();
  await audit('none');
  await page.getByRole('button', { name: 'Add a passkey' }).focus();
  await page.keyboard.press('Enter');
  await heading('Add a passkey').waitFor();
  await audit('add');
  await page.getByLabel('Name', { exact: true }).fill('Laptop');
  await page.keyboard.press('Enter');
  await heading('Is it you?').waitFor();
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Remove the passkey Laptop' }).waitFor();
  must((await credentials()).length === 1, 'the authenticator holds no passkey');
  await audit('one');
});

await check('it is renamed, and this device makes no second one', async () => {
  await page.getByRole('button', { name: 'Rename the passkey Laptop' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Work laptop');
  await page.keyboard.press('Enter');
  await page.getByText('Work laptop', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Once more');
  await page.keyboard.press('Enter');
  await page.getByText('has a passkey for your account already').waitFor();
  await page.keyboard.press('Escape');
});

await check('it signs in by the button', async () => {
  await signOut();
  await page.getByRole('button', { name: 'Sign in with a passkey' }).waitFor();
  await audit('sign-in');
  await answering(true);
  await page.getByRole('button', { name: 'Sign in with a passkey' }).focus();
  await page.keyboard.press('Enter');
  await heading('Account').waitFor();
  await page.getByText(/last used/).waitFor();
});

await check('it proves again who one is', async () => {
  await page.getByRole('link', { name: 'Users' }).click();
  await page.getByRole('button', { name: 'Invite' }).click();
  await page.getByLabel('Email').fill('bob@example.org');
  await page.getByRole('combobox', { name: 'Role', exact: true }).selectOption('support');
  await page.getByRole('button', { name: 'Send the invitation' }).click();
  await heading('Is it you?').waitFor();
  await page.getByRole('button', { name: 'Use a passkey' }).waitFor();
  await audit('prove');
  await page.getByRole('button', { name: 'Use a passkey' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'bob@example.org' }).waitFor();
});

await check('a user whom the authenticator does not know stays out', async () => {
  await signOut();
  await knowing(false);
  await answering(true);
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByText('No passkey was used').waitFor();
  await audit('refused');
  await knowing(true);
});

await check('a copy of it, which counts less, stays out and is noted', async () => {
  const [kept] = await credentials();
  await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: kept.credentialId });
  await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...kept, signCount: 0 } });
  await page.reload();
  await page.getByText('the passkey was not accepted').waitFor();
  const { records } = await (await fetch(`${stand.base}/v1/audit?action=passkey.refuse`, { headers: { authorization: `Bearer ${stand.operator}` } })).json();
  must(records.some((record) => record.details.reason === 'count_went_back'), 'the trail does not tell of it');
  const [copy] = await credentials();
  await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: copy.credentialId });
  await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...copy, signCount: 100 } });
});

await check('the browser offers it by itself in the address field', async () => {
  await page.reload();
  // Nothing is clicked: the conditional request is answered.
  await heading('Account').or(heading('Users')).waitFor();
});

const post = async (path, body) => (await fetch(`${base}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).json();
const terminal = { device: 'a terminal that waits for somebody' };

await check('a terminal is looked at and confirmed by its code', async () => {
  const started = await post('/v1/auth/device', { ...terminal, device_name: 'mainstem on box' });
  await page.goto(started.verification_url_complete);
  await heading('Sign a device in').waitFor();
  must(!page.url().includes(started.user_code), 'the code stays in the address');
  await page.getByLabel('Code', { exact: true }).focus();
  await audit('device-code');
  await page.keyboard.press('Enter');
  await heading('Is this yours?').waitFor();
  await page.getByText('mainstem on box').waitFor();
  await audit('device');
  await page.getByRole('button', { name: 'Yes, sign it in' }).focus();
  await page.keyboard.press('Enter');
  await heading('Is it you?').waitFor();
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('The device is signed in as you.').waitFor();
  const tokens = await post('/v1/auth/device/token', { ...terminal, device_code: started.device_code });
  must(tokens.user?.email === 'ann@example.org', `the terminal got ${JSON.stringify(tokens)}`);
});

await check('another one is refused', async () => {
  const started = await post('/v1/auth/device', { ...terminal, device_name: 'somebody else' });
  await page.getByLabel('Code', { exact: true }).fill(started.user_code);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'No, refuse it' }).click();
  await page.getByText('The device was refused.').waitFor();
  const answer = await post('/v1/auth/device/token', { ...terminal, device_code: started.device_code });
  must(answer.error?.code === 'INVALID_TOKEN', `the terminal got ${JSON.stringify(answer)}`);
});

await check('it is removed, and signs nobody in', async () => {
  await page.getByRole('link', { name: 'Account' }).click();
  await page.getByRole('button', { name: 'Remove the passkey Work laptop' }).click();
  await heading('Remove the passkey?').waitFor();
  await audit('remove');
  await page.getByRole('button', { name: 'Remove it' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Remove the passkey Work laptop' }).waitFor({ state: 'detached' });
  await signOut();
  await answering(true);
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByText(/was not accepted/).waitFor();
});

await check('where there can be none, the page says where', async () => {
  await page.goto(base.replace('localhost', '127.0.0.1'));
  await heading('Sign in to Mainstem').waitFor();
  must((await page.getByRole('button', { name: 'Sign in with a passkey' }).count()) === 0, 'a passkey is offered at a number');
  await page.getByLabel('Email').fill('ann@example.org');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Account' }).click();
  await page.getByText('They can be added and used at').waitFor();
});

await until('nothing more', async () => true);
await stand.end();
