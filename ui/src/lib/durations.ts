// How long, in words of the reader's language: "3 minutter", "2 timer", "4 dage". One unit, the largest that says enough; a number of seconds
// nobody can use is not shown. Pure: the language comes in.

export interface Plain {
  n: number;
  unit: 'second' | 'minute' | 'hour' | 'day' | 'month' | 'year';
}

// Below `from` seconds the unit before says more: 90 minutes stay 90 minutes, "2 timer" would be wrong by a third.
const steps: readonly { unit: Plain['unit']; size: number; from: number }[] = [
  { unit: 'year', size: 365 * 86_400, from: 730 * 86_400 },
  { unit: 'month', size: 30.4 * 86_400, from: 60 * 86_400 },
  { unit: 'day', size: 86_400, from: 36 * 3_600 },
  { unit: 'hour', size: 3_600, from: 90 * 60 },
  { unit: 'minute', size: 60, from: 90 },
];

export function plain(seconds: number): Plain {
  const s = Math.abs(seconds);
  for (const { unit, size, from } of steps) if (s > from || s === size) return { n: Math.round(s / size), unit };
  return { n: Math.round(s), unit: 'second' };
}

const formats = new Map<string, Intl.NumberFormat>();

/** "3 minutter", "3 min." when it has to be short. */
export function inWords(seconds: number, language: string, length: 'long' | 'short' = 'long'): string {
  const { n, unit } = plain(seconds);
  const key = `${language} ${unit} ${length}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: length, maximumFractionDigits: 0 });
    formats.set(key, format);
  }
  return format.format(n);
}
