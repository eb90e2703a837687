// Partners and bulletins as people use them, in three languages: a partner that is added, a key that is shown once, what was dropped and why; a
// bulletin that is written, whose finds are confirmed, that is published and withdrawn.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { audit, languages, open, root, visit } from './pages.mjs';

let world;
before(async () => {
  world = await open();
});
after(() => world.close());

const texts = (language) => {
  const areas = {};
  return (key, n = 2) => {
    const [area, ...path] = key.split('.');
    areas[area] ??= JSON.parse(readFileSync(join(root, 'i18n', 'ui', language, `${area}.json`), 'utf8'));
    const found = path.reduce((inside, part) => inside[part], areas[area]);
    return (typeof found === 'object' ? found[n === 1 ? 'one' : 'other'] : found).replace('{n}', n);
  };
};

describe('partners', () => {
  for (const language of languages)
    it(`are added, get a key and are paused, in ${language}`, async () => {
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language });
      await visit(page, world.base, '/peers');
      await page.getByText({ da: 'partneren svarede 503 på manifest.json', nb: 'partneren svarte 503 på manifest.json', en: 'the partner answered 503 to manifest.json' }[language]).waitFor();
      await page.getByRole('button', { name: t('peer.add') }).click();
      const form = page.getByRole('dialog', { name: t('peer.add') });
      await form.getByLabel(t('peer.name'), { exact: true }).fill(`Ny ${language}`);
      await form.getByLabel(t('peer.address')).fill('http://10.0.0.7/');
      await form.getByRole('button', { name: t('peer.add') }).click();
      await form.getByText('this address is inside the network').first().waitFor();
      await audit(page, `a refused partner in ${language}`);
      await form.getByLabel(t('peer.address')).fill('https://misp.example/');
      await form.getByLabel(t('peer.secret')).fill('a key of theirs');
      await form.getByRole('button', { name: t('peer.add') }).click();
      await page.getByRole('heading', { level: 1, name: `Ny ${language}` }).waitFor();
      await page.getByText(t('peer.state.new')).first().waitFor();
      assert.ok(!(await page.content()).includes('a key of theirs'));
      // A key is shown once.
      await page.getByRole('button', { name: t('peer.key_new') }).click();
      await page.getByLabel(t('peer.key_label')).fill('script');
      await page.getByRole('button', { name: t('peer.key_make') }).click();
      await page.getByText('bavnpeerQ1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('strong').filter({ hasText: 'script' }).waitFor();
      await page.getByText('bavnpeerQ1w2E3r4').waitFor({ state: 'detached' });
      assert.ok(!(await page.content()).includes('bavnpeerQ1w2E3r4'));
      await page.getByRole('button', { name: t('peer.pause') }).click();
      await page.getByRole('button', { name: t('peer.resume') }).waitFor();
      assert.deepEqual(faults, []);
      await close();
    });
  it('show what was dropped and why, and only one reason when asked', async () => {
    const { page, faults, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/peers/1');
    const table = page.getByRole('table', { name: 'What was not taken' });
    assert.equal(await table.getByRole('row').count(), 5);
    await page.getByRole('button', { name: 'Only these: it may never be blocked: watched for only' }).click();
    await page.waitForFunction(() => document.querySelectorAll('main tbody tr').length === 1);
    assert.match(await table.innerText(), /10\.20\.30\.40/);
    assert.deepEqual(faults, []);
    await close();
  });
  it('say why in the language of the reader, and choose by the reason all the same', async () => {
    const { page, faults, close } = await world.tab({ language: 'da' });
    await visit(page, world.base, '/peers/1');
    await page.getByText('TLP er strengere end det, der må gå til kommunerne').first().waitFor();
    await page.getByRole('button', { name: 'Kun disse: MISP-typen yara er ikke et kendetegn, der ses i logs' }).click();
    await page.waitForFunction(() => document.querySelectorAll('main tbody tr').length === 1);
    assert.equal(await page.locator('main [lang=en]').count(), 0);
    assert.deepEqual(faults, []);
    await close();
  });
  it('are only looked at by those who may not change them', async () => {
    const { page, close } = await world.tab({ as: 'analyst', language: 'en' });
    await visit(page, world.base, '/peers/1');
    for (const name of ['Fetch now', 'Pause', 'Change', 'New key', 'End the exchange']) assert.equal(await page.getByRole('button', { name }).count(), 0, name);
    await close();
  });
});

