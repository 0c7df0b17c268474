import type { RunEvent } from '../run/events.ts';
import type { RunTally } from '../run/tally.ts';

/** How far a run has come; `names`: of all types of its plan, by typeNo. */
export function progressOf(tally: RunTally, names: readonly string[]): RunEvent {
  const records = new Map<string, number>();
  let bytes = 0;
  for (const { resourceType, count, bytes: size } of tally.files.values()) {
    records.set(resourceType, (records.get(resourceType) ?? 0) + count);
    bytes += size;
  }
  return {
    event: 'run.progress',
    searches: tally.totals,
    records: [...records.values()].reduce((sum, count) => sum + count, 0),
    bytes,
    types: names.map((resourceType, typeNo) => ({
      resourceType,
      searches: tally.countsOf(typeNo),
      records: records.get(resourceType) ?? 0,
    })),
  };
}
