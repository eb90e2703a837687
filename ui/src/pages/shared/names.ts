// What things are called on the hub's pages.
import type { CampaignRow, Town } from '$lib/hub';
import { t, word } from '$lib/i18n.svelte';
import { who } from '$lib/who.svelte';

export const townName = (town: Town | undefined): string => town?.name ?? t('town.unnamed');

/** A campaign has no name of its own: it is called by whom it comes from, or else by what was first noticed. */
export function campaignName(of: Pick<CampaignRow, 'from' | 'cause' | 'id'>): string {
  const from = of.from?.municipality?.name ?? of.from?.domain;
  return from ? t('campaign.name_from', { who: from }) : word('campaign.name_cause', of.cause);
}

/** "person:7" and "trigger:sender_notice" as words. */
export function byWhom(by: string | undefined, name?: string): string {
  if (!by) return '';
  if (name) return name;
  const [kind, id] = by.split(':', 2);
  if (kind === 'trigger') return t('by.trigger', { name: word('trigger', id) });
  if (kind === 'person') return who(by);
  if (kind === 'node') return t('by.node', { id: id ?? '' });
  return word('by', by);
}
