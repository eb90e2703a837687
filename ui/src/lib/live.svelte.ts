// One stream of what changes, shared by every page: GET /api/events. It reconnects by itself, asks for what it missed, and tells pages to
// read anew when the server cannot tell what was missed. One instance lives as long as the page in the browser.
import { EventReader } from './sse';

export interface Change {
  kind: string;
  subject: string;
  seq: number;
}

type Listener = (change: Change | 'all') => void;

let state = $state<'off' | 'connecting' | 'live' | 'away'>('off');
let since = $state(0);
let beat = $state(0);

const listeners = new Set<Listener>();
let stop: AbortController | undefined;
let running = false;
let again = false;
let listening = false;

export const live = {
  get state() {
    return state;
  },
  /** When the stream was last lost, ms; 0 while it is there. */
  get awaySince() {
    return since;
  },
  /** Counts events: something on the page may blink. */
  get beat() {
    return beat;
  },
};

/** `prefix` is a kind of event or its beginning ("campaign"); the listener hears 'all' when anything may have changed. */
export function onChange(prefixes: readonly string[], listener: Listener): () => void {
  const wrapped: Listener = (change) => {
    if (change === 'all' || prefixes.some((prefix) => change.kind === prefix || change.kind.startsWith(prefix))) listener(change);
  };
  listeners.add(wrapped);
  return () => listeners.delete(wrapped);
}

const tell = (change: Change | 'all'): void => {
  for (const listener of [...listeners]) listener(change);
};

export function startLive(url = '/api/events', signedOut: () => void = () => {}): void {
  if (running) return;
  running = true;
  if (listening) return void follow(url, signedOut);
  listening = true;
  const wake = () => document.visibilityState === 'visible' && state === 'away' && hurry?.();
  document.addEventListener('visibilitychange', wake);
  window.addEventListener('online', () => hurry?.());
  void follow(url, signedOut);
}

export function stopLive(): void {
  running = false;
  stop?.abort();
  state = 'off';
}

let hurry: (() => void) | undefined;
const pause = (ms: number): Promise<void> =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    hurry = () => {
      clearTimeout(timer);
      done();
    };
  });

/** 0.5 s, then twice as long each time up to 15 s, with chance so that a hundred pages do not come back at one moment. */
export const waitBefore = (attempt: number, chance = Math.random()): number => Math.min(15_000, 500 * 2 ** attempt) * (0.6 + 0.8 * chance);

async function follow(url: string, signedOut: () => void): Promise<void> {
  let last = '';
  let attempt = 0;
  while (running) {
    if (state !== 'away') state = 'connecting';
    stop = new AbortController();
    const reader = new EventReader();
    reader.last = last;
    // The server says something every 15 s; silence for 40 s is a dead line that nobody closed.
    let silence: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => stop?.abort(), 40_000);
    };
    try {
      alive();
      const response = await fetch(url, { headers: { accept: 'text/event-stream', ...(last ? { 'last-event-id': last } : {}) }, signal: stop.signal, cache: 'no-store' });
      if (response.status === 401) {
        running = false;
        clearTimeout(silence);
        state = 'off';
        since = 0;
        again = true;
        return signedOut();
      }
      if (!response.ok || !response.body) throw new Error(`events: ${response.status}`);
      const wasAway = state === 'away' || again;
      again = false;
      state = 'live';
      since = 0;
      attempt = 0;
      // After a gap without an id to resume from, everything is read anew.
      if (wasAway) tell('all');
      const body = response.body.getReader();
      for (;;) {
        const { done, value } = await body.read();
        if (done) break;
        alive();
        for (const event of reader.push(value)) {
          last = reader.last;
          take(event.kind, event.data);
        }
      }
    } catch {
      // Said by the state; the next attempt is on its way.
    }
    clearTimeout(silence);
    if (!running) return;
    if (state !== 'away') since = Date.now();
    state = 'away';
    await pause(waitBefore(attempt++));
  }
}

function take(kind: string, data: string): void {
  ++beat;
  if (kind === 'gap') return tell('all');
  try {
    const said = JSON.parse(data) as Partial<Change>;
    tell({ kind: said.kind ?? kind, subject: String(said.subject ?? ''), seq: Number(said.seq ?? 0) });
  } catch {
    tell('all');
  }
}
