import { statSync } from 'node:fs';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { freeBytes } from '../system/files.ts';
import { asDatabaseError, openDatabase, type Database } from '../system/sqlite.ts';
import { APPLICATION_ID, LEDGER_VERSION, ledgerVersion, MIGRATIONS } from './ledgerSchema.ts';

/**
 * Whether a database file is a ledger of ours, and whole. What lies in the rows is not seen here: the chain of
 * commits and the rows' own CRCs are checked when a run goes on (replay.ts).
 */

/** Up to this size the check costs less than a tenth of a second, and is made at every opening. */
const SMALL_BYTES = 64 * 1024 * 1024;

/** The version of the ledger in `db`, 0 for an empty file. Throws LEDGER_NEWER, and LEDGER_DAMAGED for what is none of ours. */
export function checkShape(db: Database, file: string): number {
  const { version, owner, tables } = shapeOf(db);
  if (version === 0 && owner === 0 && tables.size === 0) return 0;
  if (version === 0 || owner !== (version === 1 ? 0 : APPLICATION_ID)) {
    throw new RoundsError('LEDGER_DAMAGED', `${file} is a database of another program`);
  }
  if (version > LEDGER_VERSION) {
    throw new RoundsError('LEDGER_NEWER', `${file} has version ${version}, this program ${LEDGER_VERSION}`);
  }
  for (const [name, sql] of schemaOfVersion(version)) {
    if (tables.get(name) !== sql) {
      throw new RoundsError('LEDGER_DAMAGED', `${file} lacks its table or index ${name}, or has another one`);
    }
  }
  return version;
}

/** Read at one moment: another process may be making the ledger or bringing it forward meanwhile. */
function shapeOf(db: Database): {
  readonly version: number;
  readonly owner: number;
  readonly tables: ReadonlyMap<string, string>;
} {
  db.exec('BEGIN');
  try {
    const version = ledgerVersion(db);
    const { application_id: owner } = db.prepare('PRAGMA application_id').get() as { application_id: number };
    return { version, owner, tables: schemaOf(db) };
  } finally {
    db.exec('ROLLBACK');
  }
}

/**
 * Lets SQLite read the whole file, where that is cheap or the last writer did not close it (its log is not empty).
 * Throws LEDGER_DAMAGED and SQLite's own errors.
 */
export function checkPages(db: Database, file: string): void {
  const isSmall = sizeOf(file) <= SMALL_BYTES;
  if (!isSmall && sizeOf(`${file}-wal`) === 0) return;
  const [first] = db.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[];
  if (first?.quick_check !== 'ok') {
    // SQLite's sentence could quote a row; it is kept for a debugger alone.
    throw new RoundsError('LEDGER_DAMAGED', `${file} fails SQLite's own check`, { cause: first });
  }
}

function schemaOf(db: Database): ReadonlyMap<string, string> {
  const rows = db.prepare('SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL').all();
  return new Map((rows as { name: string; sql: string }[]).map(({ name, sql }) => [name, sql]));
}

function schemaOfVersion(version: number): ReadonlyMap<string, string> {
  const db = openDatabase(':memory:');
  try {
    for (const sql of MIGRATIONS.slice(0, version)) db.exec(sql);
    return schemaOf(db);
  } finally {
    db.close();
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** An error of opening as ours: on a full disk SQLite only says that it cannot make the files beside the ledger. */
export async function asLedgerError(error: unknown, file: string): Promise<unknown> {
  const known = namingFile(error, file);
  const isUnusable = known instanceof RoundsError && known.code === 'PATH_UNUSABLE';
  if (isUnusable && (await freeBytes(path.dirname(file))) < SMALLEST_ROOM_BYTES) {
    return new RoundsError('DISK_FULL', `no space left to open ${file}`, { cause: error });
  }
  return known;
}

/** Room for the log, its index and a page each. */
const SMALLEST_ROOM_BYTES = 64 * 1024;

/** SQLite's error with the file's name. */
export function namingFile(error: unknown, file: string): unknown {
  const known = asDatabaseError(error);
  if (!(known instanceof RoundsError) || known === error) return known;
  return new RoundsError(known.code, `${file}: ${known.message}`, { cause: error });
}
