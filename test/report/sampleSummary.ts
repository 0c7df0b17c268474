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
