import { count, countOf, instant, unitsOf } from './format.ts';
import type { RunSummary } from './summary.ts';

/** What a report says beside numbers, one sentence or two each. Pure. */
export function* notesOf(summary: RunSummary, timezone: string): Generator<string> {
  const { missedSlots, abandoned, retryOf } = summary;
  if (missedSlots !== undefined) {
    yield `Caught up: ${countOf(missedSlots.count, 'appointed time')} passed without a run, the first ${instant(missedSlots.firstMs, timezone)}; this run makes up for ${missedSlots.count === 1 ? 'it' : 'them'}.`;
  }
  if (abandoned !== undefined) {
    yield `Run ${abandoned.runId} before this one was abandoned; nothing of it was published.`;
  }
  if (retryOf !== undefined) {
    yield `This run stands on run ${retryOf.runId}, and asked again for the ${unitsOf(retryOf.failed, summary.method)} that had failed there.`;
  }
  yield* summary.notes;
  const { same, differing } = summary.duplicates;
  if (same + differing > 0) {
    const differ =
      differing === 0
        ? 'all were alike'
        : `${count(differing)} differed from the first copy, which is the one that stays`;
    yield `The server sent ${countOf(same + differing, 'resource')} more than once; each was written once (${differ}).`;
  }
  for (const { rosterLine, sameAsLine } of summary.merged) {
    yield sameAsLine === undefined
      ? `roster:${rosterLine} is a merged patient: the server answers with another id.`
      : `roster:${rosterLine} and roster:${sameAsLine} are one patient (a merged record, or an MRN beside its id), pulled once.`;
  }
}
