// What a bulletin is called, in the reader's language or the next that it has.
import type { components } from '$gen/api';
import { language, t, type Language } from '$lib/i18n.svelte';

export type Head = components['schemas']['BulletinHead'];
export type Bulletin = components['schemas']['Bulletin'];
export type Found = components['schemas']['BulletinFound'];
export const tongues: readonly Language[] = ['da', 'nb', 'en'];

export const order = (): Language[] => [language(), ...tongues.filter((one) => one !== language())];
export const titleIn = (titles: Partial<Record<Language, string>>): string => order().map((one) => titles[one]).find(Boolean) ?? t('bulletin.untitled');
export const tone = (state: Head['state']): 'done' | 'sea' | 'calm' => (state === 'published' ? 'done' : state === 'draft' ? 'sea' : 'calm');
