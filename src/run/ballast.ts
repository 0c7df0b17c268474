import { randomBytes } from 'node:crypto';
import { rm, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError } from '../errors.ts';
import { freeBytes, writeDurable } from '../system/files.ts';

/**
 * A file that only takes up room in the state folder. When the disk is full it is emptied, so that the ledger can
 * still write down where the run stands and queue the mail that says so.
 */
export const BALLAST_FILE = 'ballast';
/** Enough for the ledger's last commits, the close of a run and its mail. */
export const BALLAST_BYTES = 1024 * 1024;

/** Makes the ballast, where there is room for it and as much again; false when there is none now. */
export async function fillBallast(stateFolder: string): Promise<boolean> {
  const file = path.join(stateFolder, BALLAST_FILE);
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  );
  if (size >= BALLAST_BYTES) return true;
  if ((await freeBytes(stateFolder)) < 2 * BALLAST_BYTES) return false;
  try {
    // Random, since a file system that compresses would keep no room for zeros.
    await writeDurable(file, randomBytes(BALLAST_BYTES));
    return true;
  } catch (thrown) {
    await rm(file, { force: true });
    const error = asRoundsError(thrown);
    if (error.code !== 'DISK_FULL') throw error;
    return false;
  }
}

/** Frees the ballast's room; does nothing where there is none. */
export async function dropBallast(stateFolder: string): Promise<void> {
  await truncate(path.join(stateFolder, BALLAST_FILE), 0).catch(() => undefined);
}
