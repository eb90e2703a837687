// The pages without script of a running hub and node: axe finds nothing, in three languages, light and dark, on a phone; no script is asked for.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { browser } from '../../ui/tools/browser.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const axe = readFileSync(join(root, 'ui/node_modules/axe-core/axe.min.js'), 'utf8');
let servers, at, chromium;

before(async () => {
  servers = spawn('python3', [join(root, 'tests/contract/serve.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await new Promise((done, failed) => {
    createInterface({ input: servers.stdout }).once('line', done);
    servers.once('exit', () => failed(new Error('the hub and the node did not start')));
  });
  at = JSON.parse(line);
  chromium = await browser();
});
after(async () => {
  await chromium?.close();
  servers?.stdin.end();
});

// The page's policy lets no script in: axe is run beside the page, where the policy does not reach.
async function look(url, { dark = false, width = 1280 } = {}) {
  const context = await chromium.newContext({ colorScheme: dark ? 'dark' : 'light', viewport: { width, height: 800 }, bypassCSP: true });
  const page = await context.newPage();
  const asked = [];
  page.on('request', (request) => asked.push(request.resourceType()));
  const troubles = [];
  page.on('console', (message) => message.type() === 'error' && !/status of 4\d\d/.test(message.text()) && troubles.push(message.text()));
  await page.goto(url);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  await context.close();
  return { wide, asked, troubles, faults: found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' ')}`) };
}

const pages = [
  ['hub', '/accessibility-statement'],
  ['hub', '/problems/stale-edit'],
  ['hub', '/confirm/nothing'],
  ['hub', '/api/docs'],
  ['node', '/report'],
  ['hub', '/subscribe'],
  ['hub', '/subscribe/sent'],
  ['hub', '/subscribe/confirm/nothing'],
  ['hub', '/subscribe/end/nothing'],
];
for (const [who, path] of pages)
  test(`${who} ${path}`, async () => {
    for (const language of path === '/api/docs' ? ['en'] : ['da', 'nb', 'en'])
      for (const how of [{}, { dark: true, width: 320 }]) {
        const seen = await look(`${at[who].url}${path}?language=${language}`, how);
        assert.deepEqual(seen.faults, [], `${language} ${JSON.stringify(how)}`);
        assert.ok(seen.wide <= 0, `${seen.wide} px wider than the screen of ${how.width ?? 1280}`);
        assert.ok(!seen.asked.includes('script'));
        assert.deepEqual(seen.troubles, []);
      }
  });

test('an address is asked for, a bad one is told of at its field, and a link is promised to a good one', async () => {
  const context = await chromium.newContext({ javaScriptEnabled: false, locale: 'nb-NO' });
  const page = await context.newPage();
  await page.goto(`${at.hub.url}/subscribe`);
  // The browser looks at addresses itself: this one passes there, and not here.
  await page.getByLabel('E-postadressen din').fill('anna@localhost');
  await page.getByRole('button', { name: 'Abonner' }).click();
  assert.match(await page.getByRole('alert').innerText(), /navn@example.org/);
  await page.getByLabel('E-postadressen din').fill('anna@kommune.example');
  await page.getByRole('button', { name: 'Abonner' }).click();
  assert.match(await page.locator('main').innerText(), /Se i innboksen din/);
  assert.ok(!(await page.content()).includes('anna@'));
  await context.close();
});

test('a report is thanked for, and a second one hears of the first', async () => {
  const thanks = [];
  for (const who of ['anna@kommune.example', 'bo@kommune.example']) {
    const context = await chromium.newContext({ javaScriptEnabled: false, locale: 'da-DK' });
    const page = await context.newPage();
    await page.goto(`${at.node.url}/report`);
    await page.getByLabel('Hvem ser mailen ud til at komme fra?').fill('it@leverandor.example');
    await page.getByLabel('Hvad står der i emnefeltet?').fill('Faktura');
    await page.getByLabel('Jeg indtastede en adgangskode').check();
    await page.getByLabel('Din egen mailadresse').fill(who);
    await page.getByRole('button', { name: 'Send anmeldelse' }).click();
    thanks.push(await page.locator('main').innerText());
    await context.close();
  }
  assert.match(thanks[0], /Du er den første/);
  assert.match(thanks[0], /Skift din adgangskode nu/);
  assert.match(thanks[1], /1 kollega anmeldte den før dig/);
});
