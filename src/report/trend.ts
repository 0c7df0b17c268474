import type { CauseSummary, GapsMark, RecordsMark, RunSummary, Trend, TypeSummary } from './summary.ts';

/**
 * This run against those before it: what is unlike them stands on top of the report.
 *
 * Quiet by design, since a report that cries each morning is read by nobody: counts vary by a few per cent, and a
 * type of three records has two the next day. Small types are therefore marked only by a change that is large
 * against what they varied by before, and a rare gap of a known cause is not news.
 */

/** The median is over so many complete runs. */
const BASELINE_RUNS = 7;
/** A drop of 40 % is to show whatever the noise of a few per cent makes of it; so is a doubling. */
const FELL_TO = 0.65;
const GREW_TO = 1.8;
/** A growth over the usual is news once, and not until the median has come up to it. */
const GREW_SINCE_LAST = 1.4;
/** Types of fewer records are small. */
const SMALL = 10;
/** A small type has to change by so many times what it varied by. */
const SMALL_SPREADS = 3;
const SMALL_RUNS = 3;
/** Records by which a type that always came empty is new. */
const NEW_RECORDS = 5;
/** Searches with a gap by which a known cause is news: at another type, or at its own when it grew by half. */
const NEW_GAPS = 3;
const MORE_GAPS = 1.5;

/** What of a run is compared. */
export type Compared = Pick<RunSummary, 'status' | 'records' | 'types' | 'causes'>;

/** Pure. `history`: the closed runs of the job before this one, newest first. */
export function trendOf(run: Compared, history: readonly Compared[]): Trend {
  const complete = history.filter(({ status }) => status === 'complete').slice(0, BASELINE_RUNS);
  const published = history.filter(isPublished).slice(0, BASELINE_RUNS);
  const usualRecords = median(complete.map(({ records }) => records));
  const isComparable = isPublished(run) && published.length > 0;
  const marks = isComparable ? [...recordMarks(run, complete, published), ...gapMarks(run, published)] : [];
  return { runs: complete.length, usualRecords, marks };
}

/** The median of a type's records in the last complete runs; undefined where none had the type. */
export function usualRecordsOf(resourceType: string, history: readonly Compared[]): number | undefined {
  const complete = history.filter(({ status }) => status === 'complete').slice(0, BASELINE_RUNS);
  return median(recordsOf(resourceType, complete));
}

function isPublished({ status }: Compared): boolean {
  return status === 'complete' || status === 'partial';
}

function recordMarks(
  run: Compared,
  complete: readonly Compared[],
  published: readonly Compared[],
): readonly RecordsMark[] {
  const previous = complete[0];
  const all = changeOf(
    run.records,
    complete.map(({ records }) => records),
  );
  const types = run.types.map((type) => typeMark(type, complete, published));
  const listed = new Set(run.types.map(({ resourceType }) => resourceType));
  const gone = (published[0]?.types ?? [])
    .filter(({ resourceType, records }) => records > 0 && !listed.has(resourceType))
    .map(({ resourceType, records }): RecordsMark => ({
      ...{ kind: 'records', change: 'gone', resourceType },
      ...{ now: 0, before: records, runs: 0 },
    }));
  const ofAll = previous && all ? [{ ...all, kind: 'records' as const, resourceType: undefined }] : [];
  return [...ofAll, ...types.filter((mark) => mark !== undefined), ...gone].toSorted(byLoss);
}

/** What was lost before what came, the total first. */
function byLoss(a: RecordsMark, b: RecordsMark): number {
  const rank = ({ change, resourceType }: RecordsMark): number =>
    RANKS.indexOf(change) * 2 + (resourceType === undefined ? 0 : 1);
  return rank(a) - rank(b);
}

const RANKS: readonly RecordsMark['change'][] = ['vanished', 'gone', 'fell', 'grew', 'new'];

function typeMark(
  { resourceType, records }: TypeSummary,
  complete: readonly Compared[],
  published: readonly Compared[],
): RecordsMark | undefined {
  const mark = { kind: 'records', resourceType } as const;
  const before = recordsOf(resourceType, published);
  const isNew = before.length === 0 || (before.length >= SMALL_RUNS && before.every((n) => n === 0));
  if (isNew) {
    const enough = before.length === 0 ? 1 : NEW_RECORDS;
    return records >= enough ? { ...mark, change: 'new', now: records, before: 0, runs: 0 } : undefined;
  }
  const change = changeOf(records, recordsOf(resourceType, complete));
  return change && { ...mark, ...change };
}

