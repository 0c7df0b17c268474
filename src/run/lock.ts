import { hostname } from 'node:os';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { isoInstant, type Clock } from '../system/clock.ts';
import { ensureFolder, errno } from '../system/files.ts';
import { asDatabaseError, isBusy, openDatabase, type Database } from '../system/sqlite.ts';
import { doneOf, howFar } from './howFar.ts';
import type { Ledger } from './ledger.ts';
import { isLockFileHeld, locksFolder } from './ledgerGate.ts';
import type { LockHolder } from './ledgerRows.ts';

/** Who only looks whether a lock is held (`status`) has it for less than this. */
const LOOKED_AT_MS = 100;

/**
 * One run at a time per job, one pull at a time per FHIR origin, over processes.
 *
 * The lock is an exclusive SQLite transaction on a file of its own: the operating system drops it with the process
 * that holds it, however that dies, so a dead holder never blocks and a reused PID fools nobody. The ledger's
 * `holders` row only names who it is.
 */
export class RunLock {
  // The handle must stay referenced: an unreachable one is garbage-collected within a second, and its lock with it.
  readonly #db: Database;
  readonly #ledger: Ledger;
  readonly #name: string;

  constructor(db: Database, ledger: Ledger, name: string) {
    this.#db = db;
    this.#ledger = ledger;
    this.#name = name;
  }

  /** Takes the lock at once, or throws LOCK_HELD naming the holder. */
  static async take(options: {
    readonly stateFolder: string;
    readonly ledger: Ledger;
    readonly clock: Clock;
    readonly name: string;
    readonly command: string;
    readonly runId?: string;
  }): Promise<RunLock> {
    await ensureFolder(locksFolder(options.stateFolder));
    const db = openDatabase(lockFile(options.stateFolder, options.name), { busyTimeoutMs: LOOKED_AT_MS });
    try {
      // Nothing is ever written: a journal would only want room on the disk.
      db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    } catch (error) {
      db.close();
      if (!isBusy(error)) throw asDatabaseError(error);
      throw new RoundsError('LOCK_HELD', await describeHolder(options));
    }
    try {
      options.ledger.holders.note({
        lock: options.name,
        pid: process.pid,
        host: hostname(),
        command: options.command,
        runId: options.runId,
        sinceMs: options.clock.now(),
      });
    } catch (error) {
      db.close();
      throw error;
    }
    return new RunLock(db, options.ledger, options.name);
  }

  /** Says which run it is held for. */
  nameRun(runId: string): void {
    const holder = this.#ledger.holders.find(this.#name);
    if (holder) this.#ledger.holders.note({ ...holder, runId });
  }

  close(): void {
    try {
      // First the name: once the lock is free, it would be the next holder's that is dropped.
      this.#ledger.holders.drop(this.#name);
    } finally {
      this.#db.close();
    }
  }
}

/** The locks of one run. */
export interface RunLocks {
  nameRun(runId: string): void;
  /**
   * Does `work` with the server's lock, once whoever has it lets go; `waits` is called when somebody has. Throws the
   * signal's reason, and what `work` throws.
   */
  withServer<T>(work: () => Promise<T>, signal: AbortSignal, waits: () => void): Promise<T>;
  close(): void;
}

/** Who has the server's lock does not tell when it lets go. */
const SERVER_LOOK_MS = 2_000;

/**
 * Takes the job's lock and, for a crawl, its FHIR origin's. A bulk export waits for days at the server, while other jobs
 * go on: it has the origin's only `withServer`. Throws LOCK_HELD, holding neither.
 */
