// The story of a new owner, in the browser only, on a real server from an empty data folder: sets it
// up, invites a colleague, gives a role, makes a tenant, a project and a key, sees live traffic,
// sets a limit, meets it, reads the refusal in the trail and on the page of usage; then looks at
// the log and changes the configuration. Pictures are left in e2e/shots.
//
//   npm run build && cargo build -p server && MAINSTEM_BIN=../target/debug/mainstem npm run e2e:story

import { must, stage, until } from './stage.mjs';

const PASSWORD = 'correct horse battery';
/** The whole console, from nothing to the first heading. */
const LOAD_MS_MAX = 1_000;
const stand = await stage('story');
const { base, shop, check, audit } = stand;
const ann = await stand.newPage();
stand.page = ann;
const heading = (page, name) => page.getByRole('heading', { name, exact: true });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const goTo = (name) => ann.getByRole('navigation').getByRole('link', { name, exact: true }).click();

/** Gives the password again when it is asked for. */
async function proof(page) {
  const asked = heading(page, 'Is it you?');
  if (await asked.waitFor({ timeout: 1_500 }).then(() => true, () => false)) {
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
  }
}

await check('a new owner sets the installation up', async () => {
  await ann.goto(`${base}/`);
  await heading(ann, 'Set up Mainstem').waitFor();
  await ann.getByLabel('Operator token').fill(stand.operator);
  await ann.getByLabel('Your name').fill('Ann');
  await ann.getByLabel('Email').fill('ann@example.org');
  await ann.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await ann.keyboard.press('Enter');
  await heading(ann, 'Overview').waitFor();
  await ann.getByText('ready', { exact: true }).waitFor();
  await audit('overview');
});

await check('the console is there within a second', async () => {
  const times = [];
  for (let round = 0; round < 3; round += 1) {
    await ann.goto('about:blank');
    const from = Date.now();
    await ann.goto(`${base}/`, { waitUntil: 'commit' });
    await heading(ann, 'Overview').waitFor();
    times.push(Date.now() - from);
  }
  console.log(`      first heading after ${times.join(', ')} ms`);
  must(Math.min(...times) < LOAD_MS_MAX, `${times} ms`);
});

let bob;
await check('invites a colleague, who comes by the link in the letter', async () => {
  await goTo('Users');
  await button(ann, 'Invite').click();
  await ann.getByLabel('Email').fill('bob@example.org');
  await ann.getByRole('combobox', { name: 'Role', exact: true }).selectOption('support');
  await button(ann, 'Send the invitation').click();
  await proof(ann);
  await button(ann, 'bob@example.org').waitFor();
  stand.page = bob = await stand.newPage();
  await bob.goto(await stand.linkTo('bob@example.org'));
  await bob.getByLabel('Your name').fill('Bob');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await button(bob, 'Set the password').click();
  await button(bob, 'Sign in').click();
  await bob.getByLabel('Email').fill('bob@example.org');
  await bob.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await bob.keyboard.press('Enter');
  await heading(bob, 'Overview').waitFor();
  await bob.getByRole('link', { name: 'Tenants' }).click();
  await heading(bob, 'Tenants').waitFor();
  must((await button(bob, 'New tenant').count()) === 0, 'support is offered a new tenant');
});
stand.page = ann;

await check('makes a tenant and a project by keyboard', async () => {
  await goTo('Tenants');
  await heading(ann, 'Tenants').waitFor();
  await button(ann, 'New tenant').focus();
  await ann.keyboard.press('Enter');
  await ann.getByLabel('Name').focus();
  await ann.keyboard.type('Acme Espresso');
  await audit('new-tenant');
  await ann.keyboard.press('Enter');
  await heading(ann, 'Acme Espresso').waitFor();
  must((await ann.evaluate(() => document.activeElement?.tagName)) === 'H1', 'the new page does not take the focus');
  await audit('tenant');
  await button(ann, 'New project').focus();
  await ann.keyboard.press('Enter');
  await ann.getByLabel('Name').focus();
  await ann.keyboard.type('till');
  await ann.keyboard.press('Enter');
  await heading(ann, 'till').waitFor();
  await ann.getByText('No key yet').waitFor();
});
const projectUrl = ann.url();

