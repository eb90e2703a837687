import { svelte } from '@sveltejs/vite-plugin-svelte';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

interface Known {
  getModuleInfo: (id: string) => { importedIds: readonly string[]; importers: readonly string[]; dynamicImporters: readonly string[] } | null;
}
const starts = new Map<string, Set<string>>();

/** Everything that stands still until `id` is there. */
function reach(id: string, known: Known, into = new Set<string>()): Set<string> {
  if (into.has(id)) return into;
  into.add(id);
  for (const next of known.getModuleInfo(id)?.importedIds ?? []) reach(next, known, into);
  return into;
}

/**
 * Few shared files instead of sixty small ones, which compress badly and cost a request each: `start` is what nothing can do without, `parts` what the
 * first page of a hub and that of a node need beside,
 * `hub` what only hubs show.
 */
function group(name: string, priority: number, wanted: (id: string, from: (path: string) => Set<string>) => boolean) {
  return {
    priority,
    minSize: 0,
    name: (id: string, known: Known): string | null => {
      const from = (path: string): Set<string> => {
        let all = starts.get(path);
        if (!all) starts.set(path, (all = reach(here(path), known)));
        return all;
      };
      return wanted(id, from) ? name : null;
    },
  };
}
const groups = [
  group('start', 2, (id, from) => from('./src/main.ts').has(id)),
  group('parts', 1, (id, from) => from('./src/pages/overview_hub/OverviewHub.svelte').has(id) && from('./src/pages/home/Home.svelte').has(id)),
  group('hub', 0, (id, from) => id.includes('/src/pages/') && !id.includes('OverviewHub') && from('./src/pages/overview_hub/OverviewHub.svelte').has(id)),
];

export default defineConfig({
  plugins: [svelte()],
  resolve: {
    alias: { $lib: here('./src/lib'), $c: here('./src/components'), $gen: here('./src/generated') },
    // Unit tests mount components, which needs the browser's half of Svelte.
    conditions: process.env.VITEST ? ['browser'] : undefined,
  },
  build: {
    target: 'es2022',
    outDir: process.env.BAVN_UI_OUT ?? 'dist',
    emptyOutDir: true,
    // No inline data and no inline script: the content security policy allows neither.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: true,
    manifest: true,
    reportCompressedSize: false,
    rolldownOptions: { output: { codeSplitting: { groups } } },
  },
  test: { include: ['src/**/*.test.ts', 'tools/**/*.test.ts'], environment: 'node' },
});
