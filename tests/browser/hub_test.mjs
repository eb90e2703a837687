// The hub's pages as people use them: tasks in three languages, by keyboard alone, with hostile texts, with a line that breaks; axe on every
// page in every language, light and dark.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { hubPages } from '../../ui/tools/browser.mjs';
import { audit, languages, open, root, sayTwice, settled, shots, spill, violations, visit } from './pages.mjs';

let world;
before(async () => {
  world = await open();
});
after(() => world.close());

/** The words that a person of the language would look for. */
function texts(language) {
  const areas = {};
  return (key) => {
    const [area, ...path] = key.split('.');
    areas[area] ??= JSON.parse(readFileSync(join(root, 'i18n', 'ui', language, `${area}.json`), 'utf8'));
    return path.reduce((inside, part) => inside[part], areas[area]);
  };
}

describe('every page', () => {
  for (const language of languages)
    for (const theme of ['light', 'dark'])
      it(`holds WCAG 2.2 AA in ${language}, ${theme}`, async () => {
        const { page, faults, close } = await world.tab({ language, theme });
        const found = [];
        for (const one of hubPages) {
          await visit(page, world.base, one.path);
          assert.equal(await page.evaluate(() => document.documentElement.lang), language);
          found.push(...(await violations(page, one.name)));
          await page.screenshot({ path: join(shots, `${one.name}-${theme}-1280-${language}.png`), fullPage: true });
        }
        assert.deepEqual([...found, ...faults], []);
        await close();
      });
  for (const width of [320, 420])
    it(`fits ${width} points and holds WCAG there`, async () => {
      const { page, faults, close } = await world.tab({ width, language: 'nb' });
      const found = [];
      for (const one of hubPages) {
        await visit(page, world.base, one.path);
        if ((await spill(page)) > 0) found.push(`${one.name} scrolls sideways`);
        found.push(...(await violations(page, one.name)));
        await page.screenshot({ path: join(shots, `${one.name}-light-${width}-nb.png`), fullPage: true });
      }
      assert.deepEqual([...found, ...faults], []);
      await close();
    });
  it('shows its pictures as tables with the same figures', async () => {
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/campaigns/1');
    const turn = page.getByRole('button', { name: 'Show as table' });
    while ((await turn.count()) > 0) await turn.first().click();
    const lanes = page.getByRole('table', { name: 'Municipalities', exact: true });
    assert.match(await lanes.getByRole('row', { name: /Lyngby-Taarbæk/ }).innerText(), /791/);
    const spread = page.getByRole('table', { name: 'Who passed it on to whom' });
    assert.equal(await spread.getByRole('row').count(), 1 + 29);
    await audit(page, 'campaign as tables');
    await visit(page, world.base, '/map');
    await page.getByRole('button', { name: 'Show as table' }).click();
    assert.equal(await page.getByRole('table').getByRole('row').count(), 99);
    await close();
  });
});

