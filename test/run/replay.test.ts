import { describe, expect, it } from 'vitest';
import { finalOutcomes, mergedPatients, replay } from '../../src/run/replay.ts';
import { snapshotFolder, writeRosterSnapshot } from '../../src/run/snapshot.ts';
import { OUTCOMES, RunTally } from '../../src/run/tally.ts';
import { commitOf, searched, stateOf } from '../support/commits.ts';
import { beginTestRun, commitAll, sharedRow, tamper, testLedger } from '../support/ledger.ts';
import { rejection, thrown } from '../support/rejection.ts';
import { PLAN, settingsOf } from '../support/settings.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const settings = settingsOf();
const failed = OUTCOMES.indexOf('failed');
const ok = OUTCOMES.indexOf('ok');

const COMMITS = [
  commitOf({
    files: [{ resourceType: 'Patient', part: 1, bytes: 20, count: 1 }],
    searches: [searched(0, 'ok'), searched(1, 'failed', { code: 'TIMEOUT', rosterLine: 2 })],
    wanted: [[2, 1]],
    sharedRows: 1,
  }),
  commitOf({
    searches: [searched(2, 'gap', { code: 'FHIR_ACCESS_DENIED', epicCode: '4130', rosterLine: 3 })],
    references: [[2, failed, { code: 'NETWORK' }]],
    sharedRows: 1,
  }),
  commitOf({ retry: true, sharedRows: 1 }),
  commitOf({
    searches: [searched(1, 'failed', { code: 'HTTP_SERVER', httpStatus: 500, rosterLine: 2 })],
    sharedRows: 1,
  }),
  commitOf({ searches: [searched(3, 'empty')], references: [[2, ok]], sharedRows: 1 }),
];

async function withRun() {
  const folder = await temporaryFolder();
  const ledger = await testLedger(folder);
  const run = beginTestRun(ledger);
  const position = commitAll(
    ledger,
    run,
    COMMITS.map((commit, at) => [commit, at === 0 ? [sharedRow('a', 0)] : []] as const),
  );
  return { folder, ledger, run, position };
}

describe('replay', () => {
  it('comes to the state that the run had, and to where its next commit goes', async () => {
    const { ledger, run, position } = await withRun();
    const live = new RunTally(2, 2, 1);
    for (const commit of COMMITS) live.apply(commit);
    const replayed = replay(ledger, run, settings);
    expect(replayed.position).toEqual(position);
    expect(stateOf(replayed.tally, 4, 3)).toEqual(stateOf(live, 4, 3));
    expect(live.totals).toEqual({ planned: 5, ok: 2, empty: 1, gap: 1, failed: 1 });
  });

  it('begins at nothing for a run that has no commit yet', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    const { tally, position } = replay(ledger, run, settings);
    expect(position).toEqual(ledger.pulls.chainStart(run.runNo));
    expect(tally.totals.planned).toBe(4);
  });

  it('goes back to what came before when the last commit is gone: what is not committed is pulled again', async () => {
    const { folder, ledger, run } = await withRun();
    tamper(folder, 'DELETE FROM commits WHERE commit_no = 5');
    const { tally, position } = replay(ledger, run, settings);
    expect(position.commitNo).toBe(4);
    expect(tally.isDone(3)).toBe(false);
  });

  it('refuses commits that do not fit the run’s plan', async () => {
    const { ledger, run } = await withRun();
    expect(thrown(() => replay(ledger, run, settingsOf({ patients: 1 }))).code).toBe('LEDGER_DAMAGED');
  });

  it('refuses a run whose shared rows are not those that were committed', async () => {
    const { folder, ledger, run } = await withRun();
    tamper(folder, 'DELETE FROM shared');
    expect(thrown(() => replay(ledger, run, settings)).code).toBe('LEDGER_DAMAGED');
  });
});

describe('finalOutcomes', () => {
  it('lists the gaps, and the failures that no later pass mended', async () => {
    const { ledger, run } = await withRun();
    expect([...finalOutcomes(ledger, run, PLAN)]).toEqual([
      {
        resourceType: 'Patient',
        outcome: 'gap',
        cause: { code: 'FHIR_ACCESS_DENIED', epicCode: '4130', rosterLine: 3 },
      },
      {
        resourceType: 'Observation',
        outcome: 'failed',
        cause: { code: 'HTTP_SERVER', httpStatus: 500, rosterLine: 2 },
      },
    ]);
  });

  it('is as long as the tally counts gaps and failures', async () => {
    const { ledger, run } = await withRun();
    const { gap, failed: failures } = replay(ledger, run, settings).tally.totals;
    expect([...finalOutcomes(ledger, run, PLAN)]).toHaveLength(gap + failures);
  });
});

describe('mergedPatients', () => {
  it('lists the lines that are another line’s patient, or one who is not on the roster', async () => {
    const folder = await temporaryFolder();
    const ledger = await testLedger(folder);
    const run = beginTestRun(ledger);
    const snapshot = snapshotFolder(folder, run.runId);
    async function* roster() {
      yield { line: 2, patientId: 'a' };
      yield { line: 3, patientId: 'b' };
      yield { line: 4, patientId: undefined, mrn: '99' };
      yield { line: 5, patientId: 'd' };
    }
    await writeRosterSnapshot(snapshot, roster());
    const merged = { code: 'PATIENT_MERGED', rosterLine: 5, sameAsLine: 2 } as const;
    commitAll(ledger, run, [
      [commitOf({ searches: [searched(6, 'empty', merged), searched(7, 'empty', merged)] })],
    ]);
    ledger.pulls.claimIdentity(run.runNo, 0, 'a');
    ledger.pulls.claimIdentity(run.runNo, 1, 'survivor');
    ledger.pulls.claimIdentity(run.runNo, 2, 'found-by-mrn');
    expect(await mergedPatients(ledger, run, snapshot)).toEqual([
      { rosterLine: 3, sameAsLine: undefined },
      { rosterLine: 5, sameAsLine: 2 },
    ]);
  });

  it('stops at a damaged chain', async () => {
    const { folder, ledger, run } = await withRun();
    tamper(folder, 'UPDATE commits SET crc = 0 WHERE commit_no = 1');
    expect((await rejection(mergedPatients(ledger, run, folder))).code).toBe('LEDGER_DAMAGED');
  });
});
