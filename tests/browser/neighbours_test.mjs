// Partners and bulletins as people use them, in three languages: a partner that is added, a key that is shown once, what was dropped and why; a
// bulletin that is written, whose finds are confirmed, that is published and withdrawn.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { audit, languages, open, root, shots, visit } from './pages.mjs';

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

describe('subscribers', () => {
  for (const language of languages)
    it(`are invited, found, looked at and removed, in ${language}`, async () => {
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language });
      await visit(page, world.base, '/bulletins');
      await page.getByRole('link', { name: t('subscribers.nav') }).click();
      await page.getByRole('heading', { level: 1, name: t('subscribers.title') }).waitFor();
      await audit(page, `subscribers in ${language}`);
      // Somebody from outside is sent a link, and waits.
      await page.getByRole('button', { name: t('subscribers.invite'), exact: true }).click();
      const form = page.getByRole('dialog', { name: t('subscribers.invite_title') });
      await form.getByLabel(t('subscribers.address')).fill('anna@kommune.example');
      await form.getByRole('button', { name: t('subscribers.send_link') }).click();
      await form.getByText(t('subscribers.known')).waitFor();
      const who = `ny.${language}@avis.example`;
      await form.getByLabel(t('subscribers.address')).fill(who);
      await form.getByRole('button', { name: t('subscribers.send_link') }).click();
      await form.getByText(t('subscribers.invited').replace('{address}', who)).waitFor();
      await audit(page, `an invitation in ${language}`);
      await page.keyboard.press('Escape');
      const waiting = page.getByRole('table', { name: t('subscribers.waiting_title') });
      await waiting.getByText(who).waitFor();
      await waiting.getByText('550 5.1.1 recipient unknown').waitFor();
      await waiting.getByRole('button', { name: `${t('subscribers.take_back')}: ${who}` }).click();
      await page.getByText(t('subscribers.taken_back')).waitFor();
      await waiting.getByText(who).waitFor({ state: 'detached' });
      // Also who stands far down the list is found.
      await page.getByLabel(t('subscribers.find')).fill('kommune129.');
      const list = page.getByRole('table', { name: t('subscribers.list') });
      await list.getByText('it129@kommune129.example').waitFor();
      assert.equal(await list.locator('tbody tr').count(), 1);
      await page.getByLabel(t('subscribers.find')).fill('nobody at all');
      await page.getByText(t('subscribers.not_found').replace('{what}', 'nobody at all')).waitFor();
      // What was sent, and what the mail server said.
      await page.getByLabel(t('subscribers.find')).fill('forsyningsselskabet');
      await page.getByRole('button', { name: new RegExp(`^${t('subscribers.see_mails')}: den`) }).click();
      const mails = page.getByRole('dialog');
      await mails.getByText('550 5.1.1 recipient unknown').first().waitFor();
      await mails.getByText(t('subscribers.mail_state.given_up')).first().waitFor();
      await audit(page, `the mails of a subscriber in ${language}`);
      await page.keyboard.press('Escape');
      await page.getByLabel(t('subscribers.find')).fill(`it${30 + languages.indexOf(language)}@`);
      await page.getByRole('button', { name: new RegExp(`^${t('subscribers.remove')}: it3`) }).click();
      await page.getByRole('dialog').getByRole('button', { name: t('subscribers.remove'), exact: true }).click();
      await page.getByText(t('subscribers.removed')).waitFor();
      assert.deepEqual(faults, []);
      await close();
    });
  it('may be none, and are only for whoever manages people', async () => {
    await world.world('quiet');
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/bulletins/subscribers');
    await page.getByText('No subscribers yet').waitFor();
    await audit(page, 'no subscribers');
    await world.world('');
    await close();
    const other = await world.tab({ as: 'analyst', language: 'en' });
    await visit(other.page, world.base, '/bulletins');
    assert.equal(await other.page.getByRole('link', { name: 'Subscribers' }).count(), 0);
    await other.close();
  });
});

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
      await form.getByText({ da: '10.0.0.7 er en adresse inde i nettet', nb: '10.0.0.7 er en adresse inne i nettet', en: '10.0.0.7 is an address inside the network' }[language]).first().waitFor();
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
  for (const language of languages)
    it(`bring a file by hand, tried before it is taken, and get theirs, in ${language}`, async () => {
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language, width: language === 'nb' ? 320 : 1280 });
      await visit(page, world.base, '/peers/1');
      await page.getByRole('button', { name: t('peer.import'), exact: true }).click();
      const form = page.getByRole('dialog', { name: t('peer.import') });
      const csv = 'kind,value,tlp\ndomain,evil.example,green\ndomain,worse.example,green\ndomain,secret.example,red\n';
      await form.getByLabel(t('peer.import_file'), { exact: true }).setInputFiles({ name: 'wave.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) });
      await form.getByRole('button', { name: t('peer.import_try') }).click();
      await form.getByText(t('peer.import_would')).waitFor();
      const narrow = 'its TLP is narrower than what may go to the municipalities';
      const said = JSON.parse(readFileSync(join(root, 'i18n', 'ui', 'sentences', 'partners.json'), 'utf8'))[narrow];
      await form.getByText(language === 'en' ? narrow : said[language]).waitFor();
      await audit(page, `a file that is tried in ${language}`);
      await page.screenshot({ path: join(shots, `peer-file-${language}.png`) });
      // Another level is another question.
      await form.getByLabel(t('peer.default_tlp')).selectOption('green');
      await form.getByText(t('peer.import_would')).waitFor({ state: 'detached' });
      await form.getByRole('button', { name: t('peer.import_try') }).click();
      await form.getByRole('button', { name: t('peer.import_take') }).click();
      await page.getByText(t('peer.import_done')).waitFor();
      await form.waitFor({ state: 'hidden' });
      const download = page.waitForEvent('download');
      await page.getByRole('link', { name: `${t('peer.export')} (CSV)` }).click();
      assert.equal((await download).suggestedFilename(), 'indicators.csv');
      assert.deepEqual(faults, []);
      await close();
    });
  it('are told why a file is refused', async () => {
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/peers/1');
    await page.getByRole('button', { name: 'Take a file' }).click();
    await page.getByLabel('File', { exact: true }).setInputFiles({ name: 'half.json', mimeType: 'application/octet-stream', buffer: Buffer.from('{"type":"bundle"') });
    await page.getByRole('button', { name: 'See what would be taken' }).click();
    await page.getByText('The file is no whole JSON').waitFor();
    assert.equal(await page.getByRole('button', { name: /^Take \d/ }).count(), 0);
    await close();
  });
  it('are only looked at by those who may not change them', async () => {
    const { page, close } = await world.tab({ as: 'analyst', language: 'en' });
    await visit(page, world.base, '/peers/1');
    for (const name of ['Fetch now', 'Pause', 'Change', 'New key', 'Take a file', 'End the exchange']) assert.equal(await page.getByRole('button', { name }).count(), 0, name);
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
    await page.getByLabel('Choose a file or drop it here').setInputFiles({ name: 'report.txt', mimeType: 'text/plain', buffer: Buffer.from('Seen: hxxps://profil[.]example/orbes\n') });
    await page.getByLabel('Written by').fill('SOC supplier');
    await page.getByRole('button', { name: 'Read it in' }).click();
    await page.getByRole('heading', { level: 1, name: 'report.txt' }).waitFor();
    await page.getByText('Seen: hxxps://profil[.]example/orbes').waitFor();
    assert.deepEqual(faults, []);
    await close();
  });
  for (const language of languages)
    it(`are read from a PDF that is dropped, page by page, and say why one is not read, in ${language}`, async () => {
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language });
      await visit(page, world.base, '/bulletins');
      await page.getByRole('button', { name: t('bulletin.report') }).click();
      await page.getByText(t('bulletin.report_kinds')).waitFor();
      const drop = async (name, text) => {
        const data = await page.evaluateHandle(([called, words]) => {
          const all = new DataTransfer();
          all.items.add(new File([words], called, { type: 'application/pdf' }));
          return all;
        }, [name, text]);
        const place = page.getByRole('group', { name: t('bulletin.file') });
        await place.dispatchEvent('dragover', { dataTransfer: data });
        await place.dispatchEvent('drop', { dataTransfer: data });
        await place.getByText(name, { exact: true }).waitFor();
      };
      await drop('locked.pdf', '%PDF-1.4 /Encrypt');
      await page.getByLabel(t('bulletin.source')).fill('SOC');
      await page.getByRole('button', { name: t('bulletin.read'), exact: true }).click();
      await page.getByRole('alert').getByText({ da: 'Filen har en adgangskode', nb: 'Filen har et passord', en: 'The file has a password' }[language]).waitFor();
      await audit(page, `a report that is not read in ${language}`);
      await drop('week41.pdf', '%PDF-1.4 profil[.]example/orbes');
      assert.equal(await page.getByRole('alert').count(), 0, 'what was wrong with the file before is gone');
      await page.getByRole('button', { name: t('bulletin.read'), exact: true }).click();
      await page.getByRole('heading', { level: 1, name: 'week41.pdf' }).waitFor();
      const section = { da: 'Side 2 af 2', nb: 'Side 2 av 2', en: 'Page 2 of 2' }[language];
      await page.getByRole('heading', { name: section }).waitFor();
      await page.locator('.place').getByText(`${section}:`).waitFor();
      await audit(page, `a report in ${language}`);
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
