import { describe, expect, it } from 'vitest';
import { inWords, plain } from './durations';

describe('plain durations', () => {
  it.each([
    [0, '0 second'],
    [41, '41 second'],
    [60, '1 minute'],
    [90, '90 second'],
    [130, '2 minute'],
    [59 * 60, '59 minute'],
    [90 * 60, '90 minute'],
    [119 * 60, '2 hour'],
    [5 * 3600, '5 hour'],
    [26 * 3600, '26 hour'],
    [36 * 3600, '36 hour'],
    [40 * 86_400, '40 day'],
    [400 * 86_400, '13 month'],
    [800 * 86_400, '2 year'],
    [86_400, '1 day'],
    [-120, '2 minute'],
  ])('%i s is %s', (seconds, words) => {
    const p = plain(seconds);
    expect(`${p.n} ${p.unit}`).toBe(words);
  });
  it('is never wrong by more than a third, over four years', () => {
    const size = { second: 1, minute: 60, hour: 3600, day: 86_400, month: 30 * 86_400, year: 365 * 86_400 };
    for (let s = 1; s < 4 * 365 * 86_400; s = Math.ceil(s * 1.01)) {
      const p = plain(s);
      expect(Math.abs(p.n * size[p.unit] - s) / s).toBeLessThan(0.34);
      expect(p.n).toBeLessThan(121);
    }
  });
  it('speaks', () => {
    expect(inWords(180, 'da')).toBe('3 minutter');
    expect(inWords(7200, 'nb')).toBe('2 timer');
    expect(inWords(86_400, 'en')).toBe('1 day');
  });
});
