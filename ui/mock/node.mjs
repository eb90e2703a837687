// A made-up municipality, Nordby, on a bad morning: for looking at pages and for the browser tests. `become('calm'|'hostile'|'empty'|'hit')`
// changes the day. Nothing in it is real.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Refusal } from './server.mjs';

// As many formats as the program has: a page that is calm with three may be ten screens long with all of them.
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const formats = ['content/formats', 'src/formats'].flatMap((folder) =>
  readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'tests')
    .map(({ name }, i) => {
      const described = join(root, folder, name, 'format.yml');
      const title = existsSync(described) ? /^title: *"?(.+?)"?$/m.exec(readFileSync(described, 'utf8'))?.[1] : undefined;
      return { name, title: title ?? name.replaceAll('_', ' '), reader: name, ocsf_class: 'http_activity', logsources: [{ category: 'proxy' }, { product: name, service: 'audit' }], observables: ['url', 'ipv4', 'domain', 'email'], facts: i % 3 === 0, rules: (i * 37) % 400 };
    }),
);

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const at = (ms) => new Date(Date.now() + ms).toISOString();
const nordby = { code: '0101', name: 'Nordby' };

/** Texts as attackers write them: markup, script, direction marks, very long, invisible. */
export const hostile = [
  '<script>document.body.dataset.broken="1"</script>',
  '"><img src=x onerror="document.body.dataset.broken=1">',
  "javascript:document.body.dataset.broken='1'",
  '{{constructor.constructor("document.body.dataset.broken=1")()}}',
  '\u202Egpj.exe\u202C \u0000\u200B',
  'A'.repeat(400),
  '<svg/onload=document.body.dataset.broken=1>',
  '%3Cscript%3E &lt;b&gt; ${7*7} {name} {n}',
];

