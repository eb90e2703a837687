// Does something burn? The first page and whoever asks here say so; the fire in the corner shows it on every page.
import { api } from './api';
import { onChange } from './live.svelte';
import { session } from './session.svelte';

let lit = $state(false);

export const burning = {
  get now() {
    return lit;
  },
  set(value: boolean) {
    lit = value;
  },
};

async function look(): Promise<void> {
  try {
    if (session.serves === 'hub' && session.may('tenants_read')) {
      const { data } = await api.GET('/api/campaigns', { params: { query: { state: 'lit', limit: 1 } } });
      if (data) lit = data.items.length > 0;
    } else if (session.serves === 'node' && session.may('alert_read')) {
      const { data } = await api.GET('/api/node/overview');
      if (data) lit = data.verdict.state === 'hit';
    }
  } catch {
    // What was known stays until it is known better.
  }
}

/** From now on the fire follows what happens. */
export function watchFire(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  void look();
  onChange(['campaign', 'warning', 'answer'], () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void look();
    }, 5000);
  });
}
