import { crc32 } from 'node:zlib';
import { RoundsError } from '../errors.ts';
import type { QueuedMail } from '../report/outbox.ts';
import type { RunStatus, RunSummary } from '../report/summary.ts';

/** The ledger's rows as the program sees them, and how they stand in the tables (ledgerSchema.ts). */

/** What a resumed run must find again: it goes on only against the same server, client and export folder. */
export interface RunContext {
  readonly server: string;
  readonly clientId: string;
  readonly exportFolder: string;
}

export interface RunRow {
  readonly runNo: number;
  readonly runId: string;
  readonly jobName: string;
  readonly state: 'open' | 'closed';
  readonly status: RunStatus | undefined;
  readonly baseRunId: string | undefined;
  readonly context: RunContext;
  readonly startedAtMs: number;
  readonly finishedAtMs: number | undefined;
  /** Milliseconds of work of the attempts before this one. */
  readonly workedMs: number;
  readonly resumed: number;
  readonly folder: string | undefined;
  readonly summary: RunSummary | undefined;
}

/** A resource that names no patient or several, or an attachment: one row (type, id) a run. */
export interface SharedRow {
  readonly resourceType: string;
  readonly resourceId: string;
  readonly state: SharedState;
  /** CRC-32 of the bytes written; 0 while nothing is. */
  readonly contentCrc: number;
  /** Of an attachment that was downloaded: what its file is. */
  readonly content?: StoredContent;
}
/** 0 wanted by reference, 1 written, 2 gap or passed over, 3 failed. */
export type SharedState = 0 | 1 | 2 | 3;

/** The content of an attachment. It lies in a file that is named by its hash. */
export interface StoredContent {
  readonly sha256: string;
  readonly bytes: number;
  /** As the server's answer named it; undefined where it did not. */
  readonly contentType?: string;
}

/** Where a run's chain of commits stands. */
export interface ChainPosition {
  readonly commitNo: number;
  readonly crc: number;
}

export interface LockHolder {
  readonly lock: string;
  readonly pid: number;
  readonly host: string;
  readonly command: string;
  readonly runId: string | undefined;
  readonly sinceMs: number;
}

export interface StoredRun {
  readonly run_no: number;
  readonly run_id: string;
  readonly job: string;
  readonly state: 'open' | 'closed';
  readonly status: RunStatus | null;
  readonly base_run_id: string | null;
  readonly context: string;
  readonly started_at: number;
  readonly finished_at: number | null;
  readonly worked_ms: number;
  readonly resumed: number;
  readonly folder: string | null;
  readonly summary: string | null;
}

export function asRunRow(row: StoredRun): RunRow {
  return {
    runNo: row.run_no,
    runId: row.run_id,
    jobName: row.job,
    state: row.state,
    status: row.status ?? undefined,
    baseRunId: row.base_run_id ?? undefined,
    context: parsed<RunContext>(row.context),
    startedAtMs: row.started_at,
    finishedAtMs: row.finished_at ?? undefined,
    workedMs: row.worked_ms,
    resumed: row.resumed,
    folder: row.folder ?? undefined,
    summary: row.summary === null ? undefined : parsed<RunSummary>(row.summary),
  };
}

function parsed<T>(json: string): T {
  try {
    return JSON.parse(json) as T;
  } catch {
    // Without the parser's message, which quotes what it was given.
    throw new RoundsError('LEDGER_DAMAGED', 'a row of the ledger was altered');
  }
}

export interface StoredShared {
  readonly resource_type: string;
  readonly resource_id: string;
  readonly state: number;
  readonly content_crc: number;
  readonly crc: number;
  /** Not in ledgers before version 4, which are read without being brought forward. */
  readonly content?: string | null;
}

export function asSharedRow(row: StoredShared): SharedRow {
  return {
    resourceType: row.resource_type,
    resourceId: row.resource_id,
    state: row.state as SharedState,
    contentCrc: row.content_crc,
    ...(typeof row.content === 'string' ? { content: parsed<StoredContent>(row.content) } : {}),
  };
}

/** How a row's content stands in its column. */
export function contentText({ content }: SharedRow): string | null {
  return content === undefined ? null : JSON.stringify(content);
}

/** Guards a shared row: SQLite's own check would not see a flipped integer. */
export function sharedCrc(row: SharedRow): number {
  return crc32(
    `${row.resourceType}/${row.resourceId} ${row.state} ${row.contentCrc}${contentText(row) ?? ''}`,
  );
}

export function identityCrc(patientNo: number, patientId: string): number {
  return crc32(`${patientNo} ${patientId}`);
}

export interface StoredHolder {
  readonly pid: number;
  readonly host: string;
  readonly command: string;
  readonly run_id: string | null;
  readonly since: number;
}

export interface StoredMail {
  readonly mail_no: number;
  readonly job: string;
  readonly run_id: string;
  readonly subject: string;
  readonly body_text: string;
  readonly body_html: string;
  readonly attempts: number;
  readonly created_at: number;
  readonly next_attempt_at: number;
  readonly held_by: string | null;
}

export function asQueuedMail(row: StoredMail): QueuedMail {
  return {
    mailNo: row.mail_no,
    jobName: row.job,
    runId: row.run_id,
    subject: row.subject,
    text: row.body_text,
    html: row.body_html,
    attempts: row.attempts,
    createdAtMs: row.created_at,
    nextAttemptAtMs: row.next_attempt_at,
    ...(row.held_by === null ? {} : { heldBy: row.held_by }),
  };
}
