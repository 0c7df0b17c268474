import { RoundsError } from '../errors.ts';
import type { OutcomeRow } from '../report/outcomeFile.ts';
import type { MergedPatient } from '../report/summary.ts';
import { ExportTally } from './exportTally.ts';
import type { Ledger } from './ledger.ts';
import type { ChainPosition, RunRow } from './ledgerRows.ts';
import { typeName, unitTypeCount, type PullPlan } from './plan.ts';
import { snapshotRoster, type SnapshotSettings } from './snapshot.ts';
import { OUTCOMES, RunTally } from './tally.ts';

export interface Replayed {
  readonly tally: RunTally;
  readonly position: ChainPosition;
}

/** The sum of no commits yet, of a run that works by this plan. */
export function tallyFor(patients: number, plan: PullPlan): RunTally {
  return new RunTally(patients, plan.searched.length, unitTypeCount(plan));
}

/** A run's state, summed up from its commits, each checked. Throws LEDGER_DAMAGED. */
export function replay(ledger: Ledger, run: RunRow, { patients, plan }: SnapshotSettings): Replayed {
  const tally = tallyFor(patients, plan);
  let position = ledger.pulls.chainStart(run.runNo);
  try {
    for (const committed of ledger.pulls.commits(run.runNo)) {
      tally.apply(committed.commit);
      position = committed.position;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RoundsError('LEDGER_DAMAGED', 'a commit does not fit its run', { cause: error });
  }
  ledger.pulls.verifyRows(run.runNo, tally.sharedRows);
  return { tally, position };
}

/** The same for its bulk exports. */
export function replayExports(ledger: Ledger, { runNo }: Pick<RunRow, 'runNo'>): ExportTally {
  const exportTally = new ExportTally();
  for (const { commit } of ledger.pulls.commits(runNo)) exportTally.apply(commit);
  return exportTally;
}

/** The gaps and failures that a run ends with, in the order of their commits; what a later pass mended is not among them. */
export function* finalOutcomes(ledger: Ledger, run: RunRow, plan: PullPlan): Generator<OutcomeRow> {
  let lastRetry = 0;
  for (const { commit, position } of ledger.pulls.commits(run.runNo))
    if (commit.retry) lastRetry = position.commitNo;
  for (const { commit, position } of ledger.pulls.commits(run.runNo)) {
    const isMended = position.commitNo < lastRetry;
    const rows = [
      ...commit.searches.map(([searchNo, ...rest]) => [searchNo % plan.searched.length, ...rest] as const),
      ...commit.references,
    ];
    for (const [typeNo, index, cause] of rows) {
      const outcome = OUTCOMES[index];
      if (cause === undefined || (outcome !== 'gap' && outcome !== 'failed')) continue;
      // Every failure before the last retry was asked again, and stands in a later commit if it failed again.
      if (outcome === 'failed' && isMended) continue;
      yield { resourceType: typeName(plan, typeNo), outcome, cause };
    }
  }
}

/** Roster lines whose record was merged into another (Epic 4107): another line's patient, or one not on the roster. */
export async function mergedPatients(
  ledger: Ledger,
  run: RunRow,
  snapshotFolder: string,
): Promise<readonly MergedPatient[]> {
  const merged = new Map<number, number | undefined>();
  for (const { commit } of ledger.pulls.commits(run.runNo)) {
    for (const [, , cause] of commit.searches) {
      if (cause?.code === 'PATIENT_MERGED') merged.set(cause.rosterLine!, cause.sameAsLine);
    }
  }
  if (ledger.pulls.hasIdentities(run.runNo)) {
    for await (const { patientNo, patientId, line } of snapshotRoster(snapshotFolder)) {
      if (patientId === undefined) continue;
      const identity = ledger.pulls.identityOf(run.runNo, patientNo);
      if (identity !== undefined && identity !== patientId) merged.set(line, undefined);
    }
  }
  return [...merged]
    .map(([rosterLine, sameAsLine]) => ({ rosterLine, sameAsLine }))
    .toSorted((a, b) => a.rosterLine - b.rosterLine);
}
