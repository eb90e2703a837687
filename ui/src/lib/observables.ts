// Observables in text that people paste: advisories, mails, lists, chat. What is found here is a preview of what the node will look for;
// the node reads the values again by its own rules (src/event/observable.hpp) and refuses what it does not take.
// Pure: no DOM, no clock.
import { plainText, unwrapped } from './pasted';

export type Kind =
  | 'domain'
  | 'url'
  | 'ipv4'
  | 'ipv6'
  | 'cidr'
  | 'md5'
  | 'sha1'
  | 'sha256'
  | 'email'
  | 'mail_domain'
  | 'message_id'
  | 'subject'
  | 'file_name'
  | 'user_agent'
  | 'asn'
  | 'ja3'
  | 'app_id'
  | 'account'
  | 'bank_account'
  | 'phone';

export interface Found {
  kind: Kind;
  /** As the node would write it, not defanged. */
  value: string;
  /** As it stood in the text. */
  written: string;
  /** Sure enough to be chosen without asking. A bare "setup.sh" may be a file or a name in Saint Helena. */
  sure: boolean;
}

export interface Extraction {
  found: Found[];
  /** More than `limit` were in the text; the rest was left out. */
  more: boolean;
  /** The text was longer than what is read. */
  cut: boolean;
}

export const longestText = 1_000_000;
export const mostFound = 10_000;
const longestToken = 8192;

// Registered names are thousands and change; a browser need not know them all. Two letters are a country; these are the others that
// turn up in advisories. A defanged name is believed whatever its ending.
const endings = new Set(
  (
    'com net org info biz edu gov mil int arpa name pro mobi jobs museum coop aero asia cat tel travel xxx post ' +
    'app dev page web cloud online site website store shop xyz top club live life world today news blog link click icu vip work ' +
    'space tech digital email support help host hosting services service solutions systems network agency company group team zone ' +
    'center media social chat review reviews win bid loan loans men date download racing stream trade science party cricket ' +
    'accountant faith webcam gdn buzz cyou monster rest quest bond sbs cfd lol fun pw wang ren ltd gmbh inc llc bank insure finance ' +
    'money cash credit tax legal law health care clinic doctor school academy education training university energy green eco bio art ' +
    'design studio photo photos pictures video games game bet casino poker land house homes cars bike taxi tours holiday flights ' +
    'express delivery supply tools parts fit yoga run golf football hockey ski berlin paris london nyc amsterdam hamburg wien zip mov ' +
    'example test invalid local onion'
  ).split(' '),
);
// Endings of files that are countries, too.
const alsoFiles = new Set('py sh pl rs md so ps cc ai gz js ts cs tf am in ac la st'.split(' '));

const md5 = /^[0-9a-f]{32}$/i;
const sha1 = /^[0-9a-f]{40}$/i;
const sha256 = /^[0-9a-f]{64}$/i;
const guid = /^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$/i;

/** "hxxps://evil[.]example/x" -> "https://evil.example/x"; also (dot), [at], [:], \. and blanks around the dot. */
export function refang(text: string): string {
  return text
    .replace(/\s{0,2}[[({]\s?(\.|dot|punktum|prikk?)\s?[\])}]\s{0,2}/gi, '.')
    .replace(/\s{0,2}[[({]\s?(@|at|snabel-?a|krøllalfa)\s?[\])}]\s{0,2}/gi, '@')
    .replace(/[[({]:\/\/[\])}]/g, '://')
    .replace(/[[({]:[\])}]/g, ':')
    .replace(/[[({]\/[\])}]/g, '/')
    .replace(/\\\./g, '.')
    .replace(/\b(?:hxxp|htxp|h__p|meow)(s?)(?=:|\[)/gi, 'http$1')
    .replace(/\bfxp(?=:\/\/)/gi, 'ftp');
}

/** Dead for whoever copies it into a mail or a chat. What no one could click stays as it is. */
export function defang(value: string, kind?: string): string {
  switch (kind) {
    case 'md5':
    case 'sha1':
    case 'sha256':
    case 'ja3':
    case 'asn':
    case 'app_id':
    case 'subject':
    case 'file_name':
    case 'user_agent':
    case 'bank_account':
    case 'phone':
      return value;
    default:
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value);
  let head = '';
  let rest = value;
  if (scheme) {
    head = scheme[0].replace(/^http/i, 'hxxp').replace(/^ftp/i, 'fxp');
    rest = value.slice(scheme[0].length);
  }
  const end = kind === 'cidr' ? rest.length : firstOf(rest, '/?#');
  const host = rest.slice(0, end);
  const dead = isIpv6(host) ? host.replace(/:/g, '[:]') : host.replace(/\./g, '[.]').replace(/@/g, '[@]');
  return head + dead + rest.slice(end);
}

function firstOf(text: string, characters: string): number {
  for (let i = 0; i < text.length; i += 1) if (characters.includes(text[i] ?? '')) return i;
  return text.length;
}

export function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) < 256);
}

