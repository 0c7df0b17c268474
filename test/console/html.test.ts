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

  it('takes no text for HTML that it has not made itself', () => {
    expect(() => new Html('<b>', Symbol('mine') as never)).toThrow(TypeError);
    const forged = { toString: () => '<script>' };
    expect(() => html`${forged as never}`).toThrow();
  });
});

describe('localHref', () => {
  it('keeps every segment in its place', () => {
    expect(localHref(['data', '../../etc', 'a/b?c#d', 'javascript:alert(1)'])).toBe(
      '/data/..%2F..%2Fetc/a%2Fb%3Fc%23d/javascript%3Aalert(1)',
    );
    expect(localHref(['runs'], { job: 'a&b=c', page: 2, none: undefined, empty: '' })).toBe(
      '/runs?job=a%26b%3Dc&page=2',
    );
  });
});
