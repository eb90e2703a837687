// Sentences that the node says as {key, values}: the words stand in the catalogue, what goes into them may be a word of its own, too.
import { word } from './i18n.svelte';

export interface SaidPart {
  key: string;
  values?: Record<string, string | number> | undefined;
}

const named: Record<string, string> = { level: 'level', severity: 'level', state: 'sources.state', kind: 'kind' };

export function said(part: SaidPart): string {
  const dot = part.key.indexOf('.');
  const area = dot < 0 ? 'task' : part.key.slice(0, dot);
  const rest = dot < 0 ? part.key : part.key.slice(dot + 1);
  const values: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(part.values ?? {})) {
    const area = named[name];
    if (name === 'signs' && typeof value === 'string') values[name] = value.split(/[\s,]+/).filter(Boolean).map((sign) => word('second_sign', sign)).join(', ');
    else values[name] = area !== undefined && typeof value === 'string' ? word(area, value) : value;
  }
  // One of several forms is chosen by the first number.
  const first = Object.values(values).find((value) => typeof value === 'number');
  const places = { ...values, n: first ?? 0 };
  // Named one by one: what the first page says is loaded with it, and only known areas are looked up.
  if (area === 'verdict') return word('verdict', rest, places);
  if (area === 'action') return word('action', rest, places);
  if (area === 'duty') return word('duty', rest, places);
  return word('task', area === 'task' ? rest : part.key, places);
}