export function isIpv6(text: string): boolean {
  if (!/^[0-9a-f:.]{2,45}$/i.test(text) || !text.includes(':')) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const half of halves) {
    if (half === '') continue;
    const parts = half.split(':');
    for (const [i, part] of parts.entries()) {
      if (part.includes('.')) {
        if (i !== parts.length - 1 || !isIpv4(part)) return false;
        groups += 2;
      } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups += 1;
      else return false;
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8;
}

function isName(text: string): boolean {
  if (text.length > 253) return false;
  const labels = text.split('.');
  return (
    labels.length >= 2 &&
    labels.every((l) => /^[\p{L}\p{N}_](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}_])?$/u.test(l)) &&
    /^(?:\p{L}{2,63}|xn--[a-z0-9-]{1,59})$/iu.test(labels[labels.length - 1] ?? '')
  );
}

/** Is the name one without being told so: its ending is one that names end in. */
function nameSure(name: string, written: string): boolean | undefined {
  const labels = name.toLowerCase().split('.');
  const last = labels[labels.length - 1] ?? '';
  if (written !== name && /[[({\\]/.test(written)) return true;
  if (last.startsWith('xn--') || endings.has(last)) return true;
  if (last.length !== 2) return undefined;
  return !(alsoFiles.has(last) && labels.length === 2);
}

/** What one value is; undefined when it could be nothing that is looked for. */
export function kindOf(value: string): Found | undefined {
  const written = value.trim();
  if (written === '' || written.length > 8192) return undefined;
  const plain = refang(written).trim();
  const as = (kind: Kind, canonical: string, sure = true): Found => ({ kind, value: canonical, written, sure });

  if (md5.test(plain)) return as('md5', plain.toLowerCase());
  if (sha1.test(plain)) return as('sha1', plain.toLowerCase());
  if (sha256.test(plain)) return as('sha256', plain.toLowerCase());
  if (guid.test(plain)) return as('app_id', plain.replace(/[{}]/g, '').toLowerCase());
  if (/^as\d{1,10}$/i.test(plain)) return as('asn', `AS${plain.slice(2).replace(/^0+(?=\d)/, '')}`);

  const network = /^([0-9a-f:.]+)\/(\d{1,3})$/i.exec(plain);
  if (network) {
    const [, address = '', length = ''] = network;
    if (isIpv4(address) && Number(length) <= 32) return length === '32' ? as('ipv4', address) : as('cidr', `${address}/${length}`);
    if (isIpv6(address) && Number(length) <= 128)
      return length === '128' ? as('ipv6', address.toLowerCase()) : as('cidr', `${address.toLowerCase()}/${length}`);
  }
  if (isIpv4(plain)) return as('ipv4', plain);
  const bracketed = /^\[([0-9a-f:.]+)\](?::\d{1,5})?$/i.exec(plain);
  if (bracketed && isIpv6(bracketed[1] ?? '')) return as('ipv6', (bracketed[1] ?? '').toLowerCase());
  if (isIpv6(plain)) return as('ipv6', plain.toLowerCase());

  const schemed = /^([a-z][a-z0-9+.-]{1,20}):\/\/(.+)$/i.exec(plain);
  if (schemed || plain.includes('/')) {
    const scheme = schemed?.[1]?.toLowerCase();
    const rest = schemed?.[2] ?? plain;
    const end = firstOf(rest, '/?#');
    const authority = rest.slice(0, end).replace(/^.*@/, '');
    const port = /:(\d{1,5})$/.exec(authority);
    const host = (port ? authority.slice(0, -port[0].length) : authority).replace(/\.$/, '');
    const address = isIpv4(host) || (/^\[.*\]$/.test(host) && isIpv6(host.slice(1, -1)));
    if (!address && !isName(host)) return undefined;
    if (!schemed && !address && nameSure(host, written) !== true) return undefined;
    const web = scheme === undefined || scheme === 'http' || scheme === 'https';
    const shown = port && !(web && (port[1] === '80' || port[1] === '443')) ? `:${port[1]}` : '';
    const path = rest.slice(end).replace(/#.*$/, '').replace(/\/+$/, '').replace(/\?$/, '');
    if (path === '' && web) {
      if (address) return isIpv4(host) ? as('ipv4', host) : as('ipv6', host.slice(1, -1).toLowerCase());
      if (shown === '') return as('domain', host.toLowerCase());
    }
    return as('url', `${web ? '' : `${scheme}://`}${host.toLowerCase()}${shown}${path === '' ? '/' : path}`);
  }

  const port = /^(.+):\d{1,5}$/.exec(plain);
  const host = (port?.[1] ?? plain).replace(/\.$/, '');
  if (port && isIpv4(host)) return as('ipv4', host);
  const at = host.lastIndexOf('@');
  if (at === 0 && isName(host.slice(1))) return as('mail_domain', host.slice(1).toLowerCase());
  if (at > 0) {
    const inner = /^<(.+)>$/.exec(plain)?.[1] ?? plain;
    const local = inner.slice(0, inner.lastIndexOf('@'));
    const domain = inner.slice(inner.lastIndexOf('@') + 1);
    if (/^mailto:/i.test(local)) return kindOf(inner.slice(7).replace(/\?.*$/, ''));
    if (!/^[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{1,64}$/u.test(local) || !isName(domain)) return undefined;
    return as('email', `${local}@${domain}`.toLowerCase());
  }
  if (isName(host)) {
    const name = host.toLowerCase().replace(/^\*\./, '');
    const sure = nameSure(name, written);
    if (sure !== undefined) return as('domain', name, sure);
  }
  return undefined;
}

function machineMade(local: string): boolean {
  return local.length >= 24 || (local.match(/\d/g)?.length ?? 0) >= 8 || /\$/.test(local);
}

/** Every observable of a text, each once, in the order in which they stand. */
export function extract(text: string, limit: number = mostFound): Extraction {
  const read = plainText(text.slice(0, longestText));
  const out = new Map<string, Found>();
  let more = false;
  const add = (found: Found | undefined): void => {
    if (!found) return;
    const key = `${found.kind} ${found.value}`;
    const before = out.get(key);
    if (before) {
      before.sure ||= found.sure;
      return;
    }
    if (out.size >= limit) more = true;
    else out.set(key, found);
  };
  // Blanks around a defanged dot or at would cut the name in two.
  const joined = read.replace(/[ \t]{0,2}([[({])[ \t]?(\.|dot|punktum|prikk?|@|at|snabel-?a|krøllalfa)[ \t]?([\])}])[ \t]{0,2}/gi, '$1$2$3');
  for (const line of joined.split(/\r\n|\r|\n/)) {
    const ids = /^(?:message-id|in-reply-to|references|internetmessageid)\b/i.test(line.trim());
    let rest = line;
    // <something@host>: a mail address, or the id of a mail
    rest = rest.replace(/<([^<>\s@]{1,200}@[^<>\s@]{1,253})>/g, (whole, inner: string) => {
      const plain = refang(inner);
      const local = plain.slice(0, plain.lastIndexOf('@'));
      if (ids || machineMade(local)) {
        add({ kind: 'message_id', value: plain, written: whole, sure: true });
        return ' ';
      }
      return ` ${inner} `;
    });
    for (const token of rest.match(/[^\s"'`<>«»“”„‘’|,;]+/g) ?? [])
      if (token.length >= 4 && token.length <= longestToken && /[.:@]|[[({](?:dot|punktum|prikk?)|[0-9a-f]{32}|-[0-9a-f]{12}|^\W*as\d/i.test(token)) add(kindOf(trimmed(unwrapped(token))));
  }
  return { found: [...out.values()], more, cut: text.length > longestText };
}

/** Without what sentences put around a value: "(see evil.example)." -> "evil.example". A defanged dot keeps its brackets. */
function trimmed(token: string): string {
  let t = token;
  for (let pass = 0; pass < 8; pass += 1) {
    const before = t;
    t = t.replace(/^[.:;!?*•·–—-]+(?=[^.])/u, '').replace(/[.,:;!?*…]+$/u, '');
    for (const [open, close] of ['()', '[]', '{}'] as const) {
      const opened = t.split(open ?? '').length;
      const closed = t.split(close ?? '').length;
      if (opened === closed && open !== undefined && close !== undefined) {
        if (t.startsWith(open) && t.endsWith(close) && t.indexOf(close) === t.length - 1 && !/^\[[0-9a-f:.]+\]$/i.test(t)) t = t.slice(1, -1);
      } else if (opened > closed && open !== undefined && t.startsWith(open)) t = t.slice(1);
      else if (closed > opened && close !== undefined && t.endsWith(close)) t = t.slice(0, -1);
    }
    if (/^[a-z_][\w-]{0,24}=/i.test(t)) t = t.slice(t.indexOf('=') + 1);
    if (t === before) break;
  }
  return t;
}

/** Kinds in the order in which a person wants to read them. */
export const kindOrder: readonly Kind[] = [
  'url',
  'domain',
  'ipv4',
  'ipv6',
  'cidr',
  'email',
  'mail_domain',
  'message_id',
  'sha256',
  'sha1',
  'md5',
  'file_name',
  'subject',
  'account',
  'app_id',
  'asn',
  'user_agent',
  'ja3',
  'bank_account',
  'phone',
];

/** A link to this search: small enough for every chat, or nothing. */
export function toQuery(observables: readonly { kind: string; value: string }[], longest = 1800): string | undefined {
  const text = observables.map((o) => `${o.kind}:${encodeURIComponent(o.value)}`).join(',');
  return text.length <= longest ? text : undefined;
}

export function fromQuery(text: string): { kind: Kind; value: string }[] {
  const out: { kind: Kind; value: string }[] = [];
  for (const part of text.split(',').slice(0, mostFound)) {
    const colon = part.indexOf(':');
    if (colon <= 0) continue;
    const kind = part.slice(0, colon);
    if (!(kindOrder as readonly string[]).includes(kind)) continue;
    try {
      const value = decodeURIComponent(part.slice(colon + 1));
      if (value !== '' && value.length <= 8192) out.push({ kind: kind as Kind, value });
    } catch {
      // a cut or spoiled link: what can be read of it is used
    }
  }
  return out;
}