describe('the main tasks', () => {
  for (const language of languages)
    it(`are done in ${language}`, async () => {
      await world.world('october');
      const t = texts(language);
      const { page, faults, close } = await world.tab({ language });
      // What burns is said in a sentence, and the campaign is one click away.
      await visit(page, world.base, '/');
      await page.getByText('Gentofte').first().waitFor();
      await page.getByRole('link', { name: t('campaign.name_from').replace('{who}', 'Gentofte') }).first().click();
      await page.getByRole('heading', { level: 1, name: t('campaign.name_from').replace('{who}', 'Gentofte') }).waitFor();
      await page.getByText(t('campaign.won'), { exact: true }).waitFor();
      assert.match(await page.locator('.figure').first().innerText(), /965/);
      // A suspicion becomes a warning: draft, own words, send, answers come in by themselves.
      await visit(page, world.base, '/suspicions');
      await page.getByRole('link', { name: t('campaign.write_warning') }).first().click();
      await page.getByRole('button', { name: t('warning.make_draft') }).click();
      await page.getByRole('note').waitFor();
      await page.getByRole('button', { name: `${t('warning.edit_short')}, English` }).click();
      await page.getByLabel(t('warning.f.title')).fill('False course invitations');
      await page.getByRole('button', { name: t('common.save'), exact: true }).click();
      await page.getByText('False course invitations').first().waitFor();
      await page.getByRole('button', { name: `${t('warning.preview_short')}, English` }).click();
      await page.getByRole('tab', { name: t('warning.way.sms') }).click();
      await page.getByText('Bavn: false mail from gentofte.example').last().waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: t('warning.act.send') }).first().click();
      await page.getByRole('dialog').getByRole('button', { name: t('warning.act.send') }).click();
      await page.getByText(t('answer.count').replace('{answered}', '96').replace('{asked}', '98')).waitFor({ timeout: 15_000 });
      await page.getByRole('button', { name: new RegExp(t('answer.purged')) }).click();
      // The suspicion is judged with a reason.
      await visit(page, world.base, '/suspicions');
      await page.getByRole('button', { name: t('suspicion.false') }).first().click();
      await page.getByRole('dialog').getByRole('button', { name: t('suspicion.false') }).click();
      await page.getByText(t('because.missing')).waitFor();
      await page.getByLabel(t('because.why')).fill('A course that all of them run together.');
      await page.getByRole('dialog').getByRole('button', { name: t('suspicion.false') }).click();
      await page.getByText(t('suspicion.done_false')).waitFor();
      await page.waitForFunction(() => document.querySelectorAll('[data-suspicion]').length === 1);
      // The hand-over is written.
      await visit(page, world.base, '/handover');
      await page.getByLabel(t('handover.text')).fill('Æbleø er ringet op.');
      await page.getByRole('button', { name: t('common.save'), exact: true }).click();
      await page.getByText(t('warning.saved')).waitFor();
      assert.deepEqual(faults, []);
      await close();
    });
  it('replays a campaign on the map', async () => {
    await world.world('october');
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/map?campaign=1');
    const slider = page.getByRole('slider', { name: 'Moment' });
    await slider.fill('0');
    assert.equal(await page.locator('a .tile.reached').count(), 1);
    assert.equal(await page.locator('a .tile.sender').count(), 1);
    await slider.fill('1000');
    assert.ok((await page.locator('a .tile.emptied').count()) > 15);
    await close();
  });
  it('changes language and looks at once, and remembers', async () => {
    const { page, close } = await world.tab({ language: 'da' });
    await visit(page, world.base, '/');
    await page.getByRole('heading', { level: 1, name: 'Lige nu' }).waitFor();
    await page.getByLabel('Sprog').selectOption('nb');
    await page.getByRole('heading', { level: 1, name: 'Akkurat nå' }).waitFor();
    await page.getByRole('button', { name: 'Mørkt' }).click();
    await page.reload();
    await page.getByRole('heading', { level: 1, name: 'Akkurat nå' }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await close();
  });
  it('says what a setting is for in the language of the page, and in English where it has no words', async () => {
    const { page, faults, close } = await world.tab({ language: 'da' });
    const said = JSON.parse(readFileSync(join(root, 'i18n', 'ui', 'sentences', 'settings.json'), 'utf8'))['warn.remind_after'];
    await visit(page, world.base, '/settings');
    await page.getByText(said.da).waitFor();
    await page.getByLabel('Sprog').selectOption('nb');
    await page.getByText(said.nb).waitFor();
    assert.equal(await page.locator('main [lang=en]').innerText(), 'Whether a municipality that agreed is named when its account sends.');
    await page.getByRole('searchbox').fill('påminnelse');
    await page.getByText(said.nb).waitFor();
    assert.equal(await page.locator('main .rows li').count(), 1);
    await page.getByRole('button', { name: 'Rediger warn.remind_after' }).click();
    await page.getByRole('dialog').getByText(said.nb).waitFor();
    assert.deepEqual(faults, []);
    await close();
    // When the words do not load, the page does.
    const other = await world.tab({ language: 'da' });
    await other.page.route(/settings_da/, (route) => route.abort());
    await visit(other.page, world.base, '/settings');
    await other.page.getByText(said.en).waitFor();
    assert.deepEqual(other.faults, []);
    await other.close();
  });
  it('keeps long pages short on a phone: settings folded by group, a municipality a line', async () => {
    const { page, faults, close } = await world.tab({ language: 'da', width: 390 });
    const said = JSON.parse(readFileSync(join(root, 'i18n', 'ui', 'sentences', 'settings.json'), 'utf8'))['warn.remind_after'];
    await visit(page, world.base, '/settings');
    assert.equal(await page.getByText(said.da).isVisible(), false);
    await page.getByRole('heading', { name: 'Varsler', exact: true }).click();
    await page.getByText(said.da).waitFor();
    await page.getByRole('heading', { name: 'Varsler', exact: true }).click();
    await page.getByRole('searchbox').fill('warn.remind_after');
    await page.getByText(said.da).waitFor(); // what is looked for is open
    await visit(page, world.base, '/municipalities');
    const rows = page.locator('main tbody tr');
    const all = await rows.count();
    const tall = await page.locator('main tbody').evaluate((body) => body.getBoundingClientRect().height / body.rows.length);
    assert.ok(all > 90 && tall < 100, `${all} rows of ${tall} px`);
    assert.deepEqual(faults, []);
    await close();
  });
  it('asks for proof before what is dangerous, and says what is refused', async () => {
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/nodes/aalborg');
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByLabel('Why?').fill('lost');
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog', { name: 'Show that it is you' }).waitFor();
    await page.getByRole('dialog', { name: 'Show that it is you' }).getByRole('button', { name: 'Close' }).click();
    await visit(page, world.base, '/settings');
    await page.getByRole('button', { name: 'Edit warn.remind_after' }).click();
    await page.getByLabel('Value').fill('99999');
    await page.getByText('Between 1 and 1,440').last().waitFor();
    assert.ok(await page.getByRole('button', { name: 'Save' }).isDisabled());
    await close();
  });
  it('does not show a programme what only analysts may do', async () => {
    const { page, close } = await world.tab({ as: 'programme', language: 'en' });
    await visit(page, world.base, '/suspicions');
    assert.equal(await page.getByRole('button', { name: 'False alarm' }).count(), 0);
    await visit(page, world.base, '/audit');
    await page.getByRole('heading', { name: 'There is no page here' }).waitFor();
    await visit(page, world.base, '/map');
    assert.equal(await page.locator('a .tile.sender').count(), 0);
    await close();
  });
});

