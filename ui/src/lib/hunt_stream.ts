// The hits of a hunt as they come: server-sent events that are taken up again where they broke off. Pure but for fetch and timers, which
// come in, so that a test can cut the stream anywhere.
import { EventReader } from './sse';

export interface StreamEnds {
  event: (kind: string, data: unknown) => void;
  /** The line is gone; it is tried again. */
  cut: () => void;
  back: () => void;
  refused: (status: number) => void;
}

export function follow(url: string, ends: StreamEnds, parts: { fetch?: typeof fetch; wait?: (ms: number) => Promise<void> } = {}): () => void {
  const ask = parts.fetch ?? fetch;
  const wait = parts.wait ?? ((ms: number) => new Promise<void>((done) => setTimeout(done, ms)));
  let stopped = false;
  let abort = new AbortController();
  const run = async (): Promise<void> => {
    let last = '';
    let attempt = 0;
    let away = false;
    while (!stopped) {
      abort = new AbortController();
      const reader = new EventReader();
      reader.last = last;
      try {
        const response = await ask(url, { headers: { accept: 'text/event-stream', ...(last ? { 'last-event-id': last } : {}) }, signal: abort.signal, cache: 'no-store' });
        if (response.status >= 400 && response.status < 500 && response.status !== 429) return ends.refused(response.status);
        if (!response.ok || !response.body) throw new Error(String(response.status));
        if (away) ends.back();
        away = false;
        const body = response.body.getReader();
        for (;;) {
          const { done, value } = await body.read();
          if (done) break;
          for (const event of reader.push(value)) {
            attempt = 0;
            if (event.id) last = event.id;
            let data: unknown;
            try {
              data = JSON.parse(event.data);
            } catch {
              continue;
            }
            if (stopped) return;
            ends.event(event.kind, data);
            if (event.kind === 'over') return;
          }
        }
      } catch {
        // Told below; the next attempt is on its way.
      }
      if (stopped) return;
      if (!away) ends.cut();
      away = true;
      await wait(Math.min(10_000, 500 * 2 ** attempt));
      attempt += 1;
    }
  };
  void run();
  return () => {
    stopped = true;
    abort.abort();
  };
}
