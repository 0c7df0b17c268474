import { describe, expect, it } from 'vitest';
import type { Ledger } from '../../src/run/ledger.ts';
import type { RunRow, SharedRow } from '../../src/run/ledgerRows.ts';
import type { Commit } from '../../src/run/tally.ts';
import { summaryOf } from '../report/sampleSummary.ts';
import { commitOf, searched } from '../support/commits.ts';
import { beginTestRun, commitAll, RUN_ID, sharedRow, tamper, testLedger } from '../support/ledger.ts';
import { thrown } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const COMMITS: readonly (readonly [Commit, SharedRow[]?])[] = [
  [commitOf({ searches: [searched(0, 'ok')], sharedRows: 2 }), [sharedRow('a', 1, 111), sharedRow('b', 0)]],
  [commitOf({ searches: [searched(1, 'empty')], sharedRows: 2 })],
  [commitOf({ searches: [searched(2, 'failed')], sharedRows: 2 }), [sharedRow('b', 3)]],
];

async function withCommits(): Promise<{ folder: string; ledger: Ledger; run: RunRow }> {
  const folder = await temporaryFolder();
  const ledger = await testLedger(folder);
  const run = beginTestRun(ledger);
  commitAll(ledger, run, COMMITS);
  return { folder, ledger, run };
}

describe('the chain of commits', () => {
  it('gives back what was committed, in order', async () => {
    const { ledger, run } = await withCommits();
    const read = [...ledger.pulls.commits(run.runNo)];
    expect(read.map(({ commit }) => commit)).toEqual(COMMITS.map(([commit]) => commit));
    expect(read.map(({ position }) => position.commitNo)).toEqual([1, 2, 3]);
    ledger.pulls.verifyRows(run.runNo, 2);
  });

  it.each([
    ['a changed body', `UPDATE commits SET body = replace(body, '[0,0]', '[0,1]') WHERE commit_no = 1`],
    ['a changed check sum', 'UPDATE commits SET crc = crc + 1 WHERE commit_no = 3'],
    ['a lost row', 'DELETE FROM commits WHERE commit_no = 2'],
    ['a lost first row', 'DELETE FROM commits WHERE commit_no = 1'],
    [
      'two rows swapped',
      `UPDATE commits SET commit_no = 9 WHERE commit_no = 2; UPDATE commits SET commit_no = 2 WHERE commit_no = 3;
       UPDATE commits SET commit_no = 3 WHERE commit_no = 9`,
    ],
    ['another run’s seed', 'UPDATE runs SET chain_seed = chain_seed + 1'],
  ])('shows %s', async (_, sql) => {
    const { folder, ledger, run } = await withCommits();
    tamper(folder, sql);
    expect(thrown(() => [...ledger.pulls.commits(run.runNo)]).code).toBe('LEDGER_DAMAGED');
  });

  it('shows another run’s row in the place of its own', async () => {
    const { folder, ledger, run } = await withCommits();
    const other = beginTestRun(ledger, { runId: '20261123T020000Z-0000' });
    commitAll(ledger, other, COMMITS);
    tamper(
      folder,
      `DELETE FROM commits WHERE run_no = ${run.runNo};
       INSERT INTO commits SELECT ${run.runNo}, commit_no, body, crc FROM commits WHERE run_no = ${other.runNo}`,
    );
    expect(thrown(() => [...ledger.pulls.commits(run.runNo)]).code).toBe('LEDGER_DAMAGED');
  });

  it('takes a commit and its shared rows, or neither', async () => {
    const { ledger, run } = await withCommits();
    const before = ledger.pulls.chainStart(run.runNo);
    // A writer that lost its place in the chain: that commit number is taken.
    expect(() => ledger.pulls.commit(run.runNo, before, commitOf(), [sharedRow('new', 1, 5)])).toThrow();
    expect(ledger.pulls.sharedRow(run.runNo, 'Practitioner', 'new')).toBeUndefined();
    expect([...ledger.pulls.commits(run.runNo)]).toHaveLength(3);
  });
});