describe('by keyboard alone', () => {
  let page;
  let tab;
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
  before(async () => {
    await world.world('october');
    tab = await world.tab({ language: 'en' });
    page = tab.page;
  });
  after(async () => {
    assert.deepEqual(tab.faults, []);
    await tab.close();
  });
  it('1: the first Tab skips to the content', async () => {
    await visit(page, world.base, '/');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  });
  it('2: the palette finds a page, also for who types before it is there', async () => {
    const fresh = await page.context().newPage();
    await fresh.route(/Extras/, (route) => setTimeout(() => void route.continue(), 700));
    await fresh.goto(world.base);
    await fresh.waitForSelector('#page-title');
    await fresh.keyboard.press('Control+k');
    await fresh.keyboard.type('audit');
    await fresh.getByRole('option', { name: 'Audit log' }).waitFor();
    assert.equal(await fresh.getByRole('combobox', { name: 'Find a page' }).inputValue().catch(() => fresh.locator('dialog input').inputValue()), 'audit');
    await fresh.close();

    await page.keyboard.press('Control+k');
    await page.keyboard.type('audit');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Audit log' }).waitFor();
  });
  it('3: g s goes to suspicions, j and f judge one', async () => {
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    await page.getByRole('heading', { level: 1, name: 'Suspicions' }).waitFor();
    await settled(page);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    assert.match(await focused(), /new file/);
    await page.keyboard.press('f');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.type('A form of the region.');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Marked as a false alarm').waitFor();
  });
  it('4: a campaign is opened and its warning with w', async () => {
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('g');
    await page.keyboard.press('c');
    await page.getByRole('heading', { level: 1, name: 'Campaigns' }).waitFor();
    await settled(page);
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Mail from Gentofte' }).waitFor();
    await settled(page);
    await page.keyboard.press('w');
    await page.getByRole('heading', { level: 1, name: /gentofte\.example/ }).waitFor();
  });
  it('5: the words are edited with e and saved', async () => {
    await settled(page);
    await page.keyboard.press('e');
    await page.waitForFunction(() => document.activeElement?.tagName === 'INPUT');
    await page.keyboard.press('End');
    await page.keyboard.type(' (new)');
    await page.keyboard.press('Enter');
    await page.getByText('Saved').waitFor();
    await page.getByText('False mail from gentofte.example (new)').first().waitFor();
  });
  it('6: the map is walked with arrows, and ? says which keys work', async () => {
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('g');
    await page.keyboard.press('m');
    await page.getByRole('heading', { level: 1, name: 'Map' }).waitFor();
    await settled(page);
    await page.locator('svg[role=group] a[tabindex="0"]').focus();
    const first = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowLeft');
    const next = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    assert.notEqual(first, next);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys that work here' }).waitFor();
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), next, 'the focus is back where it was');
  });
});

