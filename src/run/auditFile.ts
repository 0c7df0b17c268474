import { constants, fchmodSync, openSync, readSync, writeSync } from 'node:fs';
import { errno, isWindows, PRIVATE_MODES, syncFolderNow } from '../system/files.ts';

/** Reading and writing the audit file, at once: it moves within a transaction of the ledger. */

/** Opens the file, made where it is missing, durably; a link in its place is refused. */
export function openForAppending(file: string): number {
  const flags = constants.O_RDWR | constants.O_APPEND | (isWindows ? 0 : constants.O_NOFOLLOW);
  try {
    return openSync(file, flags);
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error;
  }
  const fd = openSync(file, flags | constants.O_CREAT, PRIVATE_MODES.file);
  if (!isWindows) fchmodSync(fd, PRIVATE_MODES.file);
  syncFolderNow(file);
  return fd;
}

/** What the file has at `at`, up to `length` bytes. */
export function readAt(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const got = readSync(fd, bytes, done, length - done, at + done);
    if (got === 0) break;
    done += got;
  }
  return bytes.subarray(0, done);
}

export function writeWhole(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
}

const CHUNK_BYTES = 65_536;

/** The lines of the file from an offset on; the last may lack its line feed. */
export function* linesFrom(
  fd: number,
  from: number,
): Generator<{ readonly line: Buffer; readonly endAt: number; readonly isWhole: boolean }> {
  let rest = Buffer.alloc(0);
  let at = from;
  for (;;) {
    const chunk = readAt(fd, at + rest.length, CHUNK_BYTES);
    if (chunk.length === 0) break;
    rest = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
      yield { line: rest.subarray(start, end), endAt: at + end + 1, isWhole: true };
      start = end + 1;
    }
    rest = rest.subarray(start);
    at += start;
  }
  if (rest.length > 0) yield { line: rest, endAt: at + rest.length, isWhole: false };
}
