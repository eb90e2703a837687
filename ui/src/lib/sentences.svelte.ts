// Sentences that the program says in English (i18n/ui/sentences), in the language of the page. Loaded by the page that shows them, never at
// the first visit. What has no text, or did not load, is shown in English.
import { language, type Language } from './i18n.svelte';
import { teller } from './telling';

type Texts = Record<string, string>;

export interface Sentences {
  /** To be waited for beside what the page reads; inside of a resource it is loaded again when the language changes. */
  load(): Promise<void>;
  tell(sentence: string): string | undefined;
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
