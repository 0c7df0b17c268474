import {
  emptyCommit,
  OUTCOMES,
  type Cause,
  type Commit,
  type CommittedSearch,
  type Outcome,
  type RunTally,
} from '../../src/run/tally.ts';

export function commitOf(given: Partial<Commit> = {}): Commit {
  return { ...emptyCommit(0), ...given };
}

export function searched(searchNo: number, outcome: Outcome, cause?: Cause): CommittedSearch {
  const index = OUTCOMES.indexOf(outcome);
  return cause ? [searchNo, index, cause] : [searchNo, index];
}

/** All that a tally says, for comparing two of them. */
export function stateOf(tally: RunTally, searches: number, types: number): unknown {
  return {
    files: [...tally.files.values()],
    warnings: Object.fromEntries(tally.warnings),
    outcomes: Array.from({ length: searches }, (_, searchNo) => tally.outcomeOf(searchNo)),
    counts: Array.from({ length: types }, (_, typeNo) => tally.countsOf(typeNo)),
    totals: tally.totals,
    causes: tally.causes,
    duplicates: tally.duplicates,
    http: tally.http,
    sharedRows: tally.sharedRows,
  };
}
