// Text as people paste it out of Word, Outlook, Teams and web pages: it reads the same here and holds nothing that cannot be seen.
// Pure: no DOM, no clock.

/** Blanks of any kind become blanks, every line end one of ours; what has no width (also what turns the direction of text around) goes; bullets become "- ". */
export function plainText(text: string): string {
  return (
    text
      .replace(/\r\n?|[\v\f\u0085\u2028\u2029]/g, '\n')
      .replace(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, ' ')
      .replace(/[\u0000-\u0008\u000e-\u001f\u007f\u00ad\u034f\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc]/g, '')
      // \uf0b7, \uf0a7, \uf0d8: how Word writes the signs of its font Symbol.
      .replace(/^([ \t]*)[•‣◦▪▫●○■□⁃∙\uf0b7\uf0a7\uf0d8][ \t]*/gm, '$1- ')
  );
}

/** One line of a list without its sign or number: "2) Ring til it" -> "Ring til it". */
export const withoutBullet = (line: string): string => line.replace(/^\s*(?:[-–*·•]\s+|\d{1,2}[.)]\s+)/, '').trim();

/** Signs for which a text message would be twice as long (it leaves GSM 03.38 for UCS-2): typographic quotes, dashes, dots. */
export function forSms(text: string): string {
  return plainText(text)
    .replace(/[‘’‚‛′]/g, "'")
    .replace(/[“”„‟″«»]/g, '"')
    .replace(/[‐‑‒–—―−]/g, '-')
    .replace(/…/g, '...');
}

/** The link inside a link that a mail filter has rewritten: Microsoft's Safe Links, Proofpoint. Anything else is as it was. */
export function unwrapped(link: string): string {
  const safe = /^h(?:tt|xx)ps?:\/\/[\w.[\]-]{1,80}safelinks\.protection\.(?:outlook|office365)\.(?:com|us)\/[^?#]{0,60}\?(?:[^#]*&)?url=([^&#]+)/i.exec(link);
  const proofpoint = /^https?:\/\/urldefense\.(?:com|us)\/v3\/__(.+?)__;/i.exec(link);
  if (proofpoint?.[1]) return proofpoint[1];
  if (!safe?.[1]) return link;
  try {
    return decodeURIComponent(safe[1]);
  } catch {
    return link;
  }
}

/** Addresses that a copied web page or mail has behind its words, which its text alone does not show. */
export function linksIn(html: string, text: string): string[] {
  const out = new Set<string>();
  for (const [, quoted, single] of html.slice(0, 1_000_000).matchAll(/<a\s[^>]*?href\s*=\s*(?:"([^"]{1,4000})"|'([^']{1,4000})')/gi)) {
    const link = (quoted ?? single ?? '').replace(/&amp;/g, '&').trim();
    if (/^(?:https?|mailto):/i.test(link) && !text.includes(link.replace(/^mailto:/i, ''))) out.add(link);
  }
  return [...out].slice(0, 200);
}
