// Reads i18n/ui/{da,nb,en}/AREA.json, checks that the three say the same things, and writes what the pages use:
// src/generated/messages.ts (the keys and their placeholders as types), src/generated/messages/LANGUAGE.json (what the first page needs) and
// LANGUAGE_rest.json. And what the program says in English (i18n/ui/sentences, checked by tools/sentences.py), for the pages that show it:
// src/generated/sentences/NAME_LANGUAGE.json.
// usage: node tools/messages.mjs [--unused]     --unused also names keys that no page uses
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ui = dirname(dirname(fileURLToPath(import.meta.url)));
const catalogue = process.env.BAVN_UI_TEXTS ?? join(ui, '..', 'i18n', 'ui');
const languages = ['da', 'nb', 'en'];
const locales = { da: 'da-DK', nb: 'nb-NO', en: 'en-GB' };
const faults = [];

const isPlural = (value) => typeof value === 'object' && 'other' in value && Object.keys(value).every((k) => /^(zero|one|two|few|many|other)$/.test(k));

function flatten(prefix, value, out) {
  if (typeof value === 'string' || isPlural(value)) out.set(prefix, value);
  else for (const [name, inner] of Object.entries(value)) flatten(`${prefix}.${name}`, inner, out);
}

export function placeholders(value) {
  const texts = typeof value === 'string' ? [value] : Object.values(value);
  const names = new Set(typeof value === 'string' ? [] : ['n']);
  for (const text of texts) for (const [, name] of text.matchAll(/\{(\w+)\}/g)) names.add(name);
  return [...names].sort();
}

function read(language) {
  const all = new Map();
  for (const file of readdirSync(join(catalogue, language)).sort()) {
    if (!file.endsWith('.json')) continue;
    try {
      flatten(file.slice(0, -5), JSON.parse(readFileSync(join(catalogue, language, file), 'utf8')), all);
    } catch (trouble) {
      faults.push(`i18n/ui/${language}/${file}: ${trouble.message}`);
    }
  }
  return all;
}

const texts = Object.fromEntries(languages.map((language) => [language, read(language)]));
const keys = [...new Set(languages.flatMap((language) => [...texts[language].keys()]))].sort();
for (const key of keys) {
  for (const language of languages) {
    const value = texts[language].get(key);
    if (value === undefined) {
      faults.push(`${key} is missing in ${language}`);
      continue;
    }
    if (typeof value !== 'string') {
      const wanted = new Intl.PluralRules(locales[language]).resolvedOptions().pluralCategories;
      for (const category of wanted) if (!(category in value)) faults.push(`${key} has no form "${category}" in ${language}`);
    }
    const first = texts[languages.find((other) => texts[other].has(key))].get(key);
    if (placeholders(value).join() !== placeholders(first).join())
      faults.push(`${key} in ${language} has the places {${placeholders(value)}}, others {${placeholders(first)}}`);
    for (const text of typeof value === 'string' ? [value] : Object.values(value))
      if (!text.trim()) faults.push(`${key} is empty in ${language}`);
  }
}

