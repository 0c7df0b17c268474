import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { documents, readDocument, ROOT } from './markdown.ts';

describe.each(documents())('$name', ({ name, links, spans, text }) => {
  it('links to files and headings that there are', () => {
    const broken = links
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => !leadsSomewhere(name, link));
    expect(broken).toEqual([]);
  });

  it('names source files that there are', () => {
    // `run/plan.ts` is below src; `src/x.ts:12` names a line; `src/config/schema/*` a folder.
    const named = spans.filter((span) => /^[\w.-]+(\/[\w.*-]+)+$/.test(span));
    const sources = named.filter((span) => /\.(ts|mjs|cjs)$/.test(span) || /^(src|test|\.ci)\//.test(span));
    const missing = sources
      .map((span) => span.replace(/\/\*+$/, ''))
      .filter((file) => ![file, `src/${file}`].some((place) => existsSync(path.join(ROOT, place))));
    expect(missing).toEqual([]);
  });

  it('ends with one line feed, and has no byte that editors hide', () => {
    expect(text).toMatch(/[^\n]\n$/);
    // eslint-disable-next-line no-control-regex -- these are what it looks for
    expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u200b\ufeff]/);
  });
});

function leadsSomewhere(from: string, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? from : path.posix.join(path.posix.dirname(from), decodeURIComponent(file));
  if (!existsSync(path.join(ROOT, target))) return false;
  return anchor === undefined || !target.endsWith('.md') || readDocument(target).anchors.has(anchor);
}
