import { expect, it } from 'vitest';

import { guessKind } from './guess';

it.each([
  ['https://profil.example/orbes', 'url'],
  ['bio.example/orbes', 'url'],
  ['mette@gentofte.example', 'email'],
  ['gentofte.example', 'domain'],
  ['blåbær.example', 'domain'],
  ['203.0.113.77', 'ipv4'],
  ['203.0.113.0/24', 'cidr'],
  ['2001:db8::1', 'ipv6'],
  ['5f2b7c1e9d3a4860b1c2d3e4f5a60718293a4b5c6d7e8f9001122334455667a8', 'sha256'],
  ['999.1.1.1', undefined],
  ['hello', undefined],
  ['<script>', undefined],
])('%s is %s', (value, kind) => expect(guessKind(value)).toBe(kind));
