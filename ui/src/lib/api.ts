// The client of the public API, typed by its contract. Every trouble comes out as one `Problem` with words for people.
import createClient from 'openapi-fetch';

import type { paths } from '../generated/api';
import { language, t } from './i18n.svelte';
import { problemWords } from './told.svelte';

export interface Fault {
  pointer?: string;
  detail?: string;
}

/** RFC 9457, or what the browser itself could not do. `kind` is the last word of the problem's type. */
export class Problem extends Error {
  readonly kind: string;
  readonly status: number;
  readonly title: string;
  /** What happened to which thing; English, for the log and for who asks. */
  readonly detail: string;
  /** What to do about it, in the reader's language. */
  readonly advice: string;
  readonly faults: readonly Fault[];
  readonly trace: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(of: { kind: string; status: number; title: string; detail?: string; advice?: string; faults?: readonly Fault[]; trace?: string; retryAfter?: number }) {
    super(of.detail ? `${of.title}: ${of.detail}` : of.title);
    this.kind = of.kind;
    this.status = of.status;
    this.title = of.title;
    this.detail = of.detail ?? '';
    this.advice = of.advice ?? '';
    this.faults = of.faults ?? [];
    this.trace = of.trace;
    this.retryAfter = of.retryAfter;
  }

  /** What the server says of one field, by its JSON pointer, in the reader's language; a general word where there is no text for it. */
  at(pointer: string): string | undefined {
    const said = this.faults.find((fault) => fault.pointer === pointer)?.detail;
    if (said === undefined || language() === 'en') return said;
    return problemWords.tell(said) ?? t('problem.field');
  }

  /** In one text, where no more than a line is to be had: what happened, and what to do or why. */
  get line(): string {
    const why = this.status === 0 || language() === 'en' ? this.detail : (problemWords.tell(this.detail) ?? '');
    return [this.title, why || this.advice].filter(Boolean).join('. ');
  }

  get signedOut(): boolean {
    return this.status === 401;
  }
  get needsProof(): boolean {
    return this.status === 403 && this.kind === 'proof-needed';
  }
  get stale(): boolean {
    return this.status === 412;
  }
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

export function problemOf(response: Response, body: unknown): Problem {
  const said = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const retry = Number(response.headers.get('retry-after'));
  const kind = text(said.type)?.split('/').pop() ?? `http-${response.status}`;
  const faults = Array.isArray(said.errors) ? (said.errors as Fault[]) : [];
  const title = text(said.title);
  return new Problem({
    kind,
    status: response.status,
    title: title ?? titleOf(response.status),
    faults,
    ...(text(said.detail) ? { detail: text(said.detail)! } : {}),
    ...(text(said.advice) ? { advice: text(said.advice)! } : {}),
    ...(text(said.trace) ? { trace: text(said.trace)! } : {}),
    ...(Number.isFinite(retry) && retry > 0 ? { retryAfter: retry } : {}),
  });
}

function titleOf(status: number): string {
  if (status === 401) return t('problem.signed_out');
  if (status === 403) return t('problem.forbidden');
  if (status === 404) return t('problem.not_found');
  if (status === 412 || status === 428) return t('problem.stale');
  if (status === 413) return t('problem.too_large');
  if (status === 429) return t('problem.slow_down');
  if (status >= 500) return t('problem.server');
  return t('problem.refused');
}

export const offline = (): Problem => new Problem({ kind: 'offline', status: 0, title: t('problem.offline'), advice: t('problem.offline_more') });

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Reading is tried again by itself; so is a write with an idempotency key, since twice is once. */
async function patient(request: Request): Promise<Response> {
  const safe = request.method === 'GET' || request.headers.has('idempotency-key');
  for (let round = 0; ; ++round) {
    try {
      const response = await fetch(request.clone());
      if (!safe || round >= 2 || (response.status !== 503 && response.status !== 502)) return response;
      await wait(Math.min(5, Number(response.headers.get('retry-after')) || 1) * 1000);
    } catch (trouble) {
      if (request.signal.aborted) throw trouble;
      if (!safe || round >= 2) throw offline();
      await wait(400 * 2 ** round);
    }
  }
}

export const api = createClient<paths>({ baseUrl: '/', fetch: patient });
api.use({
  onRequest({ request }) {
    request.headers.set('accept-language', language());
    if (request.method !== 'GET') request.headers.set('x-bavn', '1');
    if (request.method === 'POST' && !request.headers.has('idempotency-key')) request.headers.set('idempotency-key', newKey());
    return request;
  },
});

export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The body of a good answer; anything else is thrown as a Problem. */
export async function ok<T>(asked: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (!response.ok) {
    await problemWords.ready();
    throw problemOf(response, error);
  }
  return data as T;
}

/** The body with its ETag, for what will be edited. */
export async function tagged<T>(asked: Promise<Answer<T>>): Promise<{ data: T; etag: string }> {
  const { data, error, response } = await asked;
  if (!response.ok) {
    await problemWords.ready();
    throw problemOf(response, error);
  }
  return { data: data as T, etag: response.headers.get('etag') ?? '' };
}

export const asProblem = (trouble: unknown): Problem =>
  trouble instanceof Problem ? trouble : new Problem({ kind: 'page', status: 0, title: t('problem.page'), detail: trouble instanceof Error ? trouble.message : String(trouble) });
