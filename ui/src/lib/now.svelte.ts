// The time for "4 min ago": one clock for the whole page, ticking every ten seconds, or each second for what runs out.
import { createSubscriber } from 'svelte/reactivity';

function ticking(every: number): () => number {
  const subscribe = createSubscriber((update) => {
    const timer = setInterval(update, every);
    return () => clearInterval(timer);
  });
  return () => {
    subscribe();
    return Date.now();
  };
}

export const now = ticking(10_000);
export const nowSeconds = ticking(1000);
