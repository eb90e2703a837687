// What the program says in English (i18n/ui/sentences), in the language of the page. Loaded when it is first asked for and again when the
// language changes; until then, and where there is no text, it is English and marked as such.
import { language, type Language } from './i18n.svelte';
import type { Part, Sentences } from './telling';

export interface Told {
  /** Waits for the texts of the language, where somebody has time for it. */
  ready(): Promise<void>;
  /** The whole in the language of the page, if there is a text for it. */
  tell(said: string): string | undefined;
  /** Sentence by sentence: some may have a text and others be words of a stranger. */
  parts(said: string): Part[];
  /** The same as one text, for where no mark of a language can stand. */
  text(said: string): string;
}

function told(name: Sentences): Told {
  interface Words {
    in: Language;
    tell: (said: string) => string | undefined;
    parts: (said: string) => Part[];
  }
  const none: Words = { in: 'en', tell: () => undefined, parts: (text) => [{ text, own: language() === 'en' }] };
  let words = $state.raw(none);
  let wanted: Language = 'en';
  let loading: Promise<void> = Promise.resolve();
  async function load(next: Language): Promise<void> {
    try {
      const loaded = await (await import('./telling')).words(name, next);
      if (wanted === next) words = { in: next, ...loaded };
    } catch {
      wanted = 'en'; // English is better than nothing, and the next page tries again.
    }
  }
  function ready(): Promise<void> {
    const next = language();
    if (next !== wanted) {
      wanted = next;
      loading = next === 'en' ? Promise.resolve() : load(next);
    }
    return loading;
  }
  function now(): Words {
    if (words.in === language()) return words;
    void ready();
    return none;
  }
  const parts = (said: string): Part[] => now().parts(said);
  return { ready, tell: (said) => now().tell(said), parts, text: (said) => parts(said).map((part) => part.text).join('') };
}

/** Why a request was refused: `detail` of problems. */
export const problemWords = told('problems');
/** How things stand: sources, the way to the hub, the first ten minutes, blocks, orders. */
export const statusWords = told('status');
/** Why something of a partner was not taken, and what its machine answered. */
export const partnerWords = told('partners');
/** Titles of Bavn's own rules; others' stay in the language of whoever wrote them. */
export const ruleWords = told('rules');