describe('what comes from outside', () => {
  it('is text on every page, however it looks, and breaks no page', async () => {
    await world.world('hostile');
    const wide = [];
    for (const width of [320, 1280]) {
      const { page, faults, close } = await world.tab({ width, language: 'en' });
      let seen = 0;
      for (const one of hubPages) {
        await visit(page, world.base, one.path);
        const bad = await page.evaluate(() => [...document.querySelectorAll('img, iframe, object, embed, script:not([src]), [onerror], [onload], a[href^="javascript:"]')].map((node) => node.outerHTML));
        assert.deepEqual(bad, [], one.name);
        assert.ok(!(await page.title()).startsWith('owned'));
        if ((await spill(page)) > 0) wide.push(`${one.name} at ${width}`);
        if ((await page.locator('body').innerText()).includes('<img src=x')) ++seen;
        if (width === 320) await page.screenshot({ path: join(shots, `hostile-${one.name}-320.png`), fullPage: true });
      }
      assert.ok(seen >= 6, `the hostile texts were shown on ${seen} pages`);
      assert.deepEqual(faults, []);
      await close();
    }
    assert.deepEqual(wide, [], 'scroll sideways');
    await world.world('october');
  });
});

describe('when something breaks', () => {
  it('the page says so, keeps what it had, and recovers by itself', async () => {
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/');
    await page.locator('.line.live').waitFor();
    await fetch(`${world.base}/mock/cut`);
    await page.locator('.line.live').waitFor({ timeout: 10_000 });
    await fetch(`${world.base}/mock/fail?status=500&path=/api/overview`);
    await fetch(`${world.base}/mock/emit?kind=campaign.updated&subject=1`);
    await page.getByRole('alert').waitFor();
    await page.getByText('Mail from Gentofte').first().waitFor();
    await fetch(`${world.base}/mock/fail`);
    await page.getByRole('alert').waitFor({ state: 'detached', timeout: 15_000 });
    await close();
  });
  it('a busy server is asked again before anybody is bothered', async () => {
    const { page, close } = await world.tab({ language: 'en' });
    await fetch(`${world.base}/mock/fail?status=503&path=/api/brakes&times=1`);
    await visit(page, world.base, '/brakes');
    await page.getByRole('heading', { name: 'Triggers', exact: true }).waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
    await close();
  });
  it('what is not there says so in the language, with a way back', async () => {
    const { page, close } = await world.tab({ language: 'da' });
    await page.goto(`${world.base}/campaigns/999`);
    await page.getByRole('alert').getByText('Sagen findes ikke').waitFor();
    await page.getByRole('link', { name: /Sager/ }).first().waitFor();
    await close();
  });
  it('a stale edit loses nobody\'s words', async () => {
    const one = await world.tab({ language: 'en' });
    const two = await world.tab({ language: 'en' });
    await visit(one.page, world.base, '/handover');
    await visit(two.page, world.base, '/handover');
    await one.page.getByLabel('To the next shift').fill('First words');
    await two.page.getByLabel('To the next shift').fill('Second words');
    await one.page.getByRole('button', { name: 'Save', exact: true }).click();
    await one.page.getByText('Saved').waitFor();
    await two.page.getByRole('button', { name: 'Save', exact: true }).click();
    await two.page.getByRole('alert').waitFor();
    await two.page.getByText('First words').first().waitFor();
    assert.equal(await two.page.getByLabel('To the next shift').inputValue(), 'Second words');
    await two.page.getByRole('button', { name: 'Keep my words' }).click();
    await two.page.getByRole('button', { name: 'Save', exact: true }).click();
    await two.page.getByText('Saved').waitFor();
    await one.close();
    await two.close();
  });
  it('a session that ends under an open page takes no words away, and what was to be done is done when the person is back', async () => {
    const { page, close } = await world.tab({ language: 'da' });
    await visit(page, world.base, '/handover');
    await page.getByLabel('Til den næste vagt').fill('Ord, der ikke må forsvinde');
    const [cookie] = await page.context().cookies();
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Gem', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Du er logget ud' });
    await dialog.waitFor();
    assert.equal(new URL(page.url()).pathname, '/handover');
    await page.context().addCookies([cookie]);
    await dialog.waitFor({ state: 'detached' });
    await page.getByText('Gemt').first().waitFor();
    assert.equal(await page.getByLabel('Til den næste vagt').inputValue(), 'Ord, der ikke må forsvinde');
    await close();
  });
  it('a page that cannot be loaded opens by itself when the server answers again', async () => {
    const { page, close } = await world.tab({ language: 'nb' });
    await visit(page, world.base, '/');
    const away = (route) => route.abort();
    await page.route(/assets\/Peers|api\/session/, away);
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.getByText('Siden åpner av seg selv').waitFor();
    await page.unroute(/assets\/Peers|api\/session/, away);
    await page.getByRole('heading', { level: 1, name: 'Partnere' }).waitFor({ timeout: 10_000 });
    await close();
  });
  it('a stale edit of a bulletin keeps its words when one says so', async () => {
    const { page, close } = await world.tab({ language: 'da' });
    await visit(page, world.base, '/bulletins/4/edit');
    await page.getByLabel('Tekst', { exact: true }).fill('Mine ord');
    await fetch(`${world.base}/mock/fail?status=412&path=/api/bulletins/4&times=1`);
    await page.getByRole('button', { name: 'Gem udkast' }).click();
    await page.getByRole('button', { name: 'Behold mine ord' }).click();
    await page.getByRole('alert').waitFor({ state: 'detached' });
    assert.equal(await page.getByLabel('Tekst', { exact: true }).inputValue(), 'Mine ord');
    await page.getByRole('button', { name: 'Gem udkast' }).click();
    await page.waitForURL(/\/bulletins\/4$/);
    await close();
  });
  it('a session that ended leads to the sign-in, and back', async () => {
    const { page, close } = await world.tab({ language: 'en' });
    await visit(page, world.base, '/brakes');
    await page.context().clearCookies();
    await page.goto(`${world.base}/campaigns`);
    await page.waitForURL(/\/sign-in\?next=%2Fcampaigns/);
    await close();
  });
});

