import type { CauseSummary, RunSummary, SearchCounts, TypeSummary } from '../../src/report/summary.ts';

/** 2026-11-22T02:00:00Z */
const STARTED_AT_MS = Date.UTC(2026, 10, 22, 2, 0, 0);

export function counts(ok: number, empty: number, gap: number, failed: number): SearchCounts {
  return { planned: ok + empty + gap + failed, ok, empty, gap, failed };
}

export function typeOf(
  resourceType: string,
  records: number,
  searches: SearchCounts,
  previousRecords: number | undefined,
): TypeSummary {
  return { resourceType, records, files: 1, bytes: records * 1_234, searches, previousRecords };
}

export function causeOf(given: Partial<CauseSummary> = {}): CauseSummary {
  return {
    outcome: 'gap',
    code: 'FHIR_ACCESS_DENIED',
    failure: 'denied',
    hint: 'The Epic user may not see this (Epic 4118, 4130, 4131, 4134 Break-the-Glass).',
    resourceType: 'Observation',
    epicCode: '4134',
    httpStatus: 403,
    searches: 3,
    rosterLines: [118, 240, 301],
    ...given,
  };
}

/** A complete run of eight patients with a previous run; each test changes what it is about. */
export function summaryOf(given: Partial<RunSummary> = {}): RunSummary {
  return {
    formatVersion: 1,
    programVersion: '0.1.0',
    jobName: 'default',
    runId: '20261122T020000Z-3f2a',
    status: 'complete',
    failure: undefined,
    startedAtMs: STARTED_AT_MS,
    finishedAtMs: STARTED_AT_MS + 192_000,
    durationMs: 192_000,
    resumed: 0,
    method: 'crawl',
    server: 'fhir.example.org',
    environment: 'sandbox',
    patients: 8,
    records: 8_849,
    files: 4,
    bytes: 10_919_666,
    searches: counts(20, 12, 0, 0),
    types: [
      typeOf('Patient', 8, counts(8, 0, 0, 0), 8),
      typeOf('Observation', 8_001, counts(8, 0, 0, 0), 7_989),
      typeOf('Condition', 820, counts(4, 4, 0, 0), 823),
      typeOf('MedicationRequest', 20, counts(0, 8, 0, 0), undefined),
    ],
    causes: [],
    merged: [],
    duplicates: { same: 0, differing: 0 },
    notes: [],
    http: { requests: 212, retries: 3, waitedMs: 4_000 },
    previousRunId: '20261121T020000Z-91bc',
    folder: '/srv/exports/default/20261122T020000Z-3f2a',
    current: undefined,
    nextRunAtMs: STARTED_AT_MS + 86_400_000,
    ...given,
  };
}

/** A partial run with everything a report can show: 40 types and 60 causes. */
export function largeSummary(): RunSummary {
  const types = Array.from({ length: 40 }, (_, i) =>
    typeOf(
      i % 3 === 0 ? `MedicationAdministration${i}` : `ResourceTypeNumber${i}`,
      123_456 * (i + 1),
      counts(1_200_000, 30_000, i * 7, i % 2),
      100_000 * (i + 1),
    ),
  );
  const causes = Array.from({ length: 60 }, (_, i) =>
    causeOf({
      outcome: i % 4 === 0 ? 'failed' : 'gap',
      code: i % 2 === 0 ? 'HTTP_SERVER' : 'FHIR_DATA_WITHHELD',
      failure: i % 2 === 0 ? 'transient' : 'denied',
      epicCode: i % 2 === 0 ? undefined : String(4_100 + i),
      httpStatus: 500 + i,
      hint: `What the operator does about cause number ${i}, in a sentence of the usual length, no longer.`,
      resourceType: `ResourceTypeNumber${i % 40}`,
      searches: 100 + i,
      rosterLines: Array.from({ length: 10 }, (_line, n) => 1_000_000 + i * 10 + n),
    }),
  );
  return summaryOf({
    status: 'partial',
    patients: 120_000,
    records: 101_233_920,
    files: 480,
    bytes: 812_345_678_901,
    searches: counts(48_000_000, 1_200_000, 5_460, 20),
    types,
    causes,
    notes: Array.from({ length: 30 }, (_, i) => `Type number ${i} is not offered by this server.`),
    merged: [
      { rosterLine: 12, sameAsLine: 4 },
      { rosterLine: 90, sameAsLine: undefined },
    ],
    duplicates: { same: 38, differing: 2 },
    resumed: 2,
    durationMs: 7_512_000,
    current: { runId: '20261121T020000Z-91bc', ageMs: 93_600_000 },
  });
}

