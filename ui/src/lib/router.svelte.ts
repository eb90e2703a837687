// Addresses of pages: plain paths, `:name` for a part, the query for filters, so that every view can be sent to a colleague.

export interface Match {
  params: Record<string, string>;
}

export function matches(pattern: string, path: string): Match | undefined {
  const wanted = pattern.split('/').filter(Boolean);
  const parts = path.split('/').filter(Boolean);
  if (wanted.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (let i = 0; i < wanted.length; ++i) {
    const want = wanted[i]!;
    let part: string;
    try {
      part = decodeURIComponent(parts[i]!);
    } catch {
      return undefined;
    }
    if (want.startsWith(':')) params[want.slice(1)] = part;
    else if (want !== part) return undefined;
  }
  return { params };
}

const start = typeof location === 'undefined' ? new URL('http://nowhere/') : location;
let path = $state(start.pathname);
let query = $state.raw(new URLSearchParams(start.search));
let hash = $state(start.hash);

const read = (): void => {
  path = location.pathname;
  query = new URLSearchParams(location.search);
  hash = location.hash;
};

export const route = {
  get path() {
    return path;
  },
  get query() {
    return query;
  },
  get hash() {
    return hash;
  },
};

/** May this page be left? A page with unsaved words says no with a question. */
let guard: (() => boolean) | undefined;
export function guardLeaving(may: () => boolean): () => void {
  guard = may;
  return () => {
    if (guard === may) guard = undefined;
  };
}

export function go(to: string, options: { replace?: boolean; keepScroll?: boolean } = {}): void {
  const url = new URL(to, location.href);
  if (url.origin !== location.origin) return;
  if (url.pathname !== location.pathname && guard && !guard()) return;
  if (options.replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  const moved = url.pathname !== path;
  read();
  if (moved && !options.keepScroll) scrollTo(0, 0);
}

/** Changes a filter in the address without a new step in the history. Empty values leave the address. */
export function setQuery(changes: Record<string, string | undefined>): void {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const text = next.toString();
  go(`${path}${text ? `?${text}` : ''}${hash}`, { replace: true, keepScroll: true });
}

export function startRouter(): void {
  addEventListener('popstate', read);
  // Plain links inside the application become steps of the router; everything else is the browser's.
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (/^\/(api|lists|confirm|sign-in|report)(\/|$)/.test(link.pathname)) return;
    if (link.pathname === location.pathname && link.hash && link.search === location.search) return;
    event.preventDefault();
    go(link.pathname + link.search + link.hash);
  });
}
