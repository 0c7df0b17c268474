import { describe, expect, it } from 'vitest';
import type { FinishedPart } from '../../src/ndjson/writer.ts';
import { addCounts, RunTally } from '../../src/run/tally.ts';
import type { RunRow } from '../../src/run/ledgerRows.ts';
import { failureOf, summarise, type Pulled, type RunFacts } from '../../src/report/summarise.ts';
import { commitOf, searched } from '../support/commits.ts';
import { START_MS } from '../support/fakeClock.ts';
import { CONTEXT, RUN_ID } from '../support/ledger.ts';
import { PLAN } from '../support/settings.ts';
import { counts, summaryOf, typeOf } from './sampleSummary.ts';

const run: RunRow = {
  runNo: 1,
  runId: RUN_ID,
  jobName: 'default',
  state: 'open',
  status: undefined,
  baseRunId: undefined,
  context: CONTEXT,
  startedAtMs: START_MS,
  finishedAtMs: undefined,
  workedMs: 0,
  resumed: 2,
  folder: undefined,
  summary: undefined,
};

const FACTS: RunFacts = {
  programVersion: '0.1.0',
  run,
  status: 'partial',
  failure: undefined,
  finishedAtMs: START_MS + 5_000,
  durationMs: 4_999.6,
  method: 'crawl',
  server: 'fhir.example',
  environment: undefined,
  patients: 3,
  notes: ['Scopes asked for and not granted: a.'],
  folder: '/srv/exports/default/run',
  current: undefined,
  nextRunAtMs: undefined,
  history: [],
  retryOf: undefined,
  missedSlots: undefined,
  disk: undefined,
  credentials: undefined,
};

function part(resourceType: string, no: number, count: number, bytes: number): FinishedPart {
  return { resourceType, part: no, count, bytes, name: `${resourceType}.${no}`, sha256: '' };
}

/** Three patients: Patient and Observation searched, Practitioner by reference. */
function pulled(): Pulled {
  const tally = new RunTally(3, 2, 1);
  const denied = { code: 'FHIR_ACCESS_DENIED', epicCode: '4130' } as const;
  tally.apply(
    commitOf({
      searches: [
        searched(0, 'ok'),
        searched(1, 'gap', { ...denied, rosterLine: 9 }),
        searched(2, 'ok'),
        searched(3, 'gap', { ...denied, rosterLine: 3 }),
        searched(4, 'empty', { code: 'PATIENT_MERGED', rosterLine: 4, sameAsLine: 2 }),
        searched(5, 'failed', { code: 'TIMEOUT', httpStatus: 408, rosterLine: 4 }),
      ],
      references: [
        [2, 0],
        [2, 2, { code: 'HTTP_NOT_FOUND', httpStatus: 404 }],
      ],
      wanted: [[2, 2]],
      duplicates: [3, 1],
      warnings: { '4119': 1, '59109': 2, 'made-up': 1 },
      http: { requests: 8, retries: 1, waitedMs: 20 },
    }),
  );
  const parts = [
    part('Observation', 1, 5, 500),
    part('Observation', 2, 2, 200),
    part('Patient', 1, 2, 60),
    part('Provenance', 1, 4, 40),
    part('Device', 1, 1, 10),
  ];
  const plan = { ...PLAN, carried: ['Provenance'], notOffered: ['Claim'] };
  return { plan, tally, parts, merged: [{ rosterLine: 4, sameAsLine: 2 }], attachments: undefined };
}