export default function world() {
  let mood = 'hit';
  let emit = () => {};
  const nasty = (text, i = 0) => (mood === 'hostile' ? hostile[i % hostile.length] : text);

  const alert = (id, rule, title, level, concern, kind, count, ago, more = {}) => ({
    id: String(id), kind: kind === 'host' && rule.startsWith('indicators') ? 'indicator' : 'sigma', rule, title, level, concern: { kind, value: concern }, count,
    first_seen: at(-ago - 40 * minute), last_seen: at(-ago), opened_at: at(-ago - 39 * minute), updated_at: at(-ago), state: 'open', place: 'queue', rank: id, municipality: nordby, ...more,
  });
  const alerts = [
    alert(41, 'sigma:8f6d6a0c', 'Mailbox rule that forwards outside', 'critical', 'anna.holm@nordby.example', 'account', 3, 12 * minute),
    alert(42, 'indicators:joint-cert', 'Link of the October warning opened', 'high', 'PC-0412.nordby.example', 'host', 14, 5 * minute, { action: 'block' }),
    alert(43, 'sigma:1b2c', 'Sign-in from a network never seen before', 'high', 'anna.holm@nordby.example', 'account', 2, 31 * minute),
    alert(44, 'sigma:1b2c', 'Sign-in from a network never seen before', 'high', 'bo.lind@nordby.example', 'account', 1, 2 * hour),
    alert(45, 'sigma:1b2c', 'Sign-in from a network never seen before', 'high', 'skole-07@nordby.example', 'account', 1, 5 * hour, { state: 'acknowledged', state_by: 'person:3', state_at: at(-4 * hour) }),
    ...Array.from({ length: 9 }, (_, i) => alert(50 + i, 'sigma:77', 'Many failed sign-ins for one account', 'medium', `elev${String(i + 1).padStart(3, '0')}@nordby.example`, 'account', 11 + i * 7, (i + 1) * hour)),
    alert(70, 'sigma:90', 'New service installed on a computer', 'low', 'SRV-FILER2', 'host', 1, 7 * hour),
    alert(71, 'sigma:91', 'Macro in a document from outside', 'medium', 'PC-0099.nordby.example', 'host', 2, 9 * hour, { place: 'over_budget' }),
    alert(72, 'sigma:92', 'DNS request for a new domain', 'low', '10.4.2.17', 'address', 210, hour, { place: 'counted' }),
  ];
  const notes = new Map([['41', [{ at: at(-6 * minute), by: 'person:3', kind: 'acknowledged', text: 'Ringer til hende nu' }]]]);
  const shown = (a, i) => ({ ...a, title: nasty(a.title, i), concern: { ...a.concern, value: nasty(a.concern.value, i + 1) } });
  const one = (id) => {
    const found = alerts.find((a) => a.id === id);
    if (!found) throw new Refusal(404, 'not-found', 'Not there');
    return found;
  };
  const levels = ['informational', 'low', 'medium', 'high', 'critical'];

  const sources = () =>
    mood === 'empty' ? [] : [
      { name: 'm365.audit', state: 'working', says: '', since: at(-3 * hour), lag_seconds: 171, last_at: at(-2 * minute), newest_at: at(-5 * minute), municipality: nordby, total: { records: 4_018_833, bytes: 5_120_338_221, refused: 2, duplicates: 118 }, today: { records: 40_112, bytes: 51_203_382, refused: 2 }, refusals: [{ reason: 'not json', count: 2, first: nasty('line 311: a string is not closed'), first_at: at(-6 * hour), last_at: at(-5 * hour) }] },
      { name: 'm365.signins', state: 'working', says: '', lag_seconds: 96, last_at: at(-minute), newest_at: at(-3 * minute), total: { records: 1_210_004, bytes: 911_338_221, refused: 0, duplicates: 4 }, today: { records: 8211, bytes: 9_203_382, refused: 0 }, refusals: [] },
      { name: 'message_trace', state: 'waiting', says: 'Microsoft asks for a pause of 60 seconds', lag_seconds: 1290, last_at: at(-9 * minute), newest_at: at(-25 * minute), total: { records: 2_210_004, bytes: 811_338_221, refused: 0, duplicates: 0 }, today: { records: 21_211, bytes: 7_203_382, refused: 0 }, refusals: [] },
      { name: 'http.proxy', state: 'working', says: '', lag_seconds: 4, last_at: at(-minute), newest_at: at(-minute), municipality: nordby, total: { records: 1_402_118, bytes: 402_118_300, refused: 4, duplicates: 211 }, today: { records: 12_119, bytes: 3_482_113, refused: 1 }, refusals: [{ reason: 'no format reads it', count: 4, first: nasty('{"message":', 2), first_at: at(-2 * day), last_at: at(-2 * hour) }],
        ways: [
          { way: 'elastic', client: nasty('Filebeat/8.11.0 (linux; amd64)', 0), requests: 18_402, records: 1_380_004, refused: 4, duplicates: 211, turned_away: 3, faults: 1, fault: 'line 2 of the bulk body says "update": records here are created, never changed', fault_at: at(-5 * hour), first_at: at(-80 * day), last_at: at(-minute) },
          { way: 'hec', client: 'syslog-ng curl/7.88.1', requests: 902, records: 22_114, refused: 0, duplicates: 0, turned_away: 0, faults: 0, first_at: at(-8 * day), last_at: at(-40 * minute) },
        ] },
      { name: nasty('dns', 3), state: 'failing', says: nasty('nothing came for 26 hours: does the server still send to port 6514?', 1), since: at(-26 * hour), last_at: at(-26 * hour), newest_at: at(-26 * hour), municipality: nordby, total: { records: 88_123, bytes: 10_223_011, refused: 0, duplicates: 0 }, today: { records: 0, bytes: 0, refused: 0 }, refusals: [] },
    ];
  const inlets = () =>
    mood === 'empty' ? [] : [
      { kind: 'http', address: mood === 'calm' ? '127.0.0.1' : '0.0.0.0', port: 9200 },
      { kind: 'syslog', source: nasty('dns', 3), transport: 'tls', address: '0.0.0.0', port: 6514 },
      { kind: 'relp', source: 'linux', transport: 'tls', address: '0.0.0.0', port: 2514 },
      { kind: 'kafka', source: 'windows', address: 'kafka1.nordby.example:9093,kafka2.nordby.example:9093', topics: ['windows', nasty('^firewall-.*', 1)] },
    ];
  const blind = () => (mood === 'calm' ? [] : [
    { id: 'windows_computers', name: 'Windows-computere', what: 'Et program, som en medarbejder starter fra en mail, og hvad det gør bagefter.', delay: 'sekunder', permission: 'en agent på hver computer' },
    { id: 'proxy', name: 'Proxy', what: 'Hvem der har åbnet et link i en mail.', delay: 'sekunder', permission: 'syslog fra firewall eller proxy' },
  ]);
  const warning = () => ({
    id: 'w-2026-0014', version: 2, severity: 'critical', title: nasty('Falske mails fra en konto hos sydby.example', 0), tlp: 'amber', municipality: nordby, came_at: at(-58 * minute), phase: 'updated',
    answer: { state: 'seen_here', hits: 37, people: 35, clicks: 2, first_hit_at: at(-62 * minute), told_at: at(-57 * minute), purged: 0, purge_left: 37, looked_in: ['Microsofts message trace', 'logins i Entra'], cannot_see: ['Proxy', 'Windows-computere'], by: 'machine', ...done },
    looks: 2, next_look_at: at(hour), messages: 2, reminders: 1, ...seen,
  });
  let seen = {};
  let done = {};
  let taken = false;
  const purge = { id: 'n-77aa', sender: 'mette.krag@sydby.example', state: 'asked', why: 'the mandate says to ask', signs: ['identity', 'payload'], from: at(-64 * minute), until: at(-53 * minute), opened_at: at(-50 * minute), changed_at: at(-50 * minute), ask_until: at(19 * minute), said: 37, message_ids: 37, located: 37, refused: 0, mailboxes: 35, copies: 37, found: 0, moved: 0, gone: 0, left_alone: 0, failed: 0, back: 0, lost: 0, rounds: 0, way: 'mailbox' };
  const oldPurge = { ...purge, id: 'n-51bc', sender: 'faktura@regning.example', state: 'done', signs: ['payload', 'harm'], opened_at: at(-12 * day), from: at(-12 * day), until: at(-12 * day + hour), ask_until: undefined, copies: 112, mailboxes: 108, moved: 104, gone: 5, left_alone: 1, failed: 2, rounds: 7, first_moved_at: at(-12 * day + 4 * minute), emptied_at: at(-12 * day + 31 * minute), approved_by: 'person:3', watch_until: at(-11.75 * day) };
  const copies = (p) => Array.from({ length: p.mailboxes }, (_, i) => ({ mailbox: i === 0 && mood === 'hostile' ? hostile[1] : `medarbejder${String(i + 1).padStart(3, '0')}@nordby.example`, message_id: `a${i}@sydby.example`, state: p.state === 'done' ? (i === 3 ? 'failed' : i < 6 ? 'gone' : 'moved') : p.moved > i ? 'moved' : 'found', reason: p.state === 'done' && i === 3 ? 'the mailbox is on hold' : '', delivered_at: at(-62 * minute + i * 900), ...(p.moved > i ? { moved_at: at(-minute + i * 400) } : {}) }));

  const overview = () => {
    if (mood === 'calm') return { at: at(0), municipality: nordby, verdict: { state: 'calm', parts: [{ key: 'verdict.calm' }] }, tasks: [], more_tasks: 0, hub: { state: 'live', says: '', last_heard: at(-2000), waiting: 0 }, health: { version: '0.1.0', since: at(-9 * day), records: 119_338_110, indicators: 351_187, rules: 3120, behind: false, trouble: [] }, sources: { working: 4, waiting: 0, failing: 0, off: 0, items: [] }, blind: [] };
    if (mood === 'empty') return { ...overviewHit(), verdict: { state: 'blind', parts: [{ key: 'verdict.blind.nothing' }] }, tasks: [{ id: 'setup', kind: 'setup', urgent: false, title: { key: 'task.setup' }, why: { key: 'task.setup.why' }, action: { key: 'action.set_up', page: '/setup' } }], more_tasks: 0, warning: undefined, sources: { working: 0, waiting: 0, failing: 0, off: 0, items: [] } };
    return overviewHit();
  };
  const overviewHit = () => ({
    at: at(0), municipality: nordby,
    verdict: { state: 'hit', parts: [{ key: 'verdict.hit.warning', values: { mails: 37, people: 35 } }, { key: 'verdict.hit.alerts', values: { alerts: 2 } }] },
    tasks: [
      { id: 'purge:n-77aa', kind: 'purge', urgent: true, title: { key: 'task.purge', values: { sender: nasty('mette.krag@sydby.example', 2), mailboxes: 35 } }, why: { key: 'task.purge.why', values: { signs: 'identity, payload' } }, since: at(-50 * minute), until: at(19 * minute), action: { key: 'action.empty', page: '/purges/n-77aa', method: 'POST', path: '/api/purges/n-77aa/yes' } },
      { id: 'notice:n-41c2', kind: 'notice', urgent: true, title: { key: 'task.notice', values: { concern: nasty('anna.holm@nordby.example', 6) } }, why: { key: 'task.notice.why' }, since: at(-33 * minute), action: { key: 'action.judge', page: '/notices/n-41c2' } },
      { id: 'alert:42', kind: 'alert', urgent: true, title: { key: 'task.alert', values: { title: nasty('Link fra varslet er åbnet', 1), concern: 'PC-0412.nordby.example' } }, why: { key: 'task.alert.why', values: { count: 14, level: 'high' } }, since: at(-45 * minute), action: { key: 'action.look', page: '/alerts/42' } },
      { id: 'exposure:q-3', kind: 'exposure', urgent: false, title: { key: 'task.exposure', values: { product: 'Example VPN gateway' } }, why: { key: 'task.exposure.why' }, since: at(-2 * day), action: { key: 'action.answer', page: '/exposure' } },
      { id: 'contact:test', kind: 'contact', urgent: false, title: { key: 'task.contact_unconfirmed' }, why: { key: 'task.contact_unconfirmed.why' }, action: { key: 'action.test_contact', page: '/contacts', method: 'POST', path: '/api/contacts/test' } },
    ],
    more_tasks: 4, warning: warning(), hub: { state: 'live', says: '', last_heard: at(-2000), waiting: 0 },
    health: { version: '0.1.0', since: at(-9 * day), records: 120_338_110, indicators: 351_204, rules: 3120, behind: false, trouble: [] },
    sources: { working: 2, waiting: 1, failing: 1, off: 0, items: sources() }, blind: blind(),
  });

  const kinds = ['domain', 'url', 'ipv4', 'sha256', 'email'];
  const total = 351_204;
  const indicator = (i) => {
    const kind = kinds[i % 5];
    const n = String(i).padStart(6, '0');
    const value = { domain: `a${n}.malware.example`, url: `files${n}.example/x/${i}`, ipv4: `198.51.${(i >> 8) % 256}.${i % 256}`, sha256: n.repeat(11).slice(0, 64), email: `bad${n}@phish.example` }[kind];
    return { kind, value, defanged: kind === 'sha256' ? value : value.replace(/\./g, '[.]').replace('@', '[@]'), source: i % 7 ? 'urlhaus' : 'joint-cert', action: ['watch', 'warn', 'block'][i % 3], confidence: 50 + (i % 50), tlp: 'green', ...(i % 4 ? { valid_until: at(30 * day) } : {}), comment: i === 2 ? nasty('login-side fra oktober', 0) : '' };
  };

  const rules = () => [
    { id: 'sigma:8f6d6a0c', kind: 'sigma', title: nasty('Mailbox rule that forwards outside'), level: 'critical', logsource: 'product=m365 service=audit', state: 'live', why: 'few enough alerts on what is kept', by: '', since: at(-60 * day), can: 'yes', file: 'builtin/m365/forward.yml', line: 1, tests: 2, rate: { days: 30, alerts_per_day: 0.2, findings_per_day: 0.4, known: true } },
    { id: 'sigma:1b2c', kind: 'sigma', title: 'Sign-in from a network never seen before', level: 'high', logsource: 'product=entra service=signin', state: 'count_only', why: 'not known yet how often it fires', by: '', can: 'yes', file: 'builtin/entra/new_network.yml', line: 1, tests: 3, rate: { days: 4, alerts_per_day: 3.1, findings_per_day: 9, known: true } },
    { id: 'sigma:77', kind: 'sigma', title: 'Many failed sign-ins for one account', level: 'medium', logsource: 'product=entra service=signin', state: 'demoted', why: '41 alerts a day, 5 are allowed', by: '', can: 'yes', file: 'builtin/entra/failed.yml', line: 1, tests: 1, rate: { days: 30, alerts_per_day: 41, findings_per_day: 402, known: true } },
    { id: 'sigma:0d5e', kind: 'sigma', title: 'Suspicious kernel module', level: 'high', logsource: 'category=driver_load product=linux', state: 'count_only', can: 'never', why_never: 'no known format delivers category=driver_load product=linux', file: 'builtin/linux/driver.yml', line: 1, tests: 0 },
    { id: 'sigma:dead', kind: 'sigma', title: 'Rule with a fault', level: 'low', logsource: 'product=windows', can: 'refused', why_never: "line 14: condition names 'selection2', there is none", file: 'own/broken.yml', line: 14, tests: 0 },
    ...Array.from({ length: 40 }, (_, i) => ({ id: `sigma:x${i}`, kind: 'sigma', title: `Process started by an office document, case ${i + 1}`, level: levels[1 + (i % 4)], logsource: 'category=process_creation product=windows', state: 'count_only', can: i % 3 ? 'yes' : 'never', ...(i % 3 ? {} : { why_never: 'no source delivers Windows processes' }), tests: i % 4, rate: { days: 30, alerts_per_day: i / 10, findings_per_day: i, known: i % 5 !== 0 } })),
  ];
  const hunts = new Map();
  const line = (i) => nasty(`${1_760_428_979 + i}.000 41 192.0.2.${44 + (i % 9)} TCP_TUNNEL/200 CONNECT login-nordby.example:443 - HIER_DIRECT/203.0.113.9`, i);
  const hit = (n) => ({ n, record: `rec-${n}`, source: n % 3 ? 'proxy' : 'm365.audit', format: n % 3 ? 'squid' : 'm365_audit', happened_at: at(-(n % 11) * 6 * hour - n * 1000), received_at: at(-(n % 11) * 6 * hour), observable: { kind: 'url', value: 'login-nordby.example/orbes', defanged: 'login-nordby[.]example/orbes' }, line: line(n) });
  const notice = () => ({ id: 'n-41c2', kind: 'takeover', concern: nasty('anna.holm@nordby.example', 0), level: 'high', first_at: at(-64 * minute), last_at: at(-52 * minute), noticed_at: at(-51 * minute), part: 2, mails: 611, recipients: 588, outside: 199, usual: 12, source: 'message_trace', late_seconds: 71, municipality: nordby, ...judged });
  let judged = {};
  let people = [
    { id: '3', name: 'Ole Friis', title: 'It-medarbejder', language: 'da', municipality: '101', roles: [{ role: 'municipal_it' }, { role: 'duty_contact' }], passkeys: 1, code: false, provider: false, needs_second_passkey: true, seen: at(-20 * minute) },
    { id: '7', name: 'Ida Bruun', title: 'It-chef', language: 'da', municipality: '101', roles: [{ role: 'municipal_it' }], passkeys: 2, code: false, provider: true, needs_second_passkey: false, seen: at(-1000) },
    { id: '8', name: 'Karen Lund', title: 'Kommunaldirektør', language: 'da', municipality: '101', roles: [{ role: 'municipal_leader' }], passkeys: 0, code: true, provider: false, needs_second_passkey: false, seen: at(-8 * day) },
    { id: '9', name: 'Nordisk It-drift, vagten', title: '', language: 'nb', municipality: '101', roles: [{ role: 'supplier', until: at(40 * day) }], passkeys: 0, code: false, provider: false, needs_second_passkey: false },
  ];
  const setup = {
    state: 'waiting', started_at: at(-6 * minute), restart_needed: false,
    steps: [
      { id: 'enrol', state: 'done', says: 'nordby-1 (0101 Nordby)', seconds: 2.1, lines: [], asks: [] },
      { id: 'microsoft365', state: 'waiting', says: 'Paste the script into Azure Cloud Shell. It ends with a line BAVN-CLIENT-ID.', lines: [], script: 'true', asks: [{ name: 'client_line', type: 'text', doc: 'The line that the script ended with.', required: true, value: '' }] },
      { id: 'what_works', state: 'todo', says: '', lines: [], asks: [] },
      { id: 'past', state: 'todo', says: '', lines: [], asks: [] },
      { id: 'duty_contact', state: 'todo', says: '', lines: [], asks: [{ name: 'name', type: 'text', doc: 'Who is called when something burns.', required: true, value: '' }, { name: 'phone', type: 'text', doc: 'A phone number outside the tenant.', required: false, value: '' }, { name: 'mail', type: 'text', doc: 'A mail address outside the tenant.', required: false, value: '' }] },
      { id: 'test_beacon', state: 'todo', says: '', lines: [], asks: [] },
    ],
  };
  let stopped = '';
  let overrides = [{ kind: 'domain', value: 'files.example', defanged: 'files[.]example', what: 'allow', reason: 'Lønsystemet ligger der', by: 'person:3', at: at(-2 * hour), until: at(22 * hour) }];
  const list = (items, query, size = 50) => {
    const from = Number(query.get('cursor') ?? 0);
    const limit = Math.min(500, Number(query.get('limit') ?? size));
    return { items: items.slice(from, from + limit), ...(from + limit < items.length ? { next: String(from + limit) } : {}) };
  };
  const left = Array.from({ length: 230 }, (_, i) => ({ id: String(812 - i), kind: ['health', 'count', 'answer', 'sighting', 'alert'][i % 5], tlp: 'amber', to: 'hub.joint-cert.example:443', at: at(-i * 7 * minute), ...(i > 0 ? { acknowledged_at: at(-i * 7 * minute + 400) } : {}), municipality: nordby, text: JSON.stringify({ kind: ['health', 'count', 'answer', 'sighting', 'alert'][i % 5], n: i, records: 40_112 + i }) }));

  const routes = {
    'GET /api/node/overview': () => overview(),
    'GET /api/alerts': ({ query }) => {
      const floor = levels.indexOf(query.get('level') ?? 'informational');
      const q = (query.get('q') ?? '').toLowerCase();
      const found = mood === 'calm' || mood === 'empty' ? [] : alerts.filter((a) => (!query.get('state') || a.state === query.get('state')) && (!query.get('place') || a.place === query.get('place')) && levels.indexOf(a.level) >= floor && (!q || `${a.title} ${a.concern.value}`.toLowerCase().includes(q)));
      const open = (place) => alerts.filter((a) => a.state === 'open' && a.place === place).length;
      return { ...list(found.map(shown), query), counts: { queue: open('queue'), over_budget: open('over_budget') + 10, counted: open('counted') + 401 } };
    },
    'POST /api/alerts/acknowledge': ({ body }) => {
      const refused = [];
      for (const id of body.ids) {
        const a = alerts.find((x) => x.id === id);
        if (!a || a.state !== 'open') refused.push({ id, reason: `alert ${id} is acknowledged already, by person:3` });
        else Object.assign(a, { state: 'acknowledged', state_by: 'person:7', state_at: at(0) });
      }
      emit('alert.acknowledged', body.ids[0]);
      return { done: body.ids.filter((id) => !refused.some((r) => r.id === id)), refused };
    },
    'GET /api/alerts/{id}': ({ params }) => ({ alert: shown(one(params.id), 0), examples: [{ record: 'rec-1', finding: '5c1e0f52', source: 'm365.audit', format: 'm365_audit', happened_at: at(-12 * minute), received_at: at(-9 * minute), fields: { Operation: 'New-InboxRule', UserId: nasty('anna.holm@nordby.example', 4), ForwardTo: nasty('inbox4411@mail.example', 5) } }, { record: 'rec-2', finding: '5c1e0f53', source: 'm365.audit', format: 'm365_audit', happened_at: at(-40 * minute), received_at: at(-37 * minute), fields: { Operation: 'Set-InboxRule', UserId: 'anna.holm@nordby.example', DeleteMessage: 'True' } }], notes: notes.get(params.id) ?? [] }),
    'POST /api/alerts/{id}/acknowledge': ({ params }) => Object.assign(one(params.id), { state: 'acknowledged', state_by: 'person:7', state_at: at(0) }),
    'POST /api/alerts/{id}/close': ({ params, body }) => {
      if (!body?.why) throw new Refusal(422, 'not-accepted', 'Not accepted', { errors: [{ pointer: '/why', detail: 'why it is closed must be said' }] });
      notes.set(params.id, [...(notes.get(params.id) ?? []), { at: at(0), by: 'person:7', kind: 'closed', text: body.why, was: body.was }]);
      emit('alert.closed', params.id);
      return Object.assign(one(params.id), { state: 'closed', was: body.was, state_why: body.why, state_by: 'person:7' });
    },
    'POST /api/alerts/{id}/notes': ({ params, body }) => {
      const note = { at: at(0), by: 'person:7', kind: 'note', text: body.text };
      notes.set(params.id, [...(notes.get(params.id) ?? []), note]);
      return { status: 201, body: note };
    },
    'GET /api/records/{ref}': ({ params }) => {
      const base = { ref: params.ref, source: 'm365.audit', municipality: nordby, format: { name: 'm365_audit', title: 'Microsoft 365 unified audit log' }, ocsf_class: 'email_activity', logsource: { product: 'm365', service: 'audit' }, happened_at: at(-12 * minute), received_at: at(-9 * minute), bytes: 611, hash: '9f3a55c20e7714ab' };
      const fields = [['CreationTime', at(-12 * minute), 'time'], ['Id', '4a6f1a11-2222-4333-8444-555566667777'], ['Operation', 'New-InboxRule', 'activity_name'], ['UserId', nasty('anna.holm@nordby.example', 0), 'actor.user.name', 'account'], ['ClientIP', '203.0.113.9:41022', 'src_endpoint.ip', 'ipv4'], ['Parameters[0].Name', 'ForwardTo'], ['Parameters[0].Value', nasty('inbox4411@mail.example', 1), 'email.to', 'email'], ['Parameters[1].Name', 'DeleteMessage'], ['Parameters[1].Value', 'True'], ['AppAccessContext.ClientAppId', '9199bf20-a13f-4107-85dc-02114787ef48', 'app.uid', 'app_id'], ['AppAccessContext.UniqueTokenId', nasty('Zm9vYmFy', 5)], ['ResultStatus', 'True', 'status'], ['Comment', '']];
      const raw = JSON.stringify(Object.fromEntries(fields.map(([path, value]) => [path, value])));
      return { ...base, fields: fields.map(([path, value, ocsf, role]) => ({ path, value, type: 'string', names: [], ...(ocsf ? { ocsf } : {}), ...(role ? { role } : {}) })), observables: [{ kind: 'email', value: 'inbox4411@mail.example', defanged: 'inbox4411[@]mail[.]example', known: { source: 'joint-cert', action: 'warn', confidence: 80 } }, { kind: 'ipv4', value: '203.0.113.9', defanged: '203[.]0[.]113[.]9' }, { kind: 'mail_domain', value: 'mail.example', defanged: 'mail[.]example' }, { kind: 'account', value: 'anna.holm@nordby.example', defanged: 'anna.holm[@]nordby[.]example', personal: true }], raw: params.ref === 'rec-odd' ? { encoding: 'base64', base64: 'gYKDhIWGh4iJ' } : { encoding: 'utf-8', text: raw }, ...(params.ref === 'rec-2' ? { read_as: 'windows-1252' } : {}) };
    },
    'GET /api/hunts': ({ query }) => list([...hunts.values()].reverse(), query),
    'POST /api/hunts': ({ body }) => {
      const named = (body.observables ?? []).some((o) => ['email', 'account'].includes(o.kind));
      if ((named || body.text) && !body.reason) throw new Refusal(422, 'not-accepted', 'Not accepted', { errors: [{ pointer: '/reason', detail: 'a person is looked for: say why' }] });
      const id = `h-${hunts.size + 1}`;
      const nothing = (body.observables ?? []).every((o) => o.value.includes('nothing')) && !body.text;
      hunts.set(id, { id, state: 'running', kind: body.text ? 'text' : body.rules ? 'rules' : 'observables', by: 'person:7', reason: body.reason ?? '', started_at: at(0), ...(body.from ? { from: body.from } : {}), ...(body.text ? { text: body.text } : {}), observables: (body.observables ?? []).map((o) => ({ ...o, defanged: o.value.replace(/\./g, '[.]').replace('@', '[@]') })), left_out: 0, frames: 400, frames_done: 0, records: 0, hits: 0, kept: 0, limit: 10_000, all: nothing ? 0 : 64 });
      return { status: 202, body: hunts.get(id) };
    },
    'GET /api/hunts/{id}': ({ params }) => {
      if (!hunts.has(params.id)) throw new Refusal(404, 'not-found', 'Not there');
      return hunts.get(params.id);
    },
    'DELETE /api/hunts/{id}': ({ params }) => {
      const h = hunts.get(params.id);
      if (h?.state === 'running') h.state = 'cancelled';
      else hunts.delete(params.id);
      return undefined;
    },
    'GET /api/hunts/{id}/stream': ({ params, headers, request, response }) => {
      const h = hunts.get(params.id);
      if (!h) throw new Refusal(404, 'not-found', 'Not there');
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      let n = Number(headers['last-event-id'] ?? 0);
      const timer = setInterval(() => {
        for (let k = 0; k < 4 && n < h.all; k += 1) {
          n += 1;
          response.write(`id: ${n}\nevent: hit\ndata: ${JSON.stringify(hit(n))}\n\n`);
        }
        const share = h.all ? n / h.all : 1;
        Object.assign(h, { hits: n, kept: n, frames_done: Math.round(400 * share), records: Math.round(901_120 * share) });
        if (n >= h.all || h.state === 'cancelled') {
          if (h.state === 'running') h.state = 'done';
          response.write(`event: over\ndata: ${JSON.stringify(h)}\n\n`);
          clearInterval(timer);
          response.end();
        } else response.write(`event: progress\ndata: ${JSON.stringify(h)}\n\n`);
      }, 30);
      request.on('close', () => clearInterval(timer));
    },
    'GET /api/formats': () => ({ items: formats }),
    'GET /api/sources': () => ({ items: sources(), blind: blind(), inlets: inlets() }),
    'GET /api/sources/{name}': ({ params }) => {
      if (!sources().length) throw new Refusal(404, 'not-found', 'Not there');
      return { source: sources().find((one) => one.name === params.name) ?? { ...sources()[0], name: params.name }, changes: [{ at: at(-3 * hour), state: 'working', says: '' }, { at: at(-3.4 * hour), state: 'waiting', says: nasty('Microsoft asks for a pause of 60 seconds', 2) }] };
    },
    'GET /api/intake-tokens': () => ({ items: [{ id: '1', source: 'proxy', format: 'squid', made_by: 'person:3', made_at: at(-80 * day) }, { id: '2', source: 'gammel-firewall', made_by: 'person:3', made_at: at(-200 * day), revoked_at: at(-10 * day) }] }),
    'GET /api/rules': ({ query }) => {
      const floor = levels.indexOf(query.get('level') ?? 'informational');
      const found = rules().filter((r) => (!query.get('state') || r.state === query.get('state')) && (!query.get('can') || r.can === query.get('can')) && levels.indexOf(r.level) >= floor && (!query.get('q') || r.title.toLowerCase().includes(query.get('q').toLowerCase())));
      return { ...list(found, query), counts: { total: 3120, live: 804, count_only: 2301, demoted: 15, never: 611, refused: 2 } };
    },
    'GET /api/rules/{id}': ({ params }) => ({ rule: rules().find((r) => r.id === params.id) ?? rules()[0], text: nasty('title: Mailbox rule that forwards outside\nlogsource:\n  product: m365\n  service: audit\ndetection:\n  selection:\n    Operation: New-InboxRule\n    ForwardTo|exists: true\n  condition: selection\nlevel: critical\n', 0), condition: ['all of', "  Operation equals 'New-InboxRule'", '  ForwardTo exists'], witness: ["Operation equals 'New-InboxRule'"], slow: false, tests: [{ name: 'a rule with an outside address', expect: 'match' }, { name: 'a rule that sorts', expect: 'no_match' }], days: Array.from({ length: 30 }, (_, i) => ({ day: at(-(29 - i) * day).slice(0, 10), records: 800_000 + i * 900, findings: (i * 7) % 11, alerts: (i * 7) % 11 > 6 ? 2 : 1 })) }),
    'POST /api/rules/{id}/test': () => ({ items: [{ name: 'a rule with an outside address', expect: 'match', got: 'match', ok: true }, { name: 'a rule that sorts', expect: 'no_match', got: 'no_match', ok: true }], failed: 0 }),
    'GET /api/node/indicators': ({ query }) => {
      const from = Number(query.get('cursor') ?? 0);
      const limit = Number(query.get('limit') ?? 50);
      const kind = query.get('kind');
      const q = query.get('q') ?? '';
      const items = [];
      let i = from;
      for (; i < total && items.length < limit; i += 1) {
        const one = indicator(i);
        if ((!kind || one.kind === kind) && (!q || one.value.startsWith(q)) && (!query.get('source') || one.source === query.get('source'))) items.push(one);
      }
      return { items, total, ...(i < total ? { next: String(i) } : {}) };
    },
    'GET /api/left-us': ({ query }) => list(left, query),
    'GET /api/left-us/requests': ({ query }) => list(Array.from({ length: 160 }, (_, i) => ({ id: String(40_211 - i), at: at(-i * minute), purpose: i % 3 ? 'beacon' : 'microsoft365', method: i % 3 ? 'POST' : 'GET', host: i % 3 ? 'hub.joint-cert.example:443' : 'graph.microsoft.com:443', path: i % 3 ? '/beacon/v1/reports' : '/v1.0/auditLogs/signIns', bytes: 4120 + i * 3, body_hash: '6f0c11' })), query),
    'GET /api/left-us/days': () => ({ items: Array.from({ length: 30 }, (_, i) => ['health', 'count', 'answer'].map((kind, k) => ({ day: at(-(29 - i) * day).slice(0, 10), kind, items: [610, 40, i % 9][k], bytes: [402_119, 9_000, 1911][k] + i * 100 }))).flat() }),
    'GET /api/node/warnings': () => ({ items: mood === 'calm' || mood === 'empty' ? [] : [warning(), { ...warning(), id: 'w-2026-0011', version: 1, severity: 'medium', title: 'Falske fakturaer til kommunerne', phase: 'over', came_at: at(-9 * day), seen_by: 'person:3', reminders: 0, answer: { ...warning().answer, state: 'not_seen', hits: 0, people: 0, clicks: 0, first_hit_at: undefined, purge_left: 0 } }, { ...warning(), id: 'w-2026-0009', severity: 'high', title: 'QR-koder, der fører til en falsk login-side', phase: 'over', came_at: at(-20 * day), seen_by: 'person:7', answer: { ...warning().answer, state: 'purged', hits: 112, clicks: 0, purged: 112, purge_left: 0 } }] }),
    'GET /api/node/warnings/{id}': ({ query }) => ({
      warning: warning(),
      text: { language: query.get('language') ?? 'da', title: nasty('Falske mails fra en konto hos sydby.example', 0), summary: nasty('En mailkonto hos sydby.example er i andres hænder og sender falske mails. De ligner mails fra en kollega. Den første blev leveret kl. 7.41. Indtil nu kender vi 412 mails i 6 kommuner.\n\nLinket går til login-nordby[.]example/orbes. Siden ligner et almindeligt login.', 1), do_now: [{ what: 'Fjern mailen fra alle postkasser, også hos dem, der har meldt den.', why: 'De fleste klik kommer i den første time. En mail, der er væk, kan ingen klikke på.' }, { what: 'Find dem, der har åbnet linket: se i proxy, DNS og Defender.', why: 'De skal have hjælp først, og de færreste siger det af sig selv.' }, { what: 'Se efter nye apps, samtykker og app-hemmeligheder i Entra, og slå dem fra, før I afslutter sessioner.', why: 'En app med sin egen hemmelighed sender videre, selv når brugeren er logget af.' }], for_employees: 'Åbn ikke linket.' },
      look_for: [{ kind: 'url', value: 'login-nordby.example/orbes', defanged: 'login-nordby[.]example/orbes' }, { kind: 'email', value: 'mette.krag@sydby.example', defanged: 'mette.krag[@]sydby[.]example' }],
      answer_line: nasty('37 mails set i Microsofts message trace; 2 har åbnet linket', 2),
    }),
    'GET /api/node/warnings/{id}/employees': () => ({ items: [{ language: 'da', title: nasty('Pas på falske mails fra sydby.example', 0), text: 'Lige nu kommer der falske mails fra en mailkonto hos sydby.example. De ligner mails fra en kollega.\n\n- Åbn ikke linket, og log ikke på.\n- Meld mailen til IT. Slet den ikke.\n\nHar du allerede åbnet den? Ring til IT med det samme.' }, { language: 'nb', title: 'Vær oppmerksom på falsk e-post fra sydby.example', text: 'Akkurat nå kommer det falsk e-post.\n\n- Ikke åpne lenken, og ikke logg inn.' }, { language: 'en', title: 'Watch out for fraudulent mail from sydby.example', text: 'Fraudulent mail is arriving.\n\n- Do not open the link, and do not sign in.' }] }),
    'POST /api/node/warnings/{id}/seen': () => {
      seen = { seen_by: 'person:7', seen_at: at(0) };
      return warning();
    },
    'POST /api/node/warnings/{id}/sessions-ended': () => {
      done = { ...done, sessions_ended_at: at(0) };
      return warning();
    },
    'POST /api/node/warnings/{id}/blocked': () => {
      done = { ...done, blocked_at: at(0) };
      return warning();
    },
    'GET /api/node/taken': () => ({ taken }),
    'POST /api/node/taken': ({ body }) => ({ taken: (taken = body.taken) }),
    'GET /api/node/exposure': () => ({ items: mood === 'calm' ? [] : [{ id: 'q-2026-0003', product: 'Example VPN gateway', question: nasty('Kører I den i en version under 9.2?', 0), asked_at: at(-2 * day), municipality: nordby, state: '' }, { id: 'q-2026-0002', product: 'Example print server', question: 'Kan den nås fra internettet?', asked_at: at(-30 * day), municipality: nordby, state: 'have_mended', systems: 2, by: 'person:3', answered_at: at(-29 * day) }] }),
    'GET /api/notices': ({ query }) => list(mood === 'calm' ? [] : [notice(), { ...notice(), id: 'n-40', kind: 'sender', concern: 'skoleleder@nordby.example', judged: 'false', judged_by: 'person:3', judged_why: 'Det årlige brev til alle forældre', noticed_at: at(-11 * day) }], query),
    'GET /api/notices/{id}': () => ({ notice: notice(), signs: [{ group: 'identity', kind: 'odd_sign_in', at: at(-64 * minute), detail: nasty('ny adresse 203.0.113.9, intet device', 3) }, { group: 'identity', kind: 'inbox_rule', at: at(-61 * minute), detail: nasty('regel, der sletter svar', 0) }, { group: 'identity', kind: 'mass_sending', at: at(-58 * minute), detail: '611 mails på 11 minutter' }], domains: [{ domain: 'sydby.example', mails: 212 }, { domain: 'vestby.example', mails: 120 }, { domain: nasty('ostby.example', 1), mails: 80 }], message_ids: ['a1b2@nordby.example', 'a1b3@nordby.example'] }),
    'POST /api/notices/{id}/judge': ({ body }) => {
      judged = { judged: body.state, judged_by: 'person:7', judged_why: body.why, judged_at: at(0) };
      return notice();
    },
    'GET /api/purges': () => ({ items: mood === 'calm' || mood === 'empty' ? [] : [{ ...purge, sender: nasty(purge.sender, 1) }, oldPurge] }),
    'GET /api/purges/{id}': ({ params }) => {
      const p = params.id === oldPurge.id ? oldPurge : purge;
      return { purge: { ...p, sender: nasty(p.sender, 1) }, rounds: p.rounds ? [{ n: 1, what: 'empty', started_at: at(-12 * day), ended_at: at(-12 * day + 20_000), searched: 108, present: 107, moved: 104, failed: 2 }] : [], copies: copies(p), proofs: p.state === 'done' ? ['{"proof":"purge","notice":"n-51bc","moved":104}'] : [] };
    },
    'POST /api/purges/{id}/yes': () => {
      Object.assign(purge, { state: 'running', moved: 12, found: 25, rounds: 1, approved_by: 'person:7', ask_until: undefined });
      emit('purge.running', purge.id);
      return purge;
    },
    'POST /api/purges/{id}/no': () => Object.assign(purge, { state: 'stopped' }),
    'POST /api/purges/{id}/undo': () => Object.assign(purge, { state: 'undoing', back: 4 }),
    'POST /api/purges/{id}/redo': () => Object.assign(purge, { state: 'running' }),
    'GET /api/node/blocks': ({ query }) => ({ stopped, can: { url: 'path', domain: 'host', ipv4: 'host', email: 'path', message_id: 'nothing', sha256: 'nothing' }, items: mood === 'calm' || mood === 'empty' ? [] : [{ id: 'b-19', kind: 'url', value: 'login-nordby.example/orbes', defanged: nasty('login-nordby[.]example/orbes', 0), action: 'block', reason: nasty('login-side fra oktober', 1), campaign: '1', by: 'hub', state: 'in_force', why: '', from: at(-hour), until: at(6 * day) }, { id: 'b-20', kind: 'domain', value: 'files.example', defanged: 'files[.]example', action: 'block', reason: 'skadelige filer', by: 'hub', state: 'allowed', why: 'let through here', from: at(-2 * day), until: at(3 * day) }, { id: 'b-21', kind: 'cidr', value: '10.0.0.0/8', defanged: '10[.]0[.]0[.]0/8', action: 'block', reason: 'fejl', by: 'hub', state: 'refused', why: 'a private network is never blocked', from: at(-2 * day), until: at(day) }, ...(query.get('all') === 'true' ? [{ id: 'b-1', kind: 'domain', value: 'old.example', defanged: 'old[.]example', action: 'block', reason: 'gammel', by: 'hub', state: 'over', why: '', from: at(-20 * day), until: at(-13 * day) }] : [])], overrides }),
    'POST /api/node/blocks/stop': ({ body }) => ({ stopped: (stopped = body.why) }),
    'POST /api/node/blocks/start': () => ({ stopped: (stopped = '') }),
    'POST /api/node/blocks/overrides': ({ body }) => {
      const made = { kind: body.kind ?? 'domain', value: body.value, defanged: body.value.replace(/\./g, '[.]'), what: body.what, reason: body.reason, by: 'person:7', at: at(0), until: at(body.hours * hour) };
      overrides = [...overrides, made];
      return { status: 201, body: made };
    },
    'DELETE /api/node/blocks/overrides': ({ query }) => {
      overrides = overrides.filter((o) => o.value !== query.get('value'));
      return undefined;
    },
    'GET /api/node/lists': () => ({ items: [{ file: 'rpz.zone', export: 'rpz', what: 'Navne til BIND, Unbound, Knot, PowerDNS', path: '/lists/rpz.zone', tokens: [{ id: '1', device: 'ns1', made_by: 'person:3', made_at: at(-40 * day), used_at: at(-3 * minute) }] }, { file: 'plain.domains', export: 'plain', what: 'Domæner, et på hver linje', path: '/lists/plain.domains', tokens: [{ id: '2', device: nasty('firewall', 1), made_by: 'person:3', made_at: at(-40 * day) }] }, { file: 'fortigate.domains', export: 'fortigate', what: 'FortiGate, domæner', path: '/lists/fortigate.domains', tokens: [] }] }),
    'GET /api/node/lists/{file}': ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.end('; serial 41, ends 2026-10-21\nlogin-nordby.example\n');
    },
    'GET /api/mandate': () => (mood === 'empty' ? { holds: false, findings: [], rules: [], people: [], protected_accounts: [] } : { holds: true, findings: [{ blocks: false, what: 'purge is "ask": at night nobody answers' }], version: 2, leader: { name: nasty('Karen Lund', 0), title: 'Kommunaldirektør' }, valid_from: at(-60 * day), valid_until: at(300 * day), rules: [{ action: 'call_me', what: 'Calls the duty contact', mode: 'act', per_hour: 4, hours: { from: '00:00', to: '00:00' } }, { action: 'purge', what: 'Moves a mail out of the mailboxes', mode: 'ask', per_hour: 500, hours: { from: '06:00', to: '22:00' }, undo_withdrawn: true }, { action: 'disable_account', what: 'Disables an account', mode: 'off', per_hour: 0, hours: { from: '00:00', to: '00:00' } }], people: [{ name: 'Ole Friis', of: 'CERT', second_only: false, hours: { from: '00:00', to: '00:00' } }, { name: 'Anna Krogh', of: 'CERT', second_only: false, hours: { from: '00:00', to: '00:00' } }, { name: 'Ida Bruun', of: 'Nordby', second_only: true, hours: { from: '17:00', to: '07:00' } }], protected_accounts: ['kommunaldirektoer@nordby.example', 'breakglass@nordby.example'], text: '# Nordbys fuldmagt\nversion = 2\n\n[action.purge]\nmode = "ask"\nper_hour = 500\n', test: { passed_at: at(-20 * day), started_at: at(-20 * day), due: at(11 * day), overdue: false } }),
    'GET /api/node/orders': ({ query }) => list(mood === 'calm' ? [] : [{ id: '4', order: 'o-2026-0007', action: 'call_me', target: nasty('anna.holm@nordby.example', 0), at: at(-3 * day), outcome: 'done', says: 'called 2 ways', proof: '{}' }, { id: '3', order: 'o-2026-0005', action: 'purge', target: 'notice:n-51bc', at: at(-12 * day), outcome: 'refused', says: 'one signature, two are needed' }], query),
    'GET /api/contacts': () => (mood === 'empty' ? { items: [], missing: ['there is no duty contact'] } : { items: [{ person: '3', name: nasty('Ole Friis', 0), language: 'da', ways: [{ id: '11', kind: 'sms', address: '+45 70 00 00 00', outside: true, rank: 1, confirmed_at: at(-20 * day) }, { id: '12', kind: 'phone', address: '+45 70 00 00 01', outside: true, rank: 2 }, { id: '13', kind: 'mail', address: nasty('ole@nordby.example', 1), outside: false, rank: 3 }] }], missing: ['Ole Friis has only one way that was confirmed in the last 31 days'] }),
    'GET /api/setup': () => setup,
    'POST /api/setup/steps/{id}': ({ params, body }) => {
      const step = setup.steps.find((s) => s.id === params.id);
      const i = setup.steps.indexOf(step);
      Object.assign(step, { state: body.skip ? 'skipped' : 'done', seconds: 3.4, says: body.skip ? '' : 'ok' });
      if (step.id === 'microsoft365') Object.assign(setup.steps[2], { state: 'attention', says: '', checks: [{ name: 'signins', light: 'green', says: 'reads', lag_seconds: 130 }, { name: 'message_trace', light: 'green', says: 'reads', lag_seconds: 900 }, { name: 'defender_alerts', light: 'red', says: 'no licence', blind: 'hvad Defender selv har set' }] });
      if (step.id === 'what_works') Object.assign(setup.steps[3], { state: 'done', says: '', past: { applications: [{ name: 'Gammel nyhedsmail', right: 'Mail.Send', since: '2021-04-02' }], forwarding: [{ mailbox: 'post@nordby.example', what: 'forwards to post@vestby.example', at: '2022-01-10' }], lookalikes: [{ domain: 'n0rdby.example', why: 'o is 0', mails: 4 }], dmarc: [{ domain: 'nordby.example', policy: 'p=none', says: 'anybody can write as you' }], users_may_register: true, users_may_consent: false, access_policies: 3, mails: 48_211, not_seen: [] } });
      if (setup.steps[i + 1]?.state === 'todo') setup.steps[i + 1].state = 'waiting';
      return { status: 202, body: setup };
    },
    'GET /api/setup/consent-script': ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.end('# Bavn: an application of your own that may only read\n$tenant = "..."\n# every right stands here with what it is for\n');
    },
    'GET /api/people': () => ({ items: people.map((p, i) => ({ ...p, name: nasty(p.name, i) })) }),
    'POST /api/people': ({ body }) => {
      people = [...people, { id: String(20 + people.length), title: '', municipality: '101', passkeys: 0, code: false, provider: false, needs_second_passkey: false, ...body }];
      return { status: 201, body: { person: '30', link: 'https://desk.nordby.example/sign-in/link?c=5zq3h7c2n4m6p8r9t2v4x6y8', expires: at(7 * day) } };
    },
    'GET /api/invitations': () => ({ items: [{ id: '4', person: '9', name: 'Nordisk It-drift, vagten', by: 'person:7', made: at(-day), expires: at(6 * day) }] }),
    'GET /api/recoveries': () => ({ items: mood === 'calm' ? [] : [{ id: '2', person: '8', name: 'Karen Lund', asked_by: 'person:3', asked: at(-hour), expires: at(23 * hour), reason: nasty('nøglen tabt i toget', 0), mine: false }] }),
    'GET /api/passkeys': () => ({ items: [{ id: '3', name: nasty('Blå nøgle', 0), made: at(-100 * day), used: at(-hour), synced: false, algorithm: 'ES256', attestation: 'packed' }, { id: '4', name: 'Telefon', made: at(-40 * day), synced: true, algorithm: 'ES256', attestation: 'none' }] }),
    'GET /api/code': () => ({ allowed: false, confirmed: false }),
    'GET /api/sessions': () => ({ items: [{ id: '12', method: 'passkey', began: at(-hour), seen: at(-1000), ends: at(11 * hour), address: '192.0.2.7', browser: nasty('Firefox på Windows', 1), this: true }, { id: '11', method: 'passkey', began: at(-5 * hour), seen: at(-2 * hour), ends: at(7 * hour), address: '192.0.2.9', browser: 'Safari på iPhone', this: false }] }),
    'GET /api/keys': () => ({ items: [{ id: 'k7f3qa9x2m', name: nasty('SIEM-eksport', 0), person: '7', rights: ['alert_read', 'finding_read'], municipality: '0101', addresses: ['192.0.2.0/24'], made: at(-90 * day), expires: at(90 * day), used: at(-3 * minute), used_from: '192.0.2.17', state: 'valid' }, { id: 'kk', name: 'Gammelt script', person: '7', rights: ['indicator_read'], addresses: [], made: at(-400 * day), expires: at(-30 * day), state: 'expired' }] }),
  };
  return {
    routes,
    started: (tell) => (emit = tell),
    become: (next) => (mood = next || 'hit'),
  };
}
