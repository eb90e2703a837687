// Signs in to a running hub with Chromium: first link, passkeys of the virtual authenticator, step-up, a provider, keys, in three languages.
// argv: JSON {web, first, provider, control, key, shots}. Each step prints a line; a step that fails ends it with an error.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { chromium } from 'playwright-core';

const given = JSON.parse(process.argv[2]);
const step = (text) => console.log(`ok ${text}`);
if (given.shots) mkdirSync(given.shots, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });
process.on('exit', () => browser.close());

async function person(language = 'en-GB', more = {}) {
  const context = await browser.newContext({ locale: language, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  const said = [];
  page.on('console', (m) => m.type() === 'error' && said.push(m.text()));
  const cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const key = async (transport = 'usb') => (await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport, hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  })).authenticatorId;
  return { context, page, cdp, key, said };
}

/// From inside the page, with its cookie.
const call = (page, method, path, body) => page.evaluate(async ([m, p, b]) => {
  const reply = await fetch(p, { method: m, headers: { 'X-Bavn': '1', 'Content-Type': 'application/json' }, body: b === undefined ? undefined : JSON.stringify(b) });
  return { status: reply.status, body: await reply.json().catch(() => ({})) };
}, [method, path, body]);

/// What ui/src/lib/prove.ts does: a passkey before a dangerous act.
const prove = (page) => page.evaluate(async () => {
  const bytes = (t) => Uint8Array.from(atob(t.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const send = async (path, body) => (await fetch(path, { method: 'POST', headers: { 'X-Bavn': '1', 'Content-Type': 'application/json' }, body: JSON.stringify(body) }));
  const { publicKey } = await (await send('/api/session/proof/options', {})).json();
  const c = await navigator.credentials.get({ publicKey: { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: publicKey.allowCredentials.map((each) => ({ ...each, id: bytes(each.id) })) } });
  const reply = await send('/api/session/proof', { credential: { id: c.id, type: c.type, response: {
    clientDataJSON: text(c.response.clientDataJSON), authenticatorData: text(c.response.authenticatorData), signature: text(c.response.signature) } } });
  return reply.status;
});

const shot = async (page, name) => given.shots && page.screenshot({ path: `${given.shots}/${name}.png`, fullPage: true });
async function looks(page, name) {
  for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 320], ['dark', 320]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${name} is ${wide} wide at ${width}`);
    await shot(page, `${name}-${scheme}-${width}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 800 });
}

// 1. The first person.
const anna = await person('da-DK');
const blue = await anna.key();
await anna.page.goto(given.first);
await looks(anna.page, 'first');
await anna.page.fill('#name', 'Anna Prøve');
await anna.page.fill('#title', 'Vagtleder');
await anna.page.click('main button');
await anna.page.waitForURL('**/sign-in/set-up');
await looks(anna.page, 'set-up');
assert.equal((await call(anna.page, 'GET', '/api/people')).status, 403, 'no rights before there is a way back');
step('the first link makes a person, who sets up a way to sign in before anything else');
await anna.page.fill('#passkey-name', 'Blå nøgle');
await anna.page.click('#passkey');
await anna.page.waitForSelector('a.button[href="/"]');
await looks(anna.page, 'set-up-second');
const here = await call(anna.page, 'GET', '/api/session');
assert.equal(here.body.passkeys, 1);
assert.deepEqual(here.body.advice, ['second_passkey']);
assert.equal((await call(anna.page, 'GET', '/api/people')).status, 200);
step('a passkey is registered; a second one is asked for');

// 2. The link again: a clear word in the reader's language.
const late = await person('nb-NO');
await late.page.goto(given.first);
assert.match(await late.page.textContent('h1'), /Lenken er brukt/);
await looks(late.page, 'used');
step('a used link says so, in Norwegian');

