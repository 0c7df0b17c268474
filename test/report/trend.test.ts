import { describe, expect, it } from 'vitest';
import { median, trendOf, usualRecordsOf, type Compared } from '../../src/report/trend.ts';
import type { CauseSummary, Mark } from '../../src/report/summary.ts';
import { causeOf, counts, typeOf } from './sampleSummary.ts';

type Counts = Readonly<Record<string, number>>;

/** A run by its records of each type. */
function runOf(records: Counts, given: Partial<Compared> = {}): Compared {
  const types = Object.entries(records).map(([name, n]) => typeOf(name, n, counts(n, 0, 0, 0), undefined));
  const all = Object.values(records).reduce((sum, n) => sum + n, 0);
  return { status: 'complete', records: all, types, causes: [], ...given };
}

/** As short as a test can hold: `fell Observation`, `new gaps FHIR_ACCESS_DENIED`. */
function named(marks: readonly Mark[]): string[] {
  return marks.map((mark) => {
    if (mark.kind === 'records') return `${mark.change} ${mark.resourceType ?? 'all'}`;
    return mark.kind === 'gaps' ? `${mark.change} gaps ${mark.code}` : mark.kind;
  });
}

const marksOf = (run: Compared, history: readonly Compared[]) => named(trendOf(run, history).marks);

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A hospital's types, from the largest to those that have a record or none. */
const LEVELS: Counts = {
  ...{ Observation: 80_000, Condition: 6_100, DocumentReference: 900, Encounter: 310, Goal: 42 },
  ...{ Consent: 14, CarePlan: 9, Device: 6, Coverage: 3, List: 2, Questionnaire: 1, Claim: 0 },
};

/** One morning as any other: up to five per cent, and one more or less of what is rare (3 become 2). */
function quietRun(random: () => number, growth: number): Compared {
  const records = Object.entries(LEVELS).map(([name, level]) => {
    const percent = (random() + random() + random() - 1.5) * 0.035;
    const jitter = level > 1 && level < 10 && random() < 0.3 ? (random() < 0.5 ? -1 : 1) : 0;
    return [name, Math.max(0, Math.round(level * growth * (1 + percent)) + jitter)] as const;
  });
  const gaps = Math.max(1, Math.round(12 * (1 + (random() - 0.5) * 0.3)));
  const status = random() < 0.1 ? 'partial' : 'complete';
  const rare = random() < 0.2 ? [causeOf({ resourceType: 'Encounter', searches: 1 })] : [];
  return runOf(Object.fromEntries(records), { status, causes: [causeOf({ searches: gaps }), ...rare] });
}

/** Thirty runs, newest first, growing by a tenth over the month. */
function quietMonth(random: () => number): Compared[] {
  const runs: Compared[] = [];
  for (let day = 0; day < 30; day++) runs.unshift(quietRun(random, 1 + day / 300));
  return runs;
}

const SEEDS = Array.from({ length: 100 }, (_, i) => i + 1);

describe('quiet runs', () => {
  it('have at most one false mark in thirty, whatever the seed', () => {
    const noisy = SEEDS.map((seed) => {
      const month = quietMonth(seeded(seed));
      const marks = month.flatMap((run, i) => marksOf(run, month.slice(i + 1)));
      return { seed, marks };
    }).filter(({ marks }) => marks.length > 1);
    expect(noisy).toEqual([]);
  });
});

describe('planted anomalies', () => {
  /** The run with one type set to what `plant` makes of it. */
  const withType = (run: Compared, name: string, plant: (records: number) => number): Compared =>
    runOf(
      Object.fromEntries(
        run.types.map(({ resourceType, records }) => [
          resourceType,
          resourceType === name ? plant(records) : records,
        ]),
      ),
      { causes: run.causes },
    );
  const large = ['Observation', 'Condition', 'DocumentReference', 'Encounter', 'Goal', 'Consent'];
  const plants: readonly (readonly [what: string, mark: string, plant: (run: Compared) => Compared])[] = [
    ...large.flatMap((name) => [
      [
        `${name} drops by 40 %`,
        `fell ${name}`,
        (run: Compared) => withType(run, name, (n) => 0.6 * n),
      ] as const,
      [`${name} doubles`, `grew ${name}`, (run: Compared) => withType(run, name, (n) => 2 * n)] as const,
    ]),
    ...[...large, 'CarePlan', 'Device', 'Coverage'].map(
      (name) =>
        [
          `${name} goes to zero`,
          `vanished ${name}`,
          (run: Compared) => withType(run, name, () => 0),
        ] as const,
    ),
    [
      'a new type',
      'new Immunization',
      (run) => runOf({ ...recordsOf(run), Immunization: 3 }, { causes: run.causes }),
    ],
    ['a type that always was empty', 'new Claim', (run) => withType(run, 'Claim', () => 8)],
    [
      'a type is not pulled any more',
      'gone Goal',
      (run) => ({ ...run, types: run.types.filter((t) => t.resourceType !== 'Goal') }),
    ],
    [
      'a new cause of gaps',
      'new gaps FHIR_DATA_WITHHELD',
      (run) => withGap(run, { code: 'FHIR_DATA_WITHHELD', epicCode: '4119', searches: 1 }),
    ],
    [
      'a known cause at another type',
      'new gaps FHIR_ACCESS_DENIED',
      (run) => withGap(run, { resourceType: 'Goal', searches: 5 }),
    ],
    [
      'twice the gaps of a cause',
      'more gaps FHIR_ACCESS_DENIED',
      (run) => ({
        ...run,
        causes: run.causes.map((cause) => ({ ...cause, searches: 2.5 * cause.searches })),
      }),
    ],
  ];
  const recordsOf = (run: Compared): Counts =>
    Object.fromEntries(run.types.map(({ resourceType, records }) => [resourceType, records]));
  const withGap = (run: Compared, given: Partial<CauseSummary>): Compared => ({
    ...run,
    causes: [...run.causes, causeOf(given)],
  });

  it.each(plants)('%s: found in every month', (_what, mark, plant) => {
    const missed = SEEDS.filter((seed) => {
      const random = seeded(seed);
      const month = quietMonth(random);
      const planted = plant({ ...quietRun(random, 1.1), status: 'complete' });
      return !marksOf(planted, month).includes(mark);
    });
    expect(missed).toEqual([]);
  });

  it('all types together: a drop and a doubling of the whole', () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const month = quietMonth(random);
      const run = quietRun(random, 1.1);
      const scaled = (by: number) =>
        runOf(Object.fromEntries(run.types.map((t) => [t.resourceType, Math.round(by * t.records)])));
      expect(marksOf(scaled(0.6), month)).toContain('fell all');
      expect(marksOf(scaled(2), month)).toContain('grew all');
    }
  });
});

