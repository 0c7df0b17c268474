import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { asFileError } from '../system/files.ts';
import { isoInstant } from '../system/clock.ts';
import type { Session } from '../system/sqlite.ts';
import { linesFrom, openForAppending, readAt, writeWhole } from './auditFile.ts';

/**
 * The audit file: who pulled what, when, from which server, how much, with which hash; a line a fact, each with the
 * sha256 of the line before. It holds no PHI. The ledger knows every line's hash, each manifest and mail the head's
 * at its time, so that a line that is changed, removed, added or cut off shows (`verify --audit`).
 */
export const AUDIT_FILE = 'audit.ndjson';

/** What a run does stands in the file once, however often it is repeated after a crash; the others, as often as they happen. */
export type AuditEvent =
  | 'run.begun'
  | 'run.published'
  | 'run.failed'
  | 'run.abandoned'
  | 'token.handed-out'
  | 'ids.shown'
  | 'console.opened'
  | 'console.read'
  | 'console.asked'
  | 'gateway.used';

/** One fact, before it has its place in the chain. */
export interface AuditEntry {
  readonly event: AuditEvent;
  readonly atMs: number;
  /** Of all events but the console's. */
  readonly job?: string | undefined;
  /** Of what concerns one run. */
  readonly runId?: string | undefined;
  /** Host of the FHIR server. Of all events but the console's. */
  readonly server?: string;
  readonly clientId?: string;
  readonly status?: string;
  readonly patients?: number;
  readonly records?: number;
  readonly bytes?: number;
  /** Of the published folder's manifest.json. */
  readonly manifestSha256?: string;
  /** Of the console's and the gateway's events: who, by the name of the session. */
  readonly session?: string;
  /** What was asked: method and path, with its parameters' names. */
  readonly route?: string;
  /** HTTP status of the answer; absent where the gateway refused. */
  readonly answered?: number;
  /** Resource type that was shown. */
  readonly type?: string | undefined;
  /** Whose record: the patient's id as a hash under a key of this site. */
  readonly patient?: string | undefined;
}

/** A place in the chain: the line's number, from 1, and the sha256 of its bytes without the line feed. */
export interface AuditHead {
  readonly seq: number;
  readonly sha256: string;
}

/** What the first line has for the hash of the line before. */
const NO_LINE_BEFORE = '0'.repeat(64);

/** How the ledger's table names what belongs to no run. */
const NO_RUN = '';

/** What of a line the chain hangs on. */
export interface AuditLink {
  readonly seq: number;
  readonly event: AuditEvent;
  readonly runId?: string;
  readonly previous: string;
  readonly manifestSha256?: string;
}

/** A line as a link of the chain, or undefined when it is none. */
export function readLink(line: Buffer): AuditLink | undefined {
  try {
    const link = JSON.parse(line.toString('utf8')) as Partial<AuditLink> | null;
    const strings = [link?.event, link?.runId ?? NO_RUN, link?.previous];
    const isLink = Number.isInteger(link?.seq) && strings.every((one) => typeof one === 'string');
    return isLink ? (link as AuditLink) : undefined;
  } catch {
    return undefined;
  }
}

export function hashOf(line: Buffer): string {
  return createHash('sha256').update(line).digest('hex');
}

interface StoredLine extends AuditHead {
  /** Of the line, without its line feed. */
  readonly bytes: number;
  /** Offset behind its line feed. */
  readonly end_at: number;
}

/** The audit file and the ledger's table of its lines, which move together under the ledger's write lock. */
export class AuditTrail {
  readonly #session: Session;
  readonly #file: string;

  constructor(session: Session, file: string) {
    this.#session = session;
    this.#file = file;
  }

