import { describe, expect, it } from 'vitest';
import { defang, extract, fromQuery, isIpv6, kindOf, longestText, refang, toQuery } from './observables';

const kinds = (text: string): string[] => extract(text).found.map((f) => `${f.kind} ${f.value}`);
const one = (text: string): string => {
  const found = kindOf(text);
  return found ? `${found.kind} ${found.value}` : 'none';
};

describe('refang', () => {
  it.each([
    ['hxxps://evil[.]example/x', 'https://evil.example/x'],
    ['bo[@]evil(dot)example', 'bo@evil.example'],
    ['hxxps[://]evil[.]example[/]x', 'https://evil.example/x'],
    ['evil [.] example', 'evil.example'],
    ['evil\\.example', 'evil.example'],
    ['bo(snabel-a)evil[punktum]example', 'bo@evil.example'],
    ['fxp://evil{.}example', 'ftp://evil.example'],
  ])('%s', (defanged, plain) => {
    expect(refang(defanged)).toBe(plain);
  });
});

describe('defang', () => {
  it.each([
    ['url', 'bio.link/orbes', 'bio[.]link/orbes'],
    ['url', 'https://evil.example/a.b?c=d.e', 'hxxps://evil[.]example/a.b?c=d.e'],
    ['domain', 'evil.example', 'evil[.]example'],
    ['email', 'bo@evil.example', 'bo[@]evil[.]example'],
    ['ipv4', '192.0.2.7', '192[.]0[.]2[.]7'],
    ['cidr', '192.0.2.0/24', '192[.]0[.]2[.]0/24'],
    ['ipv6', '2001:db8::1', '2001[:]db8[:][:]1'],
    ['sha256', 'a'.repeat(64), 'a'.repeat(64)],
    ['file_name', 'faktura.pdf.exe', 'faktura.pdf.exe'],
  ])('%s %s', (kind, value, dead) => {
    expect(defang(value, kind)).toBe(dead);
  });
  it('comes back as what it was', () => {
    for (const [kind, value] of [
      ['url', 'bio.link/orbes'],
      ['domain', 'a.b.evil.example'],
      ['email', 'bo@evil.example'],
      ['ipv4', '192.0.2.7'],
      ['ipv6', '2001:db8::1'],
    ] as const)
      expect(one(defang(value, kind))).toBe(`${kind} ${value}`);
  });
});

describe('one value', () => {
  it.each([
    ['hxxps[://]evil[.]example[/]x', 'url evil.example/x'],
    ['evil{.}example', 'domain evil.example'],
    ['192[.]0[.]2[.]7', 'ipv4 192.0.2.7'],
    ['192.0.2.7:8080', 'ipv4 192.0.2.7'],
    ['evil.example:8080', 'domain evil.example'],
    ['evil.example:8080/x', 'url evil.example:8080/x'],
    ['192.0.2.0/24', 'cidr 192.0.2.0/24'],
    ['[2001:db8::1]:443', 'ipv6 2001:db8::1'],
    ['2001:db8::443', 'ipv6 2001:db8::443'],
    ['bo@evil.example', 'email bo@evil.example'],
    ['@evil.example', 'mail_domain evil.example'],
    ['mailto:bo@evil.example?subject=x', 'email bo@evil.example'],
    ['AS64496', 'asn AS64496'],
    ['HTTPS://Evil.example:443/a/#x', 'url evil.example/a'],
    ['https://evil.example/', 'domain evil.example'],
    ['ftp://evil.example/', 'url ftp://evil.example/'],
    ['D41D8CD98F00B204E9800998ECF8427E', 'md5 d41d8cd98f00b204e9800998ecf8427e'],
    ['{0A1B2C3D-0000-1111-2222-333344445555}', 'app_id 0a1b2c3d-0000-1111-2222-333344445555'],
    ['rødgrød.dk', 'domain rødgrød.dk'],
    ['xn--rdgrd-vuad.dk', 'domain xn--rdgrd-vuad.dk'],
    ['https://user:pass@evil.example/x', 'url evil.example/x'],
  ])('%s', (text, wanted) => {
    expect(one(text)).toBe(wanted);
  });
  it.each(['hello', '', '#', '12345', 'report.docx', 'C:\\Windows', '/etc/passwd', '1.2.3', '192.0.2.256', '1::2::3', 'og/eller', 'e.g.', '-.-'])(
    'nothing in %s',
    (text) => {
      expect(one(text)).toBe('none');
    },
  );
  it('is unsure of what may be a file', () => {
    expect(kindOf('setup.sh')?.sure).toBe(false);
    expect(kindOf('setup[.]sh')?.sure).toBe(true);
    expect(kindOf('www.nic.sh')?.sure).toBe(true);
  });
});

