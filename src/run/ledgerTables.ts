import type { OutboxStore, QueuedMail } from '../report/outbox.ts';
import type { Session } from '../system/sqlite.ts';
import { asQueuedMail, type StoredHolder, type StoredMail, type LockHolder } from './ledgerRows.ts';

export interface NewMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** A waiting mail of a ledger before this one: it keeps its number, and so its message id. */
export interface NumberedMail extends NewMail {
  readonly mailNo: number;
  readonly jobName: string;
  readonly runId: string;
  readonly createdAtMs: number;
}

/** The ledger's outbox: mails are queued in the transaction that closes their run. */
export class OutboxTable implements OutboxStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Within a transaction. */
  enqueue(jobName: string, runId: string, mail: NewMail, atMs: number): void {
    this.#session
      .prepare(
        `INSERT INTO outbox (job, run_id, subject, body_text, body_html, created_at, next_attempt_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(jobName, runId, mail.subject, mail.text, mail.html, atMs, atMs);
  }

  /** Takes over what waited in a ledger before this one; to be tried at once. May be repeated. */
  adopt(mails: readonly NumberedMail[]): void {
    this.#session.transaction(() => {
      const put = this.#session.prepare(
        `INSERT INTO outbox (mail_no, job, run_id, subject, body_text, body_html, created_at, next_attempt_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (mail_no) DO NOTHING`,
      );
      for (const { mailNo, jobName, runId, subject, text, html, createdAtMs } of mails) {
        put.run(mailNo, jobName, runId, subject, text, html, createdAtMs, createdAtMs);
      }
    });
  }

  dueMails(nowMs: number, limit: number): readonly QueuedMail[] {
    const rows = this.#session
      .prepare('SELECT * FROM outbox WHERE sent_at IS NULL AND next_attempt_at <= ? ORDER BY mail_no LIMIT ?')
      .all(nowMs, limit);
    return (rows as unknown as StoredMail[]).map(asQueuedMail);
  }

  /** What waits: how many mails, how many of them held, and the last failure's code. */
  waiting(): { readonly mails: number; readonly held: number; readonly lastCode: string | undefined } {
    const rows = this.#session
      .prepare('SELECT held_by, last_code FROM outbox WHERE sent_at IS NULL ORDER BY mail_no')
      .all() as unknown as { held_by: string | null; last_code: string | null }[];
    return {
      mails: rows.length,
      held: rows.filter((row) => row.held_by !== null).length,
      lastCode: rows.findLast((row) => row.last_code !== null)?.last_code ?? undefined,
    };
  }

  /** Runs whose mail is not sent yet. */
  waitingRunIds(): readonly string[] {
    const rows = this.#session.prepare('SELECT DISTINCT run_id FROM outbox WHERE sent_at IS NULL').all();
    return (rows as unknown as { run_id: string }[]).map((row) => row.run_id);
  }

  markSent(mailNo: number, atMs: number, messageId: string): void {
    this.#session
      .prepare('UPDATE outbox SET sent_at = ?, message_id = ?, held_by = NULL WHERE mail_no = ?')
      .run(atMs, messageId, mailNo);
  }

  markRetry(mailNo: number, nextAttemptAtMs: number, code: string): void {
    this.#session
      .prepare(
        'UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ?, last_code = ?, held_by = NULL WHERE mail_no = ?',
      )
      .run(nextAttemptAtMs, code, mailNo);
  }

  markHeld(mailNo: number, settingsHash: string, code: string): void {
    this.#session
      .prepare('UPDATE outbox SET attempts = attempts + 1, held_by = ?, last_code = ? WHERE mail_no = ?')
      .run(settingsHash, code, mailNo);
  }
}

/** Who holds which lock: for messages alone, since the lock itself is the operating system's. */
export class HolderTable {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  note(holder: LockHolder): void {
    this.#session
      .prepare('INSERT OR REPLACE INTO holders VALUES (?, ?, ?, ?, ?, ?)')
      .run(holder.lock, holder.pid, holder.host, holder.command, holder.runId ?? null, holder.sinceMs);
  }

  drop(lock: string): void {
    this.#session.prepare('DELETE FROM holders WHERE lock = ?').run(lock);
  }

  find(lock: string): LockHolder | undefined {
    const row = this.#session.prepare('SELECT * FROM holders WHERE lock = ?').get(lock) as
      StoredHolder | undefined;
    return (
      row && {
        lock,
        pid: row.pid,
        host: row.host,
        command: row.command,
        runId: row.run_id ?? undefined,
        sinceMs: row.since,
      }
    );
  }
}
