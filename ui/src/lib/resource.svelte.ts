// What a page shows: read once, read again when a change of its kind arrives or its question changes. Old data stays while new is read, so
// nothing jumps; after trouble it comes back by itself.
import { untrack } from 'svelte';

import { asProblem, type Problem } from './api';
import { onChange } from './live.svelte';
import { signedOut } from './session.svelte';

export interface Resource<T> {
  readonly data: T | undefined;
  readonly problem: Problem | undefined;
  readonly loading: boolean;
  reload(): Promise<void>;
  set(data: T): void;
}

/** To be called while a component starts. `ask` is run again when reactive values that it reads change. */
export function resource<T>(ask: () => Promise<T>, options: { on?: readonly string[]; subject?: () => string | undefined; atMostEvery?: number } = {}): Resource<T> {
  let data = $state.raw<T>();
  let problem = $state.raw<Problem>();
  let loading = $state(true);
  let round = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastAsked = 0;

  async function run(asked: Promise<T>): Promise<void> {
    const mine = ++round;
    lastAsked = Date.now();
    loading = true;
    try {
      const got = await asked;
      if (mine !== round) return;
      data = got;
      problem = undefined;
    } catch (trouble) {
      if (mine !== round) return;
      const now = asProblem(trouble);
      if (now.signedOut) {
        void signedOut().then(() => (mine === round ? run(ask()) : undefined));
        return;
      }
      problem = now;
      if (now.status === 0 || now.status >= 500) later(5000);
    } finally {
      if (mine === round) loading = false;
    }
  }

  // Changes often come in bursts; one reading answers a burst.
  function later(ms: number): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      void run(ask());
    }, ms);
  }

  $effect(() => {
    const asked = ask();
    untrack(() => void run(asked));
  });

  $effect(() => {
    const off = options.on
      ? onChange(options.on, (change) => {
          const about = untrack(() => options.subject?.());
          if (change !== 'all' && about !== undefined && change.subject !== '' && !change.subject.split(/[/:, ]/).includes(about)) return;
          const every = options.atMostEvery ?? 400;
          later(Math.max(60, every - (Date.now() - lastAsked)));
        })
      : undefined;
    return () => {
      off?.();
      clearTimeout(timer);
      timer = undefined;
      ++round;
    };
  });

  return {
    get data() {
      return data;
    },
    get problem() {
      return problem;
    },
    get loading() {
      return loading;
    },
    reload: () => run(ask()),
    set(next: T) {
      data = next;
    },
  };
}

export interface Pages<T> {
  readonly items: readonly T[];
  readonly problem: Problem | undefined;
  readonly loading: boolean;
  readonly more: boolean;
  readonly started: boolean;
  next(): Promise<void>;
  reload(): Promise<void>;
}

/** A list by cursor. `ask` gets the cursor; when reactive values that it reads change, the list begins anew. */
export function pages<T>(ask: (cursor: string | undefined) => Promise<{ items: readonly T[]; next?: string | null }>, options: { on?: readonly string[] } = {}): Pages<T> {
  let items = $state.raw<readonly T[]>([]);
  let problem = $state.raw<Problem>();
  let loading = $state(true);
  let started = $state(false);
  let cursor = $state<string | undefined>();
  let round = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function take(asked: Promise<{ items: readonly T[]; next?: string | null }>, add: boolean): Promise<void> {
    const mine = ++round;
    loading = true;
    try {
      const got = await asked;
      if (mine !== round) return;
      items = add ? [...items, ...got.items] : got.items;
      cursor = got.next ?? undefined;
      problem = undefined;
      started = true;
    } catch (trouble) {
      if (mine !== round) return;
      const now = asProblem(trouble);
      if (now.signedOut) {
        void signedOut().then(() => (mine === round ? take(ask(undefined), false) : undefined));
        return;
      }
      problem = now;
      // A list comes back by itself, too; who has paged on asks for more.
      if ((now.status === 0 || now.status >= 500) && items.length <= 200)
        timer ??= setTimeout(() => {
          timer = undefined;
          void take(ask(undefined), false);
        }, 5000);
    } finally {
      if (mine === round) loading = false;
    }
  }

  $effect(() => {
    const asked = ask(undefined);
    untrack(() => void take(asked, false));
  });
  $effect(() => {
    const off = options.on
      ? onChange(options.on, () => {
          timer ??= setTimeout(() => {
            timer = undefined;
            // Who has paged on is not thrown back to the start by news.
            if (items.length <= 200) void take(ask(undefined), false);
          }, 400);
        })
      : undefined;
    return () => {
      off?.();
      clearTimeout(timer);
      timer = undefined;
      ++round;
    };
  });

  return {
    get items() {
      return items;
    },
    get problem() {
      return problem;
    },
    get loading() {
      return loading;
    },
    get more() {
      return cursor !== undefined;
    },
    get started() {
      return started;
    },
    async next() {
      if (cursor !== undefined && !loading) await take(ask(cursor), true);
    },
    reload: () => take(ask(undefined), false),
  };
}
