import type { Database } from '../system/sqlite.ts';

/**
 * The ledger's tables. `user_version` counts the migrations applied; each is run once, forward, all in one
 * transaction after a backup (ledger.ts).
 *
 * - runs: one row a run; its snapshot lies beside the ledger, its summary here.
 * - commits: the append-only list that a run's state is the sum of (tally.ts). `crc` is chained: CRC-32 of the
 *   body, started from the crc before, so that a changed, lost or foreign row shows.
 * - identities: patients whose id at the server is not the roster's (an MRN, a merged record).
 * - shared: resources that name no patient or several, unique by this row in the whole run; also what is wanted
 *   by reference, and attachments. `crc` guards the row; `content` says what an attachment's file is (version 4).
 * - outbox: mails waiting to be sent.
 * - holders: who holds a lock. The lock itself is the operating system's (lock.ts).
 * - incidents: what befell the ledger or the disk and stands in the reports until a complete run (ledgerIncidents.ts).
 *   Since version 2.
 * - audit: the lines of the audit file, their hashes and where they end (audit.ts). Since version 2.
 * - schedules: the newest slot of each job that the daemon has served. Since version 3.
 * - notices: what the daemon told a person of once and is not over yet (ledgerSchedule.ts). Since version 3.
 * - exports: bulk exports at a server, from before their kick-off to their deletion (ledgerExports.ts). Since version 4.
 * - requests: what people ask the daemon for in the console (ledgerRequests.ts). Since version 5.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE runs (
    run_no INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    job TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    status TEXT CHECK (status IN ('complete', 'partial', 'failed', 'abandoned')),
    base_run_id TEXT,
    context TEXT NOT NULL,
    chain_seed INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    worked_ms INTEGER NOT NULL DEFAULT 0,
    resumed INTEGER NOT NULL DEFAULT 0,
    folder TEXT,
    summary TEXT
  ) STRICT;
  CREATE INDEX runs_by_job ON runs (job, run_no);

  CREATE TABLE commits (
    run_no INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    commit_no INTEGER NOT NULL,
    body TEXT NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (run_no, commit_no)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE identities (
    run_no INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    patient_no INTEGER NOT NULL,
    patient_id TEXT NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (run_no, patient_no)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX identities_by_id ON identities (run_no, patient_id);

  CREATE TABLE shared (
    run_no INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    state INTEGER NOT NULL,
    content_crc INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (run_no, resource_type, resource_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX shared_wanted ON shared (run_no, resource_type, resource_id) WHERE state = 0;

  CREATE TABLE outbox (
    mail_no INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    run_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    body_text TEXT NOT NULL,
    body_html TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    held_by TEXT,
    last_code TEXT,
    sent_at INTEGER,
    message_id TEXT
  ) STRICT;
  CREATE INDEX outbox_waiting ON outbox (mail_no) WHERE sent_at IS NULL;

  CREATE TABLE holders (
    lock TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    command TEXT NOT NULL,
    run_id TEXT,
    since INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    run_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    end_at INTEGER NOT NULL,
    found_damage INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX audit_by_run ON audit (run_id, event);

  PRAGMA application_id = 0x46524e44;
  CREATE TABLE incidents (
    incident_no INTEGER PRIMARY KEY,
    job TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('new-ledger', 'ledger-replaced', 'disk-full')),
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    after_run INTEGER NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE schedules (
    job TEXT PRIMARY KEY,
    schedule TEXT NOT NULL,
    served_slot INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE notices (
    kind TEXT NOT NULL CHECK (kind IN ('config-invalid', 'refused', 'overdue')),
    job TEXT NOT NULL,
    about TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (kind, job)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE exports (
    run_no INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    export_no INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'waiting', 'running', 'gone')),
    target TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    status_url TEXT,
    look_at INTEGER,
    unanswered INTEGER NOT NULL,
    PRIMARY KEY (run_no, export_no)
  ) STRICT, WITHOUT ROWID;

  ALTER TABLE runs ADD COLUMN cancel_asked INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE shared ADD COLUMN content TEXT;
  `,
  `
  CREATE TABLE requests (
    request_no INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('run', 'dry-run', 'retry-failed', 'cancel')),
    asked_by TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'taken', 'done', 'refused')),
    ended_at INTEGER,
    run_id TEXT,
    answer TEXT
  ) STRICT;
  CREATE INDEX requests_waiting ON requests (request_no) WHERE state = 'waiting';
  `,
];

/** `FRND`: that a database file is a ledger of this program, since version 2. */
export const APPLICATION_ID = 0x46524e44;

/** The version this program writes. */
export const LEDGER_VERSION = MIGRATIONS.length;

export function ledgerVersion(db: Database): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
}

/** Until the history was rebuilt from the manifests, this row says that it is to be. */
const NEW_LEDGER = `INSERT INTO incidents (job, kind, text, at, after_run) VALUES (NULL, 'new-ledger', '', 0, 0)`;

/** Brings an older ledger forward in one transaction. */
export function migrate(db: Database): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = ledgerVersion(db);
    for (const sql of MIGRATIONS.slice(version)) db.exec(sql);
    if (version === 0) db.exec(NEW_LEDGER);
    db.exec(`PRAGMA user_version = ${LEDGER_VERSION}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
