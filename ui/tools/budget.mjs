// What the first visit loads: index.html, its script with all that it imports at once, its styles, the font, one language, and the largest
// of the first pages. In bytes as they travel (gzip; the font is compressed already). More than the budget is a fault.
// usage: node tools/budget.mjs [FOLDER]
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const budget = 105 * 1024;
const ui = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = process.argv[2] ?? process.env.BAVN_UI_OUT ?? join(ui, 'dist');
const manifest = JSON.parse(readFileSync(join(dist, '.vite', 'manifest.json'), 'utf8'));
const size = (file) => (file.endsWith('.woff2') ? readFileSync(join(dist, file)).length : gzipSync(readFileSync(join(dist, file)), { level: 9 }).length);

/** A chunk with everything that it cannot start without. */
function needs(key, files = new Set()) {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) return files;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  // The font's rarer letters are loaded by pages that show one.
  for (const asset of chunk.assets ?? []) if (!asset.includes('-rare-')) files.add(asset);
  for (const inner of chunk.imports ?? []) needs(inner, files);
  return files;
}
const sum = (files) => [...files].reduce((total, file) => total + size(file), 0);
const largest = (keys) => keys.map((key) => ({ key, bytes: sum(needs(key)) })).sort((a, b) => b.bytes - a.bytes)[0];

const first = needs('index.html');
const language = largest(Object.keys(manifest).filter((key) => /generated\/messages\/(da|nb|en)\.json$/.test(key)));
const home = largest(Object.keys(manifest).filter((key) => /pages\/(overview|home)\w*\/[A-Z]\w*\.svelte$/.test(key) && manifest[key].isDynamicEntry));
const whole = new Set(['index.html', ...first, ...(language ? needs(language.key) : []), ...(home ? needs(home.key) : [])]);
for (const file of [...whole].sort((a, b) => size(b) - size(a))) console.log(`${(size(file) / 1024).toFixed(1).padStart(7)} KiB  ${file}`);
const total = sum(whole);
console.log(`${(total / 1024).toFixed(1).padStart(7)} KiB  first load${home ? `, with ${home.key}` : ''} (budget ${budget / 1024} KiB)`);
if (total > budget) {
  console.error('error: the first load is over its budget');
  process.exit(1);
}
