// What the tests of pages share: one browser over one mock, and the rules that hold for every page.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { start } from '../../ui/mock/server.mjs';
import { browser } from '../../ui/tools/browser.mjs';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const require = createRequire(join(root, 'ui', 'package.json'));
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
export const shots = join(root, 'build', 'shots');
export const languages = ['da', 'nb', 'en'];

export async function open() {
  mkdirSync(shots, { recursive: true });
  const mock = await start({ dist: process.env.BAVN_UI_OUT ?? join(root, 'ui', 'dist') });
  const chrome = await browser();
  return {
    mock,
    base: mock.url,
    /** A tab signed in as somebody. `faults` fills with what the browser complained of. */
    async tab({ as = 'duty_lead', language = 'da', theme = 'light', width = 1280, motion = 'reduce' } = {}) {
      const context = await chrome.newContext({ viewport: { width, height: 900 }, colorScheme: theme, locale: language, reducedMotion: motion, timezoneId: 'Europe/Copenhagen' });
      await context.addInitScript((to) => localStorage.getItem('bavn.language') ?? localStorage.setItem('bavn.language', to), language);
      const page = await context.newPage();
      const faults = [];
      page.on('console', (message) => message.type() === 'error' && !/status of (4|5)\d\d|ERR_/.test(message.text()) && faults.push(message.text()));
      page.on('pageerror', (trouble) => faults.push(trouble.message));
      page.on('dialog', (dialog) => (faults.push(`a dialog said ${dialog.message()}`), dialog.dismiss()));
      await page.goto(`${mock.url}/mock/as/${as}?next=/accessibility`, { timeout: 60_000 });
      return { page, faults, close: () => context.close() };
    },
    world: (is, of = 'hub') => fetch(`${mock.url}/mock/world?of=${of}&is=${is}`),
    async close() {
      await chrome.close();
      await mock.stop();
    },
  };
}

/** Goes to a page and waits until it shows what it has. */
export async function visit(page, base, path) {
  const open = new Set();
  const begins = (request) => open.add(request.url()), ends = (request) => open.delete(request.url());
  page.on('request', begins).on('requestfinished', ends).on('requestfailed', ends);
  try {
    await page.goto(base + path);
    await page.waitForSelector('#page-title');
    await settled(page);
  } catch (trouble) {
    // Which page it was, what it shows, and what it still waits for.
    const shows = await page.evaluate(() => `${document.readyState}: ${document.body.innerText.slice(0, 300)}`).catch((more) => String(more));
    throw new Error(`${path}: ${trouble.message}\n${shows}\nwaits for ${[...open].join(', ')}`, { cause: trouble });
  } finally {
    page.off('request', begins).off('requestfinished', ends).off('requestfailed', ends);
  }
}

export async function settled(page) {
  await page.waitForFunction(() => !document.querySelector('main .loading') && !document.querySelector('[aria-busy="true"]'), undefined, { timeout: 30_000 });
}

/** WCAG 2.2 A and AA, and axe's advice on landmarks and headings. */
export async function violations(page, what) {
  // Colours on their way from one to the other are nobody's fault.
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]') && document.getAnimations().every((one) => one.playState !== 'running' || one.effect?.getComputedTiming().iterations === Infinity));
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations'] });
    return result.violations.map((one) => `${one.id} (${one.nodes.length}): ${one.nodes.slice(0, 3).map((node) => `${node.target.join(' ')}: ${node.any[0]?.message ?? node.all[0]?.message ?? node.none[0]?.message ?? ''}`).join(' | ')}`);
  });
  return found.map((one) => `${what}: ${one}`);
}

export async function audit(page, what) {
  assert.deepEqual(await violations(page, what), []);
}

export const spill = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/** From here on each list of things without a name of their own, that the server sends to this tab, says everything twice. */
export async function sayTwice(page) {
  const named = ['id', 'code', 'name', 'key', 'day', 'version', 'epoch', 'action', 'seq', 'n', 'way', 'file', 'path', 'person', 'language'];
  const many = (list) => list.length > 0 && list.every((one) => one && typeof one === 'object' && !named.some((name) => name in one));
  const twice = (value) => (Array.isArray(value) ? (many(value) ? [...value, ...value] : value).map(twice) : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, twice(one)])) : value);
  await page.route(/\/api\/(?!session|events)/, async (route) => {
    const got = await route.fetch();
    if (!got.headers()['content-type']?.includes('json')) return route.fulfill({ response: got });
    return route.fulfill({ response: got, json: twice(await got.json()) });
  });
}
