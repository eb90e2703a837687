// A hub in the middle of October 2024, moved to now: Gentofte's account sends since 47 minutes, Lyngby-Taarbæk followed, one suspicion waits.
// All addresses are on .example. `become('hostile')` puts markup and script into every text that comes from outside, `become('quiet')` is a
// night without anything.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { neighbours } from './neighbours.mjs';
import { Refusal } from './server.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const csv = (name) =>
  readFileSync(join(root, 'content', 'municipalities', name), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','));

const reasons = JSON.parse(readFileSync(join(root, 'i18n', 'ui', 'sentences', 'settings.json'), 'utf8'));

/** The same row of numbers each time: pictures of two runs can be compared. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export default function hub() {
  const towns = csv('denmark.csv').map(([code, name, region]) => ({ code, name, region }));
  const tiles = csv('denmark_tiles.csv').map(([code, row, column]) => ({ code, row: Number(row), column: Number(column) }));
  const named = (name) => towns.find((town) => town.name === name);
  const ref = (name) => ({ code: named(name).code, name });
  const began = Date.now();
  const minute = 60_000;
  const first = began - 47 * minute;
  const at = (minutes) => new Date(first + minutes * minute).toISOString();
  let mood = 'october';
  const hostile = (text) => (mood === 'hostile' ? `<img src=x onerror=alert(1)><script>document.title='owned'</script>\u202E"'{{7*7}}${'å'.repeat(90)} ${text}` : text);

  const random = dice(1024);
  const others = ['Gladsaxe', 'Rudersdal', 'Furesø', 'København', 'Frederiksberg', 'Herlev', 'Ballerup', 'Hillerød', 'Helsingør', 'Hørsholm', 'Allerød', 'Roskilde', 'Egedal', 'Ishøj', 'Greve', 'Køge', 'Odense', 'Aarhus', 'Aalborg', 'Vejle'];
  const parts = [
    { name: 'Lyngby-Taarbæk', firstMail: 0, lastMail: 31.3, mails: 791, noticed: 1.1, warned: 1.3, answered: 1.25, emptied: 32, done: 791, clicks: 2, ended: 31.5 },
    ...others.map((name, i) => {
      const start = 3 + i * 1.55 + random() * 1.4;
      const mails = 4 + Math.floor(random() * 28);
      const clean = i % 7 !== 4;
      return { name, firstMail: start, lastMail: start + 4 + random() * 12, mails, warned: 1.2 + random() * 3.4, answered: Math.max(1.4, start + 0.2), ...(clean ? { emptied: Math.min(46, start + 14 + random() * 6), done: mails } : { done: 0 }), clicks: 0 };
    }),
  ];
  const handover = { text: 'Sag 1 brænder. Gentofte er ringet op 08.02 og er ved at afslutte sessioner.\nLyngby-Taarbæk har tømt alle postkasser. Holder øje med Ishøj, som ikke kan tømme selv.', by: 'person:7', by_name: 'Ida Bruun', at: at(10), version: 12, earlier: [{ text: 'Rolig nat. Fanø var væk fra 05.33.', by: 'person:8', by_name: 'Per Lund', at: at(-38), version: 11 }] };
  const warnings = new Map();
  const judged = new Map();
  let versions = { handover: 12, settings: 1 };

  const counts = () => ({ municipalities: parts.length, senders: 2, mails: parts.reduce((sum, part) => sum + part.mails, 0), outside: 374, clicks: 2, reporters: 14 });
  const octoberRow = () => ({
    id: '1', state: 'lit', severity: 'critical', cause: 'sender_notice', trigger: 'sender_notice', first_mail_at: at(0), last_mail_at: at(46.5), noticed_at: at(1.08), opened_at: at(1.1), lit_at: at(1.16), lit_by: 'trigger:sender_notice',
    judged: judged.get('1') ?? 'open', ...(judged.has('1') ? { judged_by: 'person:7' } : {}),
    from: { domain: hostile('gentofte.example'), municipality: ref('Gentofte'), may_be_named: true }, counts: counts(),
    minutes: { to_notice: 1.08, to_warning: 1.16, to_emptied: 46.1, first_warned: 1.3, all_warned: 4.9, to_ended: 31.5, won: { minutes: 964.8, baseline: 966, against: '2024-10' } },
    warning: { id: 'w-1', state: 'updated', version: 3, asked: 98, answered: 96, seen_here: 21 },
    next_step: { kind: judged.has('1') ? 'call_silent' : 'confirm_or_judge', href: judged.has('1') ? '/warnings/w-1' : '/campaigns/1' },
  });
  const suspicion = (id, more = {}) => ({
    id, state: 'suspicion', severity: 'medium', cause: 'url', first_mail_at: at(-40), last_mail_at: at(2.7), opened_at: at(-2), suspicion_at: at(4.5), judged: judged.get(id) ?? 'open',
    counts: { municipalities: 4, senders: 0, mails: 11, outside: 0, clicks: 0, reporters: 2 }, minutes: { to_notice: 30.4 }, next_step: { kind: 'judge', href: `/suspicions?id=${id}` },
    why: [
      { group: 'harm', kind: 'reported', count: 2, municipalities: 2, first_at: at(3.1), detail: '' },
      { group: 'payload', kind: 'login_form', count: 1, municipalities: 1, first_at: at(4.5), detail: hostile('') },
    ],
    missing: ['identity', 'intelligence'],
    observables: [{ kind: 'url', value: 'https://tilmelding.example/kursus/*', defanged: hostile('hxxps://tilmelding[.]example/kursus/*'), municipalities: 4, first_at: at(-40), shared_host: false }],
    ...more,
  });
  const queue = () =>
    (mood === 'quiet' ? [] : [suspicion('2'), suspicion('3', { severity: 'low', cause: 'attachment', counts: { municipalities: 2, senders: 0, mails: 3, outside: 0, clicks: 0, reporters: 1 }, observables: [{ kind: 'sha256', value: '5f2b7c1e9d3a4860b1c2d3e4f5a60718293a4b5c6d7e8f9001122334455667a8', defanged: '5f2b7c1e9d3a4860b1c2d3e4f5a60718293a4b5c6d7e8f9001122334455667a8', municipalities: 2, first_at: at(-20), shared_host: false }], why: [{ group: 'payload', kind: 'active_attachment', count: 3, municipalities: 2, first_at: at(-20), detail: '' }, { group: 'harm', kind: 'reported', count: 1, municipalities: 1, first_at: at(-12), detail: '' }] })]).filter((one) => !judged.has(one.id));

  const textOf = (language) => ({
    da: { title: 'Falske mails fra gentofte.example', summary: 'En konto i Gentofte Kommune er overtaget og sender mails med et link til en falsk loginside.', for_employees: 'Har du fået en mail fra Gentofte Kommune om en faktura? Åbn ikke linket. Ring til it, hvis du har åbnet det.', do_now: ['Tøm postkasserne for mailen.', 'Se, om nogen har åbnet linket.', 'Afslut sessioner for dem, der har.'], reasons: ['Halvdelen af alle klik sker i den første time.', 'Den, der har tastet sin adgangskode, er allerede overtaget.', 'En stjålen session overlever et nyt kodeord.'], sms: 'Bavn: falske mails fra gentofte.example. Aabn ikke linket.' },
    nb: { title: 'Falske e-poster fra gentofte.example', summary: 'En konto i Gentofte kommune er overtatt og sender e-poster med lenke til en falsk påloggingsside.', for_employees: 'Har du fått en e-post fra Gentofte kommune om en faktura? Ikke åpne lenken. Ring IT hvis du har åpnet den.', do_now: ['Tøm postkassene for e-posten.', 'Se om noen har åpnet lenken.', 'Avslutt økter for dem som har.'], reasons: ['Halvparten av alle klikk skjer den første timen.', 'Den som har tastet passordet sitt, er allerede overtatt.', 'En stjålet økt overlever et nytt passord.'], sms: 'Bavn: falske e-poster fra gentofte.example. Ikke aapne lenken.' },
    en: { title: 'False mail from gentofte.example', summary: 'An account of Gentofte is taken and sends mail with a link to a false sign-in page.', for_employees: 'Did you get mail from Gentofte about an invoice? Do not open the link. Call IT if you did.', do_now: ['Empty the mailboxes of it.', 'See whether anybody opened the link.', 'End the sessions of those who did.'], reasons: ['Half of all clicks come in the first hour.', 'Who typed a password there is already taken.', 'A stolen session survives a new password.'], sms: 'Bavn: false mail from gentofte.example. Do not open the link.' },
  })[language];
  const answersOf = () => [
    ...parts.map((part) => ({
      municipality: ref(part.name), received_at: at(part.answered), state: part.emptied ? 'purged' : 'seen_here', hits: part.mails, recipients: Math.ceil(part.mails * 0.8), clicks: part.clicks, first_hit_at: at(part.firstMail), warned_at: at(part.warned), emptied: part.done, left: part.mails - part.done,
      ...(part.emptied ? { emptied_at: at(part.emptied), minutes_to_emptied: part.emptied } : {}), looked_in: part.emptied ? ['message_trace', 'proxy'] : ['message_trace'], cannot_see: part.emptied ? [] : ['proxy', 'mailboxes'], by: 'machine', reminders: 0, minutes_to_warned: part.warned,
    })),
    { municipality: ref('Fanø'), reminders: 1 },
    { municipality: ref('Samsø'), reminders: 1 },
    ...towns.filter((town) => !['Fanø', 'Samsø', ...parts.map((part) => part.name)].includes(town.name)).map((town, i) => ({ municipality: { code: town.code, name: town.name }, received_at: at(1.3 + (i % 9) * 0.12), state: i % 19 === 7 ? 'cannot_know' : 'not_seen', hits: 0, looked_in: ['message_trace'], cannot_see: i % 19 === 7 ? ['mailboxes'] : [], by: 'machine', reminders: 0, warned_at: at(1.3 + (i % 7) * 0.5), minutes_to_warned: 1.3 + (i % 7) * 0.5 })),
  ];
  function warning(id) {
    const known = warnings.get(id);
    const base = {
      id, campaign: '1', state: 'updated', severity: 'critical', tlp: 'amber', version: 3, title: textOf('da').title, first_seen_at: at(0), drafted_at: at(1.155), sent_at: at(1.16), changed_at: at(12), lit_by_itself: !judged.has('1'), asked: 98, answered: 96, seen_here: parts.length,
      from: { domain: 'gentofte.example', municipality: ref('Gentofte'), may_be_named: true }, to: [],
      look_for: observables().map((one) => ({ kind: one.kind, value: one.value, defanged: one.defanged, shared_host: one.shared_host })),
      advice: ['purge', 'look_for_clicks', 'end_sessions', 'apps', 'rules', 'block_path', 'keep_domain', 'report_not_delete'],
      texts: ['da', 'nb', 'en'].map((language) => ({ language, own: false, ...textOf(language) })),
      minutes: { drafted: 1.16, sent: 1.16, first_warned: 1.3, all_warned: 4.9, emptied: 46.1, ended: 31.5 },
      versions: [{ version: 1, at: at(1.16), state: 'sent', by: 'trigger:sender_notice', why: '' }, { version: 2, at: at(3.2), state: 'updated', by: 'correlation', why: '' }, { version: 3, at: at(12), state: 'updated', by: 'person:7', why: hostile('new words') }],
      answers: answersOf(), counted: { seen_here: parts.length, not_seen: 71, cannot_know: 4, purged: parts.filter((part) => part.emptied).length, failed: 0, received: 0, silent: 2 },
      reminders: [{ municipality: ref('Fanø'), at: at(16.1), nth: 1, messages: 2 }, { municipality: ref('Samsø'), at: at(16.1), nth: 1, messages: 0 }], deliveries: { waiting: 0, delivered: 2, failed: 0 }, next_reminder_at: at(76.1), may: ['update', 'edit_texts', 'over', 'withdraw'],
    };
    if (known) return { ...base, ...known };
    if (id === 'w-1') return { ...base, title: hostile(base.title) };
    throw new Refusal(404, 'not-found', 'Varslet findes ikke', { advice: 'Gå tilbage til listen.' });
  }
  const observables = () => [
    { kind: 'url', value: 'https://profil.example/orbes', defanged: hostile('hxxps://profil[.]example/orbes'), municipalities: 22, first_at: at(0), shared_host: true },
    { kind: 'email', value: 'mette.holm@gentofte.example', defanged: 'mette[.]holm[@]gentofte[.]example', municipalities: 22, first_at: at(0), shared_host: false },
    { kind: 'email', value: 'jonas.krogh@lyngby.example', defanged: 'jonas[.]krogh[@]lyngby[.]example', municipalities: 9, first_at: at(22), shared_host: false },
    { kind: 'subject', value: hostile('Faktura 4471 fra Gentofte Kommune'), defanged: hostile('Faktura 4471 fra Gentofte Kommune'), municipalities: 21, first_at: at(0), shared_host: false },
  ];
  function campaign(id) {
    if (id === '2' || id === '3') {
      const one = suspicion(id, { judged: judged.get(id) ?? 'open', state: judged.get(id) === 'not_real' ? 'false' : 'suspicion' });
      return { ...one, impact: 2, spread: 1, municipalities_per_hour: 2, senders: [], signs: one.why.map((why) => ({ group: why.group, kind: why.kind, at: why.first_at, count: why.count, detail: why.detail, decided: true })), timeline: [{ at: at(-40), kind: 'first_mail', values: {} }, { at: at(4.5), kind: 'suspicion', values: {} }], municipalities: [], arrows: [], spread_steps: [{ at: at(-40), municipalities: 1, mails: 2 }, { at: at(-12), municipalities: 3, mails: 8 }, { at: at(2.7), municipalities: 4, mails: 11 }], outside: { domains: 0, told: 0, kinds: [] }, victims: [], warnings: [], may: ['confirm', 'judge_real', 'judge_false', 'merge'] };
    }
    if (id !== '1') throw new Refusal(404, 'not-found', 'Sagen findes ikke', { advice: 'Gå tilbage til listen.' });
    const arrows = [
      ...parts.map((part) => ({ from: ref('Gentofte'), to: ref(part.name), mails: part.mails, first_at: at(part.firstMail), last_at: at(part.lastMail) })),
      { from: ref('Gentofte'), outside: true, mails: 374, first_at: at(2.2), last_at: at(46) },
      ...['Hillerød', 'Roskilde', 'Odense', 'Aarhus', 'Køge', 'Vejle'].map((name, i) => ({ from: ref('Lyngby-Taarbæk'), to: ref(name), mails: 8 + i * 5, first_at: at(26 + i * 2.4), last_at: at(38 + i) })),
      { from: ref('Lyngby-Taarbæk'), outside: true, mails: 330, first_at: at(27), last_at: at(46.5) },
    ];
    const steps = [...parts].sort((a, b) => a.firstMail - b.firstMail).map((part, i, all) => ({ at: at(part.firstMail), municipalities: i + 1, mails: all.slice(0, i + 1).reduce((sum, one) => sum + one.mails, 0) }));
    return {
      ...octoberRow(), impact: 4, spread: 3, municipalities_per_hour: 31.2,
      senders: [
        { address: hostile('mette.holm@gentofte.example'), domain: 'gentofte.example', municipality: ref('Gentofte'), mails: 1426, first_at: at(0), takeover: true },
        { address: 'jonas.krogh@lyngby.example', domain: 'lyngby.example', municipality: ref('Lyngby-Taarbæk'), mails: 750, first_at: at(26), takeover: true },
      ],
      signs: [
        { group: 'identity', kind: 'session_moved', municipality: ref('Gentofte'), at: at(-1449), count: 1, detail: hostile('one session from two networks'), decided: true },
        { group: 'identity', kind: 'sender_notice', municipality: ref('Gentofte'), at: at(1.08), count: 1, detail: '', decided: true },
        { group: 'payload', kind: 'login_form', municipality: ref('Gentofte'), at: at(1.1), count: 1, detail: '', decided: true },
        { group: 'harm', kind: 'clicked', municipality: ref('Lyngby-Taarbæk'), at: at(9.7), count: 2, detail: '', decided: false },
        { group: 'harm', kind: 'reported', municipality: ref('Lyngby-Taarbæk'), at: at(11), count: 14, detail: '', decided: false },
        { group: 'identity', kind: 'new_app', municipality: ref('Lyngby-Taarbæk'), at: at(21), count: 1, detail: 'Mail.Send', decided: false },
      ],
      timeline: [
        { at: at(-1449), kind: 'sign', municipality: ref('Gentofte'), values: { group: 'identity', sign: 'session_moved' } },
        { at: at(0), kind: 'first_mail', municipality: ref('Gentofte'), values: {} },
        { at: at(1.08), kind: 'noticed', municipality: ref('Gentofte'), values: { cause: 'sender_notice' } },
        { at: at(1.1), kind: 'known_at_hub', values: {} },
        { at: at(1.16), kind: 'lit', values: { by: 'trigger:sender_notice' } },
        { at: at(1.161), kind: 'warning', values: { id: 'w-1', version: '1', state: 'sent', by: 'trigger:sender_notice' } },
        { at: at(1.2), kind: 'call', municipality: ref('Gentofte'), values: { made: 'yes', night: 'no', reason: 'takeover' } },
        { at: at(9.7), kind: 'sign', municipality: ref('Lyngby-Taarbæk'), values: { group: 'harm', sign: 'clicked' } },
        { at: at(12), kind: 'warning', values: { id: 'w-1', version: '3', state: 'updated', by: 'person:7' } },
        { at: at(31.5), kind: 'ended', municipality: ref('Lyngby-Taarbæk'), values: {} },
        { at: at(32), kind: 'emptied', municipality: ref('Lyngby-Taarbæk'), values: { mails: '791' } },
      ],
      municipalities: parts.map((part) => ({
        ...ref(part.name), first_mail_at: at(part.firstMail), last_mail_at: at(part.lastMail), mails: part.mails, ...(part.noticed ? { noticed_at: at(part.noticed) } : {}), warned_at: at(part.warned), answered_at: at(part.answered), answer: part.emptied ? 'purged' : 'seen_here', hits: part.mails,
        ...(part.emptied ? { emptied_at: at(part.emptied) } : {}), emptied: part.done, left: part.mails - part.done, clicks: part.clicks, ...(part.ended ? { ended_at: at(part.ended) } : {}), reminders: 0,
      })),
      arrows, spread_steps: steps, observables: observables(), outside: { domains: 41, told: 1, kinds: [{ kind: 'club', count: 19 }, { kind: 'state', count: 3 }, { kind: 'company', count: 19 }] },
      victims: [{ kind: 'member', count: 22 }, { kind: 'company', count: 19 }, { kind: 'club', count: 19 }, { kind: 'state', count: 3 }],
      warnings: [{ id: 'w-1', state: 'updated', version: 3, asked: 98, answered: 96, seen_here: 21 }], may: judged.has('1') ? ['close', 'merge'] : ['confirm', 'judge_real', 'judge_false', 'close', 'merge'],
    };
  }
  const text = (name, value, most = 2000) => ({ name, type: 'text', value, fallback: value, unit: 'none', least: 0, most, reason: reasons[name].en, restart: true, changed: false });
  const whole = (name, value, least, most, unit = 'none') => ({ ...text(name, value), type: 'integer', unit, least, most });
  const settings = [
    text('auth.inside', ''), whole('auth.longest_key', 366, 1, 3660, 'days'), whole('blocks.preview_seconds', 60, 5, 3600, 'seconds'), text('campaigns.baseline_case', '2024-10', 40),
    whole('correlate.candidate_municipalities', 3, 2, 20), whole('correlate.light_reporters', 3, 1, 1000), whole('correlate.suspicions_per_shift', 5, 1, 100), text('exchange.inside', ''), whole('exchange.largest_answer', 268_435_456, 1_048_576, 1_073_741_824, 'bytes'),
    { ...text('misp.at_root', true), type: 'flag', least: 0, most: 1 }, text('notify.sms_body', '{{"to":"{to}","from":"{from}","message":"{text}"}}', 4000),
    whole('taxii.most_objects', 500_000, 1, 10_000_000), { ...whole('warn.remind_after', 15, 1, 1440, 'minutes'), pending: 10, changed: true }, text('web.address', '127.0.0.1', 64),
    // One that the page has no words for is shown as the server says it.
    { name: 'warn.name_sender', type: 'flag', value: true, fallback: false, unit: 'none', least: 0, most: 1, reason: 'Whether a municipality that agreed is named when its account sends.', restart: false, changed: true },
  ];
  const nodeOf = (town, i) => ({
    id: town.name.toLowerCase().replaceAll('æ', 'ae').replaceAll('ø', 'oe').replaceAll('å', 'aa'), operator: town.name, form: ['package', 'guest', 'vm'][i % 3], state: town.name === 'Fanø' || town.name === 'Samsø' ? 'away' : 'connected', municipalities: [{ code: town.code, name: town.name }], version: '0.1.0', enrolled_at: at(-70000), last_seen_at: town.name === 'Fanø' ? at(-41) : at(46.9), certificate_until: at(24 * 60 * (8 + (i % 20))), clock_offset_ms: (i % 7) - 3, clock_marked: false, behind: i % 31 === 3 ? 2 : 0, open_alerts: parts.some((part) => part.name === town.name) ? 1 : 0, indicators: 350412, trouble: town.name === 'Fanø' ? [hostile('disk is 91 % full')] : [],
    sources: [{ name: 'microsoft365', state: 'running', lag_seconds: 41 + i, newest_age_seconds: 55, records: 918223 + i * 1000, refused: 0 }], ...(i % 3 === 1 ? { guest: { state: 'running', memory_mb: 84 + (i % 9), restarts: 0, user: `bavn-${town.code}`, started_at: at(-900), last_end: '', ...(i % 2 === 0 ? { address: `https://bavn-${town.code}.hub.example:8443` } : {}) } } : {}),
  });
  const page = (items, query, size = 50) => {
    const start = Number(query.get('cursor') ?? 0);
    const limit = Number(query.get('limit') ?? size);
    return { items: items.slice(start, start + limit), ...(start + limit < items.length ? { next: String(start + limit) } : {}) };
  };
  const indicators = 350_412;
  const auditRow = (n) => ({ seq: String(n), at: at(40 - (912 - n) * 3), who: ['person:7', 'person:8', 'trigger:sender_notice', 'system'][n % 4], action: ['warning.text', 'campaign.judged', 'warning.sent', 'node.enrolled', 'session.began'][n % 5], subject: n % 2 ? 'warning:w-1' : hostile('campaign:1'), detail: n % 3 ? { language: 'da' } : {}, hash: (n * 2654435761 % 65536).toString(16).padStart(4, '0') });
  let emit = () => {};
  let ticking;

  const routes = {
    'GET /api/overview': () => ({
      now: new Date().toISOString(), name: 'KommuneCERT', burning: mood === 'quiet' ? [] : [octoberRow()],
      suspicions: { open: queue(), waiting: 0, this_shift: 2, most_per_shift: 5 },
      clocks: mood === 'quiet' ? [{ kind: 'certificate_ends', at: at(24 * 60 * 8), subject: 'fanoe', values: { node: 'Fanø' }, href: '/nodes/fanoe' }] : [
        { kind: 'block_stage', at: at(51), subject: 'b-1', values: { value: 'profil[.]example' }, href: '/blocks/b-1' },
        { kind: 'warning_reminder', at: at(62), subject: 'w-1', values: { silent: '2' }, href: '/warnings/w-1' },
        { kind: 'block_ends', at: at(241), subject: 'b-1', values: { value: 'hxxps://profil[.]example/orbes' }, href: '/blocks/b-1' },
      ],
      figures: { false_warnings_30: 0, false_warnings_90: { not_real: 0, lit: 1, days: 90, a_month: 0, at_least: 0, at_most: 1, not_judged: 1, would_lit: 0, would_not_real: 0 }, nodes: { connected: 96, away: 2, never: 0, revoked: 0, behind: 1 }, indicators, digests: { groups_day: 214, candidates_open: 3, revealed_day: 9 }, mails: { emptied: parts.reduce((sum, part) => sum + part.done, 0), left: parts.reduce((sum, part) => sum + part.mails - part.done, 0) }, streams_open: 96, log_entries: 1204 },
      trouble: mood === 'quiet' ? [] : [{ kind: 'node_away', municipality: ref('Fanø'), values: { minutes: '41' }, text: hostile('Fanø has been away for 41 min.') }],
      handover: { text: hostile(handover.text), by: handover.by, by_name: handover.by_name, at: handover.at },
    }),
    'GET /api/campaigns': ({ query }) => page(mood === 'quiet' ? [] : [octoberRow(), ...queue(), { ...octoberRow(), id: '0', state: 'over', severity: 'high', judged: 'real', over_at: at(-20000), first_mail_at: at(-20500), last_mail_at: at(-20300), opened_at: at(-20499), lit_at: at(-20498), counts: { municipalities: 7, senders: 1, mails: 188, outside: 12, clicks: 0, reporters: 6 }, from: { domain: 'leverandoer.example', may_be_named: false }, minutes: { to_notice: 2.4, to_warning: 3.1, to_emptied: 38, won: { minutes: 962.9, baseline: 966, against: '2024-10' } }, next_step: { kind: 'nothing', href: '/campaigns/0' } }], query),
    'GET /api/campaigns/{id}': ({ params }) => campaign(params.id),
    'POST /api/campaigns/{id}/judge': ({ params, body }) => {
      judged.set(params.id, body.real ? 'real' : 'not_real');
      emit('campaign.updated', params.id);
      return campaign(params.id);
    },
    'POST /api/campaigns/{id}/confirm': ({ params }) => {
      judged.set(params.id, 'real');
      emit('campaign.updated', params.id);
      return campaign(params.id);
    },
    'GET /api/campaigns/{id}/outside': () => ({ items: ['roklubben.example', 'ministeriet.example', 'tømrer-olsen.example', 'idraet.example'].map((domain, i) => ({ domain: hostile(domain), kind: ['club', 'state', 'company', 'club'][i], first_at: at(2 + i * 3), ...(i === 1 ? { told_by: 'person:7', told_at: at(40) } : {}) })) }),
    'GET /api/suspicions': () => ({ items: queue(), waiting: 0, this_shift: 2, most_per_shift: 5 }),
    'GET /api/warnings': ({ query }) => page([warning('w-1'), ...[...warnings.keys()].map(warning)].map((one) => ({ ...one, answers: undefined, texts: undefined })), query),
    'POST /api/warnings': ({ body }) => {
      const id = `w-${warnings.size + 2}`;
      warnings.set(id, { campaign: body.campaign ?? '', severity: body.severity ?? 'medium', state: 'draft', version: 0, sent_at: undefined, answers: [], counted: { seen_here: 0, not_seen: 0, cannot_know: 0, purged: 0, failed: 0, received: 0, silent: 98 }, reminders: [], versions: [], answered: 0, seen_here: 0, may: ['send', 'update', 'edit_texts', 'withdraw'] });
      return { created: true, ...warning(id) };
    },
    'GET /api/warnings/{id}': ({ params }) => ({ status: 200, body: warning(params.id), headers: { etag: `"${warning(params.id).version}"` } }),
    'PUT /api/warnings/{id}/texts/{language}': ({ params, body }) => {
      const now = warning(params.id);
      warnings.set(params.id, { ...(warnings.get(params.id) ?? {}), texts: now.texts.map((text) => (text.language === params.language ? { ...text, ...body, own: true } : text)) });
      return { status: 200, body: warning(params.id), headers: { etag: '"9"' } };
    },
    'GET /api/warnings/{id}/preview': ({ params, query }) => {
      const language = query.get('language') ?? 'da';
      const text = warning(params.id).texts.find((one) => one.language === language);
      return { language, subject: text.title, mail: `${text.title}\n\n${text.summary}\n\n${text.do_now.map((line, i) => `• ${line}\n  ${text.reasons[i] ?? ''}`).join('\n')}\n\n${text.for_employees}\n`, sms: text.sms, sms_parts: 1, call_only_subject: 'Ring til den fælles CERT', call_only: 'Der er et kritisk varsel. Ring op på det nummer, I kender i forvejen.', for_employees: text.for_employees, bytes: 4120, reaches: 98 };
    },
    'POST /api/warnings/{id}/send': ({ params }) => {
      warnings.set(params.id, { ...(warnings.get(params.id) ?? {}), state: 'sent', version: 1, sent_at: new Date().toISOString(), may: ['update', 'edit_texts', 'over', 'withdraw'] });
      emit('warning.sent', params.id);
      // Answers come in while one looks.
      const all = answersOf();
      let count = 0;
      const coming = setInterval(() => {
        count = Math.min(all.length, count + 7);
        const answers = all.map((answer, i) => (i < count ? answer : { municipality: answer.municipality, reminders: 0 }));
        const of = (state) => answers.filter((answer) => answer.state === state).length;
        warnings.set(params.id, { ...warnings.get(params.id), answers, answered: answers.filter((answer) => answer.state).length, seen_here: of('seen_here') + of('purged'), counted: { seen_here: of('seen_here') + of('purged'), not_seen: of('not_seen'), cannot_know: of('cannot_know'), purged: of('purged'), failed: 0, received: 0, silent: answers.filter((answer) => !answer.state).length } });
        emit('warning.answered', params.id);
        if (count === all.length) clearInterval(coming);
      }, 250);
      coming.unref?.();
      return { status: 200, body: warning(params.id), headers: { etag: '"2"' } };
    },
    'POST /api/warnings/{id}/over': ({ params }) => (warnings.set(params.id, { ...(warnings.get(params.id) ?? {}), state: 'over', may: [] }), warning(params.id)),
    'POST /api/warnings/{id}/withdraw': ({ params }) => (warnings.set(params.id, { ...(warnings.get(params.id) ?? {}), state: 'withdrawn', may: [] }), warning(params.id)),
    'GET /api/map': ({ query, role }) => {
      const all = role === 'duty_lead' || role === 'analyst';
      const withCampaign = query.get('campaign');
      const out = tiles.map((tile) => {
        const town = towns.find((one) => one.code === tile.code);
        const part = mood === 'quiet' ? undefined : parts.find((one) => one.name === town.name);
        const sender = mood !== 'quiet' && town.name === 'Gentofte';
        const state = sender ? 'sender' : part ? (part.emptied ? 'emptied' : 'reached') : town.name === 'Fanø' || town.name === 'Samsø' ? 'away' : 'calm';
        if (!all) return { ...tile, name: town.name, state: 'hidden' };
        return {
          ...tile, name: town.name, state,
          ...(part ? { first_seen_at: at(part.firstMail), mails: part.mails, warned_at: at(part.warned), answered_at: at(part.answered), ...(part.emptied ? { emptied_at: at(part.emptied) } : {}), campaigns: ['1'] } : {}),
          ...(sender ? { first_seen_at: at(0), mails: 0, noticed_at: at(1.08), warned_at: at(1.2), campaigns: ['1'] } : {}),
          ...(withCampaign && !part && !sender && state === 'calm' ? { warned_at: at(1.4 + (Number(tile.code) % 17) * 0.2) } : {}),
        };
      });
      const counted = {};
      for (const tile of out) counted[tile.state] = (counted[tile.state] ?? 0) + 1;
      return { country: 'denmark', rows: 14, columns: 16, ...(withCampaign ? { campaign: withCampaign, from: at(0), to: at(46.6) } : {}), tiles: out, counts: all ? counted : { calm: 75, sender: 1, reached: 3, emptied: 17, away: 2 } };
    },
    'GET /api/nodes': ({ query }) => page(towns.map(nodeOf).filter((node) => !query.get('state') || node.state === query.get('state')).sort((a, b) => a.id.localeCompare(b.id)), query),
    'GET /api/nodes/{id}': ({ params }) => {
      const found = towns.map(nodeOf).find((node) => node.id === params.id);
      if (!found) throw new Refusal(404, 'not-found', 'Noden findes ikke');
      return found;
    },
    'POST /api/nodes/{id}/revoke': () => {
      throw new Refusal(403, 'proof-needed', 'Vis, at det er dig');
    },
    'GET /api/municipalities': ({ query }) => page(towns.map((town, i) => ({ code: town.code, name: town.name, region: town.region, country: 'denmark', member: true, operator: town.name, since: at(-70000), domains: [`${nodeOf(town, i).id}.example`], may_be_named: i % 3 === 0, nodes: [nodeOf(town, i).id], taken: town.name === 'Gentofte' && mood !== 'quiet', word_alone: town.name !== 'Fanø', not_real: town.name === 'Fanø' ? 1 : 0, real: town.name === 'Gentofte' ? 1 : 0, duty: i % 24 === 7 ? { contacts: 0, gaps: [], at_node: 'tested' } : { contacts: 2, gaps: i % 24 === 5 ? ['saturday'] : [] } })), query),
    'GET /api/municipalities/{code}': ({ params }) => {
      const i = towns.findIndex((town) => town.code === params.code);
      if (i < 0) throw new Refusal(404, 'not-found', 'Kommunen findes ikke');
      const town = towns[i];
      return { status: 200, body: { code: town.code, name: town.name, region: town.region, country: 'denmark', member: true, operator: town.name, since: at(-70000), domains: [`${nodeOf(town, i).id}.example`], may_be_named: true, nodes: [nodeOf(town, i).id], taken: town.name === 'Gentofte', word_alone: true, not_real: 0, real: 1, duty: town.name === 'Gentofte' ? { contacts: 0, gaps: [], at_node: 'tested' } : { contacts: 2, gaps: [] } }, headers: { etag: '"4"' } };
    },
    'GET /api/indicators': ({ query }) => {
      const limit = Number(query.get('limit') ?? 50);
      const start = Number(query.get('cursor') ?? indicators);
      const items = [];
      for (let id = start; id > Math.max(0, start - limit); --id) items.push({ id: String(id), kind: id % 3 ? 'url' : 'domain', value: `https://host-${id}.example/a`, defanged: hostile(`hxxps://host-${id}[.]example/a`), source: id > 350_000 ? 'campaign:1' : 'urlhaus', action: id % 5 ? 'watch' : 'warn', confidence: 50 + (id % 50), tlp: 'amber', comment: '', added_at: at(-id % 9000), added_by: 'person:7' });
      return { items, ...(start - limit > 0 ? { next: String(start - limit) } : {}) };
    },
    'GET /api/handover': () => ({ status: 200, body: { ...handover, text: hostile(handover.text) }, headers: { etag: `"${versions.handover}"` } }),
    'PUT /api/handover': ({ body, headers }) => {
      if (headers['if-match'] !== `"${versions.handover}"`) throw new Refusal(412, 'stale-edit', 'En anden har ændret det imens', { advice: 'Hent den igen, og skriv din ændring en gang til.' });
      handover.earlier.unshift({ text: handover.text, by: handover.by, by_name: handover.by_name, at: handover.at, version: handover.version });
      Object.assign(handover, { text: body.text, at: new Date().toISOString(), version: ++versions.handover });
      return { status: 200, body: handover, headers: { etag: `"${versions.handover}"` } };
    },
    'GET /api/settings': () => ({ status: 200, body: { items: settings.map((one) => ({ ...one, reason: hostile(one.reason) })), restart_needed: settings.some((one) => one.pending !== undefined) }, headers: { etag: `"${versions.settings}"` } }),
    'PUT /api/settings/{name}': ({ params, body }) => {
      const one = settings.find((setting) => setting.name === params.name);
      const next = body.value ?? one.fallback;
      if (typeof next === 'number' && (next < one.least || next > one.most)) throw new Refusal(400, 'bad-input', 'Værdien er uden for grænserne', { errors: [{ pointer: '/value', detail: `mellem ${one.least} og ${one.most}` }] });
      one.pending = next;
      one.changed = next !== one.fallback;
      ++versions.settings;
      return { status: 200, body: { items: settings, restart_needed: true }, headers: { etag: `"${versions.settings}"` } };
    },
    ...neighbours({ at, hostile: (text) => hostile(text), emit: (...args) => emit(...args), quiet: () => mood === 'quiet' }),
    'GET /api/audit': ({ query }) => {
      const start = Number(query.get('cursor') ?? 912);
      const limit = Number(query.get('limit') ?? 50);
      const items = [];
      for (let n = start; n > Math.max(0, start - limit); --n) items.push(auditRow(n));
      return { items, ...(start - limit > 0 ? { next: String(start - limit) } : {}) };
    },
  };
  return {
    routes,
    become(next) {
      mood = next || 'october';
      judged.clear();
      warnings.clear();
    },
    started(tell) {
      emit = tell;
      ticking = setInterval(() => emit('node.seen', ''), 20_000);
      ticking.unref();
    },
    stopped: () => clearInterval(ticking),
  };
}
