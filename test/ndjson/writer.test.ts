import { createHash } from 'node:crypto';
import { appendFile, chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { NdjsonWriter, type NdjsonPart, type NdjsonWriterOptions } from '../../src/ndjson/writer.ts';
import { partName } from '../../src/publish/layout.ts';
import { GROUP_MODES, isWindows, PRIVATE_MODES } from '../../src/system/files.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function openWriter(folder: string, given: Partial<NdjsonWriterOptions> = {}): Promise<NdjsonWriter> {
  const writer = await NdjsonWriter.open({
    folder,
    modes: PRIVATE_MODES,
    maxPartBytes: 0,
    fileName: (resourceType, part) => partName('${ResourceType}.ndjson', '', resourceType, part),
    committed: [],
    isFrozen: () => false,
    ...given,
  });
  onTestFinished(() => writer.close());
  return writer;
}

function append(writer: NdjsonWriter, resourceType: string, ...lines: readonly string[]): void {
  for (const line of lines) writer.append(resourceType, Buffer.from(line));
}

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');

describe('writing', () => {
  it('keeps each resource on a line of its type’s file, byte for byte', async () => {
    const folder = await temporaryFolder();
    const writer = await openWriter(folder);
    append(writer, 'Patient', '{"a":1.50}', '{"b":"é\u2028"}');
    append(writer, 'Observation', '{"c":-0}');
    expect(await writer.sync()).toEqual([
      { resourceType: 'Patient', part: 1, bytes: 25, count: 2 },
      { resourceType: 'Observation', part: 1, bytes: 9, count: 1 },
    ]);
    const finished = await writer.finish();
    expect(finished.map(({ name, count }) => [name, count])).toEqual([
      ['Observation.ndjson', 1],
      ['Patient.ndjson', 2],
    ]);
    expect(await readFile(path.join(folder, 'Patient.ndjson'), 'utf8')).toBe('{"a":1.50}\n{"b":"é\u2028"}\n');
    for (const part of finished) {
      const content = await readFile(path.join(folder, part.name));
      expect([part.bytes, part.sha256]).toEqual([content.length, sha256(content)]);
    }
  });

  it('tells of the parts that changed since the last sync, and of no others', async () => {
    const writer = await openWriter(await temporaryFolder());
    append(writer, 'Patient', '{}');
    append(writer, 'Device', '{}');
    await writer.sync();
    append(writer, 'Device', '{"d":1}');
    expect(await writer.sync()).toEqual([{ resourceType: 'Device', part: 1, bytes: 11, count: 2 }]);
    expect(await writer.sync()).toEqual([]);
  });

  it('counts what waits in memory, until it is handed on', async () => {
    const writer = await openWriter(await temporaryFolder());
    append(writer, 'Patient', '{}', '{}');
    expect(writer.pendingBytes).toBe(6);
    await writer.write();
    expect(writer.pendingBytes).toBe(0);
    expect(await writer.sync()).toEqual([{ resourceType: 'Patient', part: 1, bytes: 6, count: 2 }]);
  });

  it('begins a further part before one grows past its limit, and never splits or loses a line', async () => {
    const folder = await temporaryFolder();
    const writer = await openWriter(folder, { maxPartBytes: 20 });
    const lines = Array.from({ length: 9 }, (_, at) => `{"no":${at}}`);
    append(writer, 'Patient', ...lines.slice(0, 5));
    const first = await writer.sync();
    expect(first.map(({ part, bytes, count }) => [part, bytes, count])).toEqual([
      [1, 18, 2],
      [2, 18, 2],
      [3, 9, 1],
    ]);
    append(writer, 'Patient', ...lines.slice(5), 'x'.repeat(100), '{}');
    await writer.sync();
    const finished = await writer.finish();
    expect(finished.map(({ name, count }) => [name, count])).toEqual([
      ['Patient.ndjson', 2],
      ['Patient.002.ndjson', 2],
      ['Patient.003.ndjson', 2],
      ['Patient.004.ndjson', 2],
      ['Patient.005.ndjson', 1],
      ['Patient.006.ndjson', 1],
      ['Patient.007.ndjson', 1],
    ]);
    const written = await Promise.all(finished.map(({ name }) => readFile(path.join(folder, name), 'utf8')));
    expect(written.join('')).toBe([...lines, 'x'.repeat(100), '{}', ''].join('\n'));
    expect(finished.map((part) => part.sha256)).toEqual(written.map(sha256));
  });

  it.runIf(!isWindows)('gives files exactly the mode of the job, whatever the umask', async () => {
    const before = process.umask(0o077);
    onTestFinished(() => void process.umask(before));
    for (const [modes, expected] of [
      [PRIVATE_MODES, 0o600],
      [GROUP_MODES, 0o640],
    ] as const) {
      const folder = await temporaryFolder();
      const writer = await openWriter(folder, { modes });
      append(writer, 'Patient', '{}');
      await writer.sync();
      expect((await stat(path.join(folder, 'Patient.ndjson'))).mode & 0o777).toBe(expected);
    }
  });

  it('writes nothing any more once it was closed', async () => {
    const folder = await temporaryFolder();
    const writer = await openWriter(folder);
    append(writer, 'Patient', '{}');
    await writer.close();
    await writer.close();
    expect(() => append(writer, 'Device', '{}')).toThrow(expect.objectContaining({ code: 'INTERRUPTED' }));
    expect((await rejection(writer.sync())).code).toBe('INTERRUPTED');
    expect(await readdir(folder)).toEqual([]);
  });

  it('says that a file cannot be made', async () => {
    const folder = await temporaryFolder();
    const writer = await openWriter(folder);
    await rm(folder, { recursive: true });
    append(writer, 'Patient', '{}');
    expect((await rejection(writer.sync())).code).toBe('PATH_UNUSABLE');
  });
});

