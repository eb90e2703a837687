import { describe, expect, it } from 'vitest';
import { PagedWindow, screenOf, tallest, type Page } from './paged_window';

describe('rows on the screen', () => {
  it('draws what is seen and some to spare', () => {
    expect(screenOf(0, 400, 40, 1000, 5)).toEqual({ first: 0, last: 16, above: 0, below: 1000 * 40 - 16 * 40 });
    const mid = screenOf(4000, 400, 40, 1000, 5);
    expect(mid.first).toBe(95);
    expect(mid.last).toBe(116);
    expect(mid.above).toBe(95 * 40);
  });
  it('has no room for nothing', () => {
    expect(screenOf(500, 400, 40, 0)).toEqual({ first: 0, last: 0, above: 0, below: 0 });
  });
  it('reaches the first and the last of 10 million rows, and draws few', () => {
    const rows = 10_000_000;
    const first = screenOf(0, 800, 36, rows);
    expect(first.first).toBe(0);
    const end = screenOf(tallest - 800, 800, 36, rows);
    expect(end.last).toBe(rows);
    for (let y = 0; y < tallest; y += 12_345) {
      const s = screenOf(y, 800, 36, rows);
      expect(s.last - s.first).toBeLessThan(60);
      expect(s.above + (s.last - s.first) * 36 + s.below).toBeLessThanOrEqual(tallest + 60 * 36);
      // what is at the top of the screen is drawn there
      expect(s.above).toBeLessThanOrEqual(y);
      expect(s.above + (s.last - s.first) * 36).toBeGreaterThanOrEqual(Math.min(y + 800, tallest - 1));
    }
  });
});

const server = (total: number, size: number) => (cursor: string | undefined): Page<number> => {
  const from = cursor === undefined ? 0 : Number(cursor);
  const items = Array.from({ length: Math.max(0, Math.min(size, total - from)) }, (_, i) => from + i);
  return { items, next: from + size < total ? String(from + size) : undefined };
};

describe('pages in memory', () => {
  const scroll = (w: PagedWindow<number>, get: (cursor: string | undefined) => Page<number>, first: number, last: number): number => {
    let asked = 0;
    for (let lack = w.lacking(first, last); lack; lack = w.lacking(first, last)) {
      w.put(lack.page, get(lack.cursor));
      asked += 1;
      if (asked > 2000) throw new Error('asks for ever');
    }
    return asked;
  };

  it('walks 350,000 rows with few of them in memory, and back', () => {
    const get = server(350_000, 500);
    const w = new PagedWindow<number>(500, 12);
    for (let row = 0; row < 350_000; row += 250) {
      scroll(w, get, row, row + 40);
      expect(w.at(row)).toBe(row);
      expect(w.held).toBeLessThanOrEqual(12);
    }
    expect(scroll(w, get, 349_990, 350_030)).toBeLessThan(2);
    expect(w.complete).toBe(true);
    expect(w.rows).toBe(350_000);
    expect(scroll(w, get, 1000, 1040)).toBe(1); // straight back by the cursor that is remembered
    expect(w.at(1010)).toBe(1010);
  });
  it('knows an empty list, and an end at a page', () => {
    const none = new PagedWindow<number>(500);
    expect(scroll(none, server(0, 500), 0, 40)).toBe(1);
    expect(none.complete && none.rows === 0).toBe(true);
    const even = new PagedWindow<number>(500);
    scroll(even, server(1000, 500), 0, 2000);
    expect(even.rows).toBe(1000);
    expect(even.complete).toBe(true);
  });
  it('takes it when the list became shorter meanwhile', () => {
    const w = new PagedWindow<number>(10, 50);
    scroll(w, server(100, 10), 0, 100);
    expect(w.rows).toBe(100);
    w.put(3, { items: [30, 31], next: undefined });
    expect(w.rows).toBe(32);
    expect(w.at(50)).toBeUndefined();
    expect(w.lacking(0, 60)).toBeUndefined();
  });
});
