// Short messages about what was done, read out once. Trouble stays until it is put away.

export interface Toast {
  id: number;
  text: string;
  tone: 'done' | 'trouble' | 'news';
  action?: { title: string; run: () => void };
}

let list = $state.raw<readonly Toast[]>([]);
let next = 1;

export const toasts = {
  get list() {
    return list;
  },
};

export function toast(text: string, tone: Toast['tone'] = 'done', action?: Toast['action']): void {
  const one: Toast = { id: next++, text, tone, ...(action ? { action } : {}) };
  list = [...list.slice(-3), one];
  if (tone !== 'trouble') setTimeout(() => dismiss(one.id), action ? 10_000 : 6000);
}

export function dismiss(id: number): void {
  list = list.filter((one) => one.id !== id);
}
