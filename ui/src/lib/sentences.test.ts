import { describe, expect, it } from 'vitest';

import partners from '$gen/sentences/partners_da.json';
import signs from '$gen/sentences/signs_da.json';

import { teller } from './telling';

const danish = teller(partners);

describe('sentences', () => {
  it('are told whole, or with what stands in their places', () => {
    expect(danish('it ended before it came')).toBe('det var udløbet, før det kom');
    expect(danish('the partner answered 503 to manifest.json')).toBe('partneren svarede 503 på manifest.json');
    expect(danish('the partner answered 401 to events/index: no {status} for you')).toBe('partneren svarede 401 på events/index: no {status} for you');
  });
  it('inside of sentences are told, too', () => {
    expect(danish('its pattern is kept and not looked for: nothing in it is observed')).toBe('mønstret gemmes, men der ledes ikke efter det: intet i det ses i logs');
    expect(danish('SSL certificate problem: a new one')).toBe('certifikatet godkendes ikke: a new one');
  });
  it('that nobody translated are left as they are', () => {
    expect(danish('it is a sentence of another version')).toBeUndefined();
    expect(danish('toString')).toBeUndefined();
    expect(danish('')).toBeUndefined();
  });
  it('of strangers take no long time', () => {
    const began = performance.now();
    danish(`the partner answered ${' to : '.repeat(2000)}`);
    expect(performance.now() - began).toBeLessThan(500);
  });
});

describe('signs', () => {
  const words = teller(signs);
  it('are told with their numbers, and what stands in them is told, too', () => {
    expect(words('1 min after a click')).toBe('1 min efter et klik');
    expect(words('17 recipients, usually at most 0 in 10 minutes')).toBe('17 modtagere, ellers højst 0 på 10 minutter');
    expect(words('new network (AS64667, NL) and new program, no known device')).toBe('nyt net (AS64667, NL) og nyt program, ingen kendt enhed');
    expect(words('new network (an unknown network) and new program, no known device')).toBe('nyt net (ukendt net) og nyt program, ingen kendt enhed');
  });
  it('that are words of strangers stay as they are', () => {
    expect(words('DeleteMessage=True; SubjectContainsWords=hacket')).toBeUndefined();
  });
});