describe('shared rows and identities', () => {
  it.each([
    ['a flipped state', `UPDATE shared SET state = 1 WHERE resource_id = 'b'`],
    ['a flipped content check sum', `UPDATE shared SET content_crc = 112 WHERE resource_id = 'a'`],
    ['a changed content', `UPDATE shared SET content = '{"sha256":"","bytes":1}' WHERE resource_id = 'a'`],
    ['a cut content', `UPDATE shared SET content = '{"sha256"' WHERE resource_id = 'a'`],
    ['another id', `UPDATE shared SET resource_id = 'c' WHERE resource_id = 'b'`],
    ['a lost row', `DELETE FROM shared WHERE resource_id = 'a'`],
    [
      'a foreign row',
      `INSERT INTO shared SELECT run_no, 'Device', resource_id, state, content_crc, crc, content FROM shared`,
    ],
    ['a changed identity', `UPDATE identities SET patient_id = 'other'`],
    ['a moved identity', `UPDATE identities SET patient_no = 7`],
  ])('shows %s', async (_, sql) => {
    const { folder, ledger, run } = await withCommits();
    ledger.pulls.claimIdentity(run.runNo, 4, 'someone');
    ledger.pulls.verifyRows(run.runNo, 2);
    tamper(folder, sql);
    expect(thrown(() => ledger.pulls.verifyRows(run.runNo, 2)).code).toBe('LEDGER_DAMAGED');
  });

  it('names what is wanted, page by page', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    const ids = ['e', 'a', 'c', 'B', 'd'];
    const done = sharedRow('done', 1, 9);
    commitAll(ledger, run, [[commitOf({ sharedRows: 6 }), [...ids.map((id) => sharedRow(id, 0)), done]]]);
    const wanted = (after: string): readonly string[] =>
      ledger.pulls.wanted(run.runNo, 'Practitioner', after, 2);
    expect(wanted('')).toEqual(['B', 'a']);
    expect(wanted('a')).toEqual(['c', 'd']);
    expect(wanted('d')).toEqual(['e']);
    expect(wanted('e')).toEqual([]);
    expect(ledger.pulls.wanted(run.runNo, 'Device', '', 2)).toEqual([]);
  });

  it('lets a patient be one row of the roster alone', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    expect(ledger.pulls.claimIdentity(run.runNo, 1, 'p')).toBe(1);
    expect(ledger.pulls.claimIdentity(run.runNo, 1, 'p')).toBe(1);
    expect(ledger.pulls.claimIdentity(run.runNo, 5, 'p')).toBe(1);
    expect(ledger.pulls.identityOf(run.runNo, 5)).toBeUndefined();
  });

  it('knows two rows whose records were merged into one as one patient, also when their own ids were known', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    async function* roster(): AsyncGenerator<readonly [number, string]> {
      yield [0, 'old-a'];
      yield [1, 'old-b'];
    }
    await ledger.pulls.claimIdentities(run.runNo, roster());
    expect(ledger.pulls.claimIdentity(run.runNo, 0, 'survivor')).toBe(0);
    expect(ledger.pulls.identityOf(run.runNo, 0)).toBe('survivor');
    expect(ledger.pulls.claimIdentity(run.runNo, 1, 'survivor')).toBe(0);
    ledger.pulls.verifyRows(run.runNo, 0);
  });
});

describe('a run that retries what failed in another', () => {
  it('starts from a copy of it, with the failures wanted again', async () => {
    const { ledger, run } = await withCommits();
    ledger.pulls.claimIdentity(run.runNo, 0, 'p');
    ledger.closeRun(run.runNo, summaryOf({ runId: RUN_ID, status: 'partial' }), undefined);
    const retried = beginTestRun(ledger, { runId: '20261122T090000Z-0001', base: ledger.findRun(RUN_ID)! });
    expect(retried.baseRunId).toBe(RUN_ID);
    const commits = [...ledger.pulls.commits(retried.runNo)];
    expect(commits).toHaveLength(4);
    expect(commits[3]?.commit).toMatchObject({ retry: true, searches: [], sharedRows: 2 });
    expect(ledger.pulls.wanted(retried.runNo, 'Practitioner', '', 10)).toEqual(['b']);
    expect(ledger.pulls.sharedRow(retried.runNo, 'Practitioner', 'a')).toMatchObject({
      state: 1,
      contentCrc: 111,
    });
    expect(ledger.pulls.identityOf(retried.runNo, 0)).toBe('p');
    ledger.pulls.verifyRows(retried.runNo, 2);
    // The base stays as it was.
    expect([...ledger.pulls.commits(run.runNo)]).toHaveLength(3);
    expect(ledger.pulls.sharedRow(run.runNo, 'Practitioner', 'b')?.state).toBe(3);
  });

  it('goes on from there, and can be retried in turn', async () => {
    const { ledger, run } = await withCommits();
    const second = beginTestRun(ledger, { runId: '20261122T090000Z-0001', base: run });
    const { position } = [...ledger.pulls.commits(second.runNo)].at(-1)!;
    ledger.pulls.commit(
      second.runNo,
      position,
      commitOf({ searches: [searched(2, 'ok')], sharedRows: 2 }),
      [],
    );
    const third = beginTestRun(ledger, { runId: '20261122T100000Z-0002', base: second });
    expect([...ledger.pulls.commits(third.runNo)].map(({ commit }) => commit.retry)).toEqual([
      undefined,
      undefined,
      undefined,
      true,
      undefined,
      true,
    ]);
  });

  it('cannot start from a run whose searches the ledger no longer holds', async () => {
    const { ledger, run } = await withCommits();
    ledger.forgetSearches(run.runNo);
    const begin = (): unknown => beginTestRun(ledger, { runId: '20261122T090000Z-0001', base: run });
    expect(thrown(begin).code).toBe('RUN_NOT_RESUMABLE');
    expect(ledger.findRun('20261122T090000Z-0001')).toBeUndefined();
  });
});