describe('what the hub says twice', () => {
  it('is shown, and no page breaks over it', async () => {
    const { page, faults, close } = await world.tab({ language: 'en' });
    await sayTwice(page);
    for (const one of hubPages) {
      await visit(page, world.base, one.path);
      assert.deepEqual(faults.splice(0), [], one.path);
      assert.equal(await page.getByText('The page could not be shown').count(), 0, one.path);
    }
    await close();
  });
});

describe('a warning by hand', () => {
  it('that looks for nothing is not asked for, and the field says why', async () => {
    const { page, close } = await world.tab({ language: 'da' });
    const sent = [];
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()));
    await visit(page, world.base, '/warnings/new');
    await page.getByRole('button', { name: 'Skriv udkast' }).click();
    await page.getByText('Skal udfyldes').waitFor();
    assert.deepEqual(sent, []);
    await close();
  });
  it('takes whatever is pasted: what is in it is found, the rest is passed over', async () => {
    const { page, faults, close } = await world.tab({ language: 'da' });
    await page.addInitScript(() => {
      window.sent = [];
      const real = window.fetch;
      window.fetch = async (asked, ...more) => {
        if (asked instanceof Request && asked.method === 'POST') window.sent.push(await asked.clone().json());
        return real(asked, ...more);
      };
    });
    const sentBy = () => page.evaluate(() => window.sent);
    await visit(page, world.base, '/warnings/new');
    const paste = (text, html) =>
      page.getByLabel('Se efter').evaluate(
        (into, [plain, rich]) => {
          into.focus();
          const data = new DataTransfer();
          data.setData('text/plain', plain);
          data.setData('text/html', rich);
          if (into.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))) document.execCommand('insertText', false, plain);
        },
        [text, html],
      );
    // Nothing but words, and long ones: no fault, no stop, only said.
    await paste('Vi har set noget mærkeligt i nat, og ingen ved, hvad det er. '.repeat(400), '');
    await page.getByText('Bavn finder ingen kendetegn i teksten').waitFor();
    await page.getByRole('button', { name: 'Skriv udkast' }).click();
    assert.deepEqual(await sentBy(), []);
    // Out of Word: non-breaking blanks, a soft hyphen, a bullet of the font Symbol, curly quotes, and a link behind a word.
    await paste('\r\n\uf0b7\tMails fra \u201cmette.krag[@]sydby[.]example\u201d\u00a0\u2013 linket er hxxps://login\u00ad-nordby[.]exam\u200bple/orbes. Log ind her.', '<p>Log ind <a href="https://bio.example/orbes?a=1&amp;b=2">her</a></p>');
    await page.getByText('3 ting at søge efter').waitFor();
    assert.doesNotMatch(await page.getByLabel('Se efter').inputValue(), /[\u00ad\u200b\u00a0\uf0b7\r]/);
    await page.screenshot({ path: join(shots, 'warning-new-pasted.png'), fullPage: true });
    await audit(page, 'a pasted text');
    await page.getByRole('button', { name: 'Skriv udkast' }).click();
    await page.waitForURL(/\/warnings\/(?!new)/);
    assert.deepEqual((await sentBy())[0].look_for.map((one) => `${one.kind} ${one.value}`), ['email mette.krag@sydby.example', 'url login-nordby.example/orbes', 'url bio.example/orbes?a=1&b=2']);
    assert.deepEqual(faults, []);
    await close();
  });
});
