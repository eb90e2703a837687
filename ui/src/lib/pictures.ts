// The arithmetic of the pictures: scales over time, the fan of a spread, what a tile is at a moment. No drawing here, so that it can be tested.

export const ms = (at: string | undefined): number | undefined => (at === undefined ? undefined : Date.parse(at));

export interface Scale {
  (at: number): number;
  from: number;
  to: number;
}

/** Time from left to right. `log`: the first minutes get the room that they deserve. */
export function timeScale(from: number, to: number, left: number, right: number, log = false): Scale {
  const span = Math.max(1, to - from);
  // One minute takes as much room as ten minutes later on.
  const bend = 60_000;
  const top = Math.log1p(span / bend);
  const scale = ((at: number) => {
    const inside = Math.min(span, Math.max(0, at - from));
    const share = log ? Math.log1p(inside / bend) / top : inside / span;
    return left + share * (right - left);
  }) as Scale;
  scale.from = from;
  scale.to = to;
  return scale;
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080].map((minutes) => minutes * 60_000);

/** Where the axis has its marks: round lengths of time since the beginning, none closer than `room` to the next. */
export function ticks(scale: Scale, room: number): number[] {
  const out: number[] = [];
  let last = -Infinity;
  const span = scale.to - scale.from;
  const even = steps.find((step) => scale(scale.from + step) - scale(scale.from) >= room && span / step <= 14);
  const linear = Math.abs(scale(scale.from + span / 2) - (scale(scale.from) + scale(scale.to)) / 2) < 1;
  const wanted = linear && even ? Array.from({ length: Math.floor(span / even) + 1 }, (_, i) => i * even) : [0, ...steps.filter((step) => step <= span)];
  for (const offset of wanted) {
    const x = scale(scale.from + offset);
    if (x - last < room) continue;
    out.push(scale.from + offset);
    last = x;
  }
  return out;
}

export interface FanNode {
  key: string;
  name: string;
  x: number;
  y: number;
  r: number;
  at: number;
  mails: number;
  outside: boolean;
  sender: boolean;
}
export interface FanEdge {
  key: string;
  from: FanNode;
  to: FanNode;
  mails: number;
  path: string;
}

interface Arrow {
  from?: { code: string; name?: string | undefined } | undefined;
  to?: { code: string; name?: string | undefined } | undefined;
  outside?: boolean | undefined;
  mails: number;
  first_at: string;
}

/** Who infected whom, the time to the right. The first sender stands in the middle of the left edge; those reached fan out above and below
    in the order of their time, so that lines rarely cross. */
export function fan(arrows: readonly Arrow[], scale: Scale, rowHeight: number, unknown: (n: number) => string, outsideName: string): { nodes: FanNode[]; edges: FanEdge[]; height: number } {
  const sorted = [...arrows].sort((a, b) => Date.parse(a.first_at) - Date.parse(b.first_at));
  const nodes = new Map<string, FanNode>();
  const most = Math.max(1, ...sorted.map((arrow) => arrow.mails));
  let strangers = 0;
  const nameOf = (town: { code: string; name?: string | undefined }): string => town.name ?? unknown(++strangers);
  const size = (mails: number): number => 4 + 9 * Math.sqrt(mails / most);
  const edges: { from: string; to: string; mails: number; key: string }[] = [];
  const put = (key: string, name: string, at: number, mails: number, more: Partial<FanNode> = {}): void => {
    const known = nodes.get(key);
    if (known) {
      known.mails += mails;
      known.r = size(Math.min(most, known.mails));
      return;
    }
    nodes.set(key, { key, name, x: scale(at), y: 0, r: size(mails), at, mails, outside: false, sender: false, ...more });
  };
  sorted.forEach((arrow, i) => {
    const at = Date.parse(arrow.first_at);
    const from = arrow.from?.code ?? '?';
    const known = nodes.get(from);
    if (!known) put(from, arrow.from ? nameOf(arrow.from) : unknown(++strangers), nodes.size === 0 ? scale.from : at, 0, { sender: true, r: 9 });
    else if (!known.sender) known.sender = true;
    const to = arrow.outside ? `outside ${from}` : (arrow.to?.code ?? `stranger ${i}`);
    if (to === from) return;
    put(to, arrow.outside ? outsideName : arrow.to ? nameOf(arrow.to) : unknown(++strangers), at, arrow.mails, { outside: arrow.outside === true });
    edges.push({ from, to, mails: arrow.mails, key: `${from}>${to}` });
  });
  const order = [...nodes.values()].sort((a, b) => a.at - b.at);
  const height = Math.max(3, order.length) * rowHeight;
  // 0, +1, -1, +2, -2 ... around the middle.
  order.forEach((node, i) => {
    const place = i === 0 ? 0 : (i % 2 === 1 ? 1 : -1) * Math.ceil(i / 2);
    node.y = height / 2 + place * rowHeight * (order.length > 1 ? (order.length - 1) / order.length : 1);
  });
  const first = order[0];
  if (first) first.x = scale(scale.from);
  const drawn = edges.map((edge) => {
    const from = nodes.get(edge.from)!;
    const to = nodes.get(edge.to)!;
    const bend = Math.max(18, (to.x - from.x) * 0.55);
    return { key: edge.key, from, to, mails: edge.mails, path: `M${from.x.toFixed(1)} ${from.y.toFixed(1)}C${(from.x + bend).toFixed(1)} ${from.y.toFixed(1)} ${(to.x - bend).toFixed(1)} ${to.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}` };
  });
  return { nodes: order, edges: drawn, height };
}

export type Lit = 'outside' | 'never' | 'away' | 'calm' | 'warned' | 'reached' | 'emptied' | 'sender' | 'hidden';

interface TileTimes {
  state: string;
  first_seen_at?: string | undefined;
  warned_at?: string | undefined;
  emptied_at?: string | undefined;
}

/** What a tile is at a moment of the replay; without a moment as it is now. */
export function tileAt(tile: TileTimes, moment: number | undefined): Lit {
  if (moment === undefined || tile.state === 'hidden' || tile.state === 'outside' || tile.state === 'never') return tile.state as Lit;
  const seen = ms(tile.first_seen_at);
  const emptied = ms(tile.emptied_at);
  const warned = ms(tile.warned_at);
  if (tile.state === 'sender' && seen !== undefined && seen <= moment) return 'sender';
  if (emptied !== undefined && emptied <= moment) return 'emptied';
  if (seen !== undefined && seen <= moment) return 'reached';
  if (warned !== undefined && warned <= moment) return 'warned';
  return tile.state === 'away' ? 'away' : 'calm';
}

/** From a tile to the next in a direction: the nearest whose place lies mostly that way. */
export function neighbour<T extends { row: number; column: number }>(tiles: readonly T[], from: T, down: number, right: number): T | undefined {
  let best: T | undefined;
  let cost = Infinity;
  for (const tile of tiles) {
    const dr = tile.row - from.row;
    const dc = tile.column - from.column;
    const along = dr * down + dc * right;
    if (along <= 0) continue;
    const aside = Math.abs(dr * right) + Math.abs(dc * down);
    const here = along + aside * 2.5;
    if (here < cost) {
      cost = here;
      best = tile;
    }
  }
  return best;
}
