// Sentences that the program says in English (i18n/ui/sentences), in the language of the page. Loaded by the page that shows them, never at
// the first visit. What has no text, or did not load, is shown in English.
import { language, type Language } from './i18n.svelte';

type Texts = Record<string, string>;

export interface Sentences {
  /** To be waited for beside what the page reads; inside of a resource it is loaded again when the language changes. */
  load(): Promise<void>;
  tell(sentence: string): string | undefined;
}

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
        return value === undefined ? place : name === 'why' || name === 'where' ? (tell(value) ?? value) : value;
      });
    }
    return undefined;
  };
  return tell;
}

export function sentences(of: Partial<Record<Language, () => Promise<{ default: Texts }>>>): Sentences {
  let tell = $state.raw(teller({}));
  return {
    async load() {
      const wanted = language();
      let texts: Texts = {};
      try {
        texts = (await of[wanted]?.())?.default ?? {};
      } catch {
        // English is better than no page.
      }
      if (wanted === language()) tell = teller(texts);
    },
    tell: (sentence) => tell(sentence),
  };
}
