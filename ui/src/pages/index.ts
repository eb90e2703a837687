// The pages. One entry each; the first whose pattern fits and whose reader may see it is shown.
import type { PageEntry } from './registry';

export const entries: readonly PageEntry[] = [
  { path: '/accessibility', title: 'page.accessibility', serves: ['hub', 'node'], load: () => import('./accessibility/Accessibility.svelte') },
];
