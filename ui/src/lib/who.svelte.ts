// Names for who did something: "person:3" is read as the name where the reader may know it. The list is read once, when first needed.
import { api } from './api';
import { t } from './i18n.svelte';
import { session } from './session.svelte';

let names = $state.raw<Record<string, string>>({});
let asked = false;

async function read(): Promise<void> {
  try {
    const { data } = await api.GET('/api/people');
    if (data) names = Object.fromEntries(data.items.map((person) => [person.id, person.name]));
  } catch {
    // Numbers are shown instead of names.
  }
}

export function who(by: string | undefined): string {
  if (!by || by === 'machine' || by === 'bavn') return 'Bavn';
  if (by === 'hub') return t('say.cert');
  if (by === 'local_owner' || by === 'local') return t('say.owner');
  const person = /^person:(\d+)$/.exec(by)?.[1];
  if (person === undefined) return by;
  if (person === session.here?.person.id && session.here.person.name) return session.here.person.name;
  if (!asked && session.may('tenants_read')) {
    asked = true;
    void read();
  }
  return names[person] ?? t('say.person', { id: person });
}