if (process.argv.includes('--unused')) {
  const sources = [];
  const walk = (folder) => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (name === 'generated') continue;
      if (statSync(path).isDirectory()) walk(path);
      else if (/\.(ts|svelte)$/.test(name)) sources.push(readFileSync(path, 'utf8'));
    }
  };
  walk(join(ui, 'src'));
  const source = sources.join('\n');
  const literal = new Set([...source.matchAll(/['"`]([a-z][\w]*(?:\.[\w]+)+)['"`]/g)].map((m) => m[1]));
  const prefixes = [...source.matchAll(/`([a-z][\w]*(?:\.[\w]+)*\.)\$\{/g)].map((m) => m[1]);
  for (const [, name] of source.matchAll(/\bword\(\s*'([\w.]+)'/g)) prefixes.push(`${name}.`);
  for (const key of keys)
    // Words that all areas share may wait for their page.
    if (!key.startsWith('common.') && !literal.has(key) && !prefixes.some((prefix) => key.startsWith(prefix))) faults.push(`${key} is used by no page`);
}

if (faults.length > 0) {
  for (const fault of faults) console.error(`error: texts: ${fault}`);
  process.exit(1);
}

// What the first page needs comes first; the words of all other pages follow while it is already read. Which those are is seen from the
// sources: everything that the start and the first pages import.
function firstKeys() {
  const seen = new Set();
  const found = [];
  const visit = (path) => {
    const real = [path, `${path}.ts`, join(path, 'index.ts')].find((one) => {
      try {
        return statSync(one).isFile();
      } catch {
        return false;
      }
    });
    if (!real || seen.has(real) || real.includes('/generated/')) return;
    seen.add(real);
    const source = readFileSync(real, 'utf8');
    found.push(source);
    for (const [, to] of source.matchAll(/^\s*(?:import|export)\s[^;]*?from\s+'([^']+)'/gms)) {
      const whole = to.startsWith('$lib/') ? join(ui, 'src', 'lib', to.slice(5)) : to.startsWith('$c/') ? join(ui, 'src', 'components', to.slice(3)) : to.startsWith('.') ? join(dirname(real), to) : '';
      if (whole) visit(whole);
    }
  };
  visit(join(ui, 'src', 'main.ts'));
  for (const folder of readdirSync(join(ui, 'src', 'pages')))
    if (/^(overview|home)/.test(folder)) for (const name of readdirSync(join(ui, 'src', 'pages', folder))) if (name.endsWith('.svelte')) visit(join(ui, 'src', 'pages', folder, name));
  const source = found.join('\n');
  const literal = new Set([...source.matchAll(/['"`]([a-z][\w]*(?:\.[\w]+)+)['"`]/g)].map((m) => m[1]));
  const prefixes = [...source.matchAll(/`([a-z][\w]*(?:\.[\w]+)*\.)\$\{/g)].map((m) => m[1]);
  for (const [, name] of source.matchAll(/\b(?:word|hasWord)\(\s*'([\w.]+)'/g)) prefixes.push(`${name}.`);
  return new Set(keys.filter((key) => literal.has(key) || prefixes.some((prefix) => key.startsWith(prefix))));
}

const generated = join(ui, 'src', 'generated');
mkdirSync(join(generated, 'messages'), { recursive: true });
const put = (path, text) => {
  try {
    if (readFileSync(path, 'utf8') === text) return;
  } catch {
    // Not there yet.
  }
  writeFileSync(path, text);
};
const typeOf = (key) => {
  const value = texts.en.get(key);
  const names = placeholders(value);
  if (names.length === 0) return 'undefined';
  return `{ ${names.map((name) => `${name}: ${name === 'n' && typeof value !== 'string' ? 'number' : 'string | number'}`).join('; ')} }`;
};
put(join(generated, 'messages.ts'), `// Made by tools/messages.mjs from i18n/ui.\nexport interface Messages {\n${keys.map((key) => `  '${key}': ${typeOf(key)};`).join('\n')}\n}\n`);
const first = firstKeys();
for (const language of languages) {
  const parts = [...texts[language]];
  put(join(generated, 'messages', `${language}.json`), `${JSON.stringify(Object.fromEntries(parts.filter(([key]) => first.has(key))))}\n`);
  put(join(generated, 'messages', `${language}_rest.json`), `${JSON.stringify(Object.fromEntries(parts.filter(([key]) => !first.has(key))))}\n`);
}
mkdirSync(join(generated, 'sentences'), { recursive: true });
for (const file of readdirSync(join(catalogue, 'sentences'))) {
  if (!file.endsWith('.json')) continue;
  const entries = Object.entries(JSON.parse(readFileSync(join(catalogue, 'sentences', file), 'utf8')));
  for (const language of ['da', 'nb']) put(join(generated, 'sentences', `${file.slice(0, -5)}_${language}.json`), `${JSON.stringify(Object.fromEntries(entries.map(([key, said]) => [key, said[language]])))}\n`);
}
