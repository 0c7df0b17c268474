import { describe, expect, it } from 'vitest';
import { diskOutlook, termMark } from '../../src/report/outlook.ts';

const DAY_MS = 86_400_000;

/** Published runs, newest first, `hours` apart. */
const runsOf = (sizes: readonly number[], hours = 24) =>
  sizes.map((bytes, i) => ({ bytes, startedAtMs: 1_000 * DAY_MS - i * hours * 3_600_000 }));

describe('the disk', () => {
  const facts = { freeBytes: 1_000, standing: 10, keepRuns: 30, keepDays: 30 };

  it('is enough where retention takes away as much as comes', () => {
    // 20 runs are still to come, and one stands beside them before the oldest goes.
    expect(diskOutlook({ ...facts, freeBytes: 2_100 }, runsOf([100, 100, 100]))).toEqual({
      ...{ freeBytes: 2_100, runBytes: 100, runsKept: 30, daysLeft: undefined },
    });
    expect(diskOutlook({ ...facts, freeBytes: 2_099 }, runsOf([100, 100, 100]))?.daysLeft).toBeCloseTo(20.99);
    expect(diskOutlook({ ...facts, freeBytes: 99, standing: 30 }, runsOf([100, 100]))?.daysLeft).toBeCloseTo(
      0.99,
    );
  });

  it('goes by the median size and the pace of the last runs', () => {
    expect(diskOutlook(facts, runsOf([100, 9_000, 110, 90, 100]))).toMatchObject({
      runBytes: 100,
      daysLeft: 10,
    });
    // Hourly runs: 30 days of them are kept, and not 30.
    const hourly = runsOf(
      Array.from({ length: 49 }, () => 10),
      1,
    );
    expect(diskOutlook(facts, hourly)).toMatchObject({ runsKept: 720 });
    expect(diskOutlook(facts, hourly)?.daysLeft).toBeCloseTo(100 / 24);
    // Four runs by hand within the hour are four runs a day at most.
    expect(diskOutlook(facts, runsOf([10, 10, 10, 10], 0.1))).toMatchObject({ runsKept: 90 });
  });

  it('says no days where no pace is known, and nothing before the first published run', () => {
    expect(diskOutlook(facts, runsOf([9_000]))).toMatchObject({ runBytes: 9_000, daysLeft: undefined });
    expect(diskOutlook(facts, [])).toBeUndefined();
  });
});

describe('the certificate', () => {
  const untilMs = 1_000 * DAY_MS;
  /** The days before its end on which a run each morning warns. */
  const warned = (from: number) =>
    Array.from({ length: from + 3 }, (_, i) => from - i).filter(
      (left) => termMark(untilMs, untilMs - left * DAY_MS, untilMs - (left + 1) * DAY_MS) !== undefined,
    );

  it('is warned of once at 30, 7 and 1 days, and in each report when it has ended', () => {
    expect(warned(60)).toEqual([30, 7, 1, 0, -1, -2]);
  });

  it('is warned of once also where runs are rare, or the first is late', () => {
    const at = (days: number) => untilMs - days * DAY_MS;
    expect(termMark(untilMs, at(5), at(40))).toEqual({ kind: 'certificate', untilMs });
    expect(termMark(untilMs, at(4), at(5))).toBeUndefined();
    expect(termMark(untilMs, at(20), undefined)).toEqual({ kind: 'certificate', untilMs });
    expect(termMark(untilMs, at(31), undefined)).toBeUndefined();
  });
});