/** A complete run with something to look at: marks of each kind, a strip with all kinds of runs, and what is left. */
export function markedSummary(given: Partial<RunSummary> = {}): RunSummary {
  const DAY_MS = 86_400_000;
  const types = [
    { ...typeOf('Patient', 812, counts(812, 0, 0, 0), 812), usualRecords: 811, workedMs: 92_000 },
    {
      ...typeOf('Observation', 44_012, counts(790, 10, 12, 0), 80_301),
      usualRecords: 80_120,
      workedMs: 610_000,
    },
    { ...typeOf('Condition', 6_120, counts(700, 112, 0, 0), 6_123), usualRecords: 6_090, workedMs: 81_000 },
    {
      ...typeOf('DocumentReference', 0, counts(0, 812, 0, 0), 9_411),
      usualRecords: 9_398,
      workedMs: 140_000,
    },
    {
      ...typeOf('MedicationRequest', 3_204, counts(610, 202, 0, 0), 3_190),
      usualRecords: 3_188,
      workedMs: 70_000,
    },
    { ...typeOf('Goal', 96, counts(90, 722, 0, 0), undefined), usualRecords: undefined, workedMs: 8_000 },
  ];
  const statuses =
    'complete complete complete partial complete complete failed complete complete complete complete abandoned complete complete';
  return summaryOf({
    patients: 812,
    records: 54_244,
    bytes: 66_937_096,
    searches: counts(3_002, 1_858, 12, 0),
    types,
    causes: [causeOf({ searches: 12 })],
    http: {
      requests: 6_212,
      retries: 41,
      waitedMs: 301_000,
      pauses: 3,
      pausedMs: 95_000,
      outages: 1,
      awayMs: 724_000,
    },
    notes: ['Coverage is not offered by this server.'],
    missedSlots: { count: 1, firstMs: STARTED_AT_MS - DAY_MS },
    trend: {
      runs: 7,
      usualRecords: 99_607,
      marks: [
        { kind: 'certificate', untilMs: STARTED_AT_MS + 6.5 * DAY_MS },
        { kind: 'disk' },
        {
          kind: 'records',
          change: 'vanished',
          resourceType: 'DocumentReference',
          now: 0,
          before: 9_398,
          runs: 7,
        },
        { kind: 'records', change: 'fell', resourceType: undefined, now: 54_244, before: 99_607, runs: 7 },
        {
          kind: 'records',
          change: 'fell',
          resourceType: 'Observation',
          now: 44_012,
          before: 80_120,
          runs: 7,
        },
        { kind: 'records', change: 'new', resourceType: 'Goal', now: 96, before: 0, runs: 0 },
        {
          ...{ kind: 'gaps', change: 'new', code: 'FHIR_ACCESS_DENIED', epicCode: '4134', httpStatus: 403 },
          ...{ resourceTypes: ['Observation'], searches: 12, before: 0 },
        },
      ],
    },
    recent: statuses.split(' ').map((status, i) => ({
      runId: `202611${String(9 + i).padStart(2, '0')}T020000Z-3f2a`,
      status: status as RunSummary['status'],
      startedAtMs: STARTED_AT_MS - (13 - i) * DAY_MS,
      records:
        status === 'failed' || status === 'abandoned' ? 0 : i === 13 ? 54_244 : 97_000 + ((i * 977) % 4_000),
    })),
    disk: { freeBytes: 310_000_000, runBytes: 66_000_000, runsKept: 30, daysLeft: 4.7 },
    credentials: {
      keySinceMs: STARTED_AT_MS - 358 * DAY_MS,
      certificateUntilMs: STARTED_AT_MS + 6.5 * DAY_MS,
    },
    ...given,
  });
}