await check('gives the colleague a role in the tenant, which counts in his open session', async () => {
  await goTo('Users');
  await button(ann, 'bob@example.org').click();
  await ann.getByRole('combobox', { name: 'Role', exact: true }).selectOption('admin');
  await ann.getByRole('combobox', { name: 'Where' }).selectOption({ label: 'In Acme Espresso' });
  await button(ann, 'Give the role').click();
  await proof(ann);
  await ann.getByRole('dialog').getByRole('button', { name: /^Take admin/ }).waitFor();
  await ann.keyboard.press('Escape');
  await bob.goto(projectUrl);
  await heading(bob, 'till').waitFor();
  await button(bob, 'New key').waitFor();
});

let key = '';
await check('makes a key, whose text is shown once', async () => {
  await ann.goto(projectUrl);
  await button(ann, 'New key').click();
  await ann.getByLabel('Name').fill('counter');
  for (const scope of ['admin:read', 'admin:write', 'billing:read']) {
    await ann.getByRole('checkbox', { name: new RegExp(scope) }).check();
  }
  await audit('new-key');
  await button(ann, 'Make the key').click();
  await proof(ann);
  key = await ann.getByTestId('api-key').innerText();
  must(/^ms_live_/.test(key), 'not a key');
  await button(ann, 'Done').click();
  await ann.getByRole('cell', { name: /^counter ms_live/ }).waitFor();
  must(!(await ann.content()).includes(key), 'the key is still in the page');
  await audit('project');
});

await check('revokes a user’s tokens by keyboard, is told what fits no token, and takes it back', async () => {
  await ann.getByText('No token is revoked').waitFor();
  await button(ann, 'Revoke tokens').focus();
  await ann.keyboard.press('Enter');
  await heading(ann, 'Revoke tokens').waitFor();
  await ann.getByLabel('Token', { exact: true }).fill('no.such.token');
  await button(ann, 'Revoke').click();
  await proof(ann);
  await ann.getByRole('dialog').getByRole('alert').waitFor();
  await audit('revoke-tokens');
  await ann.getByLabel('Which tokens').focus();
  await ann.getByLabel('Which tokens').selectOption('sub');
  await ann.getByLabel('Subject', { exact: true }).fill('carl');
  await ann.keyboard.press('Tab');
  await ann.keyboard.type('lost phone');
  await ann.keyboard.press('Enter');
  const row = ann.getByRole('row', { name: /^sub carl/ });
  await row.waitFor();
  must((await ann.getByRole('dialog').count()) === 0, 'the form is still open');
  await audit('revoked-tokens');
  await row.getByRole('button', { name: 'Unrevoke carl' }).focus();
  await ann.keyboard.press('Enter');
  await ann.getByText('No token is revoked').waitFor();
});

let tenantPage;
await check('signs in to the project with it and publishes', async () => {
  stand.page = tenantPage = await stand.newPage();
  await tenantPage.goto(`${shop}/`);
  await tenantPage.getByLabel('API key').fill(key);
  await button(tenantPage, 'Sign in').click();
  await tenantPage.locator('header .badge').first().getByText('Connected').waitFor();
  await tenantPage.getByRole('link', { name: 'Topics' }).click();
  await button(tenantPage, 'New topic').click();
  await tenantPage.getByLabel('Name').fill('orders');
  await button(tenantPage, 'Create').click();
  await tenantPage.getByTestId('phase').getByText('Live').waitFor();
  await tenantPage.keyboard.press('n');
  await tenantPage.getByLabel('Value, as JSON').fill('{"item": "espresso"}');
  await tenantPage.keyboard.press('Control+Enter');
  await tenantPage.getByTestId('published').waitFor();
});

