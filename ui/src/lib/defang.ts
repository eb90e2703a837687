// Dangerous values are shown so that nobody can click or paste them by accident: hxxps://bad[.]example.

export function defang(text: string): string {
  return text
    .replace(/\bhttp(s?):\/\//gi, 'hxxp$1://')
    .replace(/\bftp:\/\//gi, 'fxp://')
    .replace(/(\w)\.(?=\w)/g, '$1[.]')
    .replace(/@(?=[\w-]+\[\.\])/g, '[@]');
}

export function refang(text: string): string {
  return text
    .replace(/\bhxxp(s?):\/\//gi, 'http$1://')
    .replace(/\bfxp:\/\//gi, 'ftp://')
    .replace(/\[(\.|dot)\]|\((\.|dot)\)/gi, '.')
    .replace(/\[(@|at)\]|\((@|at)\)/gi, '@')
    .replace(/\[:\]/g, ':');
}

const kinds = new Set(['domain', 'url', 'ipv4', 'ipv6', 'cidr', 'email', 'mail_domain']);

/** Hashes and names need no defanging. */
export const shown = (kind: string, value: string): string => (kinds.has(kind) ? defang(value) : value);
