// The HTML of a bulletin as a tree of plain parts. It was made by the server out of Markdown; here nothing of it is believed: known elements
// become what they are, everything else its words, and no link can be followed.

export interface Part {
  tag: string;
  /** Where a link would go, to be read. */
  to?: string;
  inside: (Part | string)[];
}

const known = new Set(['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'code', 'em', 'strong', 'del', 'hr', 'br', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'a']);
const empty = new Set(['hr', 'br', 'img', 'input']);
const hidden = new Set(['script', 'style', 'template']);
const names: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

const words = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{1,8}));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return names[name] ?? whole;
    const code = decimal !== undefined ? Number(decimal) : parseInt(hex ?? '', 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });

/** `deepest`: what is nested deeper is taken as words of the part around it. */
export function plainHtml(html: string, deepest = 40): (Part | string)[] {
  const root: Part = { tag: '', inside: [] };
  const open: Part[] = [root];
  let unseen = 0;
  const say = (text: string): void => {
    if (text && unseen === 0) open.at(-1)!.inside.push(words(text));
  };
  let from = 0;
  for (const found of html.matchAll(/<!--[^]*?(?:-->|$)|<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|'[^']*'|[^"'>])*)>/gi)) {
    say(html.slice(from, found.index));
    from = found.index + found[0].length;
    const [, closes, name, attributes] = found;
    if (name === undefined) continue;
    const tag = name.toLowerCase();
    if (hidden.has(tag)) {
      unseen = Math.max(0, unseen + (closes ? -1 : 1));
      continue;
    }
    if (!known.has(tag) || unseen > 0) continue;
    if (closes) {
      const at = open.findLastIndex((part) => part.tag === tag);
      if (at > 0) open.length = at;
      continue;
    }
    const to = tag === 'a' ? /\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')/i.exec(attributes ?? '') : null;
    const part: Part = { tag, inside: [], ...(to ? { to: words(to[1] ?? to[2] ?? '') } : {}) };
    open.at(-1)!.inside.push(part);
    if (!empty.has(tag) && open.length < deepest) open.push(part);
  }
  say(html.slice(from));
  return root.inside;
}
