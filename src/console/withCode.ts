import { html, type HtmlValue } from './html.ts';

/** A sentence of ours: what stands between backticks is shown as code. */
export function withCode(text: string): HtmlValue {
  return text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part));
}
