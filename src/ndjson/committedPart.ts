import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { errno } from '../system/files.ts';

/** Where one part of one resource type's data ends. */
export interface NdjsonPart {
  readonly resourceType: string;
  /** 1 for the first part. */
  readonly part: number;
  readonly bytes: number;
  readonly count: number;
}

/**
 * Truncates the file `name` of `folder` to where the ledger says that it ends, durably, and returns the hash of what
 * stays, read once. A frozen one belongs to an earlier run, is never cut, and must have exactly its bytes.
 *
 * Throws RUN_NOT_RESUMABLE when a committed byte or line is missing, and what the file system throws. May be repeated.
 */
export async function cutBack(
  folder: string,
  name: string,
  part: NdjsonPart,
  isFrozen: boolean,
): Promise<Hash> {
  const file = path.join(folder, name);
  const size = await sizeOf(file);
  if (size < part.bytes || (isFrozen && size !== part.bytes)) {
    throw new RoundsError('RUN_NOT_RESUMABLE', `${name} of the unfinished run lacks data that was committed`);
  }
  if (size > part.bytes) {
    const handle = await open(file, 'r+');
    await handle.truncate(part.bytes);
    await handle.sync();
    await handle.close();
  }
  const hash = createHash('sha256');
  let lines = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
  }
  if (lines !== part.count) {
    throw new RoundsError(
      'RUN_NOT_RESUMABLE',
      `${name} of the unfinished run holds other lines than were committed`,
    );
  }
  return hash;
}

/** -1 for a file that is not there. */
async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (errno(error) === 'ENOENT') return -1;
    throw error;
  }
}
