// What a sign says of itself, in the language of the page: a sentence of the node, or the names of further signs.
import { hasWord, word } from '$lib/i18n.svelte';
import { sentences, type Sentences } from '$lib/sentences.svelte';
import { ruleWords } from '$lib/told.svelte';

export const signWords = (): Sentences => sentences({ da: () => import('$gen/sentences/signs_da.json'), nb: () => import('$gen/sentences/signs_nb.json') });

/** Words of strangers (a rule's name, an app's) are shown as they came. */
export function signDetail(words: Sentences, detail: string): string {
  const names = detail.split(', ');
  if (detail && names.every((name) => hasWord('sign', name))) return names.map((name) => word('sign', name)).join(', ');
  return words.tell(detail) ?? ruleWords.tell(detail) ?? detail;
}
