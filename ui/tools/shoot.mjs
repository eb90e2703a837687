// Pictures of pages: each page x theme x width x language, to be looked at.
// usage: node tools/shoot.mjs [--page NAME,...] [--theme light,dark] [--width 320,420,1280,1680] [--language da,nb,en] [--as ROLE]
//                             [--path /any/address] [--base URL] [--out FOLDER] [--dist FOLDER]
// Without --base it starts the mock over ui/dist.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { start } from '../mock/server.mjs';
import { browser, hubPages } from './browser.mjs';
import * as more from './browser.mjs';

const ui = dirname(dirname(fileURLToPath(import.meta.url)));
const option = (name, fallback) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : fallback);
const out = option('--out', join(ui, '..', 'build', 'shots'));
const role = option('--as', 'duty_lead');
const all = [...hubPages, ...(more.nodePages ?? [])];
const wanted = option('--page', '').split(',').filter(Boolean);
const pages = option('--path') ? [{ name: option('--path').replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'home', path: option('--path') }] : wanted.length ? all.filter((page) => wanted.includes(page.name)) : hubPages;

mkdirSync(out, { recursive: true });
const dist = option('--dist', join(ui, 'dist'));
const mock = option('--base') ? undefined : await start({ dist });
const base = option('--base') ?? mock.url;
const chrome = await browser();
let faults = 0;
for (const theme of option('--theme', 'light,dark').split(','))
  for (const width of option('--width', '320,1280').split(',').map(Number))
    for (const language of option('--language', 'da').split(',')) {
      const context = await chrome.newContext({ viewport: { width, height: width < 700 ? 800 : 900 }, colorScheme: theme, locale: language, reducedMotion: 'reduce', timezoneId: 'Europe/Copenhagen' });
      await context.addInitScript((to) => localStorage.setItem('bavn.language', to), language);
      const tab = await context.newPage();
      tab.on('console', (message) => message.type() === 'error' && (++faults, console.error(`  console: ${message.text()}`)));
      tab.on('pageerror', (trouble) => (++faults, console.error(`  error: ${trouble.message}`)));
      await tab.goto(`${base}/mock/as/${role}`);
      for (const page of pages) {
        await tab.goto(base + page.path);
        await tab.waitForSelector('#page-title');
        await tab.waitForTimeout(350);
        const spill = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (spill > 0) ++faults;
        const file = join(out, `${page.name}-${theme}-${width}-${language}.png`);
        await tab.screenshot({ path: file, fullPage: true });
        console.log(`${file}${spill > 0 ? `   SPILLS ${spill} px` : ''}`);
      }
      await context.close();
    }
await chrome.close();
await mock?.stop();
if (faults) process.exit(1);
