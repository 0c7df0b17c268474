import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readDocument, ROOT, section } from './markdown.ts';

/** A program that a document shows. */
export interface Example {
  /** What it is the example of: the exported name or method, or the README. */
  readonly of: string;
  readonly file: string;
  readonly code: string;
  /** What it prints, as it says itself behind `//=>`: a line each. */
  readonly prints: readonly string[];
}

const SOURCES = ['src/index.ts', 'src/errors.ts', ...libraryFiles()];

function libraryFiles(): readonly string[] {
  return readdirSync(path.join(ROOT, 'src', 'library')).map((name) => `src/library/${name}`);
}

/** The examples of the library: of its docstrings, and of the README's section. */
export function examples(): readonly Example[] {
  const readme = section(readDocument('README.md'), 'Use it as a library');
  const blocks = [...readme.matchAll(/```ts\n([^]*?)```/g)].map((found) => found[1]!);
  return [...SOURCES.flatMap(ofSource), ...blocks.map((code) => exampleOf('README', 'README.md', code))];
}

function ofSource(file: string): readonly Example[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  const found: Example[] = [];
  for (const { 1: comment, index, 0: whole } of text.matchAll(/\/\*\*\n([^]*?)\*\//g)) {
    const lines = comment!.split('\n').map((line) => line.replace(/^\s*\* ?/, ''));
    const [, ...parts] = lines.join('\n').split(/^@example\n/m);
    // What the comment stands before.
    const declared = text.slice(index + whole.length).trimStart();
    const name = /^(?:export )?(?:async )?(?:function\*? |class )?(\w+)/.exec(declared)?.[1] ?? '?';
    found.push(...parts.map((code) => exampleOf(name, file, code)));
  }
  return found;
}

function exampleOf(of: string, file: string, code: string): Example {
  const prints = [...code.matchAll(/\/\/=> (.*)$/gm)].map((found) => found[1]!.trim());
  return { of, file, code: code.trim(), prints };
}
