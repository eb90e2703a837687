import { describe, expect, it } from 'vitest';

import problems from '$gen/sentences/problems_da.json';
import rules from '$gen/sentences/rules_nb.json';
import status from '$gen/sentences/status_da.json';

import { partsOf, teller } from './telling';

const tell = teller(status);
const said = (text: string): string => partsOf(tell, text).map((part) => part.text).join('');

describe('what a node says of itself', () => {
  it('is told sentence by sentence', () => {
    expect(said('the token is not accepted. A new one is asked for by itself; if this stays, run the consent script again')).toBe('adgangsnøglen godtages ikke. Der bedes af sig selv om en ny; bliver det ved, så kør samtykkescriptet igen');
    expect(said('the tenant has no licence for this (Authentication_RequestFromNonPremiumTenant). It needs Entra ID P1; until then this source stays off')).toBe('tenanten har ikke licens til det (Authentication_RequestFromNonPremiumTenant). Det kræver Entra ID P1; indtil da er kilden slået fra');
    expect(said('12 files, 4096 bytes to read')).toBe('12 filer, 4096 byte at læse');
    expect(said("microsoft.com is what a municipality runs on (microsoft.com), which is never blocked; name what is meant more exactly")).toBe('microsoft.com er noget, en kommune ikke kan undvære (microsoft.com) og blokeres aldrig; skriv mere præcist, hvad der er ment');
    expect(said('No connection to the hub: Connection refused')).toBe('Ingen forbindelse til hubben: forbindelsen blev afvist');
  });
  it('keeps the words of strangers, marked as such', () => {
    expect(partsOf(tell, 'the service answered 503: Server Busy. Is a proxy in between?')).toEqual([{ text: 'tjenesten svarede 503: Server Busy. Er der en proxy imellem?', own: true }]);
    expect(partsOf(tell, 'Something new happened. Is the disk full?')).toEqual([
      { text: 'Something new happened. ', own: false },
      { text: 'Er disken fuld?', own: true },
    ]);
    expect(partsOf(tell, 'entirely new')).toEqual([{ text: 'entirely new', own: false }]);
  });
  it('takes no long time', () => {
    const began = performance.now();
    partsOf(tell, 'a: b; c. '.repeat(400));
    expect(performance.now() - began).toBeLessThan(1500);
  });
});

describe('why a request was refused', () => {
  const danish = teller(problems);
  it('is told with its places', () => {
    expect(danish('there is no campaign 17')).toBe('der er ingen kampagne 17');
    expect(danish('person:4 may not hunt')).toBe('person:4 har ikke ret til at lede');
    expect(danish('limit is a whole number from 1 to 500')).toBe('limit er et helt tal fra 1 til 500');
  });
});

describe('titles of rules', () => {
  const norwegian = teller(rules);
  it('of ours are told, others are not', () => {
    expect(norwegian('Odd sign-in')).toBe('Merkelig pålogging');
    expect(norwegian('Suspicious PowerShell Download')).toBeUndefined();
  });
});