describe('bulletins', () => {
  for (const language of languages)
    it(`are written, confirmed, published and withdrawn, in ${language}`, async () => {
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language });
      await visit(page, world.base, '/bulletins');
      await page.getByRole('link', { name: t('bulletin.new') }).click();
      await page.getByLabel(t('bulletin.heading')).fill('Falske sider');
      await page.getByLabel(t('bulletin.text'), { exact: true }).fill('Set: hxxps://profil[.]example/orbes <script>alert(1)</script>');
      await page.getByRole('heading', { name: t('bulletin.found_so_far', 1) }).waitFor();
      await page.getByLabel(t('bulletin.source')).fill('CERT');
      await page.getByRole('button', { name: t('bulletin.save') }).click();
      await page.getByRole('heading', { level: 1, name: 'Falske sider' }).waitFor();
      assert.match(await page.locator('.written').innerText(), /<script>alert\(1\)<\/script>/);
      await page.getByRole('checkbox', { name: 'profil[.]example/orbes' }).check();
      await page.getByRole('button', { name: t('bulletin.confirm', 1) }).click();
      await page.getByText(`${t('bulletin.found_state.confirmed')}, ${t('indicators.action_name.warn')}`).waitFor();
      await audit(page, `a bulletin in ${language}`);
      await page.getByRole('button', { name: t('bulletin.publish') }).click();
      await page.getByRole('dialog').getByRole('button', { name: t('bulletin.publish') }).click();
      await page.getByText(t('bulletin.published', 1)).waitFor();
      await page.getByRole('button', { name: t('bulletin.withdraw') }).click();
      await page.getByLabel(t('because.why')).fill('en kollega');
      await page.getByRole('dialog').getByRole('button', { name: t('bulletin.withdraw') }).click();
      await page.getByText(t('bulletin.withdrawn_because').replace('{why}', 'en kollega')).waitFor();
      assert.deepEqual(faults, []);
      await close();
    });
  for (const language of languages)
    it(`are sent by mail to who asks for it, in ${language}`, async () => {
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language });
      await visit(page, world.base, '/bulletins');
      await page.getByRole('button', { name: t('bulletin.mail'), exact: true }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel(t('bulletin.mail_address')).selectOption('anna@privat.example');
      await audit(page, `a subscription in ${language}`);
      assert.deepEqual(await dialog.getByLabel(t('bulletin.mail_ceiling')).locator('option').evaluateAll((all) => all.map((one) => one.value)), ['clear', 'green', 'amber', 'amber+strict'], 'no more than one may have');
      await dialog.getByRole('button', { name: t('bulletin.mail_save') }).click();
      await dialog.getByText(t('bulletin.mail_waits').replace('{address}', 'anna@privat.example')).waitFor();
      await dialog.getByLabel(t('bulletin.mail_address')).selectOption('anna@kommune.example');
      await dialog.getByLabel(t('bulletin.mail_ceiling')).selectOption('amber');
      await dialog.getByRole('button', { name: t('bulletin.mail_change') }).click();
      await dialog.getByText(t('bulletin.mail_subscribed').replace('{address}', 'anna@kommune.example')).waitFor();
      await dialog.getByRole('button', { name: t('bulletin.mail_end') }).click();
      await page.getByText(t('bulletin.mail_ended')).waitFor();
      assert.deepEqual(faults, []);
      await close();
    });
  it('come from a file, too', async () => {
    const { page, faults, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/bulletins');
    await page.getByRole('button', { name: 'Read a report in' }).click();
    await page.getByLabel('File').setInputFiles({ name: 'report.txt', mimeType: 'text/plain', buffer: Buffer.from('Seen: hxxps://profil[.]example/orbes\n') });
    await page.getByLabel('Written by').fill('SOC supplier');
    await page.getByRole('button', { name: 'Read it in' }).click();
    await page.getByRole('heading', { level: 1, name: 'report.txt' }).waitFor();
    await page.getByText('Seen: hxxps://profil[.]example/orbes').waitFor();
    assert.deepEqual(faults, []);
    await close();
  });
  it('show texts of strangers as texts', async () => {
    await world.world('hostile');
    const { page, faults, close } = await world.tab({ language: 'en', width: 320 });
    for (const path of ['/bulletins', '/bulletins/4', '/bulletins/4/edit', '/peers/1']) {
      await visit(page, world.base, path);
      assert.equal(await page.locator('main img, main script, main .written a').count(), 0, path);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${path} scrolls sideways`);
    }
    assert.deepEqual(faults, []);
    await world.world('october');
    await close();
  });
});

describe('proof', () => {
  it('is asked of the directory in a window beside, and the act goes on by itself', async () => {
    const { page, faults, close } = await world.tab({ language: 'en' });
    let proved = false;
    await page.context().route('**/api/session', async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      await route.fulfill({ response: answer, json: { ...body, passkeys: 0, ways: { passkey: true, code: false, providers: [{ id: '1', label: 'Ager Kommune' }] }, proved_until: new Date(Date.now() + (proved ? 60_000 : -1)).toISOString() } });
    });
    let asked = 0;
    await page.context().route('**/api/peers/1/keys', async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      ++asked;
      if (!proved) return route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify({ type: '/problems/proof-needed', title: 'Proof needed', status: 403 }) });
      return route.continue();
    });
    await page.context().route('**/sign-in/provider/**', (route) => {
      proved = true;
      return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>Directory</title><h1>Signed in again</h1>' });
    });
    await visit(page, world.base, '/peers/1');
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByLabel('Where will it be used?').fill('script');
    await page.getByRole('button', { name: 'Make the key' }).click();
    const dialog = page.getByRole('dialog', { name: 'Show that it is you' });
    await dialog.waitFor();
    await audit(page, 'proof by a directory');
    const other = page.context().waitForEvent('page');
    await dialog.getByRole('link', { name: 'Sign in again at Ager Kommune' }).click();
    assert.match((await other).url(), /\/sign-in\/provider\/1\?for=proof$/);
    await page.getByText('bavnpeerQ1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6').waitFor();
    assert.equal(asked, 2);
    assert.deepEqual(faults, []);
    await close();
  });
});

describe('a code of an app', () => {
  it('is shown as a picture and as text', async () => {
    const { page, faults, close } = await world.tab({ as: 'programme', language: 'en' });
    await visit(page, world.base, '/account');
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByRole('img', { name: 'QR code for the app' }).waitFor();
    await page.getByText('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ').waitFor();
    await audit(page, 'a code of an app');
    assert.deepEqual(faults, []);
    await close();
  });
});
