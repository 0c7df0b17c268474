import { readdirSync } from 'node:fs';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { FileJudge } from '../../src/ndjson/fileJudge.ts';
import { isWhole, KeysWriter } from '../../src/ndjson/keysFile.ts';
import { uniqueLines, withoutLines, type KeyedFile, type LineCopies } from '../../src/pull/uniqueLines.ts';
import { GROUP_MODES, PRIVATE_MODES } from '../../src/system/files.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { sha256 } from './downloading.ts';

const { signal } = new AbortController();

/** A file and its side file, as a download leaves them. */
async function store(folder: string, name: string, lines: readonly string[]): Promise<KeyedFile> {
  const [file, keysFile] = [path.join(folder, `${name}.ndjson`), path.join(folder, `${name}.keys`)];
  const content = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  const keys = new KeysWriter(keysFile, PRIVATE_MODES);
  const verdict = new FileJudge(undefined).judge(content);
  keys.add(verdict.keys);
  await keys.finish();
  await writeFile(file, content);
  return { file, keysFile, count: verdict.lines };
}

/** The same by a Map of every line. */
function oracle(
  files: readonly KeyedFile[],
  contents: readonly (readonly string[])[],
): readonly LineCopies[] {
  const firsts = new Map<string, string>();
  return files.flatMap(({ file }, at) => {
    const copies = contents[at]!.flatMap((text, index) => {
      const { resourceType, id } = JSON.parse(text) as { resourceType: string; id?: unknown };
      if (typeof id !== 'string') return [];
      const first = firsts.get(`${resourceType}/${id}`);
      if (first === undefined) firsts.set(`${resourceType}/${id}`, text);
      return first === undefined ? [] : [{ line: index + 1, isSame: first === text }];
    });
    return copies.length === 0 ? [] : [{ file, copies }];
  });
}

const line = (id: string, more = ''): string => `{"resourceType":"Basic","id":"${id}"${more}}`;

