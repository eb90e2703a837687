import { describe, expect, it } from 'vitest';

import { extract } from './observables';
import { forSms, linksIn, plainText, unwrapped, withoutBullet } from './pasted';

const kinds = (text: string): string[] => extract(text).found.map((f) => `${f.kind} ${f.value}`);

describe('pasted text', () => {
  it.each([
    ['Word', 'Klik\u00a0ikke på\u00adlinket\u200b.\v\uf0b7\tRing\u202ftil it', 'Klik ikke pålinket.\n- Ring til it'],
    ['Outlook', 'a\r\nb\rc\u2028d', 'a\nb\nc\nd'],
    ['a direction that is turned around', 'faktura\u202efdp.exe', 'fakturafdp.exe'],
    ['bullets', '• et\n  ◦ to\n▪tre', '- et\n  - to\n- tre'],
    ['plain words', 'Æblegrød – “ja”\n\tså', 'Æblegrød – “ja”\n\tså'],
  ])('of %s', (_of, text, plain) => {
    expect(plainText(text)).toBe(plain);
    expect(plainText(plain)).toBe(plain);
  });
  it('loses the sign of its list', () => {
    for (const line of ['- Ring til it', '2) Ring til it', ' 10. Ring til it', '* Ring til it', 'Ring til it']) expect(withoutBullet(line)).toBe('Ring til it');
    expect(withoutBullet('24.10.2024 kom mailen')).toBe('24.10.2024 kom mailen');
  });
  it('costs no second text message for its quotes', () => expect(forSms('“Åbn ikke” – ring…')).toBe('"Åbn ikke" - ring...'));
});

describe('what is in prose', () => {
  it('is found, whatever stands around and inside it', () => {
    const text =
      'Kære alle,\r\n\r\nI nat (kl.\u00a003.12) kom der mails fra \u201cmette.krag[@]sydby[.]example\u201d med emnet \u201eFaktura\u201c.\r\n' +
      '\uf0b7\tLinket er hxxps://login\u00ad-nordby[.]exam\u200bple/orbes, og siden ligger bag 192[.]0[.]2[.]7.\r\n' +
      '•\u00a0Se også bio [dot] example/orbes\u2026\r\n\r\nVenlig hilsen\r\nVagten, tlf. 12 34 56 78';
    expect(kinds(text)).toEqual(['email mette.krag@sydby.example', 'url login-nordby.example/orbes', 'ipv4 192.0.2.7', 'url bio.example/orbes']);
  });
  it('of words alone is nothing, and no error', () => expect(kinds('Vi har set noget mærkeligt i nat. Ring til mig, når I er vågne!\n'.repeat(400))).toEqual([]));
  it('of one line of a megabyte is found', () => expect(kinds(`${'ord '.repeat(200_000)}hxxp://evil[.]example/a ${'mere '.repeat(20_000)}`)).toEqual(['url evil.example/a']));
});

describe('a rewritten link', () => {
  const safe = 'https://eur05.safelinks.protection.outlook.com/?url=https%3A%2F%2Fbio.example%2Forbes%3Fa%3D1&data=05%7C02&sdata=x&reserved=0';
  it('is looked for as what it was', () => {
    expect(unwrapped(safe)).toBe('https://bio.example/orbes?a=1');
    expect(unwrapped('https://urldefense.com/v3/__https://bio.example/orbes__;!!abc$')).toBe('https://bio.example/orbes');
    expect(kinds(`Se <${safe}> nu`)).toEqual(['url bio.example/orbes?a=1']);
  });
  it('that cannot be read stays', () => {
    for (const link of ['https://bio.example/?url=https%3A%2F%2Fx.example', `${'https://eur05.safelinks.protection.outlook.com/?url=%E0%A4%A'}`]) expect(unwrapped(link)).toBe(link);
  });
});

describe('links behind words', () => {
  it('are told when the text does not show them', () => {
    const html = '<p>Log ind <a class="x" href="https://bio.example/orbes?a=1&amp;b=2">her</a>, skriv til <a href=\'mailto:bo@evil.example\'>bo@evil.example</a> <a href="javascript:alert(1)">x</a></p>';
    expect(linksIn(html, 'Log ind her, skriv til bo@evil.example x')).toEqual(['https://bio.example/orbes?a=1&b=2']);
  });
});
