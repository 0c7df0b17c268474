import type { Session } from '../system/sqlite.ts';

/** What a person may ask the daemon for without a shell. */
export const REQUEST_KINDS = ['run', 'dry-run', 'retry-failed', 'cancel'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/**
 * - `waiting`: nobody has taken it up. - `taken`: the daemon is at it. - `done`: it was carried out, however its run
 * ended. - `refused`: it was not, and `answer` says why.
 */
export type RequestState = 'waiting' | 'taken' | 'done' | 'refused';

export interface RunRequest {
  readonly requestNo: number;
  readonly jobName: string;
  readonly kind: RequestKind;
  /** The console's session, as the audit file names it. */
  readonly askedBy: string;
  readonly askedAtMs: number;
  readonly state: RequestState;
  readonly endedAtMs: number | undefined;
  /** The run that came of it. */
  readonly runId: string | undefined;
  /** A sentence for people; of a dry run, what would be asked for. No PHI. */
  readonly answer: string | undefined;
}

interface StoredRequest {
  readonly request_no: number;
  readonly job: string;
  readonly kind: RequestKind;
  readonly asked_by: string;
  readonly asked_at: number;
  readonly state: RequestState;
  readonly ended_at: number | null;
  readonly run_id: string | null;
  readonly answer: string | null;
}

/** How many ended requests of a job are kept. */
const KEPT = 50;

/** The console's way to the daemon: it writes down what is wanted, the daemon what became of it. */
export class RequestTable {
  readonly #session: Session;
  readonly #hasTable: boolean;

  /** `hasTable`: false for a ledger before version 5, which is only read. */
  constructor(session: Session, hasTable: boolean) {
    this.#session = session;
    this.#hasTable = hasTable;
  }

  /** Asks for something, unless the same is waiting or being done already; returns the request that counts. */
  ask(asked: Pick<RunRequest, 'jobName' | 'kind' | 'askedBy'>, atMs: number): RunRequest {
    return this.#session.transaction(() => {
      const { jobName, kind, askedBy } = asked;
      const same = this.#session
        .prepare(`SELECT * FROM requests WHERE job = ? AND kind = ? AND state IN ('waiting', 'taken')`)
        .get(jobName, kind);
      if (same !== undefined) return asRequest(same as StoredRequest);
      this.#session
        .prepare('INSERT INTO requests (job, kind, asked_by, asked_at) VALUES (?, ?, ?, ?)')
        .run(jobName, kind, askedBy, atMs);
      return this.recent(jobName, 1)[0]!;
    });
  }

  /** Of all jobs, oldest first. */
  waiting(): readonly RunRequest[] {
    if (!this.#hasTable) return [];
    const rows = this.#session
      .prepare(`SELECT * FROM requests WHERE state = 'waiting' ORDER BY request_no`)
      .all();
    return (rows as StoredRequest[]).map(asRequest);
  }

  /** Newest first. */
  recent(jobName: string, limit: number): readonly RunRequest[] {
    if (!this.#hasTable) return [];
    const rows = this.#session
      .prepare('SELECT * FROM requests WHERE job = ? ORDER BY request_no DESC LIMIT ?')
      .all(jobName, limit);
    return (rows as StoredRequest[]).map(asRequest);
  }

  find(requestNo: number): RunRequest | undefined {
    if (!this.#hasTable) return undefined;
    const row = this.#session.prepare('SELECT * FROM requests WHERE request_no = ?').get(requestNo);
    return row === undefined ? undefined : asRequest(row as StoredRequest);
  }

  /** Whether it was still waiting: then it is the caller's to carry out. */
  take(requestNo: number): boolean {
    const { changes } = this.#session
      .prepare(`UPDATE requests SET state = 'taken' WHERE request_no = ? AND state = 'waiting'`)
      .run(requestNo);
    return changes > 0;
  }

  /** What became of it. Older ends of the job are forgotten. */
  end(
    { requestNo, jobName }: Pick<RunRequest, 'requestNo' | 'jobName'>,
    end: { readonly state: 'done' | 'refused'; readonly runId?: string | undefined; readonly answer: string },
    atMs: number,
  ): void {
    this.#session.transaction(() => {
      this.#session
        .prepare('UPDATE requests SET state = ?, run_id = ?, answer = ?, ended_at = ? WHERE request_no = ?')
        .run(end.state, end.runId ?? null, end.answer, atMs, requestNo);
      this.#session
        .prepare(
          `DELETE FROM requests WHERE job = ?1 AND state IN ('done', 'refused') AND request_no NOT IN
           (SELECT request_no FROM requests WHERE job = ?1 ORDER BY request_no DESC LIMIT ?2)`,
        )
        .run(jobName, KEPT);
    });
  }

  /** What a daemon had taken up before it died. A run of it is no less there: it goes on as any interrupted one. */
  endTaken(atMs: number): void {
    this.#session
      .prepare(`UPDATE requests SET state = 'refused', answer = ?, ended_at = ? WHERE state = 'taken'`)
      .run('The daemon ended while it was at it; a run that had begun goes on by itself.', atMs);
  }
}

function asRequest(row: StoredRequest): RunRequest {
  return {
    requestNo: row.request_no,
    jobName: row.job,
    kind: row.kind,
    askedBy: row.asked_by,
    askedAtMs: row.asked_at,
    state: row.state,
    endedAtMs: row.ended_at ?? undefined,
    runId: row.run_id ?? undefined,
    answer: row.answer ?? undefined,
  };
}
