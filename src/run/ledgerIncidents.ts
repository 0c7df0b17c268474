import type { Session } from '../system/sqlite.ts';

/**
 * What befell the ledger or the disk. An incident stands in every report of the jobs it concerns, and keeps
 * `status` at a warning, until a run of the job that ended after it was complete.
 */
export interface Incident {
  /** undefined: of all jobs. */
  readonly jobName: string | undefined;
  readonly kind: 'ledger-replaced' | 'disk-full';
  /** One sentence or two for the report; no PHI. */
  readonly text: string;
  readonly atMs: number;
}

export class IncidentTable {
  readonly #session: Session;
  readonly #hasTable: boolean;

  /** `hasTable`: false for a ledger of version 1, which is only read. */
  constructor(session: Session, hasTable: boolean) {
    this.#session = session;
    this.#hasTable = hasTable;
  }

  /** Records an incident. With `runNo`, that run is the first whose completion ends it; else the next one. */
  note({ jobName, kind, text, atMs }: Incident, runNo?: number): void {
    this.#session
      .prepare(
        `INSERT INTO incidents (job, kind, text, at, after_run)
       VALUES (?, ?, ?, ?, coalesce(?, (SELECT max(run_no) FROM runs), 0))`,
      )
      .run(jobName ?? null, kind, text, atMs, runNo === undefined ? null : runNo - 1);
  }

  /** Those that no complete run of the job has followed, oldest first. */
  open(jobName: string): readonly Incident[] {
    if (!this.#hasTable) return [];
    const rows = this.#session
      .prepare(
        `SELECT job, kind, text, at FROM incidents
       WHERE kind <> 'new-ledger' AND (job IS NULL OR job = ?1) AND after_run >=
         (SELECT coalesce(max(run_no), 0) FROM runs WHERE job = ?1 AND status = 'complete')
       ORDER BY incident_no`,
      )
      .all(jobName) as { job: string | null; kind: Incident['kind']; text: string; at: number }[];
    return rows.map(({ job, kind, text, at }) => ({ jobName: job ?? undefined, kind, text, atMs: at }));
  }

  /** Why this ledger is a new one, when its history was not rebuilt yet: '' where nothing is known. */
  get pendingRebuild(): string | undefined {
    if (!this.#hasTable) return undefined;
    const row = this.#session.prepare(`SELECT text FROM incidents WHERE kind = 'new-ledger'`).get() as
      { text: string } | undefined;
    return row?.text;
  }

  /** Says why this ledger is a new one. */
  explainNew(text: string): void {
    this.#session.prepare(`UPDATE incidents SET text = ? WHERE kind = 'new-ledger'`).run(text);
  }

  /** The history was rebuilt; `text` is what the next reports say of it. */
  rebuilt(text: string | undefined, atMs: number): void {
    this.#session.transaction(() => {
      const { changes } = this.#session.prepare(`DELETE FROM incidents WHERE kind = 'new-ledger'`).run();
      // Of two processes that rebuilt it at once, one tells.
      if (changes > 0 && text !== undefined) {
        this.note({ jobName: undefined, kind: 'ledger-replaced', text, atMs });
      }
    });
  }
}
