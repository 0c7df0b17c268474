import type { RunSummary } from './summary.ts';

/** `[email] notify_on`. */
export type NotifyOn = 'always' | 'problems' | 'change';

/**
 * Whether a run is mailed. Pure. `problems`: what is not complete, has a gap or a mark, and the first complete run
 * after one that was not, since who was told of trouble wants its end too. `change`: these, and a type that has more
 * or fewer records than in the published run before, is new or is gone.
 */
export function isWorthMail(summary: RunSummary, notifyOn: NotifyOn): boolean {
  switch (notifyOn) {
    case 'always':
      return true;
    case 'problems':
      return isProblem(summary);
    case 'change':
      return isProblem(summary) || hasChanged(summary);
  }
}

function isProblem({ status, searches, trend, recovered }: RunSummary): boolean {
  return (
    status !== 'complete' ||
    searches.gap > 0 ||
    recovered !== undefined ||
    (trend !== undefined && trend.marks.length > 0)
  );
}

function hasChanged({ types }: RunSummary): boolean {
  return types.some((type) => type.records !== type.previousRecords);
}
