// One-key commands. A page registers its keys while it is shown; the help (?) and the palette (Ctrl-K) list what holds right now.

import { untrack } from 'svelte';

export interface Command {
  /** What is pressed: "w", "g o" (one after the other), "mod+k" (Ctrl or Cmd), "Enter", "?". Empty: only in the palette. */
  keys: string;
  title: string;
  group?: string;
  run: () => void;
  when?: () => boolean;
}

let registered = $state.raw<readonly Command[][]>([]);

export const commands = {
  get all(): Command[] {
    return registered.flat().filter((command) => !command.when || command.when());
  },
};

/** To be called while a component starts; the titles may be in the current language, hence the function. */
export function useKeys(list: () => Command[]): void {
  $effect(() => {
    const mine = list();
    untrack(() => (registered = [...registered, mine]));
    return () => {
      registered = registered.filter((one) => one !== mine);
    };
  });
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) && !(target instanceof HTMLInputElement && /^(checkbox|radio|range|button)$/.test(target.type));

export function nameOf(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return event.ctrlKey || event.metaKey ? `mod+${key}` : key;
}

let pending = '';
let pendingUntil = 0;

export function startKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.altKey || event.isComposing || event.defaultPrevented) return;
    const name = nameOf(event);
    const withMod = name.startsWith('mod+');
    if (!withMod && (typing(event.target) || document.querySelector('dialog[open]'))) return;
    const now = Date.now();
    const sequence = pending && now < pendingUntil ? `${pending} ${name}` : name;
    const active = commands.all;
    // The newest registration wins: a page over the shell.
    const found = active.findLast((command) => command.keys === sequence) ?? (sequence !== name ? active.findLast((command) => command.keys === name) : undefined);
    if (found) {
      pending = '';
      // Enter and Space on something that takes them belong to it.
      if ((name === 'Enter' || name === ' ') && event.target instanceof HTMLElement && event.target.closest('a, button, summary, [role=button]')) return;
      event.preventDefault();
      found.run();
      return;
    }
    pending = active.some((command) => command.keys.startsWith(`${name} `)) ? name : '';
    pendingUntil = now + 1200;
  });
}