/** How a number is unlike those before it (newest first), where it is. */
function changeOf(
  now: number,
  before: readonly number[],
): Pick<RecordsMark, 'change' | 'now' | 'before' | 'runs'> | undefined {
  const usual = median(before);
  const [last] = before;
  if (usual === undefined || last === undefined) return undefined;
  const against = { now, before: usual, runs: before.length };
  if (now === 0) return isVanished(before, usual) ? { ...against, change: 'vanished' } : undefined;
  if (now <= FELL_TO * usual && isMoreThanNoise(now, usual, before)) return { ...against, change: 'fell' };
  if (now >= GREW_TO * usual && now >= GREW_SINCE_LAST * last && isMoreThanNoise(now, usual, before)) {
    return { ...against, change: 'grew' };
  }
  // Usual again, after a run that was not, is no news; else the run before counts too.
  const isUsual = now < GREW_TO * usual;
  if (!isUsual && now <= FELL_TO * last && isMoreThanNoise(now, last, before)) {
    return { now, before: last, runs: 0, change: 'fell' };
  }
  return undefined;
}

function isVanished(before: readonly number[], usual: number): boolean {
  if (usual >= SMALL) return true;
  const least = Math.min(...before);
  return (least >= 2 && before.length >= SMALL_RUNS) || (least >= 1 && before.length >= BASELINE_RUNS);
}

function isMoreThanNoise(now: number, usual: number, before: readonly number[]): boolean {
  if (usual >= SMALL) return true;
  const spread = Math.max(1, Math.max(...before) - Math.min(...before));
  return before.length >= SMALL_RUNS && Math.abs(now - usual) >= SMALL_SPREADS * spread;
}

/** One mark a cause, over all types that it is news for. */
function gapMarks(run: Compared, published: readonly Compared[]): readonly GapsMark[] {
  const known = published.map(({ causes }) => gapsByKey(causes));
  const knownCodes = new Set(published.flatMap(({ causes }) => causes.filter(isGap).map(causeKey)));
  const marks = new Map<string, GapsMark>();
  for (const cause of run.causes.filter(isGap)) {
    const before = Math.max(...known.map((gaps) => gaps.get(keyOf(cause)) ?? 0));
    const isNewHere = before === 0;
    const least = knownCodes.has(causeKey(cause)) ? NEW_GAPS : 1;
    const isNews = isNewHere
      ? cause.searches >= least
      : cause.searches >= MORE_GAPS * before && cause.searches - before >= NEW_GAPS;
    if (!isNews) continue;
    const { code, epicCode, httpStatus, resourceType, searches } = cause;
    const change = isNewHere ? 'new' : 'more';
    const key = `${change} ${causeKey(cause)}`;
    const others = marks.get(key);
    marks.set(key, {
      kind: 'gaps',
      change,
      code,
      epicCode,
      httpStatus,
      resourceTypes: [...(others?.resourceTypes ?? []), resourceType],
      searches: (others?.searches ?? 0) + searches,
      before: (others?.before ?? 0) + before,
    });
  }
  return [...marks.values()].toSorted((a, b) => b.searches - a.searches);
}

function isGap({ outcome }: CauseSummary): boolean {
  return outcome === 'gap';
}

function gapsByKey(causes: readonly CauseSummary[]): ReadonlyMap<string, number> {
  return new Map(causes.filter(isGap).map((cause) => [keyOf(cause), cause.searches]));
}

function keyOf(cause: CauseSummary): string {
  return `${cause.resourceType} ${causeKey(cause)}`;
}

function causeKey({ code, epicCode, httpStatus }: CauseSummary): string {
  return [code, epicCode, httpStatus].join(' ');
}

/** A type's records in those of the runs that had it, in their order. */
function recordsOf(resourceType: string, runs: readonly Compared[]): readonly number[] {
  return runs.flatMap(({ types }) => {
    const found = types.find((type) => type.resourceType === resourceType);
    return found === undefined ? [] : [found.records];
  });
}

/** The middle one, or the mean of the two in the middle, rounded; undefined of none. */
export function median(numbers: readonly number[]): number | undefined {
  if (numbers.length === 0) return undefined;
  const sorted = numbers.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1]!;
  if (sorted.length % 2 === 1) return upper;
  return Math.round((sorted[(sorted.length >> 1) - 1]! + upper) / 2);
}