describe('what it is held against', () => {
  const steady = (n: number, records: Counts) => Array.from({ length: n }, () => runOf(records));

  it('is the median of the last seven complete runs, and no failed or partial one', () => {
    const partial = runOf({ Observation: 10 }, { status: 'partial' });
    const failed = runOf({}, { status: 'failed' });
    const history = [failed, partial, ...steady(7, { Observation: 1_000 }), runOf({ Observation: 9 })];
    expect(trendOf(runOf({ Observation: 1_010 }), history)).toEqual({
      ...{ runs: 7, usualRecords: 1_000, marks: [] },
    });
    expect(usualRecordsOf('Observation', history)).toBe(1_000);
    expect(usualRecordsOf('Condition', history)).toBeUndefined();
    expect(median([4, 1, 3, 2])).toBe(3);
  });

  it('is nothing for a first run, and for one that published nothing', () => {
    expect(trendOf(runOf({ Observation: 5 }), [])).toEqual({ runs: 0, usualRecords: undefined, marks: [] });
    const history = steady(3, { Observation: 900 });
    expect(marksOf(runOf({}, { status: 'failed' }), history)).toEqual([]);
    expect(marksOf(runOf({}, { status: 'abandoned' }), history)).toEqual([]);
  });

  it('marks a partial run too, and compares gaps also where no run was ever complete', () => {
    const fallen = runOf({ Observation: 400 }, { status: 'partial' });
    expect(marksOf(fallen, steady(1, { Observation: 900 }))).toEqual(['fell all', 'fell Observation']);
    const partial = runOf({ Observation: 400 }, { status: 'partial', causes: [causeOf()] });
    expect(marksOf(partial, [fallen])).toEqual(['new gaps FHIR_ACCESS_DENIED']);
  });

  it('is quiet about a run that is usual again, and about a growth that stays', () => {
    const low = runOf({ Observation: 200 });
    const usual = steady(6, { Observation: 1_000 });
    expect(marksOf(runOf({ Observation: 1_000 }), [low, ...usual])).toEqual([]);
    const grown = runOf({ Observation: 2_500 });
    expect(marksOf(grown, usual)).toEqual(['grew all', 'grew Observation']);
    expect(marksOf(runOf({ Observation: 2_510 }), [grown, ...usual])).toEqual([]);
    // Far below the run before, though still above what was usual.
    expect(marksOf(runOf({ Observation: 2_000 }), [runOf({ Observation: 9_000 }), ...usual])).toEqual([
      'fell all',
      'fell Observation',
    ]);
  });

  it('goes on telling of a drop until it is usual', () => {
    const history = steady(7, { Observation: 1_000 });
    const low = runOf({ Observation: 300 });
    const told = Array.from({ length: 5 }, () => {
      const marks = marksOf(low, history);
      history.unshift(low);
      return marks.length > 0;
    });
    expect(told).toEqual([true, true, true, true, false]);
  });

  it('takes a small type that never varied at its word', () => {
    const history = steady(3, { Goal: 6, Observation: 500 });
    expect(marksOf(runOf({ Goal: 3, Observation: 500 }), history)).toEqual(['fell Goal']);
    expect(marksOf(runOf({ Goal: 4, Observation: 500 }), history)).toEqual([]);
    const varied = [runOf({ Goal: 4, Observation: 500 }), ...history];
    expect(marksOf(runOf({ Goal: 3, Observation: 500 }), varied)).toEqual([]);
  });
});
