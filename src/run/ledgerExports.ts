import type { Session } from '../system/sqlite.ts';

/**
 * Where an export stands at the server:
 * - asked: a kick-off is about to be sent, or was sent and its answer is not known;
 * - waiting: the server said "not now": to be asked again;
 * - running: its status URL is known; - gone: deleted, or the server knows it no more.
 */
export type ExportState = 'asked' | 'waiting' | 'running' | 'gone';

export interface ExportRow {
  readonly runNo: number;
  readonly exportNo: number;
  readonly state: ExportState;
  /** When the newest kick-off was sent. */
  readonly askedAtMs: number;
  readonly statusUrl: string | undefined;
  /** When the server is to be asked next; undefined: at once. */
  readonly lookAtMs: number | undefined;
  /** Kick-offs whose answer never came: each may have left an export that nobody knows of. */
  readonly unanswered: number;
}

interface StoredExport {
  readonly run_no: number;
  readonly export_no: number;
  readonly state: ExportState;
  readonly asked_at: number;
  readonly status_url: string | null;
  readonly look_at: number | null;
  readonly unanswered: number;
}

/** The exports that runs began at servers: from before the kick-off until they are deleted there. */
export class ExportTable {
  readonly #session: Session;
  readonly #hasTable: boolean;

  /** `hasTable`: false for a ledger before version 4, which is only read. */
  constructor(session: Session, hasTable: boolean) {
    this.#session = session;
    this.#hasTable = hasTable;
  }

  /** Before the kick-off is sent. `target`: server, client, level and group, by which servers count their limits. */
  asked(runNo: number, exportNo: number, target: string, atMs: number): void {
    this.#session
      .prepare(
        `INSERT INTO exports (run_no, export_no, state, target, asked_at, unanswered) VALUES (?, ?, 'asked', ?, ?, 0)
         ON CONFLICT DO UPDATE SET
           unanswered = unanswered + (state = 'asked'),
           state = 'asked', asked_at = excluded.asked_at, status_url = NULL, look_at = NULL`,
      )
      .run(runNo, exportNo, target, atMs);
  }

  /** The server's answer was heard, and is no export: to be asked again then, or not at all. */
  waits(runNo: number, exportNo: number, untilMs: number): void {
    this.#set(runNo, exportNo, `state = 'waiting', look_at = ?`, untilMs);
  }

  /** Before the first poll. */
  accepted(runNo: number, exportNo: number, statusUrl: string): void {
    this.#set(runNo, exportNo, `state = 'running', status_url = ?, look_at = NULL`, statusUrl);
  }

  looksAgain(runNo: number, exportNo: number, atMs: number): void {
    this.#set(runNo, exportNo, 'look_at = ?', atMs);
  }

  gone(runNo: number, exportNo: number): void {
    this.#set(runNo, exportNo, `state = 'gone', look_at = NULL`);
  }

  #set(runNo: number, exportNo: number, what: string, ...values: readonly (string | number)[]): void {
    this.#session
      .prepare(`UPDATE exports SET ${what} WHERE run_no = ? AND export_no = ?`)
      .run(...values, runNo, exportNo);
  }

  find(runNo: number, exportNo: number): ExportRow | undefined {
    return this.of(runNo).find((row) => row.exportNo === exportNo);
  }

  /** A run's exports in their order. */
  of(runNo: number): readonly ExportRow[] {
    return this.#rows('SELECT * FROM exports WHERE run_no = ? ORDER BY export_no', runNo);
  }

  /** Exports of a job's closed runs that the server still keeps. */
  leftBy(jobName: string): readonly ExportRow[] {
    return this.#rows(
      `SELECT exports.* FROM exports JOIN runs USING (run_no)
       WHERE job = ? AND runs.state = 'closed' AND exports.state = 'running' ORDER BY run_no, export_no`,
      jobName,
    );
  }

  /** When an export of this target was last begun, by any job. */
  lastBegunMs(target: string): number | undefined {
    if (!this.#hasTable) return undefined;
    const row = this.#session
      .prepare('SELECT max(asked_at) AS at FROM exports WHERE target = ? AND status_url IS NOT NULL')
      .get(target) as { at: number | null };
    return row.at ?? undefined;
  }

  /** Gives a retried run the exports that it takes its files from. Within a transaction. */
  move(from: number, to: number): void {
    this.#session.prepare('UPDATE exports SET run_no = ? WHERE run_no = ?').run(to, from);
  }

  #rows(sql: string, value: string | number): readonly ExportRow[] {
    if (!this.#hasTable) return [];
    return (this.#session.prepare(sql).all(value) as StoredExport[]).map((row) => ({
      runNo: row.run_no,
      exportNo: row.export_no,
      state: row.state,
      askedAtMs: row.asked_at,
      statusUrl: row.status_url ?? undefined,
      lookAtMs: row.look_at ?? undefined,
      unanswered: row.unanswered,
    }));
  }
}
