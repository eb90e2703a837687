// The neighbours of the made-up hub: partners that it exchanges indicators with, and what experts have written.
import { Refusal } from './server.mjs';

const tlps = ['clear', 'green', 'amber', 'amber+strict', 'red'];

export function neighbours({ at, hostile, emit, quiet = () => false }) {
  const peer = (more) => ({
    direction: 'in', url: '', sign_in: 'key', has_secret: true, options: {}, ceiling: 'amber', kinds: [], sectors: [], takes: { confidence: 60, strongest: 'warn', tlp: 'amber', valid_days: 90 }, every_minutes: 15,
    state: 'ok', failures: 0, counts: { taken: 0, demoted: 0, dropped: 0, sent: 0 }, keys: 0, made_by: 'person:7', made_at: at(-60 * 24 * 50), ...more,
  });
  const peers = [
    peer({ id: '1', name: 'Nordisk CERT', kind: 'misp', direction: 'both', url: 'https://misp.nordcert.example/', sectors: ['health'], tried_at: at(44), ok_at: at(44), newest_at: at(36), next_at: at(59), lag_seconds: 180, counts: { taken: 18402, demoted: 12, dropped: 9, sent: 311 }, keys: 1 }),
    peer({ id: '2', name: 'Åbent feed', kind: 'misp_feed', url: 'https://feed.example/misp/', sign_in: 'none', has_secret: false, ceiling: 'clear', kinds: ['domain', 'url'], takes: { confidence: 50, strongest: 'watch', tlp: 'green', valid_days: 30 }, every_minutes: 60, state: 'away', tried_at: at(40), ok_at: at(-560), next_at: at(160), lag_seconds: 36_400, error: 'the partner answered 503 to manifest.json', failures: 4, counts: { taken: 210, demoted: 0, dropped: 0, sent: 0 } }),
    peer({ id: '3', name: 'Sundhedssektoren', kind: 'taxii', url: 'https://taxii.sund.example/', sign_in: 'basic', user: 'bavn', options: { collection: '91a7b528-80eb-42ed-a74d-c6fbd5a26116' }, sectors: ['health'], state: 'refused', tried_at: at(41), ok_at: at(-3000), lag_seconds: 182_000, error: 'the partner answered 401 to api/: the name or the password is wrong', failures: 1, counts: { taken: 977, demoted: 3, dropped: 41, sent: 0 } }),
    peer({ id: '4', name: 'Defender, Nordby', kind: 'defender', direction: 'out', url: 'https://api.security.example/', sign_in: 'oauth', user: '9199bf20-a13f-4107-85dc-02114787ef48', options: { tenant: '0f1d1c2a-5f41-4a7e-8f0e-7c1f1b2d3e4f' }, ceiling: 'green', tried_at: at(45), ok_at: at(45), lag_seconds: 120, counts: { taken: 0, demoted: 0, dropped: 0, sent: 14_880 } }),
    peer({ id: '5', name: 'Leverandørens SOC', kind: 'client', direction: 'both', sign_in: 'none', has_secret: false, ceiling: 'green', state: 'paused', counts: { taken: 96, demoted: 1, dropped: 2, sent: 1204 }, keys: 2 }),
  ];
  const keys = new Map([['1', [{ id: '3', label: 'deres MISP', read: true, write: false, made_by: 'person:7', made_at: at(-60 * 24 * 40) }]], ['5', [{ id: '5', label: 'script på jumphost', read: true, write: true, made_by: 'person:8', made_at: at(-60 * 24 * 4) }, { id: '4', label: 'gammel nøgle', read: true, write: false, made_by: 'person:7', made_at: at(-60 * 24 * 90), revoked_at: at(-60 * 24 * 10) }]]]);
  const reasons = ['its TLP is narrower than what may go to the municipalities', 'it may never be blocked: watched for only', 'MISP type yara is no observable that is seen in logs'];
  const droppedOf = (id) =>
    peers.find((one) => one.id === id)?.counts.dropped
      ? [
          { at: at(44), what: 'attribute', object: hostile('5f1c2a77-0d94-4e3a-8c6d-1b2000000001'), reason: reasons[0] },
          { at: at(44), what: 'attribute', object: '5f1c2a77-0d94-4e3a-8c6d-1b2000000002', reason: reasons[0] },
          { at: at(29), what: 'indicator', object: '10.20.30.40', reason: reasons[1] },
          { at: at(14), what: 'attribute', object: '5f1c2a77-0d94-4e3a-8c6d-1b2000000009', reason: reasons[2] },
        ]
      : [];
  let nextPeer = 6;
  const find = (list, id, what) => list.find((one) => one.id === id) ?? refuse(404, 'not-found', what);
  const refuse = (status, kind, title, more) => {
    throw new Refusal(status, kind, title, more);
  };
  const tagged = (body, version = 1) => ({ status: 200, body, headers: { etag: `"${version}"` } });

  const markdown = 'Siden tirsdag sendes links til en side, der ligner vores login.\n\n## Det er set\n\n- `profil[.]example/orbes` beder om adgangskode\n- mail fra **mette.holm[@]gentofte[.]example**\n\nSe også [vejledningen](https://cert.example/vejledning).';
  const html = '<p>Siden tirsdag sendes links til en side, der ligner vores login.</p>\n<h2>Det er set</h2>\n<ul>\n<li><code>profil[.]example/orbes</code> beder om adgangskode</li>\n<li>mail fra <strong>mette.holm[@]gentofte[.]example</strong></li>\n</ul>\n<p>Se også <a href="https://cert.example/vejledning">vejledningen</a>.</p>\n';
  const plain = (text) => `<p>${text.replace(/&/g, '&amp;').replace(/</g, '&lt;')}</p>\n`;
  const found = () => [
    { id: '9', kind: 'url', value: 'profil.example/orbes', defanged: hostile('profil[.]example/orbes'), state: 'found', places: [{ language: 'da', from: 84, to: 106, around: hostile('`profil[.]example/orbes` beder om adgangskode') }] },
    { id: '10', kind: 'email', value: 'mette.holm@gentofte.example', defanged: 'mette[.]holm[@]gentofte[.]example', state: 'confirmed', action: 'warn', confidence: 80, decided_by: 'person:7', places: [{ language: 'da', from: 130, to: 160, around: 'mail fra **mette.holm[@]gentofte[.]example**' }] },
    { id: '11', kind: 'domain', value: 'cert.example', defanged: 'cert[.]example', state: 'refused', decided_by: 'person:7', places: [{ language: 'da', from: 180, to: 192, around: 'Se også vejledningen' }] },
  ];
  const bulletins = [
    { id: '4', state: 'draft', kind: 'bulletin', tlp: 'green', source: 'KommuneCERT', version: 2, written_by: 'person:7', written_at: at(30), texts: { da: { title: 'Loginsider, der ligner vores', markdown, html }, en: { title: 'Sign-in pages that look like ours', markdown: 'Pages at `profil[.]example/orbes` ask for passwords.', html: '<p>Pages at <code>profil[.]example/orbes</code> ask for passwords.</p>\n' } }, found: found() },
    { id: '3', state: 'published', kind: 'report', tlp: 'amber', source: 'Leverandørens SOC', version: 1, written_by: 'person:8', written_at: at(-3000), published_by: 'person:7', published_at: at(-2900), file: 'rapport-41.eml', texts: { da: { title: 'Rapport 41: falske fakturaer', markdown: 'Set i uge 41.', html: '<p>Set i uge 41.</p>' } }, found: [] },
    { id: '2', state: 'withdrawn', kind: 'bulletin', tlp: 'clear', source: 'KommuneCERT', version: 3, written_by: 'person:7', written_at: at(-60 * 24 * 9), withdrawn_why: 'adressen var en kollegas', texts: { nb: { title: 'Skannere på nettet', markdown: 'Feil.', html: '<p>Feil.</p>' } }, found: [] },
  ];
  const shown = (one) => ({ ...one, texts: Object.fromEntries(Object.entries(one.texts).map(([language, text]) => [language, { ...text, title: hostile(text.title), html: text.html + (hostile('') ? plain(hostile('')) : '') }])) });
  const head = (one) => ({ id: one.id, state: one.state, kind: one.kind, tlp: one.tlp, source: one.source, titles: Object.fromEntries(Object.entries(one.texts).map(([language, text]) => [language, hostile(text.title)])), indicators: { found: one.found.length, confirmed: one.found.filter((f) => f.state === 'confirmed').length, refused: one.found.filter((f) => f.state === 'refused').length }, version: one.version, written_by: one.written_by, written_at: one.written_at, ...(one.published_at ? { published_at: one.published_at } : {}) });
  const texts = (body) => Object.fromEntries(Object.entries(body.texts).map(([language, text]) => [language, { ...text, html: plain(text.markdown) }]));
  let nextBulletin = 5;
  const own = { possible: true, state: 'none', ceiling: 'green', language: 'da', addresses: [{ address: 'anna@kommune.example', confirmed: true }, { address: 'anna@privat.example', confirmed: false }], narrowest: 'amber+strict' };

  let nextSubscriber = 40;
  const sent = (of, state, more = {}) => ({ at: at(of), state, attempts: state === 'given_up' ? 9 : 1, answer: state === 'delivered' ? '250 2.0.0 Ok: queued as 4YkW2n' : '550 5.1.1 recipient unknown', ...(state === 'waiting' ? {} : { done_at: at(of + (state === 'given_up' ? 4320 : 1)) }), ...more });
  const mailsOf = (one) => [...Array(one.mails.waiting).fill('waiting'), ...Array(one.mails.given_up).fill('given_up'), ...Array(one.mails.delivered).fill('delivered')].map((state, i) => sent(-600 - 900 * i, state, i === 3 ? {} : { bulletin: i % 2 ? '2' : '3', title: hostile(i % 2 ? 'Skannere på nettet' : 'Rapport 41: falske fakturaer'), withdrawn: i % 4 === 1 }));
  const subscribers = [
    { id: '3', address: 'anna@kommune.example', person: 'person:7', ceiling: 'amber', language: 'da', since: at(-60 * 24 * 30), mails: { delivered: 5, waiting: 0, given_up: 0 } },
    { id: '5', address: 'redaktion@avisen.example', ceiling: 'clear', language: 'nb', since: at(-60 * 24 * 20), mails: { delivered: 2, waiting: 1, given_up: 0 } },
    { id: '6', address: 'den.der.har.en.meget.lang.adresse.og.er.flyttet@forsyningsselskabet-paa-nordkysten.example', ceiling: 'clear', language: 'da', since: at(-60 * 24 * 12), mails: { delivered: 0, waiting: 0, given_up: 3 } },
    ...Array.from({ length: 130 }, (_, i) => ({ id: String(7 + i), address: `it${i}@kommune${i}.example`, person: `person:${20 + i}`, ceiling: tlps[i % 4], language: ['da', 'nb', 'en'][i % 3], since: at(-60 * 24 * 10 + i), mails: { delivered: i % 6, waiting: 0, given_up: 0 } })),
  ];
  const invitations = [
    { id: '8', address: 'bo@kommune.example', person: 'person:8', language: 'da', asked_at: at(20), ends_at: at(20 + 2880), mail: sent(20, 'delivered') },
    { id: '9', address: 'presse@by.example', language: 'nb', asked_at: at(-300), ends_at: at(2580), mail: { ...sent(-300, 'given_up'), done_at: at(-290) } },
  ];

  return {
    'GET /api/bulletins/subscribers': ({ query }) => {
      const all = quiet() ? [] : subscribers.map((one) => ({ ...one, address: hostile(one.address), ...(mailsOf(one).length > 0 ? { last_mail: mailsOf(one)[0] } : {}) }));
      const from = Number(query.get('cursor') ?? 0), limit = Number(query.get('limit') ?? 50);
      return { items: all.slice(from, from + limit), ...(from + limit < all.length ? { next: String(from + limit) } : {}) };
    },
    'DELETE /api/bulletins/subscribers/{id}': ({ params }) => void subscribers.splice(subscribers.indexOf(find(subscribers, params.id, 'Abonnenten findes ikke')), 1),
    'GET /api/bulletins/subscribers/{id}/mails': ({ params }) => ({ items: mailsOf(find(subscribers, params.id, 'Abonnenten findes ikke')) }),
    'GET /api/bulletins/invitations': () => ({ items: quiet() ? [] : invitations.map((one) => ({ ...one, address: hostile(one.address) })) }),
    'POST /api/bulletins/invitations': ({ body }) => {
      if (!/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(body.address)) refuse(400, 'bad-input', 'Adressen kan ikke læses', { errors: [{ pointer: '/address', detail: 'this is no mail address: name@example.org' }] });
      if ([...subscribers, ...invitations].some((one) => one.address === body.address)) refuse(409, 'conflict', 'Det passer ikke sammen', { errors: [{ pointer: '/address', detail: 'this address subscribes already' }] });
      const now = new Date().toISOString();
      const made = { id: String(nextSubscriber++), address: body.address, language: body.language, asked_at: now, ends_at: new Date(Date.now() + 172_800_000).toISOString(), mail: { at: now, state: 'delivered', attempts: 1, answer: '250 2.0.0 Ok', done_at: now } };
      invitations.unshift(made);
      return { status: 201, body: made };
    },
    'DELETE /api/bulletins/invitations/{id}': ({ params }) => void invitations.splice(invitations.indexOf(find(invitations, params.id, 'Linket er brugt')), 1),
    'GET /api/peers': () => ({ items: peers }),
    'POST /api/peers': ({ body }) => {
      if (/\/\/(10\.|127\.|192\.168\.)/.test(body.url ?? '')) refuse(422, 'bad-input', 'Adressen er inde i netværket', { errors: [{ pointer: '/url', detail: '10.0.0.7 is an address inside the network; the setting exchange.inside names those that are meant' }] });
      const made = peer({ ...body, id: String(nextPeer++), has_secret: Boolean(body.secret), state: 'new', keys: 0, url: body.url ?? '' });
      delete made.secret;
      peers.push(made);
      return { status: 201, body: made, headers: { etag: '"1"' } };
    },
    'GET /api/peers/{id}': ({ params }) => tagged(find(peers, params.id, 'Partneren findes ikke')),
    'PUT /api/peers/{id}': ({ params, body }) => {
      const { secret, ...rest } = body;
      return tagged(Object.assign(find(peers, params.id, 'Partneren findes ikke'), rest, secret ? { has_secret: true } : {}), 2);
    },
    'DELETE /api/peers/{id}': ({ params }) => void peers.splice(peers.indexOf(find(peers, params.id, 'Partneren findes ikke')), 1),
    'GET /api/peers/{id}/keys': ({ params }) => ({ items: keys.get(params.id) ?? [] }),
    'POST /api/peers/{id}/keys': ({ params, body }) => {
      keys.set(params.id, [{ id: '99', label: body.label, read: true, write: body.write, made_by: 'person:7', made_at: new Date().toISOString() }, ...(keys.get(params.id) ?? [])]);
      return { status: 201, body: { id: '99', key: 'bavnpeerQ1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6' } };
    },
    'DELETE /api/peers/{id}/keys/{key}': ({ params }) => {
      const key = find(keys.get(params.id) ?? [], params.key, 'Nøglen findes ikke');
      key.revoked_at = new Date().toISOString();
    },
    'POST /api/peers/{id}/pull': ({ params }) => {
      Object.assign(find(peers, params.id, 'Partneren findes ikke'), { state: 'ok', failures: 0, lag_seconds: 1, ok_at: new Date().toISOString(), error: undefined });
      emit('peer.state', params.id);
    },
    'POST /api/peers/{id}/pause': ({ params }) => void Object.assign(find(peers, params.id, 'Partneren findes ikke'), { state: 'paused' }),
    'POST /api/peers/{id}/resume': ({ params }) => void Object.assign(find(peers, params.id, 'Partneren findes ikke'), { state: 'ok' }),
    'GET /api/peers/{id}/dropped': ({ params, query }) => {
      const all = droppedOf(params.id);
      const of = [...new Set(all.map((one) => one.reason))].map((reason, i) => ({ reason, count: [6, 2, 1][i] ?? 1, first_at: at(-3000), newest_at: all.find((one) => one.reason === reason).at }));
      return { items: all.filter((one) => !query.get('reason') || one.reason === query.get('reason')), reasons: of };
    },
    'POST /api/imports': ({ query, body }) => {
      const one = find(peers, query.get('peer'), 'Partneren findes ikke');
      const lines = String(body ?? '').split('\n').filter((line) => line.trim() && !line.startsWith('kind,'));
      if (String(body).startsWith('{') && !String(body).trim().endsWith('}')) refuse(400, 'bad-input', 'The file is no whole JSON', {});
      const list = lines.flatMap((line, i) => (line.includes('red') ? [{ what: 'line', object: hostile(`line ${i + 2}: ${line.slice(0, 60)}`), reason: reasons[0] }] : line.includes('10.') ? [{ what: 'line', object: line, reason: reasons[1] }] : []));
      const said = { format: query.get('name')?.endsWith('.csv') ? 'csv' : 'text', read: lines.length, published: lines.length - list.length, demoted: 0, dropped: list.length, list };
      if (query.get('dry_run') !== 'true') {
        one.counts.taken += said.published;
        one.counts.dropped += said.dropped;
        emit?.('peer', { id: one.id });
      }
      return said;
    },
    'GET /api/exports/{format}': ({ params, query }) => {
      find(peers, query.get('peer'), 'Partneren findes ikke');
      return { status: 200, body: params.format === 'csv' ? 'kind,value,source\r\ndomain,evil.example,KommuneCERT\r\n' : { type: 'bundle', id: 'bundle--1', objects: [] }, headers: { 'content-disposition': `attachment; filename="indicators.${params.format === 'csv' ? 'csv' : 'json'}"` } };
    },
    'GET /api/bulletins': ({ query }) => ({ items: bulletins.filter((one) => !query.get('state') || one.state === query.get('state')).map(head) }),
    'POST /api/bulletins': ({ body }) => {
      const made = { id: String(nextBulletin++), state: 'draft', kind: 'bulletin', tlp: tlps.includes(body.tlp) ? body.tlp : 'green', source: body.source, version: 1, written_by: 'person:7', written_at: new Date().toISOString(), texts: texts(body), found: found().slice(0, 1) };
      bulletins.unshift(made);
      return { status: 201, body: shown(made), headers: { etag: '"1"' } };
    },
    'POST /api/bulletins/reports': ({ query, body }) => {
      const name = query.get('name') ?? 'report';
      const language = query.get('language') ?? 'en';
      if (String(body).includes('/Encrypt')) throw new Refusal(400, 'report-locked', { da: 'Filen har en adgangskode', nb: 'Filen har et passord', en: 'The file has a password' }[language], { detail: 'PDF: encrypted; it can only be read with its password: save it without one', advice: 'Mock.' });
      if (String(body).startsWith('%PDF')) {
        const page = { da: 'Side 2 af 2', nb: 'Side 2 av 2', en: 'Page 2 of 2' }[language];
        const pdf = { id: String(nextBulletin++), state: 'draft', kind: 'report', tlp: query.get('tlp') ?? 'green', source: query.get('source'), file: name, version: 1, written_by: 'person:7', written_at: new Date().toISOString(), texts: { [language]: { title: name, markdown: `\f${page}\nprofil[.]example/orbes\n`, html: `<h2>${page}</h2>\n<pre>profil[.]example/orbes\n</pre>\n` } }, found: [{ ...found()[0], places: [{ language, from: 13, to: 35, around: 'profil[.]example/orbes', section: page }] }] };
        bulletins.unshift(pdf);
        return { status: 201, body: shown(pdf), headers: { etag: '"1"' } };
      }
      const made = { id: String(nextBulletin++), state: 'draft', kind: 'report', tlp: query.get('tlp') ?? 'green', source: query.get('source'), file: query.get('name'), version: 1, written_by: 'person:7', written_at: new Date().toISOString(), texts: { [query.get('language') ?? 'en']: { title: query.get('name'), markdown: String(body), html: plain(String(body)) } }, found: found().slice(0, 1) };
      bulletins.unshift(made);
      return { status: 201, body: shown(made), headers: { etag: '"1"' } };
    },
    'GET /api/bulletins/subscription': () => own,
    'PUT /api/bulletins/subscription': ({ body }) => Object.assign(own, body, { state: own.addresses.find((one) => one.address === body.address)?.confirmed ? 'subscribed' : 'waits', since: new Date().toISOString() }),
    'DELETE /api/bulletins/subscription': () => {
      Object.assign(own, { state: 'none' });
      delete own.address;
    },
    'GET /api/bulletins/{id}': ({ params }) => {
      const one = find(bulletins, params.id, 'Bulletinen findes ikke');
      return tagged(shown(one), one.version);
    },
    'PUT /api/bulletins/{id}': ({ params, body }) => {
      const one = find(bulletins, params.id, 'Bulletinen findes ikke');
      Object.assign(one, { tlp: body.tlp, source: body.source, texts: texts(body), version: one.version + 1 });
      return tagged(shown(one), one.version);
    },
    'POST /api/bulletins/{id}/indicators': ({ params, body }) => {
      const one = find(bulletins, params.id, 'Bulletinen findes ikke');
      for (const f of one.found) {
        if (body.confirm?.includes(f.id)) Object.assign(f, { state: 'confirmed', action: body.action, confidence: body.confidence });
        if (body.refuse?.includes(f.id)) f.state = 'refused';
      }
      return tagged(shown(one), one.version);
    },
    'POST /api/bulletins/{id}/publish': ({ params }) => {
      const one = find(bulletins, params.id, 'Bulletinen findes ikke');
      Object.assign(one, { state: 'published', published_by: 'person:7', published_at: new Date().toISOString() });
      return { published: one.found.filter((f) => f.state === 'confirmed').length, dropped: [] };
    },
    'POST /api/bulletins/{id}/withdraw': ({ params, body }) => void Object.assign(find(bulletins, params.id, 'Bulletinen findes ikke'), { state: 'withdrawn', withdrawn_why: body.why }),
  };
}
