import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { KEYS } from '../../src/config/schema.ts';
import { ENVIRONMENT_KEYS } from '../../src/config/schema/access.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import { documents, firstCells, readDocument, ROOT, section } from './markdown.ts';

const json = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(ROOT, name), 'utf8')) as Record<string, unknown>;
const codeOf = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1]!);

describe('the README', () => {
  it('says of every dependency why it is there, and of no other package', () => {
    const rows = firstCells(section(readDocument('README.md'), 'Dependencies')).flatMap(codeOf);
    expect(rows.toSorted()).toEqual(Object.keys(json('package.json')['dependencies'] as object).toSorted());
  });

  it('explains only error codes that there are', () => {
    const cells = firstCells(section(readDocument('README.md'), 'Troubleshooting'));
    const codes = cells.flatMap(codeOf).filter((code) => /^[A-Z][A-Z0-9_]+$/.test(code));
    expect(codes.length).toBeGreaterThan(5);
    expect(codes.filter((code) => !(code in ERROR_CODES))).toEqual([]);
  });
});

describe('the version', () => {
  it('is the same in package.json, the lockfile and at the top of the changelog', () => {
    const { version } = json('package.json');
    const [latest] = [...readDocument('CHANGELOG.md').text.matchAll(/^## \[([^\]]+)\]/gm)];
    expect(latest?.[1]).toBe(version);
    expect(json('package-lock.json')['version']).toBe(version);
  });
});

describe('settings named in documents and hints', () => {
  const SETTING = /\[([a-z_]+)\] ([a-z_]+)/g;
  const unknown = (text: string): readonly string[] =>
    [...text.matchAll(SETTING)]
      .map((m) => `${m[1]!}.${m[2]!}`)
      .filter((name) => name !== 'section.key' && !KEYS.has(name));

  it.each(documents())('$name: each is in the table of keys', ({ spans }) => {
    expect(spans.flatMap(unknown)).toEqual([]);
  });

  it('hints: each is in the table of keys', () => {
    const hints = Object.values(ERROR_CODES).map(({ hint }) => hint);
    expect(hints.some((hint) => hint.search(SETTING) >= 0)).toBe(true);
    expect(hints.flatMap(unknown)).toEqual([]);
  });

  it.each(documents())('$name: INI examples hold known keys only', ({ codeLines }) => {
    let at = '';
    const wrong: string[] = [];
    for (const { language, line } of codeLines) {
      if (language !== 'ini') continue;
      at = /^\[([^\]]+)\]/.exec(line)?.[1] ?? at;
      const key = /^([\w.]+) *=/.exec(line)?.[1];
      if (key !== undefined && !isKnown(at, key)) wrong.push(`[${at}] ${key}`);
    }
    expect(wrong).toEqual([]);
  });
});

function isKnown(place: string, key: string): boolean {
  if (place.startsWith('environment ')) return key in ENVIRONMENT_KEYS;
  if (place.startsWith('job ')) return key === 'method' || KEYS.has(key);
  return KEYS.has(`${place}.${key}`);
}
