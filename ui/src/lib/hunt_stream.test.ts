import { describe, expect, it } from 'vitest';
import { follow } from './hunt_stream';

const bytes = new TextEncoder();
const hit = (n: number): string => `id: ${n}\nevent: hit\ndata: {"n":${n}}\n\n`;

function server(answers: (string[] | number)[]): { fetch: typeof fetch; asked: (string | null)[] } {
  const asked: (string | null)[] = [];
  return {
    asked,
    fetch: ((_url: string, init: RequestInit) => {
      asked.push(new Headers(init.headers).get('last-event-id'));
      const answer = answers.shift() ?? 500;
      if (typeof answer === 'number') return Promise.resolve(new Response('', { status: answer }));
      return Promise.resolve(
        new Response(
          new ReadableStream({
            start(c) {
              for (const part of answer) c.enqueue(bytes.encode(part));
              c.close();
            },
          }),
        ),
      );
    }) as unknown as typeof fetch,
  };
}

const run = (answers: (string[] | number)[]): Promise<{ seen: string[]; asked: (string | null)[] }> =>
  new Promise((done) => {
    const seen: string[] = [];
    const s = server(answers);
    const end = (): void => done({ seen, asked: s.asked });
    follow(
      '/x',
      {
        event: (kind, data) => {
          seen.push(`${kind} ${JSON.stringify(data)}`);
          if (kind === 'over') setTimeout(end);
        },
        cut: () => seen.push('cut'),
        back: () => seen.push('back'),
        refused: (status) => {
          seen.push(`refused ${status}`);
          end();
        },
      },
      { fetch: s.fetch, wait: () => Promise.resolve() },
    );
  });

describe('hits as they come', () => {
  it('goes on after a cut in the middle of an event, and takes nothing twice', async () => {
    const { seen, asked } = await run([[hit(1), hit(2).slice(0, 17)], 503, [hit(2), hit(3), 'event: over\ndata: {}\n\n']]);
    expect(seen).toEqual(['hit {"n":1}', 'cut', 'back', 'hit {"n":2}', 'hit {"n":3}', 'over {}']);
    expect(asked).toEqual([null, '1', '1']);
  });
  it('stops where it is not allowed', async () => {
    const { seen } = await run([404]);
    expect(seen).toEqual(['refused 404']);
  });
  it('skips what is no JSON', async () => {
    const { seen } = await run([['event: hit\ndata: {oops\n\n', hit(4), 'event: over\ndata: {}\n\n']]);
    expect(seen).toEqual(['hit {"n":4}', 'over {}']);
  });
});
