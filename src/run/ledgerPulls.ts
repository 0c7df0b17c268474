import { crc32 } from 'node:zlib';
import { RoundsError } from '../errors.ts';
import { asDatabaseError, type Session } from '../system/sqlite.ts';
import {
  asSharedRow,
  contentText,
  identityCrc,
  sharedCrc,
  type ChainPosition,
  type SharedRow,
  type StoredShared,
} from './ledgerRows.ts';
import { emptyCommit, type Commit } from './tally.ts';

/** The ledger's tables of what runs have pulled: commits, shared resources, identities. */
export class PullTables {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * Appends a commit: the files' offsets, the searches done, and the shared rows they bring, all or nothing.
   * Returns the chain's new head, to be handed to the next commit.
   */
  commit(
    runNo: number,
    position: ChainPosition,
    commit: Commit,
    shared: readonly SharedRow[],
  ): ChainPosition {
    return this.#session.transaction(() => this.#append(runNo, position, commit, shared));
  }

  #append(
    runNo: number,
    position: ChainPosition,
    commit: Commit,
    shared: readonly SharedRow[],
  ): ChainPosition {
    const body = JSON.stringify(commit);
    const crc = crc32(body, position.crc);
    const commitNo = position.commitNo + 1;
    const put = this.#session.prepare(
      `INSERT INTO shared VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
       state = excluded.state, content_crc = excluded.content_crc, crc = excluded.crc, content = excluded.content`,
    );
    for (const row of shared) {
      const { resourceType, resourceId, state, contentCrc } = row;
      put.run(runNo, resourceType, resourceId, state, contentCrc, sharedCrc(row), contentText(row));
    }
    if (commit.retry) this.#wantFailedAgain(runNo);
    this.#session.prepare('INSERT INTO commits VALUES (?, ?, ?, ?)').run(runNo, commitNo, body, crc);
    return { commitNo, crc };
  }

  #wantFailedAgain(runNo: number): void {
    const failed = this.#session
      .prepare('SELECT resource_type, resource_id FROM shared WHERE run_no = ? AND state = 3')
      .all(runNo) as unknown as { resource_type: string; resource_id: string }[];
    const put = this.#session.prepare(
      'UPDATE shared SET state = 0, content_crc = 0, crc = ? WHERE run_no = ? AND resource_type = ? AND resource_id = ?',
    );
    for (const { resource_type: resourceType, resource_id: resourceId } of failed) {
      put.run(
        sharedCrc({ resourceType, resourceId, state: 0, contentCrc: 0 }),
        runNo,
        resourceType,
        resourceId,
      );
    }
  }

  /** The commits of a run in order, all or those after `from`, each checked against the chain. Throws LEDGER_DAMAGED. */
  *commits(
    runNo: number,
    from: ChainPosition = this.chainStart(runNo),
  ): Generator<{ readonly commit: Commit; readonly position: ChainPosition }> {
    let position = from;
    const stored = this.#rows<{ commit_no: number; body: string; crc: number }>(
      'SELECT commit_no, body, crc FROM commits WHERE run_no = ? AND commit_no > ? ORDER BY commit_no',
      runNo,
      from.commitNo,
    );
    for (const { commit_no: commitNo, body, crc } of stored) {
      if (commitNo !== position.commitNo + 1 || crc32(body, position.crc) !== crc) {
        throw new RoundsError(
          'LEDGER_DAMAGED',
          `commit ${position.commitNo + 1} of the run was altered or lost`,
        );
      }
      position = { commitNo, crc };
      yield { commit: JSON.parse(body) as Commit, position };
    }
  }

  chainStart(runNo: number): ChainPosition {
    return { commitNo: 0, crc: this.#chainSeed(runNo) };
  }

  /** Checks every shared row and identity of a run. Throws LEDGER_DAMAGED. */
  verifyRows(runNo: number, expectedShared: number): void {
    let count = 0;
    for (const stored of this.#rows<StoredShared>('SELECT * FROM shared WHERE run_no = ?', runNo)) {
      if (sharedCrc(asSharedRow(stored)) !== stored.crc) {
        throw new RoundsError('LEDGER_DAMAGED', 'a row of shared resources was altered');
      }
      count++;
    }
    if (count !== expectedShared) {
      throw new RoundsError(
        'LEDGER_DAMAGED',
        `${count} rows of shared resources, ${expectedShared} were committed`,
      );
    }
    const identities = this.#rows<{ patient_no: number; patient_id: string; crc: number }>(
      'SELECT * FROM identities WHERE run_no = ?',
      runNo,
    );
    for (const { patient_no, patient_id, crc } of identities) {
      if (identityCrc(patient_no, patient_id) !== crc) {
        throw new RoundsError('LEDGER_DAMAGED', 'a patient’s identity row was altered');
      }
    }
  }

  /** A run's rows one at a time. Throws LEDGER_DAMAGED where the file itself cannot be read. */
  *#rows<T>(sql: string, ...values: readonly number[]): Generator<T, void, undefined> {
    try {
      yield* this.#session.prepare(sql).iterate(...values) as Iterable<T>;
    } catch (error) {
      throw asDatabaseError(error);
    }
  }

  sharedRow(runNo: number, resourceType: string, resourceId: string): SharedRow | undefined {
    const row = this.#session
      .prepare('SELECT * FROM shared WHERE run_no = ? AND resource_type = ? AND resource_id = ?')
      .get(runNo, resourceType, resourceId);
    return row === undefined ? undefined : asSharedRow(row as StoredShared);
  }

  /** Ids of a type that are wanted by reference, in order, after `afterId`. */
  wanted(runNo: number, resourceType: string, afterId: string, limit: number): readonly string[] {
    const rows = this.#session
      .prepare(
        `SELECT resource_id FROM shared
       WHERE run_no = ? AND resource_type = ? AND resource_id > ? AND state = 0 ORDER BY resource_id LIMIT ?`,
      )
      .all(runNo, resourceType, afterId, limit);
    return (rows as unknown as { resource_id: string }[]).map((row) => row.resource_id);
  }

  /**
   * Records that a roster row is the patient `patientId`. Returns the patientNo that the id belongs to: another
   * one when the same patient stands in the roster twice.
   */
  claimIdentity(runNo: number, patientNo: number, patientId: string): number {
    const owner = this.#session
      .prepare('SELECT patient_no FROM identities WHERE run_no = ? AND patient_id = ?')
      .get(runNo, patientId) as { patient_no: number } | undefined;
    if (owner !== undefined) return owner.patient_no;
    // A row's earlier identity gives way: its record was merged into `patientId`.
    this.#session
      .prepare('INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?)')
      .run(runNo, patientNo, patientId, identityCrc(patientNo, patientId));
    return patientNo;
  }

  /** Records many identities at once: every id of a roster that also has MRNs, so that an MRN cannot repeat one. */
  async claimIdentities(
    runNo: number,
    rows: AsyncIterable<readonly [patientNo: number, patientId: string]>,
  ): Promise<void> {
    const block: (readonly [number, string])[] = [];
    const put = (): void =>
      this.#session.transaction(() => {
        for (const [patientNo, patientId] of block.splice(0)) this.claimIdentity(runNo, patientNo, patientId);
      });
    for await (const row of rows) if (block.push(row) === 10_000) put();
    put();
  }

  hasIdentities(runNo: number): boolean {
    return (
      this.#session.prepare('SELECT 1 FROM identities WHERE run_no = ? LIMIT 1').get(runNo) !== undefined
    );
  }

  identityOf(runNo: number, patientNo: number): string | undefined {
    const row = this.#session
      .prepare('SELECT patient_id FROM identities WHERE run_no = ? AND patient_no = ?')
      .get(runNo, patientNo) as { patient_id: string } | undefined;
    return row?.patient_id;
  }

  /** Gives run `to` all that run `from` has pulled, what failed there being wanted again. Within a transaction. */
  copy(from: number, to: number): void {
    this.#session
      .prepare('INSERT INTO commits SELECT ?, commit_no, body, crc FROM commits WHERE run_no = ?')
      .run(to, from);
    this.#session
      .prepare(
        'INSERT INTO identities SELECT ?, patient_no, patient_id, crc FROM identities WHERE run_no = ?',
      )
      .run(to, from);
    this.#session
      .prepare(
        'INSERT INTO shared SELECT ?, resource_type, resource_id, state, content_crc, crc, content FROM shared WHERE run_no = ?',
      )
      .run(to, from);
    const last = this.#session
      .prepare('SELECT commit_no, body, crc FROM commits WHERE run_no = ? ORDER BY commit_no DESC')
      .get(to) as { commit_no: number; body: string; crc: number } | undefined;
    if (last === undefined) {
      throw new RoundsError('RUN_NOT_RESUMABLE', 'the ledger no longer holds the searches of that run', {
        hint: 'Run without --retry-failed.',
      });
    }
    const { sharedRows } = JSON.parse(last.body) as Commit;
    this.#append(
      to,
      { commitNo: last.commit_no, crc: last.crc },
      { ...emptyCommit(sharedRows), retry: true },
      [],
    );
  }

  #chainSeed(runNo: number): number {
    return (
      this.#session.prepare('SELECT chain_seed FROM runs WHERE run_no = ?').get(runNo) as {
        chain_seed: number;
      }
    ).chain_seed;
  }

  /** Drops what a run has pulled from the ledger; its row and totals stay. Within a transaction. */
  forget(runNo: number): void {
    for (const table of ['commits', 'identities', 'shared']) {
      this.#session.prepare(`DELETE FROM ${table} WHERE run_no = ?`).run(runNo);
    }
  }
}