// 3. Out, and in again with the passkey.
await call(anna.page, 'DELETE', '/api/session');
await anna.page.goto(`${given.web}/sign-in`);
await looks(anna.page, 'sign-in');
await anna.page.click('#passkey');
await anna.page.waitForURL((u) => !u.pathname.startsWith('/sign-in'));
assert.equal((await call(anna.page, 'GET', '/api/session')).body.method, 'passkey');
const cookie = (await anna.context.cookies()).find((c) => c.name.startsWith('bavn'));
assert.ok(cookie.httpOnly && cookie.sameSite === 'Lax');
step('signs in with the passkey');

// 4. A page of somebody else cannot write.
const foreign = await anna.context.newPage();
await foreign.goto('about:blank');
const crossed = await foreign.evaluate(async (web) => fetch(`${web}/api/session`, { method: 'DELETE', credentials: 'include', mode: 'no-cors' }).then(() => 'sent').catch(() => 'blocked'), given.web);
assert.ok(['sent', 'blocked'].includes(crossed));
assert.equal((await call(anna.page, 'GET', '/api/session')).body.person.name, 'Anna Prøve');
await foreign.close();
step('a foreign page ends nobody\'s session');

// 5. Step-up: within its minutes a key can be made; the proof itself works with the passkey.
assert.equal(await prove(anna.page), 200);
const made = await call(anna.page, 'POST', '/api/keys', { name: 'export', rights: ['tenants_read'], expires: new Date(Date.now() + 864e5).toISOString() });
assert.equal(made.status, 201, JSON.stringify(made.body));
const byKey = await fetch(`${given.web}/api/people`, { headers: { Authorization: `Bearer ${made.body.key}` } });
assert.equal(byKey.status, 200);
assert.equal((await fetch(`${given.web}/api/people`, { headers: { Authorization: `Bearer ${made.body.key}x` } })).status, 401);
step('proves with the passkey and makes an API key that works');

// A second passkey with the application's own button, on another authenticator: the one that has the first is not touched meanwhile.
const touch = (authenticatorId, enabled) => anna.cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });
await touch(blue, false);
const red = await anna.key('usb');
await anna.page.goto(`${given.web}/account`);
await anna.page.getByRole('button', { name: 'Ny adgangsnøgle' }).first().click();
const asking = anna.page.getByRole('dialog', { name: 'Ny adgangsnøgle' });
await asking.getByLabel('Navn').fill('Rød nøgle');
await asking.getByRole('button', { name: 'Ny adgangsnøgle' }).click();
await anna.page.getByText('Rød nøgle', { exact: true }).waitFor();
await looks(anna.page, 'account');
const both = await call(anna.page, 'GET', '/api/session');
assert.equal(both.body.passkeys, 2);
assert.deepEqual(both.body.advice, []);
// It signs in, alone.
await call(anna.page, 'DELETE', '/api/session');
await anna.page.goto(`${given.web}/sign-in`);
await anna.page.click('#passkey');
await anna.page.waitForURL((u) => !u.pathname.startsWith('/sign-in'));
assert.equal((await call(anna.page, 'GET', '/api/session')).body.person.name, 'Anna Prøve');
const { credentials } = await anna.cdp.send('WebAuthn.getCredentials', { authenticatorId: red });
assert.equal(credentials.length, 1);
await touch(blue, true);
assert.equal(await prove(anna.page), 200);
step('a second passkey is made inside the application, and signs in');

// 6. A provider, and somebody who is invited and uses it.
const added = await call(anna.page, 'POST', '/api/providers', { label: 'Ager Kommune', issuer: given.provider, client_id: 'bavn', client_secret: 'a secret of at least thirty-two characters' });
assert.equal(added.status, 201, JSON.stringify(added.body));
const invited = await call(anna.page, 'POST', '/api/people', { name: 'Bo Prøve', language: 'nb', roles: [{ role: 'analyst' }] });
assert.equal(invited.status, 201, JSON.stringify(invited.body));

