// What kind of thing somebody pasted; undefined when it is none that a warning can name.
export function guessKind(value: string): string | undefined {
  if (/^https?:\/\/\S+$/i.test(value)) return 'url';
  if (/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value)) return 'email';
  if (/^[0-9a-f]{64}$/i.test(value)) return 'sha256';
  if (/^[0-9a-f]{40}$/i.test(value)) return 'sha1';
  if (/^[0-9a-f]{32}$/i.test(value)) return 'md5';
  if (/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(value)) return 'cidr';
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(value)) return value.split('.').every((part) => Number(part) < 256) ? 'ipv4' : undefined;
  if (/^[0-9a-f:]+:[0-9a-f:]*$/i.test(value) && value.includes('::')) return 'ipv6';
  // Letters of other alphabets are names, too; a path without a scheme is a link.
  if (/^([\p{L}\p{N}_-]+\.)+[\p{L}-]{2,}$/u.test(value)) return 'domain';
  if (/^([\p{L}\p{N}_-]+\.)+[\p{L}-]{2,}\/\S*$/u.test(value)) return 'url';
  return undefined;
}