describe('the lines of a run', () => {
  it('that came before are found, in whichever files, the same or differing', async () => {
    const folder = await temporaryFolder();
    const files = [
      await store(folder, 'a', [line('1'), line('2'), line('1')]),
      await store(folder, 'b', [line('3')]),
      await store(folder, 'c', [line('4'), line('2', ',"x":1'), '{"id":"2","resourceType":"List"}']),
    ];
    expect(await uniqueLines(files, { signal })).toEqual([
      { file: files[0]!.file, copies: [{ line: 3, isSame: true }] },
      { file: files[2]!.file, copies: [{ line: 2, isSame: false }] },
    ]);
    expect(await uniqueLines([], { signal })).toEqual([]);
  });

  it('are compared as a Map of all of them would, whatever fits into memory', async () => {
    const folder = await temporaryFolder();
    const id = fc.constantFrom('a', 'b', 'c', 'd', '\\u0061', 'é', '\\u00e9');
    const text = fc.oneof(
      fc.tuple(id, fc.constantFrom('', ',"x":1')).map(([name, more]) => line(name, more)),
      fc.nat({ max: 40 }).map((n) => line(String(n))),
      fc.constantFrom(
        '{"resourceType":"Basic"}',
        '{"resourceType":"Basic","id":1}',
        '{"id":"a","resourceType":"List"}',
      ),
    );
    const contents = fc.array(fc.array(text, { maxLength: 25 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(contents, fc.integer({ min: 1, max: 60 }), async (all, maxKeysInMemory) => {
        const files: KeyedFile[] = [];
        for (const [n, lines] of all.entries()) files.push(await store(folder, String(n), lines));
        expect(await uniqueLines(files, { maxKeysInMemory, signal })).toEqual(oracle(files, all));
      }),
    );
  });

  it('are two million, a fortieth of them in memory at a time', async () => {
    const folder = await temporaryFolder();
    const files: KeyedFile[] = [];
    const perFile = 200_000;
    for (let n = 0; n < 10; n++) {
      const lines = Array.from({ length: perFile }, (_, at) => line((n * perFile + at).toString(36)));
      // Every file repeats a line of itself, and all but the first one of the file before it.
      lines[perFile - 1] = lines[7]!;
      if (n > 0) lines[1000] = line(((n - 1) * perFile + 5).toString(36), ',"x":1');
      files.push(await store(folder, String(n), lines));
    }
    const copies = await uniqueLines(files, { maxKeysInMemory: 50_000, signal });
    expect(copies).toEqual(
      files.map(({ file }, n) => ({
        file,
        copies: [...(n > 0 ? [{ line: 1001, isSame: false }] : []), { line: perFile, isSame: true }],
      })),
    );
  });

  it('that are all the same line are all found', async () => {
    const folder = await temporaryFolder();
    const file = await store(folder, 'a', Array<string>(20_000).fill(line('1')));
    const [found] = await uniqueLines([file], { maxKeysInMemory: 100, signal });
    expect(found?.copies.map((copy) => copy.line)).toEqual(Array.from({ length: 19_999 }, (_, n) => n + 2));
  });

  it('that are all there twice are found, in more than one reading', async () => {
    const folder = await temporaryFolder();
    const lines = Array.from({ length: 120_000 }, (_, n) => line(n.toString(36)));
    const files = [await store(folder, 'a', lines), await store(folder, 'b', lines.toReversed())];
    const [found, ...more] = await uniqueLines(files, { signal });
    expect(more).toEqual([]);
    expect(found?.file).toBe(files[1]?.file);
    expect(found?.copies.every(({ line: number, isSame }, n) => isSame && number === n + 1)).toBe(true);
    expect(found?.copies).toHaveLength(120_000);
  });
});

describe('a side file', () => {
  it.each<readonly [string, (keysFile: string) => Promise<unknown>]>([
    ['missing', (keysFile) => rm(keysFile)],
    ['empty', (keysFile) => truncate(keysFile)],
    ['cut', async (keysFile) => truncate(keysFile, (await stat(keysFile)).size - 8)],
    ['full of zeros', async (keysFile) => writeFile(keysFile, (await readFile(keysFile)).fill(0))],
    [
      'changed in a bit',
      async (keysFile) => {
        const bytes = await readFile(keysFile);
        bytes[9]! ^= 4;
        await writeFile(keysFile, bytes);
      },
    ],
    ['of another file', async (keysFile) => writeFile(keysFile, 'x'.repeat(100))],
  ])('that is %s is made anew', async (_, tear) => {
    const folder = await temporaryFolder();
    const files = [
      await store(folder, 'a', [line('1'), line('2'), line('3')]),
      await store(folder, 'b', [line('4'), line('2')]),
    ];
    const whole = await readFile(files[1]!.keysFile);
    for (const { keysFile } of files) await tear(keysFile);
    expect(await isWhole(files[0]!.keysFile, 3)).toBe(false);
    const wanted = [{ file: files[1]!.file, copies: [{ line: 2, isSame: true }] }];
    expect(await uniqueLines(files, { signal })).toEqual(wanted);
    expect(await readFile(files[1]!.keysFile)).toEqual(whole);
  });

  it('is not made of a file that is not what was downloaded', async () => {
    const folder = await temporaryFolder();
    const file = await store(folder, 'a', [line('1'), line('2')]);
    const asked = (count: number) => uniqueLines([{ ...file, count }], { signal });
    expect((await rejection(asked(3))).code).toBe('BULK_COUNT_DIFFERS');
    await writeFile(file.file, `${line('1')}\n{`);
    await rm(file.keysFile);
    expect((await rejection(asked(2))).code).toBe('BULK_FILE_MALFORMED');
    await rm(file.file);
    expect((await rejection(asked(2))).code).toBe('PATH_UNUSABLE');
  });

  it('is left when the run is stopped', async () => {
    const file = await store(await temporaryFolder(), 'a', [line('1')]);
    const reason = new RoundsError('INTERRUPTED', 'stop');
    expect(await rejection(uniqueLines([file], { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe('a file without some of its lines', () => {
  it('is written anew, and what is told about it fits', async () => {
    const folder = await temporaryFolder();
    const lines = Array.from({ length: 5000 }, (_, n) => line(String(n), `,"x":"${'é'.repeat(n)}"`));
    const { file } = await store(folder, 'a', lines);
    const gone = [1, 17, 18, 4000, 5000];
    const draft = path.join(folder, 'draft');
    const told = await withoutLines(file, draft, gone, GROUP_MODES);
    const content = Buffer.from(
      lines.flatMap((text, n) => (gone.includes(n + 1) ? [] : [`${text}\n`])).join(''),
    );
    expect((await readFile(draft)).equals(content)).toBe(true);
    expect(told).toEqual({ bytes: content.length, count: 4995, sha256: sha256(content) });
    if (process.platform !== 'win32') expect((await stat(draft)).mode & 0o777).toBe(0o640);
    // It is written over what a crash has left, and the file itself stays.
    expect(await withoutLines(file, draft, gone, GROUP_MODES)).toEqual(told);
    expect(readdirSync(folder)).toEqual(['a.keys', 'a.ndjson', 'draft']);
  });

  it('may be empty', async () => {
    const folder = await temporaryFolder();
    const { file } = await store(folder, 'a', [line('1')]);
    const draft = path.join(folder, 'draft');
    expect(await withoutLines(file, draft, [1], PRIVATE_MODES)).toEqual({
      bytes: 0,
      count: 0,
      sha256: sha256(Buffer.alloc(0)),
    });
    expect(await readFile(draft)).toHaveLength(0);
  });

  it('that is not there leaves nothing', async () => {
    const folder = await temporaryFolder();
    const [file, draft] = [path.join(folder, 'a.ndjson'), path.join(folder, 'draft')];
    const error = await rejection(withoutLines(file, draft, [1], PRIVATE_MODES));
    expect(error.code).toBe('PATH_UNUSABLE');
    expect(readdirSync(folder)).toEqual([]);
  });
});
