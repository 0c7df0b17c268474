import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readLines } from '../../src/ndjson/reader.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function linesOf(content: string | Buffer): Promise<readonly string[]> {
  const file = path.join(await temporaryFolder(), 'file.ndjson');
  await writeFile(file, content);
  const lines: string[] = [];
  for await (const line of readLines(file)) lines.push(line.toString('latin1'));
  return lines;
}

describe('readLines', () => {
  it.each([
    ['a\nb\n', ['a', 'b']],
    ['a\nb', ['a', 'b']],
    ['', []],
    ['\n\na\n\n', ['a']],
    ['a\r\nb\r\n', ['a\r', 'b\r']],
    ['a\u0085\x0b\x0cb\n', ['a\xc2\x85\x0b\x0cb']],
    ['a\u2028b\n', ['a\xe2\x80\xa8b']],
  ])('ends lines at 0x0A alone: %j', async (content, lines) => {
    expect(await linesOf(content)).toEqual(lines);
  });

  it('gives lines whole that are longer than what is read at once', async () => {
    const lengths = [1, 300_000, (1 << 18) - 1, 1 << 18, 5, 1_000_000];
    const lines = lengths.map((length, at) => String(at).repeat(length));
    expect(await linesOf(`${lines.join('\n')}\n`)).toEqual(lines);
  });

  it('rejects where there is no file', async () => {
    const reading = readLines(path.join(await temporaryFolder(), 'none'));
    await expect(reading.next()).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
