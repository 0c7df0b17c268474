import { describe, expect, it } from 'vitest';
import {
  addCounts,
  emptyCommit,
  OUTCOMES,
  RunTally,
  type Commit,
  type Outcome,
} from '../../src/run/tally.ts';
import { commitOf, searched, stateOf } from '../support/commits.ts';

const ok = OUTCOMES.indexOf('ok');
const failed = OUTCOMES.indexOf('failed');

function tallyOf(commits: readonly Commit[], patients = 2, searchTypes = 2, referenceTypes = 1): RunTally {
  const tally = new RunTally(patients, searchTypes, referenceTypes);
  for (const commit of commits) tally.apply(commit);
  return tally;
}

describe('RunTally', () => {
  it('plans one search a patient and type, and nothing yet of types reached by reference', () => {
    const tally = tallyOf([], 3, 2, 1);
    expect(tally.totals).toEqual({ planned: 6, ok: 0, empty: 0, gap: 0, failed: 0 });
    expect(tally.countsOf(1).planned).toBe(3);
    expect(tally.countsOf(2).planned).toBe(0);
    expect(tally.isDone(5)).toBe(false);
    expect(tally.outcomeOf(5)).toBeUndefined();
  });

  it('counts each search under its type and outcome', () => {
    const outcomes: readonly Outcome[] = ['ok', 'empty', 'gap', 'failed'];
    const tally = tallyOf([commitOf({ searches: outcomes.map((outcome, no) => searched(no, outcome)) })]);
    expect(tally.countsOf(0)).toEqual({ planned: 2, ok: 1, empty: 0, gap: 1, failed: 0 });
    expect(tally.countsOf(1)).toEqual({ planned: 2, ok: 0, empty: 1, gap: 0, failed: 1 });
    expect(outcomes.map((_, no) => tally.outcomeOf(no))).toEqual(outcomes);
    const { planned, ...ended } = tally.totals;
    expect(planned).toBe(Object.values(ended).reduce((sum, count) => sum + count, 0));
  });

  it('refuses a search that was committed before, also by an earlier commit', () => {
    const twice = commitOf({ searches: [searched(0, 'ok'), searched(0, 'ok')] });
    expect(() => tallyOf([twice])).toThrow(RangeError);
    const once = commitOf({ searches: [searched(3, 'failed')] });
    expect(() => tallyOf([once, once])).toThrow('committed twice');
  });

  it('refuses searches, types and outcomes that are not of the run', () => {
    expect(() => tallyOf([commitOf({ searches: [searched(4, 'ok')] })])).toThrow(RangeError);
    expect(() => tallyOf([commitOf({ searches: [[0, 9]] })])).toThrow(RangeError);
    expect(() => tallyOf([commitOf({ references: [[3, ok]] })])).toThrow(RangeError);
    expect(() => tallyOf([commitOf({ wanted: [[3, 1]] })])).toThrow(RangeError);
  });

  it('sums causes by outcome, type and code, with the first ten roster lines', () => {
    const causes = Array.from({ length: 12 }, (_, patientNo) =>
      searched(patientNo * 2, 'gap', {
        code: 'FHIR_ACCESS_DENIED',
        epicCode: '4130',
        rosterLine: patientNo + 2,
      }),
    );
    const other = searched(1, 'gap', { code: 'FHIR_ACCESS_DENIED', epicCode: '4134', rosterLine: 2 });
    const tally = tallyOf([commitOf({ searches: [...causes, other] })], 12);
    expect(tally.causes).toEqual([
      {
        outcome: 'gap',
        typeNo: 0,
        cause: { code: 'FHIR_ACCESS_DENIED', epicCode: '4130' },
        searches: 12,
        rosterLines: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        files: [],
      },
      expect.objectContaining({ typeNo: 1, searches: 1, rosterLines: [2] }),
    ]);
  });

  it('forgets at a retry what failed, and nothing else', () => {
    const first = commitOf({
      searches: [
        searched(0, 'ok'),
        searched(1, 'failed', { code: 'TIMEOUT', rosterLine: 2 }),
        searched(2, 'gap', { code: 'FHIR_ACCESS_DENIED', rosterLine: 3 }),
        searched(3, 'empty'),
      ],
      references: [
        [2, ok],
        [2, failed, { code: 'NETWORK' }],
      ],
      wanted: [[2, 2]],
    });
    const tally = tallyOf([first, commitOf({ retry: true })]);
    expect(tally.isDone(1)).toBe(false);
    expect([0, 2, 3].map((no) => tally.isDone(no))).toEqual([true, true, true]);
    expect(tally.totals).toEqual({ planned: 6, ok: 2, empty: 1, gap: 1, failed: 0 });
    expect(tally.causes.map(({ outcome }) => outcome)).toEqual(['gap']);

    tally.apply(commitOf({ searches: [searched(1, 'ok')], references: [[2, ok]] }));
    expect(tally.totals).toEqual({ planned: 6, ok: 4, empty: 1, gap: 1, failed: 0 });
  });

  it('adds up warnings, duplicates and cost, and keeps the last end of each file', () => {
    const tally = tallyOf([
      commitOf({
        files: [{ resourceType: 'Patient', part: 1, bytes: 10, count: 1 }],
        warnings: { '4119': 2 },
        duplicates: [1, 0],
        http: { requests: 3, retries: 1, waitedMs: 5 },
        sharedRows: 4,
      }),
      commitOf({
        files: [
          { resourceType: 'Patient', part: 1, bytes: 30, count: 3 },
          { resourceType: 'Patient', part: 2, bytes: 7, count: 1 },
        ],
        warnings: { '4119': 1, '59109': 1 },
        duplicates: [1, 2],
        http: { requests: 2, retries: 0, waitedMs: 1, pauses: 1, pausedMs: 900, outages: 2, awayMs: 70_000 },
        worked: [
          [0, 12],
          [1, 30],
        ],
        sharedRows: 6,
      }),
    ]);
    expect([...tally.files.values()].map(({ part, bytes, count }) => [part, bytes, count])).toEqual([
      [1, 30, 3],
      [2, 7, 1],
    ]);
    expect(Object.fromEntries(tally.warnings)).toEqual({ '4119': 3, '59109': 1 });
    expect(tally.duplicates).toEqual({ same: 2, differing: 2 });
    expect(tally.http).toEqual({
      ...{ requests: 5, retries: 1, waitedMs: 6 },
      ...{ pauses: 1, pausedMs: 900, outages: 2, awayMs: 70_000 },
    });
    expect([0, 1].map((typeNo) => tally.workedMsOf(typeNo))).toEqual([12, 30]);
    expect(tally.sharedRows).toBe(6);
  });

  it('is the same when its commits are read back as when it lived through them', () => {
    const commits = [
      commitOf({
        searches: [searched(0, 'ok'), searched(1, 'failed', { code: 'TIMEOUT', httpStatus: 408 })],
      }),
      commitOf({ wanted: [[2, 1]], searches: [searched(2, 'failed', { code: 'NETWORK', rosterLine: 3 })] }),
      commitOf({ retry: true, sharedRows: 1 }),
      commitOf({
        searches: [searched(2, 'empty')],
        references: [[2, ok]],
        warnings: { '4119': 1 },
        sharedRows: 1,
      }),
    ];
    const live = tallyOf(commits);
    const replayed = tallyOf(commits.map((commit) => JSON.parse(JSON.stringify(commit)) as Commit));
    expect(stateOf(replayed, 4, 3)).toEqual(stateOf(live, 4, 3));
    expect(live.outcomeOf(2)).toBe('empty');
  });
});

describe('addCounts', () => {
  it('adds each outcome by itself', () => {
    const one = { planned: 10, ok: 4, empty: 3, gap: 2, failed: 1 };
    expect(addCounts([one, one])).toEqual({ planned: 20, ok: 8, empty: 6, gap: 4, failed: 2 });
    expect(addCounts([])).toEqual({ planned: 0, ok: 0, empty: 0, gap: 0, failed: 0 });
  });
});

describe('emptyCommit', () => {
  it('changes nothing but the number of shared rows', () => {
    const tally = tallyOf([commitOf({ searches: [searched(0, 'ok')] })]);
    const before = stateOf(tally, 4, 3) as object;
    tally.apply(emptyCommit(7));
    expect(stateOf(tally, 4, 3)).toEqual({ ...before, sharedRows: 7 });
  });
});
