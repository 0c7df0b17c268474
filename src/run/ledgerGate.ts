import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../system/clock.ts';
import { ensureFolder } from '../system/files.ts';
import { asDatabaseError, isBusy, openDatabase, type Database } from '../system/sqlite.ts';

const LOCKS = 'locks';
const GATE = 'ledger.lock';
/** Longer than any check, migration or replacement of a ledger. */
const WAIT_MS = 60_000;
const RETRY_MS = 10;

export function locksFolder(stateFolder: string): string {
  return path.join(stateFolder, LOCKS);
}

/**
 * Does `work` while no other process opens, makes, migrates or replaces the ledger: two that start at once would
 * otherwise make it over each other. Not to be nested. Throws LOCK_HELD after a minute, and what `work` throws.
 */
export async function throughGate<T>(stateFolder: string, work: () => Promise<T>): Promise<T> {
  const folder = locksFolder(stateFolder);
  await ensureFolder(folder);
  const db = openDatabase(path.join(folder, GATE));
  try {
    await take(db);
    return await work();
  } finally {
    db.close();
  }
}

/** Between the tries the event loop goes on: it may be this very process that is to come out. */
async function take(db: Database): Promise<void> {
  const from = systemClock.monotonicMs();
  for (;;) {
    try {
      // Nothing is ever written: a journal would only want room on the disk.
      db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return;
    } catch (error) {
      const isOver = systemClock.monotonicMs() - from > WAIT_MS;
      if (!isBusy(error) || isOver) throw asDatabaseError(error);
    }
    // The machine's own clock, since it is other processes that are waited for.
    await systemClock.sleep(RETRY_MS);
  }
}

/** Whether a process, this one included, holds the lock in `file` of the locks folder. Blocks nobody who takes it. */
export function isLockFileHeld(file: string): boolean {
  let db;
  try {
    db = openDatabase(file, { readOnly: true });
    db.prepare('SELECT 1 FROM sqlite_schema').get();
    return false;
  } catch (error) {
    return isBusy(error);
  } finally {
    db?.close();
  }
}

/** Whether any run is under way with this state folder. */
export async function isAnyRunUnderWay(stateFolder: string): Promise<boolean> {
  const folder = locksFolder(stateFolder);
  const names = await readdir(folder).catch(() => []);
  return names.some(
    (name) => name.endsWith('.lock') && name !== GATE && isLockFileHeld(path.join(folder, name)),
  );
}
