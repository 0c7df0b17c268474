import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { FileJudge } from '../ndjson/fileJudge.ts';
import { isWhole, KeysWriter, readKeys } from '../ndjson/keysFile.ts';
import { readLines } from '../ndjson/reader.ts';
import { asFileError, isWindows, PRIVATE_MODES, syncFolder, type FileModes } from '../system/files.ts';
import { KeySlice, type RepeatedKeys } from './keySlice.ts';

/** A stored file and the side file of its line keys, which `downloadFile` wrote. */
export interface KeyedFile {
  readonly file: string;
  readonly keysFile: string;
  readonly count: number;
}

/** A line whose type and id came before in the order of files and lines. */
export interface LineCopy {
  /** 1 for the first of its file. */
  readonly line: number;
  /** Whether its bytes are those of the one that came first. */
  readonly isSame: boolean;
}

/** What has to go from one file, in order of lines. */
export interface LineCopies {
  readonly file: string;
  readonly copies: readonly LineCopy[];
}

export interface UniqueLinesOptions {
  /** Bounds the memory: 8 bytes a key. */
  readonly maxKeysInMemory?: number;
  readonly signal: AbortSignal;
}

const MAX_KEYS = 4_000_000;
/** Of lines that came twice so many are looked at in one reading, since their names are kept meanwhile. */
const MAX_NAMES = 100_000;

/**
 * Finds the lines of all files whose type and id came before; the first stays. Lines without an id are never copies. A
 * side file that is missing or torn is made anew. Changes nothing else; may be repeated.
 *
 * Memory does not grow with the files: keys are compared slice by slice of their space, and only lines whose keys are the
 * same are read. What is found counts, at some 50 bytes a copy.
 * Throws DISK_FULL, PATH_UNUSABLE, the signal's reason, and of a file that is not what was downloaded BULK_FILE_MALFORMED
 * or BULK_COUNT_DIFFERS.
 */
export async function uniqueLines(
  files: readonly KeyedFile[],
  { maxKeysInMemory = MAX_KEYS, signal }: UniqueLinesOptions,
): Promise<readonly LineCopies[]> {
  const found = files.map((): LineCopy[] => []);
  try {
    for (const file of files) {
      signal.throwIfAborted();
      if (!(await isWhole(file.keysFile, file.count))) await makeKeys(file);
    }
    const total = files.reduce((sum, { count }) => sum + count, 0);
    for (const slice of KeySlice.allFor(total, maxKeysInMemory)) {
      for (const file of files) {
        signal.throwIfAborted();
        for await (const keys of readKeys(file.keysFile, file.count)) slice.take(keys);
      }
      for (const repeated of slice.repeated(MAX_NAMES)) await confirm(files, repeated, found, signal);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw asFileError(error, 'the downloaded files');
  }
  return files.flatMap(({ file }, at) => {
    const copies = found[at]!.toSorted((a, b) => a.line - b.line);
    return copies.length === 0 ? [] : [{ file, copies }];
  });
}

async function makeKeys({ file, keysFile, count }: KeyedFile): Promise<void> {
  const keys = new KeysWriter(keysFile, PRIVATE_MODES);
  try {
    const judge = new FileJudge(undefined);
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      keys.add(judge.judge(chunk).keys);
      await keys.write();
    }
    const last = judge.end();
    keys.add(last.keys);
    if (last.lines !== count) {
      throw new RoundsError('BULK_COUNT_DIFFERS', 'a stored file has other lines than were counted');
    }
    await keys.finish();
  } finally {
    await keys.close();
  }
}

/** Reads the lines with these keys, in order, and enters into `found` those that came before in fact. */
async function confirm(
  files: readonly KeyedFile[],
  repeated: RepeatedKeys,
  found: readonly LineCopy[][],
  signal: AbortSignal,
): Promise<void> {
  /** The first of each type and id, by the hash of its bytes. */
  const firsts = new Map<string, string>();
  for (const [at, { file, keysFile, count }] of files.entries()) {
    signal.throwIfAborted();
    const wanted: number[] = [];
    let before = 0;
    for await (const keys of readKeys(keysFile, count)) {
      for (const index of repeated.in(keys)) wanted.push(before + index + 1);
      before += keys.length / 2;
    }
    if (wanted.length === 0) continue;
    for await (const { line, bytes } of linesAt(file, wanted)) {
      const name = nameOf(bytes);
      const digest = createHash('sha256').update(bytes).digest('base64');
      const first = firsts.get(name);
      if (first === undefined) firsts.set(name, digest);
      else found[at]!.push({ line, isSame: first === digest });
    }
  }
}

/** The lines with these numbers, which rise. */
async function* linesAt(
  file: string,
  numbers: readonly number[],
): AsyncGenerator<{ readonly line: number; readonly bytes: Buffer }, void, undefined> {
  let line = 0;
  let next = 0;
  for await (const bytes of readLines(file)) {
    if (++line !== numbers[next]) continue;
    yield { line, bytes };
    if (++next === numbers.length) return;
  }
}

function nameOf(line: Buffer): string {
  const { resourceType, id } = JSON.parse(line.toString('utf8')) as Readonly<Record<string, unknown>>;
  return JSON.stringify([resourceType, id]);
}

/**
 * Writes `draft`, the file without the lines of these numbers (1 for the first), durably; one that is there is written
 * over. To put it in the file's place is the caller's. Throws DISK_FULL, PATH_UNUSABLE, leaving no draft.
 */
export async function withoutLines(
  file: string,
  draft: string,
  lineNumbers: readonly number[],
  modes: FileModes,
): Promise<{ readonly bytes: number; readonly count: number; readonly sha256: string }> {
  try {
    const written = await writeWithout(file, new Set(lineNumbers), draft, modes);
    await syncFolder(path.dirname(draft));
    return written;
  } catch (error) {
    await rm(draft, { force: true });
    throw asFileError(error, path.basename(file));
  }
}

const LINE_FEED = Buffer.from('\n');
const WRITE_PIECES = 1024;
const WRITE_BYTES = 1 << 20;

async function writeWithout(file: string, gone: ReadonlySet<number>, draft: string, modes: FileModes) {
  const handle = await open(draft, 'w', modes.file);
  try {
    if (!isWindows) await handle.chmod(modes.file);
    const hash = createHash('sha256');
    let [line, count, bytes, pendingBytes] = [0, 0, 0, 0];
    let pending: Buffer[] = [];
    const write = async (): Promise<void> => {
      const block = Buffer.concat(pending);
      pending = [];
      pendingBytes = 0;
      hash.update(block);
      bytes += block.length;
      await handle.writeFile(block);
    };
    for await (const kept of readLines(file)) {
      if (gone.has(++line)) continue;
      count++;
      pending.push(kept, LINE_FEED);
      pendingBytes += kept.length + 1;
      if (pendingBytes >= WRITE_BYTES || pending.length >= WRITE_PIECES) await write();
    }
    await write();
    await handle.sync();
    return { bytes, count, sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}
