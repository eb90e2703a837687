// Light, dark, or as the machine has it.

export type Theme = 'system' | 'light' | 'dark';

const kept = (): Theme => {
  try {
    const value = localStorage.getItem('bavn.theme');
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
};

let current = $state<Theme>(kept());

export const theme = {
  get current() {
    return current;
  },
};

export function setTheme(next: Theme): void {
  current = next;
  if (next === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === 'system') localStorage.removeItem('bavn.theme');
    else localStorage.setItem('bavn.theme', next);
  } catch {
    // Shown all the same.
  }
}

export const startTheme = (): void => setTheme(current);