describe('going on after a crash', () => {
  /** A folder in which a first session committed two parts and left more behind. */
  async function interrupted(): Promise<{ folder: string; committed: readonly NdjsonPart[] }> {
    const folder = await temporaryFolder();
    const writer = await openWriter(folder, { maxPartBytes: 20 });
    append(writer, 'Patient', '{"no":0}', '{"no":1}', '{"no":2}');
    append(writer, 'Device', '{"d":0}');
    const committed = await writer.sync();
    await writer.close();
    await appendFile(path.join(folder, 'Patient.002.ndjson'), '{"no":3}\n{"half');
    await writeFile(path.join(folder, 'Patient.003.ndjson'), '{"no":4}\n');
    await writeFile(path.join(folder, 'Observation.ndjson'), '{"o":1}\n');
    await writeFile(path.join(folder, 'report.html'), 'half');
    await mkdir(path.join(folder, '.spool'));
    await writeFile(path.join(folder, '.spool', 'search-7'), 'x');
    return { folder, committed };
  }

  it('cuts files back to what was committed, and removes what was not', async () => {
    const { folder, committed } = await interrupted();
    const writer = await openWriter(folder, { committed, maxPartBytes: 20 });
    expect((await readdir(folder)).toSorted()).toEqual([
      'Device.ndjson',
      'Patient.002.ndjson',
      'Patient.ndjson',
    ]);
    append(writer, 'Patient', '{"no":3}', '{"no":4}');
    expect(await writer.sync()).toEqual([
      { resourceType: 'Patient', part: 2, bytes: 18, count: 2 },
      { resourceType: 'Patient', part: 3, bytes: 9, count: 1 },
    ]);
    const finished = await writer.finish();
    const contents = await Promise.all(finished.map(({ name }) => readFile(path.join(folder, name))));
    expect(contents.map(String)).toEqual([
      '{"d":0}\n',
      '{"no":0}\n{"no":1}\n',
      '{"no":2}\n{"no":3}\n',
      '{"no":4}\n',
    ]);
    expect(finished.map((part) => part.sha256)).toEqual(contents.map(sha256));
    expect(finished.map((part) => part.count)).toEqual([1, 2, 2, 1]);
  });

  it('begins anew when nothing was committed', async () => {
    const { folder } = await interrupted();
    await openWriter(folder);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses to go on where a committed byte or line is missing', async () => {
    const shorter = await interrupted();
    await truncate(path.join(shorter.folder, 'Patient.ndjson'), 17);
    expect((await rejection(openWriter(shorter.folder, shorter))).code).toBe('RUN_NOT_RESUMABLE');

    const gone = await interrupted();
    await rm(path.join(gone.folder, 'Device.ndjson'));
    const refusal = await rejection(openWriter(gone.folder, gone));
    expect(refusal.code).toBe('RUN_NOT_RESUMABLE');
    expect(refusal.message).toContain('Device.ndjson');

    const zeroed = await interrupted();
    await writeFile(path.join(zeroed.folder, 'Patient.ndjson'), Buffer.alloc(18));
    expect((await rejection(openWriter(zeroed.folder, zeroed))).code).toBe('RUN_NOT_RESUMABLE');
  });

  it('leaves the parts of an earlier run alone, and goes on behind them', async () => {
    const { folder, committed } = await interrupted();
    await truncate(path.join(folder, 'Patient.002.ndjson'), 9);
    await chmod(path.join(folder, 'Patient.002.ndjson'), 0o400);
    const before = await readFile(path.join(folder, 'Patient.002.ndjson'));
    const isFrozen = ({ resourceType }: NdjsonPart): boolean => resourceType === 'Patient';
    const writer = await openWriter(folder, { committed, isFrozen });
    append(writer, 'Patient', '{"new":1}');
    append(writer, 'Device', '{"d":1}');
    await writer.sync();
    const finished = await writer.finish();
    expect(finished.map(({ name, bytes }) => [name, bytes])).toEqual([
      ['Device.ndjson', 16],
      ['Patient.ndjson', 18],
      ['Patient.002.ndjson', 9],
      ['Patient.003.ndjson', 10],
    ]);
    expect(await readFile(path.join(folder, 'Patient.002.ndjson'))).toEqual(before);
  });

  it('never cuts a frozen part: one that is longer than committed is refused', async () => {
    const { folder, committed } = await interrupted();
    const before = await readFile(path.join(folder, 'Patient.002.ndjson'));
    const refusal = await rejection(openWriter(folder, { committed, isFrozen: () => true }));
    expect(refusal.code).toBe('RUN_NOT_RESUMABLE');
    expect(await readFile(path.join(folder, 'Patient.002.ndjson'))).toEqual(before);
  });

  it('says that the folder cannot be read', async () => {
    const folder = path.join(await temporaryFolder(), 'gone');
    expect((await rejection(openWriter(folder))).code).toBe('PATH_UNUSABLE');
  });
});
