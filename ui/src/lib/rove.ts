// j and k: the focus goes to the next or previous thing of a list.

export function rove(container: HTMLElement | undefined, selector: string, step: 1 | -1): void {
  if (!container) return;
  const all = [...container.querySelectorAll<HTMLElement>(selector)];
  if (all.length === 0) return;
  const at = all.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}
