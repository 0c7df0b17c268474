import { DatabaseSync } from '@photostructure/sqlite';
import { RoundsError } from '../errors.ts';

/**
 * The one door to SQLite. The package has node:sqlite's own interface, so that the built-in takes its place here
 * when Node 20 is dropped.
 */
export type Database = InstanceType<typeof DatabaseSync>;

export type SqlValue = string | number | null;

/** A prepared statement. Rows come as plain objects whose shape only the caller's SQL knows. */
export interface Statement {
  run(...values: readonly SqlValue[]): { readonly changes: number };
  get(...values: readonly SqlValue[]): unknown;
  all(...values: readonly SqlValue[]): unknown[];
  iterate(...values: readonly SqlValue[]): Iterable<unknown>;
}

export interface DatabaseOptions {
  readonly readOnly?: boolean;
  /** How long a statement waits for another process' lock, in ms. */
  readonly busyTimeoutMs?: number;
}

/** Opens (and makes, unless read-only) a database file. Throws SQLite's own errors. */
export function openDatabase(file: string, options: DatabaseOptions = {}): Database {
  return new DatabaseSync(file, {
    readOnly: options.readOnly ?? false,
    timeout: options.busyTimeoutMs ?? 0,
  });
}

/** Whether an error is SQLite's "database is locked" (SQLITE_BUSY, 5, or SQLITE_LOCKED, 6). */
export function isBusy(error: unknown): boolean {
  const { errcode, message } = error as { errcode?: number; message?: string };
  if (errcode !== undefined) return (errcode & 0xff) === 5 || (errcode & 0xff) === 6;
  return /database is locked|SQLITE_BUSY/.test(message ?? '');
}

/**
 * SQLite's failures that an operator can do something about, as ours: a damaged file (SQLITE_CORRUPT, 11; NOTADB,
 * 26) is LEDGER_DAMAGED, a full disk (SQLITE_FULL, 13) DISK_FULL, one that another process keeps (SQLITE_BUSY, 5;
 * LOCKED, 6) LOCK_HELD, one that cannot be opened, read or written (PERM, 3; READONLY, 8; IOERR, 10; CANTOPEN, 14)
 * PATH_UNUSABLE: such a file is not damaged. Any other error comes back as it was.
 * Source: sqlite.org/rescode.html.
 */
export function asDatabaseError(error: unknown): unknown {
  if (error instanceof RoundsError) return error;
  const { errcode, message = '' } = (error ?? {}) as { errcode?: number; message?: string };
  // The package's iterators throw SQLite's message alone.
  const isDamaged =
    errcode === undefined ? /malformed|not a database/.test(message) : DAMAGED.includes(errcode & 0xff);
  if (isDamaged) {
    return new RoundsError('LEDGER_DAMAGED', 'the ledger cannot be read: its file is damaged', {
      cause: error,
    });
  }
  const isFull =
    errcode === undefined
      ? /disk is full/.test(message)
      : (errcode & 0xff) === FULL || errcode === NO_ROOM_FOR_INDEX;
  if (isFull) return new RoundsError('DISK_FULL', 'no space left while writing the ledger', { cause: error });
  if (isBusy(error)) {
    return new RoundsError('LOCK_HELD', 'another process keeps the ledger locked', { cause: error });
  }
  if (errcode !== undefined && UNUSABLE.includes(errcode & 0xff)) {
    return new RoundsError('PATH_UNUSABLE', `the ledger cannot be read or written (SQLite ${errcode})`, {
      cause: error,
    });
  }
  return error;
}

const DAMAGED: readonly number[] = [11, 26];
const FULL = 13;
/** SQLITE_IOERR_SHMSIZE: the write-ahead log's index, a file of its own, could not grow. */
const NO_ROOM_FOR_INDEX = 4874;
const UNUSABLE: readonly number[] = [3, 8, 10, 14];

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asDatabaseError(error);
  }
}

/** A database with its statements, each prepared once and kept, and its transactions. */
export class Session {
  readonly #db: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** The statement's calls throw as `asDatabaseError` says; its iterator does not. */
  prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = translating(translated(() => this.#db.prepare(sql)));
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** All of `work` or none of it. Not to be nested. Throws what `work` throws, and as `asDatabaseError` says. */
  transaction<T>(work: () => T): T {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      // After some failures (a full disk) SQLite has rolled back by itself, and would refuse to do it again.
      if (this.#db.isOpen && this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw asDatabaseError(error);
    }
  }

  /** May be repeated. */
  close(): void {
    if (!this.#db.isOpen) return;
    this.#statements.clear();
    try {
      // SQLite would do it as it closes, but for the statements, which this package frees with the garbage only: so
      // that the file by itself is whole, for who backs up that alone. Waits for nobody; where nobody else reads, an
      // empty log is left, by which the next opening knows that this one was closed.
      this.#db.exec('PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // A read-only or damaged file: there is nothing to be added to it.
    }
    this.#db.close();
  }
}

function translating(statement: Statement): Statement {
  return {
    run: (...values) => translated(() => statement.run(...values)),
    get: (...values) => translated(() => statement.get(...values)),
    all: (...values) => translated(() => statement.all(...values)),
    iterate: (...values) => translated(() => statement.iterate(...values)),
  };
}
