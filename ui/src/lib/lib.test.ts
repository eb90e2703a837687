import { describe, expect, it } from 'vitest';

import { defang, refang, shown } from './defang';
import { fill, pluralOf, preferred } from './i18n.svelte';
import { matches } from './router.svelte';
import { EventReader } from './sse';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('events', () => {
  it('are the same however the bytes are cut', () => {
    const whole = bytes(': hello\n\nid: 7\nevent: campaign.updated\ndata: {"a":"æøå"}\n\nid: 8\r\ndata: one\r\ndata: two\r\n\r\n');
    for (let cut = 0; cut <= whole.length; ++cut) {
      const reader = new EventReader();
      const got = [...reader.push(whole.slice(0, cut)), ...reader.push(whole.slice(cut))];
      expect(got).toEqual([
        { id: '7', kind: 'campaign.updated', data: '{"a":"æøå"}' },
        { id: '8', kind: 'message', data: 'one\ntwo' },
      ]);
      expect(reader.last).toBe('8');
    }
  });
  it('that never came whole are not told, and are asked for again', () => {
    const reader = new EventReader();
    expect(reader.push(bytes('id: 7\ndata: a\n\nid: 8\ndata: b\n'))).toHaveLength(1);
    expect(reader.last).toBe('7');
  });
  it('without an end do not fill the memory', () => {
    const reader = new EventReader(100);
    reader.push(bytes('x'.repeat(1000)));
    expect(reader.push(bytes('\ndata: y\n\n'))).toEqual([{ id: '', kind: 'message', data: 'y' }]);
  });
});

describe('dangerous values', () => {
  it('are broken up for the eye and whole again for a search', () => {
    const hard = ['https://profil.example/orbes?a=b.c', 'mette@gentofte.example', '203.0.113.77', 'http://a.b/c', 'login.xn--4ca.example'];
    for (const value of hard) {
      expect(defang(value)).not.toBe(value);
      expect(defang(value)).not.toMatch(/https?:\/\//);
      expect(refang(defang(value))).toBe(value);
    }
  });
  it('keep hashes and file names as they are', () => {
    expect(shown('sha256', 'ab.cd')).toBe('ab.cd');
    expect(shown('domain', 'a.example')).toBe('a[.]example');
  });
});

describe('texts', () => {
  it('take the form that the number asks for', () => {
    const towns = { one: '{n} kommune', other: '{n} kommuner' };
    expect(fill(towns, { n: 1 }, 'da-DK')).toBe('1 kommune');
    expect(fill(towns, { n: 2 }, 'da-DK')).toBe('2 kommuner');
    expect(pluralOf('nb-NO', 1)).toBe('one');
  });
  it('do not run through their places again', () => {
    expect(fill('{a} and {b}', { a: '{b}', b: 'x' }, 'en-GB')).toBe('{b} and x');
  });
  it('come in the first language of the browser that we speak', () => {
    expect(preferred(['sv-SE', 'nn-NO', 'en'])).toBe('nb');
    expect(preferred(['da-DK'])).toBe('da');
    expect(preferred(['de'])).toBe('en');
  });
});

describe('addresses', () => {
  it('give their parts, decoded, or nothing', () => {
    expect(matches('/campaigns/:id', '/campaigns/7')).toEqual({ params: { id: '7' } });
    expect(matches('/a/:x', '/a/b%20c')).toEqual({ params: { x: 'b c' } });
    expect(matches('/a/:x', '/a/%zz')).toBeUndefined();
    expect(matches('/a/:x', '/a')).toBeUndefined();
    expect(matches('/', '/')).toEqual({ params: {} });
  });
});
