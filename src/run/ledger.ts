import path from 'node:path';
import { existsSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { asFileError, ensureFolder, writeDurable } from '../system/files.ts';
import { openDatabase, Session, type Database } from '../system/sqlite.ts';
import type { RunSummary } from '../report/summary.ts';
import { AUDIT_FILE, AuditTrail } from './audit.ts';
import { ExportTable } from './ledgerExports.ts';
import { IncidentTable, type Incident } from './ledgerIncidents.ts';
import { throughGate } from './ledgerGate.ts';
import { asLedgerError, checkPages, checkShape, namingFile } from './ledgerHealth.ts';
import { PullTables } from './ledgerPulls.ts';
import { asRunRow, type RunContext, type RunRow, type StoredRun } from './ledgerRows.ts';
import { RequestTable } from './ledgerRequests.ts';
import { NoticeTable, ScheduleTable, type Notice } from './ledgerSchedule.ts';
import { LEDGER_VERSION, ledgerVersion, migrate } from './ledgerSchema.ts';
import { HolderTable, OutboxTable, type NewMail } from './ledgerTables.ts';

export const LEDGER_FILE = 'ledger.sqlite';
/** Longer than any group commit; a reader never waits, since the journal is a WAL. */
const BUSY_TIMEOUT_MS = 10_000;

/**
 * Opens `folder`/ledger.sqlite, making or migrating it (after a backup); two processes never do so at once. Throws
 * LEDGER_NEWER, LEDGER_DAMAGED (stateLedger.ts replaces it), PATH_UNUSABLE, DISK_FULL, LOCK_HELD.
 */
export async function openLedger(folder: string): Promise<Ledger> {
  try {
    await ensureFolder(folder);
  } catch (error) {
    throw asFileError(error, folder);
  }
  return throughGate(folder, () => openBehindGate(folder));
}

/** `openLedger` for who has passed the gate already. */
export async function openBehindGate(folder: string): Promise<Ledger> {
  const file = path.join(folder, LEDGER_FILE);
  try {
    // SQLite would make it with the umask's mode, and gives the WAL beside it the mode of this file.
    if (!existsSync(file)) await writeDurable(file, '');
  } catch (error) {
    throw asFileError(error, folder);
  }
  let db: Database | undefined;
  try {
    db = openChecked(file, false);
    const version = checkShape(db, file);
    if (version > 0) checkPages(db, file);
    if (version < LEDGER_VERSION) {
      if (version > 0) {
        db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
        await copyFile(file, `${file}.v${version}.backup`);
      }
      db.exec('PRAGMA journal_mode = WAL');
      migrate(db);
    }
    return new Ledger(db, folder);
  } catch (error) {
    db?.close();
    throw await asLedgerError(error, file);
  }
}

/** Opens the ledger for reading, or undefined when there is none yet. Needs no lock and blocks no writer. */
export function openLedgerForReading(folder: string): Ledger | undefined {
  const file = path.join(folder, LEDGER_FILE);
  if (!existsSync(file)) return undefined;
  let db: Database | undefined;
  try {
    db = openChecked(file, true);
    if (checkShape(db, file) > 0) return new Ledger(db, folder);
    db.close();
    return undefined;
  } catch (error) {
    db?.close();
    throw namingFile(error, file);
  }
}

function openChecked(file: string, readOnly: boolean): Database {
  const db = openDatabase(file, { readOnly, busyTimeoutMs: BUSY_TIMEOUT_MS });
  try {
    // FULL: a commit that returned is on the disk. (In WAL mode NORMAL may lose the newest at a power cut.)
    if (!readOnly) db.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * The durable record of runs. Every method is one transaction: when it returned, it is on the disk.
 * All are synchronous, since SQLite's are; the slow one, `commit`, costs one fsync.
 */
export class Ledger {
  readonly #session: Session;
  readonly pulls: PullTables;
  readonly #file: string;
  /** The file that is open; another one may take its name. */
  readonly #identity: string;
  readonly outbox: OutboxTable;
  readonly holders: HolderTable;
  readonly audit: AuditTrail;
  readonly incidents: IncidentTable;
  readonly schedules: ScheduleTable;
  readonly notices: NoticeTable;
  readonly exports: ExportTable;
  readonly requests: RequestTable;

  constructor(db: Database, folder: string) {
    this.#file = path.join(folder, LEDGER_FILE);
    this.#identity = identityOf(this.#file);
    this.#session = new Session(db);
    this.pulls = new PullTables(this.#session);
    this.outbox = new OutboxTable(this.#session);
    this.holders = new HolderTable(this.#session);
    this.audit = new AuditTrail(this.#session, path.join(folder, AUDIT_FILE));
    const version = ledgerVersion(db);
    this.incidents = new IncidentTable(this.#session, version > 1);
    this.schedules = new ScheduleTable(this.#session, version > 2);
    this.notices = new NoticeTable(this.#session, version > 2);
    this.exports = new ExportTable(this.#session, version > 3);
    this.requests = new RequestTable(this.#session, version > 4);
  }

  /** Whether the file was replaced since it was opened: what is written now would be lost. */
  get isReplaced(): boolean {
    return identityOf(this.#file) !== this.#identity;
  }

  close(): void {
    this.#session.close();
  }

  /**
   * Records a new run. With `base`, it starts from a copy of that run's commits, identities and shared rows
   * (`--retry-failed`), and what had failed there is wanted again.
   */
  beginRun(run: {
    readonly runId: string;
    readonly jobName: string;
    readonly context: RunContext;
    readonly startedAtMs: number;
    readonly base?: RunRow;
  }): RunRow {
    return this.#session.transaction(() => {
      const seed = run.base ? this.pulls.chainStart(run.base.runNo).crc : crc32(run.runId);
      this.#session
        .prepare(
          `INSERT INTO runs (run_id, job, state, base_run_id, context, chain_seed, started_at)
         VALUES (?, ?, 'open', ?, ?, ?, ?)`,
        )
        .run(
          run.runId,
          run.jobName,
          run.base?.runId ?? null,
          JSON.stringify(run.context),
          seed,
          run.startedAtMs,
        );
      const begun = this.findRun(run.runId)!;
      if (run.base) {
        this.pulls.copy(run.base.runNo, begun.runNo);
        this.exports.move(run.base.runNo, begun.runNo);
      }
      return begun;
    });
  }

  findRun(runId: string): RunRow | undefined {
    const row = this.#session.prepare('SELECT * FROM runs WHERE run_id = ?').get(runId);
    return row === undefined ? undefined : asRunRow(row as StoredRun);
  }

  /** At most `limit` runs whose id begins so, newest first. */
  runsBeginning(prefix: string, limit: number): readonly RunRow[] {
    const rows = this.#session
      .prepare('SELECT * FROM runs WHERE substr(run_id, 1, length(?1)) = ?1 ORDER BY run_no DESC LIMIT ?2')
      .all(prefix, limit);
    return (rows as StoredRun[]).map(asRunRow);
  }

  /** The run of a job that was begun and not closed: at most one. */
  openRunOf(jobName: string): RunRow | undefined {
    const row = this.#session
      .prepare(`SELECT * FROM runs WHERE job = ? AND state = 'open' ORDER BY run_no DESC`)
      .get(jobName);
    return row === undefined ? undefined : asRunRow(row as StoredRun);
  }

  /** Newest first; of all jobs, or of one. */
  runs(options: { readonly jobName?: string; readonly limit?: number } = {}): readonly RunRow[] {
    const rows = this.#session
      .prepare('SELECT * FROM runs WHERE ?1 IS NULL OR job = ?1 ORDER BY run_no DESC LIMIT ?2')
      .all(options.jobName ?? null, options.limit ?? -1);
    return (rows as StoredRun[]).map(asRunRow);
  }

  /** The newest complete run, of all jobs or of one. */
  lastComplete(jobName?: string): RunRow | undefined {
    const row = this.#session
      .prepare(
        `SELECT * FROM runs WHERE (?1 IS NULL OR job = ?1) AND status = 'complete' ORDER BY run_no DESC LIMIT 1`,
      )
      .get(jobName ?? null);
    return row === undefined ? undefined : asRunRow(row as StoredRun);
  }

  /** The newest run of a job that was published. */
  lastPublished(jobName: string): RunRow | undefined {
    const row = this.#session
      .prepare(
        `SELECT * FROM runs WHERE job = ? AND status IN ('complete', 'partial') ORDER BY run_no DESC LIMIT 1`,
      )
      .get(jobName);
    return row === undefined ? undefined : asRunRow(row as StoredRun);
  }

  /** Forgets a run that died before it had begun to pull. */
  discardRun(runNo: number): void {
    this.#session.prepare(`DELETE FROM runs WHERE run_no = ? AND state = 'open'`).run(runNo);
  }

  /** A person wants an open run to end; who carries it out sees it by `isCancelAsked`. */
  askCancel(runNo: number): void {
    this.#session.prepare(`UPDATE runs SET cancel_asked = 1 WHERE run_no = ? AND state = 'open'`).run(runNo);
  }

  /** Whether the job's open run is to end. */
  isCancelAsked(jobName: string): boolean {
    const row = this.#session
      .prepare(`SELECT 1 FROM runs WHERE job = ? AND state = 'open' AND cancel_asked = 1`)
      .get(jobName);
    return row !== undefined;
  }

  /** Counts an attempt more at a run that was interrupted. */
  markResumed(runNo: number): void {
    this.#session.prepare('UPDATE runs SET resumed = resumed + 1 WHERE run_no = ?').run(runNo);
  }

  addWorked(runNo: number, ms: number): void {
    this.#session
      .prepare('UPDATE runs SET worked_ms = worked_ms + ? WHERE run_no = ?')
      .run(Math.round(ms), runNo);
  }

  /**
   * Ends a run for good and, in the same transaction, queues its mail: neither is ever without the other. Does
   * nothing to a run that is closed already.
   */
  closeRun(runNo: number, summary: RunSummary, mail: NewMail | undefined): void {
    this.#session.transaction(() => {
      const { changes } = this.#session
        .prepare(
          `UPDATE runs SET state = 'closed', status = ?, finished_at = ?, folder = ?, summary = ?
         WHERE run_no = ? AND state = 'open'`,
        )
        .run(summary.status, summary.finishedAtMs, summary.folder ?? null, JSON.stringify(summary), runNo);
      if (mail && changes > 0)
        this.outbox.enqueue(summary.jobName, summary.runId, mail, summary.finishedAtMs);
    });
  }

  /** Records an incident (of an open run, or before one began) and queues the mail that tells of it, in one step. */
  noteIncident(
    incident: Incident & { readonly jobName: string },
    run: RunRow | undefined,
    mail: NewMail | undefined,
  ): void {
    this.#session.transaction(() => {
      this.incidents.note(incident, run?.runNo);
      if (mail) this.outbox.enqueue(incident.jobName, run?.runId ?? 'no-run', mail, incident.atMs);
    });
  }

  /** Records a notice and, when it is news, queues its mail in the same step. Returns whether it is news. */
  tell(notice: Notice, mailFrom: string | undefined, mail: NewMail): boolean {
    return this.#session.transaction(() => {
      const isNews = this.notices.note(notice);
      if (isNews && mailFrom !== undefined) this.outbox.enqueue(mailFrom, 'no-run', mail, notice.atMs);
      return isNews;
    });
  }

  /** Takes a history row from a manifest, when the ledger was lost. Does nothing when the run is known. */
  adoptRun(run: RunSummary, context: RunContext): void {
    this.#session
      .prepare(
        `INSERT INTO runs (run_id, job, state, status, context, chain_seed, started_at, finished_at, folder, summary)
       VALUES (?, ?, 'closed', ?, ?, 0, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING`,
      )
      .run(
        run.runId,
        run.jobName,
        run.status,
        JSON.stringify(context),
        run.startedAtMs,
        run.finishedAtMs,
        run.folder ?? null,
        JSON.stringify(run),
      );
  }

  /** Drops a closed run's commits, identities and shared rows; its row and totals stay. */
  forgetSearches(runNo: number): void {
    this.#session.transaction(() => {
      this.pulls.forget(runNo);
      this.#session.prepare('UPDATE runs SET folder = NULL WHERE run_no = ?').run(runNo);
    });
  }
}

function identityOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? 'none' : `${found.dev}:${found.ino}`;
}