  /** The newest line that the ledger knows; undefined before the first (and in a ledger older than the audit). */
  head(): AuditHead | undefined {
    if (!this.#hasTable()) return undefined;
    const line = this.#newest();
    return line && { seq: line.seq, sha256: line.sha256 };
  }

  /** Whether an event of a run stands in the file already, also when the ledger did not come to know it. */
  has(event: AuditEvent, runId: string): boolean {
    return this.#withFile((fd) => {
      this.#catchUp(fd);
      return this.#find(event, runId) !== undefined;
    });
  }

  /**
   * Adds a line, durably, and returns its place. What a run does is written once: a repetition (after a crash
   * between this line and what it tells of) returns the place it has. A line that an attempt wrote and died before
   * the ledger knew it is taken over; half a line is dropped.
   *
   * `foundDamage`: the file's end was not what the ledger knows, at this line or at another of the same run. The line
   * is added all the same, chained to the last known one, so that the damage stays visible and no run is lost for it.
   *
   * Throws DISK_FULL, PATH_UNUSABLE, and what the ledger throws.
   */
  append(entry: AuditEntry): AuditHead & { readonly foundDamage: boolean } {
    return this.#withFile((fd) => {
      const foundDamage = !this.#catchUp(fd);
      const { event, runId = NO_RUN } = entry;
      const known = event.startsWith('run.') ? this.#find(event, runId) : undefined;
      const head = known ?? this.#add(fd, entry, foundDamage);
      return { ...head, foundDamage: foundDamage || this.#hasFoundDamage(runId) };
    });
  }

  /** Under the ledger's write lock, so that file and table move together over all processes. */
  #withFile<T>(work: (fd: number) => T): T {
    try {
      return this.#session.transaction(() => {
        const fd = openForAppending(this.#file);
        try {
          return work(fd);
        } finally {
          closeSync(fd);
        }
      });
    } catch (error) {
      const isFileError = typeof (error as NodeJS.ErrnoException | null)?.syscall === 'string';
      throw isFileError ? asFileError(error, this.#file) : error;
    }
  }

  #hasTable(): boolean {
    const sql = `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'`;
    return this.#session.prepare(sql).get() !== undefined;
  }

  #newest(): StoredLine | undefined {
    return this.#session
      .prepare('SELECT seq, sha256, bytes, end_at FROM audit ORDER BY seq DESC LIMIT 1')
      .get() as StoredLine | undefined;
  }

  #find(event: AuditEvent, runId: string): AuditHead | undefined {
    return this.#session
      .prepare('SELECT seq, sha256 FROM audit WHERE run_id = ? AND event = ?')
      .get(runId, event) as AuditHead | undefined;
  }

  #hasFoundDamage(runId: string): boolean {
    const sql = 'SELECT 1 FROM audit WHERE run_id = ? AND found_damage = 1';
    return this.#session.prepare(sql).get(runId) !== undefined;
  }

  /** Takes over what the file has beyond the ledger; false when its end is not what the ledger knows. */
  #catchUp(fd: number): boolean {
    const newest = this.#newest();
    const from = newest?.end_at ?? 0;
    const { size } = fstatSync(fd);
    if (newest !== undefined) {
      const last = readAt(fd, newest.end_at - newest.bytes - 1, newest.bytes);
      if (size < from || hashOf(last) !== newest.sha256) return false;
    }
    let head: AuditHead | undefined = newest;
    for (const { line, endAt, isWhole } of linesFrom(fd, from)) {
      if (!isWhole) {
        // Cut by a crash while it was written: nobody was told of it.
        ftruncateSync(fd, endAt - line.length);
        break;
      }
      const link = readLink(line);
      if (link === undefined || !continues(link, head)) return false;
      head = this.#note(link, line, endAt, false);
    }
    return true;
  }

  #add(fd: number, entry: AuditEntry, foundDamage: boolean): AuditHead {
    const head = this.#newest();
    const line = lineOf(entry, (head?.seq ?? 0) + 1, head?.sha256 ?? NO_LINE_BEFORE);
    const { size } = fstatSync(fd);
    // Only a file that somebody cut ends without a line feed here.
    const isCut = size > 0 && readAt(fd, size - 1, 1)[0] !== 10;
    writeWhole(fd, Buffer.concat([Buffer.from(isCut ? '\n' : ''), line, Buffer.from('\n')]));
    fdatasyncSync(fd);
    return this.#note(readLink(line)!, line, fstatSync(fd).size, foundDamage);
  }

  #note(
    { seq, event, runId = NO_RUN }: AuditLink,
    line: Buffer,
    endAt: number,
    foundDamage: boolean,
  ): AuditHead {
    const sha256 = hashOf(line);
    this.#session
      .prepare(
        `INSERT INTO audit (seq, event, run_id, sha256, bytes, end_at, found_damage)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(seq, event, runId, sha256, line.length, endAt, foundDamage ? 1 : 0);
    return { seq, sha256 };
  }
}

/** Whether a line is the one after `head`. */
export function continues(link: AuditLink, head: AuditHead | undefined): boolean {
  return link.seq === (head?.seq ?? 0) + 1 && link.previous === (head?.sha256 ?? NO_LINE_BEFORE);
}

function lineOf(entry: AuditEntry, seq: number, previous: string): Buffer {
  const { event, atMs, ...facts } = entry;
  const by = { user: userName(), host: hostname(), pid: process.pid };
  return Buffer.from(JSON.stringify({ seq, at: isoInstant(atMs), event, ...by, ...facts, previous }));
}

/** The account's name; its number where it has none, as in containers. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.geteuid?.() ?? '?'}`;
  }
}