/** Publishes by the form until it is refused, or so often. */
async function publishing(count) {
  for (let turn = 0; turn < count; turn += 1) {
    await tenantPage.keyboard.press('Control+Enter');
    await tenantPage.waitForTimeout(40);
    if ((await tenantPage.getByRole('dialog').getByRole('alert').count()) > 0) return turn;
  }
  return count;
}

await check('sees the traffic live on the overview', async () => {
  stand.page = ann;
  await goTo('Overview');
  await heading(ann, 'Overview').waitFor();
  const flowing = publishing(120);
  await until('traffic on the overview', async () => {
    const shown = await ann.locator('.tiles div', { hasText: 'Published' }).locator('dd').innerText();
    return parseFloat(shown) > 0;
  });
  await ann.waitForTimeout(4_500);
  await audit('traffic');
  await flowing;
});

await check('sets a limit', async () => {
  await ann.goto(projectUrl);
  const used = await until('what was published', async () => {
    const text = await ann.getByTestId('published').innerText();
    const count = Number(text.split(' ')[0].replaceAll(',', ''));
    return count > 100 ? count : undefined;
  });
  await button(ann, 'Change').click();
  await ann.getByLabel('Events published a month').fill('many');
  await button(ann, 'Set the limits').click();
  await ann.getByText('A number, or nothing.').waitFor();
  await ann.getByLabel('Events published a month').fill(String(used + 3));
  await audit('limits');
  await button(ann, 'Set the limits').click();
  await proof(ann);
  await ann.getByRole('definition').filter({ hasText: new Intl.NumberFormat('en').format(used + 3) }).waitFor();
});

let refusal = '';
await check('the application meets it, and is told which limit it is', async () => {
  stand.page = tenantPage;
  await tenantPage.waitForTimeout(1_100);
  const turns = await publishing(60);
  must(turns < 60, 'nothing was refused');
  refusal = await tenantPage.getByRole('dialog').getByRole('alert').innerText();
  must(/publish_per_month_max/.test(refusal), `the limit is not named: ${refusal}`);
  await audit('refused');
});

await check('the owner reads the refusal in the trail of the project', async () => {
  stand.page = ann;
  await ann.goto(projectUrl);
  await heading(ann, 'What was done, and refused').waitFor();
  const trail = ann.getByRole('region', { name: 'The newest records of the audit trail' });
  await trail.getByRole('row', { name: /refused.*PROJECT_LIMIT_EXCEEDED/s }).first().waitFor();
  await audit('trail');
});

await check('and what was used on the page of the tenant, equal to the log', async () => {
  await ann.getByRole('link', { name: 'the tenant' }).click();
  await heading(ann, 'Acme Espresso').waitFor();
  await ann.getByRole('row', { name: /Events published/ }).waitFor();
  await button(ann, 'Compare').click();
  await proof(ann);
  await ann.getByText('equal', { exact: true }).waitFor();
  await audit('account');
  stand.page = tenantPage;
  await tenantPage.keyboard.press('Escape');
  await tenantPage.getByRole('link', { name: 'Usage' }).click();
  await heading(tenantPage, 'Usage').waitFor();
  await tenantPage.getByRole('row', { name: /Events published/ }).waitFor();
  await audit('usage');
  stand.page = ann;
});

await check('a plan of one’s own is made and given', async () => {
  await goTo('Plans');
  await heading(ann, 'Plans').waitFor();
  await audit('plans');
  await button(ann, 'New plan').click();
  await ann.getByLabel('Name').fill('espresso-bar');
  await ann.getByLabel('Title').fill('Espresso bar');
  await ann.getByLabel('Base price').fill('1900');
  await ann.getByLabel('Events published, included').fill('1000');
  await ann.getByLabel('Events published, refused at').fill('2000');
  await audit('new-plan');
  await button(ann, 'Save the plan').click();
  await proof(ann);
  await heading(ann, 'Espresso bar').waitFor();
  await goTo('Tenants');
  await ann.getByRole('link', { name: 'Acme Espresso' }).click();
  await ann.getByLabel('Plan').selectOption('espresso-bar');
  await proof(ann);
  await ann.getByRole('row', { name: /Events published/ }).getByText('of 2,000').waitFor();
  await button(ann, 'New budget').click();
  await ann.getByLabel('Name').fill('enough');
  await ann.getByLabel('Amount a month').fill('5000');
  await audit('new-budget');
  await button(ann, 'Set the budget').click();
  await proof(ann);
  await ann.getByText('Budget enough: $50.00 a month').waitFor();
});

