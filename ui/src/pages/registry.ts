// What a page says of itself, and how the navigation is made of that.
import type { IconName } from '$c/Icon.svelte';
import { t, type Key } from '$lib/i18n.svelte';
import { matches } from '$lib/router.svelte';
import type { Session } from '$lib/session.svelte';

/** `own` stands at the person's name. */
export type Group = 'first' | 'work' | 'know' | 'keep' | 'own';

/** Keys that are plain words, without places to fill. */
export interface PageEntry {
  path: string;
  /** Its name, for the navigation, the palette and the window. */
  title: Key;
  serves: readonly ('hub' | 'node')[];
  /** One of these rights is enough; none: everybody who is signed in. */
  rights?: readonly string[];
  /** Only these roles are shown it (the server decides what they may read). */
  roles?: readonly string[];
  nav?: { group: Group; icon: IconName };
  /** "g" and this letter go there. */
  go?: string;
  /** The parts of the address are its properties. */
  load: () => Promise<{ default: unknown }>;
}

export interface NavItem {
  href: string;
  title: string;
  icon: IconName;
}
export interface NavGroup {
  id: Group;
  title: string;
  items: NavItem[];
}

export const titleOf = (entry: PageEntry): string => (t as (key: Key) => string)(entry.title);

export const allowed = (entry: PageEntry, here: Session): boolean =>
  entry.serves.includes(here.serves) &&
  (!entry.rights || entry.rights.some((right) => here.rights.includes(right))) &&
  (!entry.roles || entry.roles.some((role) => here.person.roles.includes(role)));

export function navigation(entries: readonly PageEntry[], here: Session): NavGroup[] {
  const order: Group[] = ['first', 'work', 'know', 'keep', 'own'];
  return order
    .map((id) => ({
      id,
      title: id === 'first' || id === 'own' ? '' : t(`nav.${id}`),
      items: entries.filter((entry) => entry.nav?.group === id && allowed(entry, here)).map((entry) => ({ href: entry.path, title: titleOf(entry), icon: entry.nav!.icon })),
    }))
    .filter((group) => group.items.length > 0);
}

/** The page of an address: of several with the same pattern the first that this person may see. */
export function find(entries: readonly PageEntry[], path: string, here: Session): { entry: PageEntry; params: Record<string, string> } | undefined {
  for (const entry of entries) {
    const match = matches(entry.path, path);
    if (match && allowed(entry, here)) return { entry, params: match.params };
  }
  return undefined;
}
