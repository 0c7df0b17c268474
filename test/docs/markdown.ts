import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '..', '..');

/** A Markdown file of the repository, taken apart. */
export interface Document {
  /** Relative to the repository, with `/`. */
  readonly name: string;
  readonly text: string;
  /** Lines within fences, with the language the fence names. */
  readonly codeLines: readonly { readonly language: string; readonly line: string }[];
  /** Contents of `code spans`. */
  readonly spans: readonly string[];
  /** Targets of links and images. */
  readonly links: readonly string[];
  /** Anchors as GitHub makes them from headings. */
  readonly anchors: ReadonlySet<string>;
}

const FOLDERS = ['', 'config', 'data', 'exports', 'logs', 'docs', 'test'];

/** All documents that stand in version control, the README first. */
export function documents(): readonly Document[] {
  const names = FOLDERS.flatMap((folder) => markdownIn(folder));
  return names.sort((a, b) => Number(b === 'README.md') - Number(a === 'README.md')).map(parse);
}

function markdownIn(folder: string): string[] {
  try {
    return readdirSync(path.join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => path.posix.join(folder, name));
  } catch {
    return [];
  }
}

export function readDocument(name: string): Document {
  return parse(name);
}

function parse(name: string): Document {
  const text = readFileSync(path.join(ROOT, name), 'utf8');
  const codeLines: { language: string; line: string }[] = [];
  const prose: string[] = [];
  let fence: { readonly marks: string; readonly language: string } | undefined;
  for (const line of text.split('\n')) {
    const marks = /^\s*(`{3,}|~{3,})\s*(\S*)/.exec(line);
    if (fence === undefined && marks) fence = { marks: marks[1]!, language: marks[2]! };
    else if (fence !== undefined && marks?.[1]!.startsWith(fence.marks)) fence = undefined;
    else if (fence !== undefined) codeLines.push({ language: fence.language, line });
    else prose.push(line);
  }
  const running = prose.join('\n');
  const withoutSpans = running.replace(/`[^`]+`/g, '``');
  return {
    name,
    text,
    codeLines,
    // A span may be broken over two lines; in a table a bar in it is written `\|`.
    spans: [...running.matchAll(/`([^`]+)`/g)].map((m) => m[1]!.replace(/\s+/g, ' ').replaceAll('\\|', '|')),
    links: [...withoutSpans.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)].map((m) => m[1]!),
    anchors: new Set(prose.flatMap((line) => anchorOf(line))),
  };
}

function anchorOf(line: string): string[] {
  const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
  if (heading === undefined) return [];
  const words = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '');
  return [words.replaceAll(' ', '-')];
}

/** The text below the heading `## title`, up to the next heading of that rank. */
export function section({ text, name }: Document, title: string): string {
  const body = text.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  if (body === undefined) throw new Error(`${name} has no section ${title}`);
  return body;
}

/** First cells of a section's table rows, the head left out. */
export function firstCells(body: string): readonly string[] {
  const rows = body.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) => row.replaceAll('\\|', '¦').split('|')[1]!.replaceAll('¦', '|').trim());
}
