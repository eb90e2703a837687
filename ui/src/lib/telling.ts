// Sentences of the program, found among their texts: whole, with what stands in their places, or one after the other.
import type { Language } from './i18n.svelte';

type Texts = Record<string, string>;

const files = {
  problems: { da: () => import('$gen/sentences/problems_da.json'), nb: () => import('$gen/sentences/problems_nb.json') },
  status: { da: () => import('$gen/sentences/status_da.json'), nb: () => import('$gen/sentences/status_nb.json') },
  partners: { da: () => import('$gen/sentences/partners_da.json'), nb: () => import('$gen/sentences/partners_nb.json') },
  rules: { da: () => import('$gen/sentences/rules_da.json'), nb: () => import('$gen/sentences/rules_nb.json') },
};
export type Sentences = keyof typeof files;

export async function words(name: Sentences, of: Language): Promise<{ tell: (said: string) => string | undefined; parts: (said: string) => Part[] }> {
  const texts: Texts = of === 'en' ? {} : (await files[name][of]()).default;
  const tell = teller(texts);
  return { tell, parts: (said) => partsOf(tell, said) };
}

/** A piece of what was said. own: in the language of the page; else it is as it came. */
export interface Part {
  text: string;
  own: boolean;
}

// Places in which other sentences stand: reasons, and what a stranger said, after which ours may go on.
const inner = new Set(['why', 'where', 'what', 'said']);
const each = /(?<=[.?!])\s+/;

/** A function from a sentence, or a name, to its text. Keys with {places} fit any sentence with something there; a reason in {why} and what stands in {where} are told, too. */
export function teller(texts: Texts): (sentence: string) => string | undefined {
  const literal = (key: string): string => key.replaceAll(/\{\w+\}/g, '');
  const shapes = Object.keys(texts)
    .filter((key) => key.includes('{'))
    .sort((a, b) => literal(b).length - literal(a).length)
    .map((key) => ({ key, shape: new RegExp(`^${key.split(/\{\w+\}/).map((piece) => piece.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('(.+?)')}$`, 's'), names: [...key.matchAll(/\{(\w+)\}/g)].map((place) => place[1]) }));
  const tell = (sentence: string): string | undefined => {
    const whole = Object.hasOwn(texts, sentence) ? texts[sentence] : undefined;
    if (whole !== undefined) return whole;
    for (const { key, shape, names } of shapes) {
      const found = shape.exec(sentence);
      if (!found) continue;
      return texts[key]?.replaceAll(/\{(\w+)\}/g, (place, name: string) => {
        const value = found[names.indexOf(name) + 1];
        return value === undefined ? place : inner.has(name) ? (tell(value) ?? value.split(each).reduce((told, one) => `${told}${told && ' '}${tell(one) ?? one}`, '')) : value;
      });
    }
    return undefined;
  };
  return tell;
}

const ends = /(?<=[.;?!:])\s+/;

/** Told whole, or sentence by sentence. A "; " and a ": " end one, too. */
export function partsOf(tell: (sentence: string) => string | undefined, said: string): Part[] {
  const whole = tell(said);
  if (whole !== undefined) return [{ text: whole, own: true }];
  const parts: Part[] = [];
  // As much as possible in one piece: "the answer is not a list: ..." may be known with what follows.
  const pieces = said.split(ends).slice(0, 40);
  const gaps = said.match(new RegExp(ends.source, 'g')) ?? [];
  for (let at = 0; at < pieces.length; ) {
    let end = pieces.length;
    let found: string | undefined;
    for (; end > at; --end) {
      const one = pieces.slice(at, end).join(' ');
      const mark = /[.;?!:]$/.exec(one)?.[0] ?? '';
      found = tell(one) ?? (mark ? tell(one.slice(0, -1)) : undefined);
      if (found !== undefined) {
        if (mark && !found.endsWith(mark)) found += mark;
        break;
      }
    }
    const next = found === undefined ? at + 1 : end;
    const text = found ?? pieces[at]!;
    const last = parts[parts.length - 1];
    const own = found !== undefined;
    const gap = at > 0 ? (gaps[at - 1] ?? ' ') : '';
    if (last?.own === own) last.text += gap + text;
    else {
      if (last) last.text += gap;
      parts.push({ text, own });
    }
    at = next;
  }
  return parts.some((part) => part.own) ? parts : [{ text: said, own: false }];
}
