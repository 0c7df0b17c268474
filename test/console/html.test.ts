import { describe, expect, it } from 'vitest';
import { html, Html, localHref } from '../../src/console/html.ts';

const HOSTILE = `<script>alert(1)</script>"'&`;

describe('html`...`', () => {
  it('escapes every text, in elements and attributes', () => {
    // prettier-ignore
    const made = html`<p title="${HOSTILE}">${HOSTILE}</p>`.toString();
    const escaped = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;';
    expect(made).toBe(`<p title="${escaped}">${escaped}</p>`);
  });

  it('takes templates in templates, lists, numbers, and leaves out what is not there', () => {
    const list = ['a', '<b>'].map((text) => html`<li>${text}</li>`);
    const isShown = list.length > 5;
    // prettier-ignore
    const made = html`<ul>${list}</ul>${3}${undefined}${isShown && html`x`}`;
    expect(made.toString()).toBe('<ul><li>a</li><li>&lt;b&gt;</li></ul>3');
  });
});