describe('summarise', () => {
  it('adds up: the types make the totals, and every planned search ended', () => {
    const summary = summarise(FACTS, pulled());
    expect(summary).toMatchObject({ records: 14, files: 5, bytes: 810, resumed: 2, durationMs: 5_000 });
    expect(summary.searches).toEqual({ planned: 8, ok: 3, empty: 1, gap: 3, failed: 1 });
    expect(addCounts(summary.types.map((type) => type.searches))).toEqual(summary.searches);
    for (const key of ['records', 'files', 'bytes'] as const) {
      expect(summary.types.reduce((sum, type) => sum + type[key], 0)).toBe(summary[key]);
    }
    const ended = summary.causes.reduce((sum, cause) => sum + cause.searches, 0);
    expect(ended).toBe(summary.searches.gap + summary.searches.failed);
  });

  it('has a row for each type of the plan, those that came along and those that nobody asked for', () => {
    const { types } = summarise(FACTS, pulled());
    expect(types.map(({ resourceType, records, files }) => [resourceType, records, files])).toEqual([
      ['Patient', 2, 1],
      ['Observation', 7, 2],
      ['Practitioner', 0, 0],
      ['Provenance', 4, 1],
      ['Device', 1, 1],
    ]);
    expect(types[3]?.searches).toEqual(counts(0, 0, 0, 0));
  });

  it('names causes with what to do, failures first, and no merged patient among them', () => {
    const { causes, merged } = summarise(FACTS, pulled());
    expect(
      causes.map(({ outcome, code, resourceType, searches }) => [outcome, code, resourceType, searches]),
    ).toEqual([
      ['failed', 'TIMEOUT', 'Observation', 1],
      ['gap', 'FHIR_ACCESS_DENIED', 'Observation', 2],
      ['gap', 'HTTP_NOT_FOUND', 'Practitioner', 1],
    ]);
    expect(causes[1]).toMatchObject({ failure: 'denied', epicCode: '4130', rosterLines: [3, 9] });
    expect(causes[1]?.hint).toContain('Break-the-Glass');
    expect(causes[2]).toMatchObject({ httpStatus: 404, rosterLines: [] });
    expect(merged).toEqual([{ rosterLine: 4, sameAsLine: 2 }]);
  });

  it('compares with the run before, type by type', () => {
    const types = [typeOf('Patient', 7, counts(7, 0, 0, 0), undefined)];
    const previous = summaryOf({ runId: '20261121T020000Z-0000', types });
    const summary = summarise({ ...FACTS, history: [previous] }, pulled());
    expect(summary.previousRunId).toBe('20261121T020000Z-0000');
    expect(summary.types.map((type) => type.previousRecords)).toEqual([
      7,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('knows the runs before it: the strip, the usual numbers, what stands out, and the all-clear', () => {
    const days = (n: number) => START_MS - n * 86_400_000;
    const types = [typeOf('Observation', 70, counts(3, 0, 0, 0), undefined)];
    const complete = (n: number) =>
      summaryOf({
        runId: `20261101T020000Z-000${n}`,
        startedAtMs: days(n),
        finishedAtMs: days(n),
        types,
        records: 70,
        bytes: 700,
      });
    const failed = summaryOf({
      runId: '20261121T020000Z-ffff',
      status: 'failed',
      types: [],
      records: 0,
      startedAtMs: days(1),
      finishedAtMs: days(1),
    });
    const history = [failed, ...Array.from({ length: 20 }, (_, i) => complete(i + 2))];
    const facts = { ...FACTS, status: 'complete', history } as const;
    const summary = summarise(
      {
        ...facts,
        disk: { freeBytes: 2_000, standing: 20, keepRuns: 30, keepDays: 30 },
        credentials: { keySinceMs: days(300), certificateUntilMs: days(-6.5) },
      },
      pulled(),
    );
    expect(summary.recovered).toEqual({ runId: failed.runId, status: 'failed' });
    expect(summary.previousRunId).toBe('20261101T020000Z-0002');
    expect(summary.recent).toHaveLength(14);
    expect(summary.recent?.slice(-2).map(({ runId, status }) => [runId, status])).toEqual([
      [failed.runId, 'failed'],
      [RUN_ID, 'complete'],
    ]);
    expect(summary.types[1]).toMatchObject({
      resourceType: 'Observation',
      previousRecords: 70,
      usualRecords: 70,
    });
    expect(summary.trend).toMatchObject({ runs: 7, usualRecords: 70 });
    expect(
      summary.trend?.marks.map((mark) => (mark.kind === 'records' ? mark.resourceType : mark.kind)),
    ).toEqual([
      ...[undefined, 'Observation', 'Patient', 'Provenance', 'Device'],
      ...['gaps', 'gaps', 'certificate', 'disk'],
    ]);
    expect(summarise({ ...facts, status: 'partial' }, pulled()).recovered).toBeUndefined();
    expect(summarise({ ...facts, history: history.slice(1) }, pulled()).recovered).toBeUndefined();
  });

  it('keeps how long each type took', () => {
    const { tally, ...rest } = pulled();
    tally.apply(
      commitOf({
        worked: [
          [0, 40],
          [1, 900],
        ],
      }),
    );
    const { types } = summarise(FACTS, { tally, ...rest });
    expect(types.map(({ workedMs }) => workedMs)).toEqual([40, 900, 0, 0, 0]);
  });

  it('reads a history of summaries as earlier versions kept them', () => {
    const { trend: _trend, recent: _recent, disk: _disk, credentials: _credentials, ...old } = summaryOf();
    const summary = summarise({ ...FACTS, history: [old] }, pulled());
    expect(summary.previousRunId).toBe(old.runId);
    expect(summary.recent?.map(({ runId }) => runId)).toEqual([old.runId, RUN_ID]);
  });

  it('puts the server’s remarks into words', () => {
    expect(summarise(FACTS, pulled()).notes).toEqual([
      'Scopes asked for and not granted: a.',
      '1 search: 4119, the server says that its answer may be incomplete.',
      '2 searches: 59109, the server ignored a parameter it does not know.',
      '1 search: made-up, a remark of the server.',
    ]);
  });

  it('tells of a run that failed before it had a plan', () => {
    const failure = failureOf({ code: 'TOKEN_REFUSED', message: 'refused', hint: 'look there' });
    const summary = summarise({ ...FACTS, status: 'failed', failure, folder: undefined }, undefined);
    expect(summary).toMatchObject({
      status: 'failed',
      failure: { code: 'TOKEN_REFUSED', message: 'refused', hint: 'look there' },
      records: 0,
      types: [],
      causes: [],
      searches: counts(0, 0, 0, 0),
    });
  });

  it('survives being kept as JSON', () => {
    const summary = summarise(FACTS, pulled());
    expect(summarise(FACTS, pulled())).toEqual({
      ...summary,
      ...(JSON.parse(JSON.stringify(summary)) as object),
    });
  });
});
