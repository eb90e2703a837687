import { describe, expect, it } from 'vitest';

import { fan, neighbour, ticks, tileAt, timeScale } from './pictures';

const minute = 60_000;
const at = (m: number): string => new Date(m * minute).toISOString();

describe('time', () => {
  it('runs from left to right, also bent', () => {
    for (const log of [false, true]) {
      const scale = timeScale(0, 60 * minute, 10, 110, log);
      expect(scale(0)).toBe(10);
      expect(scale(60 * minute)).toBeCloseTo(110);
      expect(scale(99 * minute)).toBeCloseTo(110);
      let last = -1;
      for (let m = 0; m <= 60; ++m) {
        expect(scale(m * minute)).toBeGreaterThan(last);
        last = scale(m * minute);
      }
    }
    expect(timeScale(0, 60 * minute, 0, 100, true)(6 * minute)).toBeGreaterThan(40);
  });
  it('has marks that do not touch', () => {
    for (const log of [false, true])
      for (const span of [1, 7, 47, 600, 5000]) {
        const scale = timeScale(0, span * minute, 0, 500, log);
        const marks = ticks(scale, 50).map((mark) => scale(mark));
        for (let i = 1; i < marks.length; ++i) expect(marks[i]! - marks[i - 1]!).toBeGreaterThanOrEqual(50);
      }
  });
});

describe('a spread', () => {
  const scale = timeScale(0, 60 * minute, 0, 600);
  it('puts the first sender first and everybody once', () => {
    const a = { code: '0157', name: 'Gentofte' };
    const b = { code: '0173', name: 'Lyngby-Taarbæk' };
    const { nodes, edges } = fan(
      [
        { from: b, to: { code: '0461', name: 'Odense' }, mails: 5, first_at: at(30) },
        { from: a, to: b, mails: 791, first_at: at(0) },
        { from: a, outside: true, mails: 300, first_at: at(2) },
        { from: a, to: { code: '0999' }, mails: 1, first_at: at(9) },
      ],
      scale,
      20,
      (n) => `unknown ${n}`,
      'outside',
    );
    expect(nodes[0]?.name).toBe('Gentofte');
    expect(nodes.map((node) => node.key).sort()).toEqual(['0157', '0173', '0461', '0999', 'outside 0157']);
    expect(nodes.find((node) => node.key === '0173')?.sender).toBe(true);
    expect(nodes.find((node) => node.key === '0999')?.name).toBe('unknown 1');
    expect(edges).toHaveLength(4);
    expect(new Set(nodes.map((node) => node.y)).size).toBe(nodes.length);
  });
  it('of nothing is empty', () => {
    expect(fan([], scale, 20, String, '').nodes).toEqual([]);
  });
});

describe('the map', () => {
  const tile = { state: 'emptied', first_seen_at: at(5), warned_at: at(2), emptied_at: at(20) };
  it('plays again what came when', () => {
    expect(tileAt(tile, 0)).toBe('calm');
    expect(tileAt(tile, 3 * minute)).toBe('warned');
    expect(tileAt(tile, 6 * minute)).toBe('reached');
    expect(tileAt(tile, 20 * minute)).toBe('emptied');
    expect(tileAt(tile, undefined)).toBe('emptied');
    expect(tileAt({ state: 'hidden', first_seen_at: at(1) }, 5 * minute)).toBe('hidden');
  });
  it('is walked with arrows', () => {
    const tiles = [
      { row: 1, column: 1 },
      { row: 1, column: 3 },
      { row: 2, column: 1 },
      { row: 4, column: 16 },
    ];
    expect(neighbour(tiles, tiles[0]!, 0, 1)).toBe(tiles[1]);
    expect(neighbour(tiles, tiles[0]!, 1, 0)).toBe(tiles[2]);
    expect(neighbour(tiles, tiles[0]!, -1, 0)).toBeUndefined();
  });
});