describe('addresses', () => {
  it.each(['::', '::1', '2001:db8::1', '1:2:3:4:5:6:7:8', '::ffff:192.0.2.1', 'fe80::'])('%s is one', (a) => {
    expect(isIpv6(a)).toBe(true);
  });
  it.each(['', ':', '1', '12:34', '1::2::3', '1:2:3:4:5:6:7:8:9', '12345::', 'g::', '::ffff:192.0.2.999', '12:34:56'])('%s is none', (a) => {
    expect(isIpv6(a)).toBe(false);
  });
});

describe('text', () => {
  it('reads an advisory as people write it', () => {
    const text = `Hej alle. Vi ser phishing fra bo[@]town[.]example; linket er hxxps://bio[.]link/orbes (og evil [.] example).
Se også http://203.0.113.9/login.php?id=1, 203.0.113.0/24 og "cdn.evil.example".
SHA256: ${'ab'.repeat(32)}.
Message-ID: <AM0PR01MB1234@eurprd01.example>
From: Bo Ek <bo@town.example>`;
    expect(kinds(text)).toEqual([
      'email bo@town.example',
      'url bio.link/orbes',
      'domain evil.example',
      'url 203.0.113.9/login.php?id=1',
      'cidr 203.0.113.0/24',
      'domain cdn.evil.example',
      `sha256 ${'ab'.repeat(32)}`,
      'message_id AM0PR01MB1234@eurprd01.example',
    ]);
  });
  it('takes a list with commas and a key=value log line', () => {
    expect(kinds('domain,evil.example,high\nsrcip=192.0.2.7 dstname="bad.example" md5=d41d8cd98f00b204e9800998ecf8427e')).toEqual([
      'domain evil.example',
      'ipv4 192.0.2.7',
      'domain bad.example',
      'md5 d41d8cd98f00b204e9800998ecf8427e',
    ]);
  });
  it('lets sentences end', () => {
    expect(kinds('Bloker evil.example. (Ikke bio.link!) [1]')).toEqual(['domain evil.example', 'domain bio.link']);
  });
  it('says that there was more, and reads no book', () => {
    const many = Array.from({ length: 30 }, (_, i) => `a${i}.example`).join('\n');
    const some = extract(many, 10);
    expect(some.found.length).toBe(10);
    expect(some.more).toBe(true);
    expect(extract(`${'x '.repeat(longestText / 2)} evil.example`).cut).toBe(true);
  });
  it('stands hostile text, quickly', () => {
    const started = performance.now();
    for (const bad of ['['.repeat(50_000), '(.)'.repeat(20_000), 'a.'.repeat(100_000), '<'.repeat(50_000), '@'.repeat(50_000), '\u202e\u0000evil.example', ' ('.repeat(100_000), 'a@'.repeat(50_000), 'x='.repeat(30_000), '((((.))))'.repeat(5000)])
      expect(extract(bad).found.length).toBeLessThan(200_000);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

describe('a link to a search', () => {
  it('comes back', () => {
    const list = [
      { kind: 'url', value: 'bio.link/orbes?a=b,c:d' },
      { kind: 'domain', value: 'rødgrød.dk' },
    ];
    expect(fromQuery(toQuery(list) ?? '')).toEqual(list);
  });
  it('is not made when it would be too long, and a spoiled one gives what can be read', () => {
    expect(toQuery(Array.from({ length: 500 }, (_, i) => ({ kind: 'domain', value: `a${i}.example` })))).toBeUndefined();
    expect(fromQuery('domain:evil.example,url:%E0%A4%A,colour:red,,domain:')).toEqual([{ kind: 'domain', value: 'evil.example' }]);
  });
});
