import type { Found } from '$lib/observables';

export const keyOf = (f: { kind: string; value: string }): string => `${f.kind} ${f.value}`;
/** What is sure is chosen; `turned` holds what a person changed. */
export const isChosen = (f: Found, turned: ReadonlySet<string>): boolean => f.sure !== turned.has(keyOf(f));
