import type { DiskOutlook, RunSummary, TermMark } from './summary.ts';
import { median } from './trend.ts';

/** What is going to need a person: room on the disk, and the certificate's last day. Pure. */

const DAY_MS = 86_400_000;

/** The last runs tell the size of the next. */
const SIZE_RUNS = 14;

export interface DiskFacts {
  readonly freeBytes: number;
  /** Published runs whose folder stands, this one included. */
  readonly standing: number;
  readonly keepRuns: number;
  readonly keepDays: number;
}

type Published = Pick<RunSummary, 'startedAtMs' | 'bytes'>;

/**
 * When the disk will be full, at the pace of the last published runs (newest first, this one included). Retention
 * takes old runs away, but a new run is whole before an old one goes, so it needs room for one more than are kept.
 */
export function diskOutlook(facts: DiskFacts, published: readonly Published[]): DiskOutlook | undefined {
  const runBytes = median(published.slice(0, SIZE_RUNS).map(({ bytes }) => bytes));
  if (runBytes === undefined) return undefined;
  const { freeBytes, standing, keepRuns, keepDays } = facts;
  const runsADay = paceOf(published);
  const runsKept = Math.max(keepRuns, Math.ceil(keepDays * (runsADay ?? 0)), 1);
  const stillToCome = Math.max(0, runsKept - standing) + 1;
  const isEnough = runsADay === undefined || stillToCome * runBytes <= freeBytes;
  const daysLeft = isEnough ? undefined : freeBytes / (runBytes * runsADay);
  return { freeBytes, runBytes, runsKept, daysLeft };
}

/** Runs a day; undefined of fewer than two. A few by hand in one hour are no pace of their own. */
function paceOf(runs: readonly Published[]): number | undefined {
  const [newest, oldest] = [runs[0], runs.at(-1)];
  if (newest === undefined || oldest === undefined) return undefined;
  if (runs.length < 2) return undefined;
  const span = Math.max(DAY_MS, newest.startedAtMs - oldest.startedAtMs);
  return ((runs.length - 1) * DAY_MS) / span;
}

/** Days before its end at which a certificate is warned of; after it, in each report. */
const WARN_DAYS: readonly number[] = [30, 7, 1];

/**
 * The warning that is due now and was not at the time of the run before: once at each step, so that it stays news.
 * The end itself stands in every report.
 */
export function termMark(untilMs: number, nowMs: number, beforeMs: number | undefined): TermMark | undefined {
  const mark: TermMark = { kind: 'certificate', untilMs };
  const left = untilMs - nowMs;
  if (left <= 0) return mark;
  const step = WARN_DAYS.findLast((days) => left <= days * DAY_MS);
  if (step === undefined) return undefined;
  const wasWarned = beforeMs !== undefined && untilMs - beforeMs <= step * DAY_MS;
  return wasWarned ? undefined : mark;
}

/** Room for fewer days than this stands on top. */
export const DISK_WARN_DAYS = 7;
