// Who is here, what this process is (hub or node) and what this person may do.
import { Problem } from './api';
import { t } from './i18n.svelte';

export interface Session {
  person: { id: string; name: string; roles: string[] };
  rights: string[];
  serves: 'hub' | 'node';
  name: string;
  municipality?: { code: string; name: string };
  language?: string;
  proved_until?: string;
  passkeys: number;
  /** How people sign in here; the directories with the names that people know them by. */
  ways: { code: boolean; providers: { id: string; label: string }[] };
  /** A demonstration: everything shown is made up. */
  demonstration: boolean;
  /** What the server suggests to this person, such as a second passkey. */
  advice: string[];
}

let current = $state.raw<Session>();

export const session = {
  get here(): Session | undefined {
    return current;
  },
  may(right: string): boolean {
    return current?.rights.includes(right) ?? false;
  },
  is(...roles: string[]): boolean {
    return current?.person.roles.some((role) => roles.includes(role)) ?? false;
  },
  get serves(): 'hub' | 'node' {
    return current?.serves ?? 'hub';
  },
};

const text = (value: unknown): string => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');
const record = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {});
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(text).filter(Boolean) : []);

/** The answer of GET /api/session as the pages use it; what is missing is empty, not a crash. */
export function sessionFrom(said: Record<string, unknown>): Session {
  const person = record(said.person);
  const ways = record(said.ways);
  const town = said.municipality as Record<string, unknown> | string | undefined;
  return {
    person: { id: text(person.id), name: text(person.name), roles: texts(person.roles) },
    rights: texts(said.rights),
    serves: said.serves === 'node' ? 'node' : 'hub',
    name: text(said.name),
    ...(town ? { municipality: typeof town === 'string' ? { code: town, name: text(said.name) || town } : { code: text(town.code), name: text(town.name) || text(town.code) } } : {}),
    ...(text(said.language) ? { language: text(said.language) } : {}),
    ...(text(said.proved_until) ? { proved_until: text(said.proved_until) } : {}),
    passkeys: typeof said.passkeys === 'number' ? said.passkeys : 0,
    ways: { code: ways.code === true, providers: (Array.isArray(ways.providers) ? ways.providers : []).map((one) => ({ id: text(record(one).id), label: text(record(one).label) })).filter((one) => one.id !== '') },
    demonstration: said.demonstration === true,
    advice: texts(said.advice),
  };
}

/** undefined: nobody is signed in. Throws a Problem when the server cannot be asked. */
export async function whoIsHere(): Promise<Session | undefined> {
  let response: Response;
  try {
    response = await fetch('/api/session', { headers: { accept: 'application/json' }, cache: 'no-store' });
  } catch {
    throw new Problem({ kind: 'offline', status: 0, title: t('problem.offline'), advice: t('problem.offline_more') });
  }
  if (response.status === 401) return (current = undefined);
  if (!response.ok) throw new Problem({ kind: 'session', status: response.status, title: t('problem.server') });
  const said = (await response.json()) as Record<string, unknown>;
  return (current = said.person ? sessionFrom(said) : undefined);
}

let over = $state(false);
let told = $state(false);
let waiting: (() => void)[] = [];

/** The session ended while a page was open. */
export const ended = {
  get now() {
    return over;
  },
  /** Whether the question is before the page; who closes it, to copy words, is asked again by the next thing that they do. */
  get shown() {
    return told;
  },
  set shown(now: boolean) {
    told = now;
  },
};

/** The server no longer knows who this is. Settles when the same person is signed in again. */
export function signedOut(): Promise<void> {
  over = told = true;
  return new Promise((done) => waiting.push(done));
}

/** Looks whether somebody is signed in again. Another person gets a page of their own, without what the first had typed. */
export async function isBack(): Promise<void> {
  const before = current?.person.id;
  let said: Record<string, unknown>;
  try {
    const response = await fetch('/api/session', { headers: { accept: 'application/json' }, cache: 'no-store' });
    if (!response.ok) return;
    said = (await response.json()) as Record<string, unknown>;
  } catch {
    return;
  }
  if (!said.person || !over) return;
  const here = sessionFrom(said);
  if (before !== undefined && here.person.id !== before) return location.reload();
  current = here;
  over = told = false;
  const all = waiting;
  waiting = [];
  for (const go of all) go();
}

export function toSignIn(): void {
  const back = location.pathname + location.search;
  location.assign(`/sign-in${back === '/' ? '' : `?next=${encodeURIComponent(back)}`}`);
}

export async function signOut(): Promise<void> {
  await fetch('/api/session', { method: 'DELETE', headers: { 'x-bavn': '1' } }).catch(() => undefined);
  location.assign('/sign-in');
}
