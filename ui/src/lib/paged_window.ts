// Which rows of a long list are on the screen, and which pages of it are in memory. The server gives pages by cursor, so a row can only be
// reached through the pages before it; each page's cursor is remembered, rows far from the screen are let go and fetched again.
// Pure: no DOM. The component tells where the screen is and fetches what is asked for.

export interface Page<T> {
  items: T[];
  next?: string | undefined;
}

export interface Screen {
  /** The first and the one past the last row to draw. */
  first: number;
  last: number;
  /** Empty room above and below the drawn rows, in pixels. */
  above: number;
  below: number;
}

/** Browsers end an element at some 16 to 33 million pixels; a list stays well below it and is squeezed instead. */
export const tallest = 8_000_000;

/** How far one scrolls for a pixel of the list: 1, and less where the list is squeezed. */
export function squeeze(height: number, row: number, rows: number): number {
  const whole = rows * row;
  return whole > tallest && tallest > height ? (tallest - height) / (whole - height) : 1;
}

/** Rows to draw for a screen of `height` pixels at `top`, with some to spare on both sides. */
export function screenOf(top: number, height: number, row: number, rows: number, spare = 8): Screen {
  if (rows <= 0 || row <= 0) return { first: 0, last: 0, above: 0, below: 0 };
  const whole = rows * row;
  const tall = Math.min(whole, tallest);
  const shown = Math.ceil(Math.max(height, 0) / row) + 1;
  const y = Math.min(Math.max(top, 0), Math.max(0, tall - height));
  // Squeezed: the share of the way down is the same, the rows keep their height.
  const at = y / squeeze(height, row, rows);
  const seen = Math.min(Math.floor(at / row), Math.max(0, rows - 1));
  const first = Math.max(0, seen - spare);
  const last = Math.min(rows, seen + shown + spare);
  const above = whole > tall ? Math.max(0, y - (at - first * row)) : first * row;
  const drawn = (last - first) * row;
  return { first, last, above, below: Math.max(0, tall - above - drawn) };
}

export class PagedWindow<T> {
  private readonly pages = new Map<number, T[]>();
  private readonly cursors: (string | undefined)[] = [undefined];
  private readonly used = new Map<number, number>();
  private clock = 0;
  private ended: number | undefined;

  constructor(
    readonly size: number,
    readonly keep = 12,
  ) {}

  /** Rows known of so far; the list may be longer. */
  get rows(): number {
    return this.ended ?? (this.cursors.length - 1) * this.size;
  }
  get complete(): boolean {
    return this.ended !== undefined;
  }
  /** Pages in memory. */
  get held(): number {
    return this.pages.size;
  }

  at(index: number): T | undefined {
    const page = Math.floor(index / this.size);
    const rows = this.pages.get(page);
    if (rows) this.used.set(page, (this.clock += 1));
    return rows?.[index - page * this.size];
  }

  /** The next page that rows [first, last) lack, with its cursor; undefined when nothing is lacking or can be asked for. */
  lacking(first: number, last: number): { page: number; cursor: string | undefined } | undefined {
    const from = Math.max(0, Math.floor(first / this.size));
    const to = Math.max(from, Math.ceil(last / this.size) - 1);
    for (let page = from; page <= to; page += 1) {
      if (this.pages.has(page)) continue;
      if (this.ended !== undefined && page * this.size >= this.ended && !(page === 0 && this.ended === 0)) return undefined;
      if (this.ended === 0) return undefined;
      const known = Math.min(page, this.cursors.length - 1);
      return { page: known, cursor: this.cursors[known] };
    }
    return undefined;
  }

  put(page: number, got: Page<T>): void {
    this.pages.set(page, got.items);
    this.used.set(page, (this.clock += 1));
    if (got.next !== undefined && got.items.length === this.size) this.cursors[page + 1] = got.next;
    else {
      // Shorter than asked for: the end, also when the list became shorter since.
      this.ended = page * this.size + got.items.length;
      this.cursors.length = page + 1;
      for (const p of [...this.pages.keys()]) if (p > page) this.forget(p);
    }
    while (this.pages.size > this.keep) {
      let oldest = -1;
      for (const p of this.pages.keys()) if (p !== page && (oldest < 0 || (this.used.get(p) ?? 0) < (this.used.get(oldest) ?? 0))) oldest = p;
      if (oldest < 0) break;
      this.forget(oldest);
    }
  }

  private forget(page: number): void {
    this.pages.delete(page);
    this.used.delete(page);
  }
}
