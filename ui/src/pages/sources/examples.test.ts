import { describe, expect, it } from 'vitest';

import shippers from '../../../../docs/shippers.md?raw';

import { example, onlyHere, products, reach, relpExample } from './examples';

describe('what shippers are told', () => {
  for (const product of products)
    it(`is what the page for ${product} in docs/shippers.md says`, () => {
      expect(shippers).toContain(example(product, { host: 'bavn.example.org', port: 9200, token: 'bavn_in_...' }));
    });
  it('is what docs/shippers.md says of RELP, and plain without TLS', () => {
    expect(shippers).toContain(relpExample({ host: 'bavn.example.org', port: 2514 }, true));
    expect(relpExample({ host: 'bavn.example.org', port: 2514 }, false)).not.toContain('tls');
  });
  it('names the address that a shipper reaches', () => {
    expect(reach('0.0.0.0', 'node.nordby.example')).toBe('node.nordby.example');
    expect(reach('192.0.2.4', 'node.nordby.example')).toBe('192.0.2.4');
    expect(reach('::', '2001:db8::1')).toBe('[2001:db8::1]');
    expect(onlyHere('127.0.0.1')).toBe(true);
    expect(onlyHere('0.0.0.0')).toBe(false);
  });
});