export async function takeRunLocks(
  deps: {
    readonly job: { readonly jobName: string; readonly method: 'crawl' | 'bulk' };
    readonly ledger: Ledger;
    readonly clock: Clock;
    readonly command: string;
  },
  place: { readonly stateFolder: string; readonly fhirBase: string },
): Promise<RunLocks> {
  const { clock } = deps;
  const shared = { ...deps, stateFolder: place.stateFolder };
  const { ofJob: jobLock, ofServer: serverLock } = lockNames(deps.job.jobName, place.fhirBase);
  const ofJob = await RunLock.take({ ...shared, name: jobLock });
  let ofServer: RunLock | undefined;
  let runId: string | undefined;
  const takeServer = async (): Promise<RunLock> =>
    RunLock.take({ ...shared, name: serverLock, ...(runId === undefined ? {} : { runId }) });
  try {
    if (deps.job.method === 'crawl') ofServer = await takeServer();
  } catch (error) {
    closeLock(ofJob);
    throw error;
  }
  return {
    nameRun: (named) => {
      runId = named;
      ofJob.nameRun(named);
      ofServer?.nameRun(named);
    },
    withServer: async (work, signal, waits) => {
      if (isLockHeld(place.stateFolder, serverLock)) waits();
      while (ofServer === undefined) {
        signal.throwIfAborted();
        // Asked first: to be refused takes a second, in which the holder's name is looked for.
        if (!isLockHeld(place.stateFolder, serverLock)) {
          ofServer = await takeServer().catch((error: unknown) => {
            if (error instanceof RoundsError && error.code === 'LOCK_HELD') return undefined;
            throw error;
          });
          if (ofServer !== undefined) break;
        }
        await clock.sleep(SERVER_LOOK_MS, signal);
      }
      try {
        return await work();
      } finally {
        closeLock(ofServer);
        ofServer = undefined;
      }
    },
    close: () => {
      if (ofServer) closeLock(ofServer);
      closeLock(ofJob);
    },
  };
}

function lockNames(jobName: string, fhirBase: string): { readonly ofJob: string; readonly ofServer: string } {
  return { ofJob: `job ${jobName}`, ofServer: `server ${new URL(fhirBase).origin}` };
}

/** Whether a run of this job would be refused at this moment. */
export function areRunLocksHeld(
  { jobName, method }: { readonly jobName: string; readonly method: 'crawl' | 'bulk' },
  place: { readonly stateFolder: string; readonly fhirBase: string },
): boolean {
  const { ofJob, ofServer } = lockNames(jobName, place.fhirBase);
  const needed = method === 'crawl' ? [ofJob, ofServer] : [ofJob];
  return needed.some((name) => isLockHeld(place.stateFolder, name));
}

/** The name in the ledger is for messages alone: where it cannot be taken away (a full disk), the next holder does. */
function closeLock(lock: RunLock): void {
  try {
    lock.close();
  } catch {
    // The lock itself is free.
  }
}

/** Whether a process holds the lock at this moment: the lock is asked, since its holder's row may be of a dead one. */
export function isLockHeld(stateFolder: string, name: string): boolean {
  return isLockFileHeld(lockFile(stateFolder, name));
}

const NAMING_WAIT_MS = 50;
const NAMING_TRIES = 20;

/**
 * Names the holder, whose row comes a moment after its lock (till then there is none, or that of a dead one), and how
 * far its run has come.
 */
async function describeHolder(held: {
  readonly name: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly stateFolder: string;
}): Promise<string> {
  const { name, ledger, clock } = held;
  let holder: LockHolder | undefined;
  for (let tries = 0; tries < NAMING_TRIES; tries++) {
    await clock.sleep(NAMING_WAIT_MS);
    holder = ledger.holders.find(name);
    if (holder !== undefined && isAlive(holder)) break;
  }
  if (holder === undefined) return `another process holds ${name}`;
  const run = holder.runId === undefined ? '' : `, run ${holder.runId}`;
  const far = await progressOf(holder.runId, held);
  return (
    `${name} is held by \`${holder.command}\` (process ${holder.pid} on ${holder.host}${run}) ` +
    `since ${isoInstant(holder.sinceMs)}${far}`
  );
}

/** `, 12 of 2400 searches done`; nothing before its run has begun to pull. */
async function progressOf(
  runId: string | undefined,
  { ledger, stateFolder }: { readonly ledger: Ledger; readonly stateFolder: string },
): Promise<string> {
  const run = runId === undefined ? undefined : ledger.findRun(runId);
  const counts = run && (await howFar(ledger, stateFolder, run).catch(() => undefined));
  return counts === undefined ? '' : `, ${doneOf(counts)} of ${counts.planned} searches done`;
}

function isAlive({ pid, host }: LockHolder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errno(error) === 'EPERM';
  }
}

function lockFile(stateFolder: string, name: string): string {
  return path.join(locksFolder(stateFolder), `${fileNameOf(name)}.lock`);
}

/** A file name from a lock's name: `job default`, `server https://host:8443`. */
function fileNameOf(name: string): string {
  return name.replace(/[^A-Za-z0-9.-]+/g, '_');
}
