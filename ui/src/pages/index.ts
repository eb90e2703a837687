// The pages. One entry each; the first whose pattern fits and whose reader may see it is shown.
import type { PageEntry } from './registry';

export const entries: readonly PageEntry[] = [
  // The hub.
  { path: '/', title: 'page.overview', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'first', icon: 'home' }, go: 'o', load: () => import('./overview_hub/OverviewHub.svelte') },
  { path: '/suspicions', title: 'page.suspicions', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'work', icon: 'eye' }, go: 's', load: () => import('./suspicions/Suspicions.svelte') },
  { path: '/campaigns', title: 'page.campaigns', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'work', icon: 'fire' }, go: 'c', load: () => import('./campaigns/Campaigns.svelte') },
  { path: '/campaigns/:id', title: 'campaign.one', serves: ['hub'], rights: ['tenants_read'], load: () => import('./campaigns/Campaign.svelte') },
  { path: '/warnings', title: 'page.warnings', serves: ['hub'], rights: ['alert_read'], nav: { group: 'work', icon: 'bell' }, go: 'w', load: () => import('./warnings/Warnings.svelte') },
  { path: '/warnings/new', title: 'page.warning_new', serves: ['hub'], rights: ['publish'], load: () => import('./warnings/New.svelte') },
  { path: '/warnings/:id', title: 'warning.one', serves: ['hub'], rights: ['alert_read'], load: () => import('./warnings/Warning.svelte') },
  { path: '/exposure', title: 'page.exposure', serves: ['hub'], rights: ['alert_read'], nav: { group: 'work', icon: 'shield' }, go: 'x', load: () => import('./trust/Exposure.svelte') },
  { path: '/handover', title: 'page.handover', serves: ['hub'], rights: ['alert_read'], nav: { group: 'work', icon: 'note' }, go: 'h', load: () => import('./handover/Handover.svelte') },
  { path: '/map', title: 'page.map', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'know', icon: 'map' }, go: 'm', load: () => import('./map/Map.svelte') },
  { path: '/municipalities', title: 'page.municipalities', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'know', icon: 'people' }, go: 't', load: () => import('./members/Municipalities.svelte') },
  { path: '/municipalities/:code', title: 'town.one', serves: ['hub'], rights: ['tenants_read'], load: () => import('./members/Municipality.svelte') },
  { path: '/nodes', title: 'page.nodes', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'know', icon: 'nodes' }, go: 'n', load: () => import('./members/Nodes.svelte') },
  { path: '/nodes/:id', title: 'node.one', serves: ['hub'], rights: ['tenants_read'], load: () => import('./members/Node.svelte') },
  { path: '/brakes', title: 'page.brakes', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'keep', icon: 'brake' }, go: 'b', load: () => import('./trust/Brakes.svelte') },
  { path: '/digest-keys', title: 'page.digest_keys', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'keep', icon: 'key' }, go: 'd', load: () => import('./trust/DigestKeys.svelte') },
  { path: '/orders', title: 'page.orders', serves: ['hub'], rights: ['order'], nav: { group: 'keep', icon: 'arrow' }, go: 'r', load: () => import('./trust/Orders.svelte') },
  { path: '/audit', title: 'page.audit', serves: ['hub'], rights: ['audit_read'], nav: { group: 'keep', icon: 'log' }, go: 'a', load: () => import('./audit/AuditHub.svelte') },
  { path: '/settings', title: 'page.settings', serves: ['hub'], rights: ['tenants_read'], nav: { group: 'keep', icon: 'gear' }, go: 'i', load: () => import('./settings/SettingsHub.svelte') },

  // Both.
  { path: '/accessibility', title: 'page.accessibility', serves: ['hub', 'node'], load: () => import('./accessibility/Accessibility.svelte') },
];