await check('the log is followed, filtered, and made to say more', async () => {
  await goTo('Logs');
  await heading(ann, 'Logs').waitFor();
  await ann.getByRole('cell', { name: /^ready/ }).waitFor();
  await audit('logs');
  await ann.getByLabel('Levels').fill('info,control=debug');
  await ann.getByLabel('Why').fill('a closer look');
  await button(ann, 'Change').click();
  await proof(ann);
  // It arrives by itself.
  await ann.getByRole('cell', { name: /configuration changed/ }).waitFor();
  await ann.getByLabel('Text').fill('configuration CHANGED');
  await until('one kind of line', async () => (await ann.getByRole('cell', { name: /^ready/ }).count()) === 0);
  await ann.getByLabel('Level', { exact: true }).selectOption('error');
  await ann.getByText('No line is like that yet').waitFor();
});

await check('the configuration is edited by keyboard, checked, applied and taken back', async () => {
  await goTo('Configuration');
  await heading(ann, 'Configuration').waitFor();
  const editor = ann.getByRole('textbox', { name: 'The configuration, as YAML' });
  await editor.waitFor();
  await audit('configuration');
  const replace = async (from, to) => {
    const text = await ann.evaluate(() => [...document.querySelectorAll('*')].find((it) => it.shadowRoot?.querySelector('.cm-content')) !== undefined);
    must(text, 'no editor');
    await editor.focus();
    await ann.keyboard.press('Control+f');
    await ann.getByRole('textbox', { name: 'Find' }).fill(from);
    await ann.getByRole('textbox', { name: 'Replace' }).fill(to);
    await ann.getByRole('button', { name: 'replace all' }).click();
    await ann.keyboard.press('Escape');
  };
  await replace('log: info,control=debug', 'lgo: warn');
  await ann.getByText('It cannot be applied').waitFor();
  await ann.getByText(/did you mean/).waitFor();
  await audit('configuration-wrong');
  await replace('lgo: warn', 'log: warn');
  await heading(ann, 'What it changes').waitFor();
  await ann.getByRole('region', { name: 'Changes', exact: true }).getByText('at once').waitFor();
  await ann.getByLabel('Why').fill('less to read');
  await audit('configuration-changes');
  await button(ann, 'Apply').click();
  await proof(ann);
  await ann.getByText('Revision 2 is applied.').waitFor();
  await button(ann, 'Compare revision 1 with now').click();
  await ann.getByRole('region', { name: 'Revision 1 against now' }).getByText('info,control=debug').waitFor();
  await audit('configuration-history');
  await button(ann, 'Go back to revision 1').click();
  await proof(ann);
  await ann.getByText('Revision 1 is back, as revision 3.').waitFor();
});

await check('a narrow screen scrolls in one direction only', async () => {
  await ann.setViewportSize({ width: 390, height: 844 });
  const tenant = new URL(projectUrl).pathname.split('/projects')[0];
  const places = { overview: '/', tenants: '/tenants', tenant, project: new URL(projectUrl).pathname, plans: '/plans', logs: '/logs', configuration: '/configuration' };
  for (const [name, path] of Object.entries(places)) {
    await ann.goto(base + path);
    await ann.locator('main h1').waitFor();
    await ann.waitForTimeout(400);
    const wide = await ann.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector('main').scrollWidth > innerWidth);
    must(!wide, `${path} is wider than the screen`);
    await audit(`narrow-${name}`);
  }
});

await stand.end();
