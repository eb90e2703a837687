import { t } from '$lib/i18n.svelte';
import type { Command } from '$lib/keys.svelte';
import { rove } from '$lib/rove';

interface Judge {
  start(as: 'real' | 'false', id: string | undefined): void;
}

/** The keys of a list of suspicions: up and down it, and the one under the cursor judged. */
export function triageKeys(list: () => HTMLElement | undefined, judge: () => Judge | undefined, may: boolean): Command[] {
  const focused = (): string | undefined => document.activeElement?.closest<HTMLElement>('[data-suspicion]')?.dataset.suspicion;
  const group = t('keys.list');
  const all: Command[] = [
    { keys: 'j', title: t('keys.next'), group, run: () => rove(list(), 'a[data-row]', 1) },
    { keys: 'k', title: t('keys.previous'), group, run: () => rove(list(), 'a[data-row]', -1) },
  ];
  if (may)
    all.push(
      { keys: 'r', title: t('suspicion.key_real'), group, run: () => judge()?.start('real', focused()) },
      { keys: 'f', title: t('suspicion.key_false'), group, run: () => judge()?.start('false', focused()) },
    );
  return all;
}
