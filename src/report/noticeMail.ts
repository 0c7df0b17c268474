import { asciiLine } from './format.ts';

/** A mail that is no report: a subject and a few paragraphs, as text and as HTML. Pure. */
export function renderNotice(
  subject: string,
  paragraphs: readonly string[],
): { readonly subject: string; readonly text: string; readonly html: string } {
  const html = paragraphs.map((paragraph) => `<p>${escape(paragraph).replaceAll('\n', '<br>')}</p>`);
  return {
    subject: asciiLine(subject),
    text: `${paragraphs.join('\n\n')}\n`,
    html: `<!doctype html><html lang="en"><body>${html.join('')}</body></html>\n`,
  };
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ENTITIES[char]!);
}
