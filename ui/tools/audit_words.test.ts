// Each act that the program writes into its audit log has its words.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const words = JSON.parse(readFileSync(join(root, 'i18n/ui/en/audit_action.json'), 'utf8')) as Record<string, string>;

it('the audit log names no act without words', () => {
  const without = new Set<string>();
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.cpp') || /(_test|_fuzz|testing)\.cpp$|\/testing\/|app\/simulate\//.test(file)) continue;
    const text = readFileSync(join(root, 'src', file), 'utf8');
    for (const [, call] of text.matchAll(/\baudit\(((?:[^;]|\n){0,200})/g))
      for (const [, act] of (call ?? '').slice(0, 160).matchAll(/"([a-z_]+(?:\.[a-z_]+)+)"/g)) if (act && !words[act.replaceAll('.', '_')]) without.add(act);
  }
  expect([...without]).toEqual([]);
});
