/**
 * HTML as a value of its own, so that nothing reaches a page unescaped: every value in a template is text, unless it
 * was made by a template itself. There is no way to mark a text as HTML.
 */
export class Html {
  readonly #text: string;

  constructor(text: string, made: typeof MADE_HERE) {
    if (made !== MADE_HERE) throw new TypeError('HTML is made by the template html`...` alone');
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

const MADE_HERE = Symbol('made by html`...`');

/** What may stand in a template. Nothing is shown for undefined and false; a list is shown one after the other. */
export type HtmlValue = string | number | Html | undefined | false | readonly HtmlValue[];

/**
 * ``html`<td class="${tone}">${value}</td>` ``: text and attribute values (always in double quotes) are escaped.
 * An address that a value came with is no link target: see `localHref`.
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = parts[0]!;
  for (const [index, value] of values.entries()) text += shown(value) + parts[index + 1]!;
  return new Html(text, MADE_HERE);
}

function shown(value: HtmlValue): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.toString();
  if (typeof value === 'object') return value.map(shown).join('');
  return escapeText(String(value));
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ESCAPES[char]!);
}

/** Of surrogate pairs. */
const HALVES = /\p{Surrogate}/gu;

/** A path of this console: each segment is encoded, so that no value can lead elsewhere. Half
 * a surrogate pair has no place in an address, and becomes U+FFFD. `query`: unset ones are left out. */
export function localHref(
  segments: readonly string[],
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') given.set(name, String(value));
  }
  const search = given.toString();
  return `/${segments.map((segment) => encodeURIComponent(segment.replace(HALVES, '\uFFFD'))).join('/')}${search === '' ? '' : `?${search}`}`;
}
