import type { Session } from '../system/sqlite.ts';

/** How far the daemon has served a job's schedule. */
export interface ServedSchedule {
  /** Cron expression and time zone; of another schedule nothing is missed. */
  readonly schedule: string;
  /** The newest slot that was run, or passed over; at first the time at which the schedule was first seen. */
  readonly slotMs: number;
}

/** The daemon's place in each job's schedule: what it missed while it was down is reckoned from here. */
export class ScheduleTable {
  readonly #session: Session;
  readonly #hasTable: boolean;

  /** `hasTable`: false for a ledger before version 3, which is only read. */
  constructor(session: Session, hasTable: boolean) {
    this.#session = session;
    this.#hasTable = hasTable;
  }

  served(jobName: string): ServedSchedule | undefined {
    if (!this.#hasTable) return undefined;
    const row = this.#session
      .prepare('SELECT schedule, served_slot FROM schedules WHERE job = ?')
      .get(jobName) as { schedule: string; served_slot: number } | undefined;
    return row && { schedule: row.schedule, slotMs: row.served_slot };
  }

  markServed(jobName: string, { schedule, slotMs }: ServedSchedule): void {
    this.#session
      .prepare('INSERT OR REPLACE INTO schedules (job, schedule, served_slot) VALUES (?, ?, ?)')
      .run(jobName, schedule, slotMs);
  }
}

/** Something that lasts and that a person has to know of, told once: it stands in `status` until it is over. */
export interface Notice {
  /**
   * - config-invalid: the INI was changed to one that cannot be used, and the daemon goes on with the last good one;
   * - refused: a run could not begin; - overdue: a slot was not served for too long.
   */
  readonly kind: 'config-invalid' | 'refused' | 'overdue';
  /** undefined: of all jobs. */
  readonly jobName: string | undefined;
  /** What exactly: the same thing is told once, another one of the kind anew. */
  readonly about: string;
  /** One sentence or two for people; no PHI. */
  readonly text: string;
  readonly atMs: number;
}

/** At most one notice of a kind and job: what is the matter now. */
export class NoticeTable {
  readonly #session: Session;
  readonly #hasTable: boolean;

  /** `hasTable`: false for a ledger before version 3, which is only read. */
  constructor(session: Session, hasTable: boolean) {
    this.#session = session;
    this.#hasTable = hasTable;
  }

  /** Takes the place of the kind's notice before. Returns whether it is news. Within a transaction. */
  note({ kind, jobName, about, text, atMs }: Notice): boolean {
    const { changes } = this.#session
      .prepare(
        `INSERT INTO notices (kind, job, about, text, at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (kind, job) DO UPDATE SET about = excluded.about, text = excluded.text, at = excluded.at
       WHERE about <> excluded.about`,
      )
      .run(kind, jobName ?? ALL_JOBS, about, text, atMs);
    return changes > 0;
  }

  /** It is over. May be repeated. */
  clear(kind: Notice['kind'], jobName: string | undefined): void {
    this.#session.prepare('DELETE FROM notices WHERE kind = ? AND job = ?').run(kind, jobName ?? ALL_JOBS);
  }

  /** Of a job and of all jobs, oldest first. */
  open(jobName: string): readonly Notice[] {
    if (!this.#hasTable) return [];
    const rows = this.#session
      .prepare('SELECT kind, job, about, text, at FROM notices WHERE job IN (?, ?) ORDER BY at, kind')
      .all(jobName, ALL_JOBS) as (Omit<Notice, 'jobName' | 'atMs'> & { job: string; at: number })[];
    return rows.map(({ job, at, ...rest }) => ({
      ...rest,
      jobName: job === ALL_JOBS ? undefined : job,
      atMs: at,
    }));
  }
}

/** No job has an empty name. */
const ALL_JOBS = '';
