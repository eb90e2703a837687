import { describe, expect, it } from 'vitest';

import { plainHtml, type Part } from './plain_html';

const text = (parts: readonly (Part | string)[]): string => parts.map((part) => (typeof part === 'string' ? part : text(part.inside))).join('');
const tags = (parts: readonly (Part | string)[]): string[] => parts.flatMap((part) => (typeof part === 'string' ? [] : [part.tag, ...tags(part.inside)]));

describe('the HTML of a bulletin', () => {
  it('keeps what Markdown makes', () => {
    const got = plainHtml('<h2>Seen</h2>\n<p>Pages at <code>a[.]example</code> &amp; <strong>more</strong>.</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n');
    expect(tags(got)).toEqual(['h2', 'p', 'code', 'strong', 'ul', 'li', 'li']);
    expect(text(got)).toContain('Pages at a[.]example & more.');
  });
  it('tells where a link would go and nothing else of it', () => {
    const [p] = plainHtml('<p><a href="https://bad.example/?a=1&amp;b=2" onclick="x()">click</a></p>') as [Part];
    expect(p.inside).toEqual([{ tag: 'a', to: 'https://bad.example/?a=1&b=2', inside: ['click'] }]);
  });
  it('knows no script, no picture, no frame', () => {
    const got = plainHtml('<p>a<script>alert(1)</script><img src=x onerror=alert(1)><iframe src="//x"></iframe>b<!-- c --></p>');
    expect(tags(got)).toEqual(['p']);
    expect(text(got)).toBe('ab');
  });
  it('stands what is not closed, closed twice or nested without end', () => {
    expect(text(plainHtml('<p>a<strong>b</p></p></em>c'))).toBe('abc');
    expect(text(plainHtml('<!-- never closed <p>x'))).toBe('');
    const deep = plainHtml('<blockquote>'.repeat(5000) + 'x' + '</blockquote>'.repeat(5000));
    let depth = 0;
    for (let at: (Part | string)[] = deep; at.length > 0 && typeof at[0] === 'object' && at[0].inside.length > 0; at = at[0].inside) ++depth;
    expect(depth).toBeLessThan(45);
  });
  it('reads entities once', () => {
    expect(plainHtml('&amp;lt;script&gt; &#65;&#x42; &#1114112; &unknown;')).toEqual(['&lt;script> AB &#1114112; &unknown;']);
  });
});
