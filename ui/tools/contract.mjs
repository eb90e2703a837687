// Makes src/generated/api.ts (types) and src/generated/openapi.json (for the mock) out of the contract: the partial documents in
// api/*.yaml, or the merged one that BAVN_OPENAPI names.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import openapiTS, { astToString } from 'openapi-typescript';
import { parse } from 'yaml';

const ui = dirname(dirname(fileURLToPath(import.meta.url)));

export function contract() {
  if (process.env.BAVN_OPENAPI) return JSON.parse(readFileSync(process.env.BAVN_OPENAPI, 'utf8'));
  const folder = join(ui, '..', 'api');
  const whole = { openapi: '3.1.0', info: { title: 'Bavn', version: '1' }, paths: {}, components: {} };
  let files = [];
  try {
    files = readdirSync(folder).filter((name) => name.endsWith('.yaml')).sort();
  } catch {
    // No contract yet.
  }
  for (const file of files) {
    // A reference into another file of the contract is one into the whole.
    const text = readFileSync(join(folder, file), 'utf8').replace(/(\$ref:\s*['"]?)[\w./-]+\.yaml#/g, '$1#');
    const part = parse(text) ?? {};
    for (const [path, item] of Object.entries(part.paths ?? {})) {
      const target = (whole.paths[path] ??= {});
      for (const [method, operation] of Object.entries(item)) {
        // Hub and node may each answer the same path; the types know both.
        if (target[method] && method !== 'parameters') target[method] = both(target[method], operation);
        else target[method] = operation;
      }
    }
    for (const [kind, named] of Object.entries(part.components ?? {})) whole.components[kind] = { ...whole.components[kind], ...named };
  }
  mend(whole, whole);
  return whole;
}

/** A reference into a part that is not there yet means anything. tools/openapi.py is who refuses it. */
function mend(at, whole) {
  if (Array.isArray(at)) {
    for (let i = at.length - 1; i >= 0; --i) if (dangling(at[i], whole)) at.splice(i, 1);
    for (const inner of at) mend(inner, whole);
  } else if (at && typeof at === 'object')
    for (const [name, inner] of Object.entries(at)) {
      if (dangling(inner, whole)) at[name] = {};
      else mend(inner, whole);
    }
}
const dangling = (thing, whole) =>
  typeof thing?.$ref === 'string' && thing.$ref.slice(2).split('/').reduce((inside, part) => inside?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], whole) === undefined;

function both(one, other) {
  const a = one.responses?.['200']?.content?.['application/json'];
  const b = other.responses?.['200']?.content?.['application/json'];
  if (!a || !b || JSON.stringify(a.schema) === JSON.stringify(b.schema)) return one;
  return { ...one, responses: { ...one.responses, 200: { ...one.responses['200'], content: { 'application/json': { ...a, schema: { anyOf: [a.schema, b.schema] } } } } } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const whole = contract();
  const generated = join(ui, 'src', 'generated');
  mkdirSync(generated, { recursive: true });
  const put = (path, text) => {
    try {
      if (readFileSync(path, 'utf8') === text) return;
    } catch {
      // Not there yet.
    }
    writeFileSync(path, text);
  };
  put(join(generated, 'openapi.json'), JSON.stringify(whole));
  const types = astToString(await openapiTS(JSON.stringify(whole), { silent: true }));
  put(join(generated, 'api.ts'), `// Made by tools/contract.mjs from api/.\n/* eslint-disable */\n${types}`);
}
