import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { faultTable, MATRIX, STORIES, TABLE_END, TABLE_START } from './matrix.ts';

const README = path.resolve(import.meta.dirname, '..', '..', 'README.md');

describe('README’s table of what happens when', () => {
  it('is the rows of the matrix; UPDATE_DOCS=1 writes it anew', async () => {
    const text = await readFile(README, 'utf8');
    const from = text.indexOf(TABLE_START) + TABLE_START.length;
    const to = text.indexOf(TABLE_END);
    expect(to).toBeGreaterThan(from);
    const table = `\n\n${faultTable()}\n\n`;
    if (process.env['UPDATE_DOCS'] === '1') {
      await writeFile(README, text.slice(0, from) + table + text.slice(to));
      return;
    }
    expect(text.slice(from, to)).toBe(table);
  });

  it('has no title twice, and nothing that breaks a table', () => {
    const texts = [...MATRIX, ...STORIES].map(({ title, result }) => `${title} -> ${result}`);
    expect(new Set([...MATRIX, ...STORIES].map(({ title }) => title)).size).toBe(texts.length);
    expect(texts.filter((text) => /[|\n]/.test(text))).toEqual([]);
  });
});
