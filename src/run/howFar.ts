import type { SearchCounts } from '../report/summary.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { hasSnapshot, openSnapshot, snapshotFolder } from './snapshot.ts';
import { tallyFor } from './replay.ts';

/**
 * How far an open run has come, summed up from its commits: for who looks (`status`, LOCK_HELD), so unlike `replay` it
 * does not check the rows. Undefined before the run has begun to pull.
 */
export async function howFar(
  ledger: Ledger,
  stateFolder: string,
  run: RunRow,
): Promise<SearchCounts | undefined> {
  const folder = snapshotFolder(stateFolder, run.runId);
  if (!(await hasSnapshot(folder))) return undefined;
  const { patients, plan } = (await openSnapshot(folder)).settings;
  const tally = tallyFor(patients, plan);
  for (const { commit } of ledger.pulls.commits(run.runNo)) tally.apply(commit);
  return tally.totals;
}

/** Searches that came to an end, whatever it was. */
export function doneOf({ ok, empty, gap, failed }: SearchCounts): number {
  return ok + empty + gap + failed;
}
