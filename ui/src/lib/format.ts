// Times, lengths of time and figures as people of the language write them.
import { locale, number, t } from './i18n.svelte';

const formats = new Map<string, Intl.DateTimeFormat>();

function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale()} ${name}`;
  let known = formats.get(key);
  if (!known) formats.set(key, (known = new Intl.DateTimeFormat(locale(), options)));
  return known;
}

export type Moment = string | number | Date;

/** 14:05 */
export const clock = (at: Moment): string => format('clock', { hour: '2-digit', minute: '2-digit', hour12: false }).format(new Date(at));

/** 14:05:09 */
export const clockSeconds = (at: Moment): string =>
  format('seconds', { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }).format(new Date(at));

/** Fri 25 Oct */
export const day = (at: Moment): string => format('day', { weekday: 'short', day: 'numeric', month: 'short' }).format(new Date(at));

/** 25 October 2024 */
export const date = (at: Moment): string => format('date', { day: 'numeric', month: 'long', year: 'numeric' }).format(new Date(at));

/** Fri 25 Oct 2024 14:05:09 CEST: what stands behind each short time. */
export const whole = (at: Moment): string =>
  format('whole', { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short', hour12: false }).format(
    new Date(at),
  );

const startOfDay = (at: Date): number => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();

/** Today the clock, this year the day and the clock, before that the date. */
export function short(at: Moment, now: number = Date.now()): string {
  const then = new Date(at);
  const today = new Date(now);
  if (startOfDay(then) === startOfDay(today)) return clock(then);
  if (Math.abs(now - then.getTime()) < 180 * 86_400_000) return `${day(then)} ${clock(then)}`;
  return date(then);
}

/** "4 min ago", "in 2 h". Beyond two days it is the date that helps. */
export function ago(at: Moment, now: number = Date.now()): string {
  const seconds = Math.round((new Date(at).getTime() - now) / 1000);
  const past = Math.abs(seconds);
  if (past < 5) return t('time.now');
  if (past > 2 * 86_400) return short(at, now);
  const told = lasting(past);
  return seconds < 0 ? t('time.ago', { time: told }) : t('time.in', { time: told });
}

/** 42 s, 6 min, 2 h 10 min, 3 days: two units at most. */
export function lasting(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return t('time.seconds', { n: s });
  const minutes = Math.round(s / 60);
  if (minutes < 90) return t('time.minutes', { n: minutes });
  if (minutes < 48 * 60) {
    const rest = minutes % 60;
    return rest === 0 ? t('time.hours', { n: minutes / 60 }) : t('time.hours_minutes', { hours: Math.floor(minutes / 60), minutes: rest });
  }
  return t('time.days', { n: Math.round(minutes / 1440) });
}

export const minutes = (value: number): string => lasting(value * 60);

export const percent = (share: number): string => number(share, { style: 'percent', maximumFractionDigits: share > 0 && share < 0.1 ? 1 : 0 });

export const bytes = (size: number): string => {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
  return number(size / 1000 ** step, { style: 'unit', unit: units[step] ?? 'byte', unitDisplay: 'short', maximumFractionDigits: step === 0 ? 0 : 1 });
};

/** The Traffic Light Protocol's own way to write its names. */
export const tlp = (name: string): string => `TLP:${name.toUpperCase().replace('_', '+')}`;
