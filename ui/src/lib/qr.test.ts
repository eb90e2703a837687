import { describe, expect, it } from 'vitest';

import { qr } from './qr';

const drawn = (text: string): string[] => qr(text)!.map((row) => row.map((dark) => (dark ? '#' : '.')).join(''));

describe('QR codes', () => {
  it('draws what a reader of others read back', () => {
    expect(drawn('A')).toEqual([
      '#######.#..#..#######',
      '#.....#.#####.#.....#',
      '#.###.#...#.#.#.###.#',
      '#.###.#.##.##.#.###.#',
      '#.###.#..###..#.###.#',
      '#.....#..#.##.#.....#',
      '#######.#.#.#.#######',
      '........##.##........',
      '#.##.###..###.#..#.##',
      '.#.##..#.#.####..#...',
      '##..###.##.#.....##.#',
      '#.##.#.....#..#####..',
      '#..####..#..#..#..#..',
      '........#.##..#..#..#',
      '#######.#..##..#.#...',
      '#.....#.##.....##.##.',
      '#.###.#..##.#####...#',
      '#.###.#.####..######.',
      '#.###.#.#.#.#.##.....',
      '#.....#...#..#.#..#.#',
      '#######.#....#..#....',
    ]);
  });
  it('grows with the text, in bytes, and says when one is too long', () => {
    expect(qr('x'.repeat(14))).toHaveLength(21);
    expect(qr('x'.repeat(15))).toHaveLength(25);
    expect(qr('å'.repeat(7))).toHaveLength(21);
    expect(qr('å'.repeat(8))).toHaveLength(25);
    expect(qr('x'.repeat(412))).toHaveLength(77);
    expect(qr('x'.repeat(413))).toBeUndefined();
  });
  it('has its three corners and one dark square that is always there', () => {
    const size = 41;
    const picture = drawn('otpauth://totp/Bavn%20Ager:%C3%85se?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Bavn%20Ager');
    expect(picture).toHaveLength(size);
    for (const [x, y] of [[0, 0], [size - 7, 0], [0, size - 7]] as const) expect(picture.slice(y, y + 7).map((row) => row.slice(x, x + 7))).toEqual(['#######', '#.....#', '#.###.#', '#.###.#', '#.###.#', '#.....#', '#######']);
    expect(picture[size - 8]![8]).toBe('#');
  });
});
