// The words of the interface. One language is loaded at a time; changing it changes every text on the page at once.
import type { Messages } from '../generated/messages';

export type Language = 'da' | 'nb' | 'en';
export type Key = keyof Messages;
type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
type Places = Record<string, string | number>;

export const languages: Record<Language, string> = { da: 'Dansk', nb: 'Norsk bokmål', en: 'English' };
const locales: Record<Language, string> = { da: 'da-DK', nb: 'nb-NO', en: 'en-GB' };

const load: Record<Language, () => Promise<{ default: unknown }>> = {
  da: () => import('../generated/messages/da.json'),
  nb: () => import('../generated/messages/nb.json'),
  en: () => import('../generated/messages/en.json'),
};

const loadRest: Record<Language, () => Promise<{ default: unknown }>> = {
  da: () => import('../generated/messages/da_rest.json'),
  nb: () => import('../generated/messages/nb_rest.json'),
  en: () => import('../generated/messages/en_rest.json'),
};

let current = $state<Language>('en');
let texts = $state.raw<Record<string, string | Plural>>({});

export const language = (): Language => current;
export const locale = (): string => locales[current];

const isLanguage = (value: unknown): value is Language => value === 'da' || value === 'nb' || value === 'en';

/** What the browser asks for: the first of its languages that we speak; Swedes and others get English. */
export function preferred(asked: readonly string[]): Language {
  for (const tag of asked) {
    const base = tag.toLowerCase().split('-')[0];
    if (base === 'no' || base === 'nn') return 'nb';
    if (isLanguage(base)) return base;
  }
  return 'en';
}

let resting: Promise<void> = Promise.resolve();
let complete = false;

/** The words of the pages beyond the first; a page waits for them. */
export function allWords(): Promise<void> {
  if (complete) return resting;
  complete = true;
  return (resting = rest(current).catch((trouble: unknown) => {
    // The next page asks again.
    complete = false;
    throw trouble;
  }));
}
async function rest(of: Language): Promise<void> {
  const more = (await loadRest[of]()).default as Record<string, string | Plural>;
  if (of === current) texts = { ...texts, ...more };
}

export async function speak(wanted?: string | null): Promise<void> {
  const kept = readKept();
  const next = isLanguage(wanted) ? wanted : (kept ?? preferred(navigator.languages));
  const loaded = (await load[next]()).default as Record<string, string | Plural>;
  // Whoever already had all words gets all of the new language before anything changes on the page.
  const whole = complete;
  const more = whole ? ((await loadRest[next]()).default as Record<string, string | Plural>) : {};
  texts = { ...loaded, ...more };
  current = next;
  if (complete && !whole) resting = rest(next);
  document.documentElement.lang = next;
}

export async function choose(next: Language): Promise<void> {
  try {
    localStorage.setItem('bavn.language', next);
  } catch {
    // A browser that keeps nothing still shows the language.
  }
  await speak(next);
}

function readKept(): Language | undefined {
  try {
    const kept = localStorage.getItem('bavn.language');
    return isLanguage(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

const plurals = new Map<string, Intl.PluralRules>();
const numbers = new Map<string, Intl.NumberFormat>();

export function pluralOf(inLocale: string, n: number): Intl.LDMLPluralRule {
  let rules = plurals.get(inLocale);
  if (!rules) plurals.set(inLocale, (rules = new Intl.PluralRules(inLocale)));
  return rules.select(n);
}

export function number(value: number, options?: Intl.NumberFormatOptions): string {
  const key = `${locale()} ${options ? JSON.stringify(options) : ''}`;
  let format = numbers.get(key);
  if (!format) numbers.set(key, (format = new Intl.NumberFormat(locale(), options)));
  return format.format(value);
}

export function fill(message: string | Plural, places: Places | undefined, inLocale: string): string {
  const text = typeof message === 'string' ? message : (message[pluralOf(inLocale, Number(places?.n ?? 0))] ?? message.other);
  if (!places) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = places[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number(value) : value;
  });
}

type Rest<K extends Key> = Messages[K] extends undefined ? [] : [places: Messages[K]];

export function t<K extends Key>(key: K, ...rest: Rest<K>): string {
  const message = texts[key];
  return message === undefined ? key : fill(message, rest[0] as Places | undefined, locale());
}

/** The word for a value that a server named: `word('severity', 'high')`. One that this version does not know is shown as it came. */
export function word(prefix: string, value: string | undefined | null, places?: Places): string {
  if (value === undefined || value === null) return '';
  const message = texts[`${prefix}.${value}`];
  return message === undefined ? value.replaceAll('_', ' ') : fill(message, places, locale());
}

export const hasWord = (prefix: string, value: string): boolean => texts[`${prefix}.${value}`] !== undefined;

/** "a, b and c" as the language writes it. */
export function listed(parts: readonly string[]): string {
  return new Intl.ListFormat(locale(), { type: 'conjunction' }).format(parts);
}