async function atProvider(page, who) {
  const ours = (u) => new URL(u).origin === given.web;
  const send = async () => {
    const before = page.url();
    await page.click('button[type=submit]');
    await page.waitForURL((u) => u.href !== before && (ours(u.href) || u.pathname.startsWith('/interaction/')));
  };
  await page.fill('input[name=login]', who);
  await page.fill('input[name=password]', 'any');
  await send();
  for (let i = 0; i < 3 && !ours(page.url()); i += 1) await send();  // consent, when it is asked for
  assert.ok(ours(page.url()), page.url());
}
const bo = await person('nb-NO');
await bo.page.goto(`${given.web}/sign-in`);
assert.match(await bo.page.textContent('main'), /Ager Kommune/);
await looks(bo.page, 'sign-in-provider');
await bo.page.click('a[href^="/sign-in/provider/"]');
await atProvider(bo.page, 'bo-4711');
assert.match(bo.page.url(), /trouble=unknown/);
await looks(bo.page, 'unknown');
step('an account that nobody invited is not let in, whatever its mail address');
await bo.context.clearCookies();
await bo.page.goto(invited.body.link);
await looks(bo.page, 'invitation');
await bo.page.click('main button');
await bo.page.waitForURL('**/sign-in/set-up');
await bo.page.click('a[href*="for=bind"]');
await atProvider(bo.page, 'bo-4711');
assert.equal((await call(bo.page, 'GET', '/api/session')).body.person.name, 'Bo Prøve');
step('the invited person is bound to the account at the provider');
const again = await person('en-GB');
await again.page.goto(`${given.web}/sign-in`);
await again.page.click('a[href^="/sign-in/provider/"]');
await atProvider(again.page, 'bo-4711');
const signed = (await call(again.page, 'GET', '/api/session')).body;
assert.equal(signed.person.name, 'Bo Prøve');
assert.equal(signed.method, 'provider');
step('and signs in with it from another browser');

// 7. Codes, for a role that reads.
const cay = await call(anna.page, 'POST', '/api/people', { name: 'Cay Prøve', language: 'en', roles: [{ role: 'programme' }] });
const reader = await person('en-GB', { javaScriptEnabled: false });
await reader.page.goto(cay.body.link);
await reader.page.click('main button');
await reader.page.waitForURL('**/sign-in/set-up');
await looks2(reader.page, 'set-up-code');
await reader.page.click('form[action="/sign-in/set-up/code"] button');
await reader.page.waitForURL('**/sign-in/set-up/code');
await looks2(reader.page, 'code');
const secret = (await reader.page.textContent('pre')).replace(/\s/g, '');
const { createHmac } = await import('node:crypto');
function code(at) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1e6).padStart(6, '0');
}
async function looks2(page, name) {
  await page.setViewportSize({ width: 320, height: 800 });
  await shot(page, `${name}-light-320`);
}
await reader.page.fill('#code', '000000');
await reader.page.click('main form button');
assert.match(await reader.page.textContent('#fault'), /not right/);
await reader.page.fill('#code', code(Date.now() - 30000));
await reader.page.click('main form button');
await reader.page.waitForURL((u) => !u.pathname.startsWith('/sign-in'));
await reader.context.clearCookies();
await reader.page.goto(`${given.web}/sign-in`);
await looks2(reader.page, 'sign-in-no-script');
await reader.page.fill('#name', 'cay prøve');
await reader.page.fill('#code', code(Date.now()));
await reader.page.click('form[action="/sign-in/code"] button');
await reader.page.waitForURL((u) => !u.pathname.startsWith('/sign-in'));
step('codes are set up and sign in without script');

// 8. Leaving: the page of who left is out at the next request.
const people = (await call(anna.page, 'GET', '/api/people')).body.items;
assert.equal((await call(anna.page, 'POST', `/api/people/${people.find((p) => p.name === 'Bo Prøve').id}/leave`)).status, 204);
assert.equal((await call(again.page, 'GET', '/api/people')).status, 401);
step('who leaves is out at the next request');
assert.deepEqual(anna.said.filter((t) => /Content Security|Trusted/i.test(t)), []);
await browser.close();
console.log('done');
process.exit(0);
