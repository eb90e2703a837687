// What several pages about partners share.
import type { components } from '$gen/api';
import { sentences, type Sentences } from '$lib/sentences.svelte';

export type Peer = components['schemas']['Peer'];
export type NewPeer = components['schemas']['NewPeer'];
export type PeerKey = components['schemas']['PeerKey'];
export type Dropped = components['schemas']['DroppedPage'];
export const tone = (state: Peer['state']): 'done' | 'glow' | 'sea' | 'calm' => (state === 'ok' ? 'done' : state === 'away' || state === 'refused' ? 'glow' : state === 'new' ? 'sea' : 'calm');
/** Partners that only come to us are never asked. */
export const comes = (kind: Peer['kind']): boolean => kind === 'client';
export const levels = ['clear', 'green', 'amber', 'amber+strict', 'red'] as const;
export const actions = ['watch', 'warn', 'hold', 'block'] as const;
/** Why something was not taken, and what a partner's machine answered, in the language of the page. */
export const sayings = (): Sentences => sentences({ da: () => import('$gen/sentences/partners_da.json'), nb: () => import('$gen/sentences/partners_nb.json') });
