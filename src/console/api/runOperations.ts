import { existsSync } from 'node:fs';
import { RoundsError } from '../../errors.ts';
import { readManifest } from '../../publish/verify.ts';
import type { OutcomeRow } from '../../report/outcomeFile.ts';
import { howFar } from '../../run/howFar.ts';
import type { Ledger } from '../../run/ledger.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { isoInstant } from '../../system/clock.ts';
import { chooseRun } from '../../views/chooseRun.ts';
import { outcomesOf } from '../../views/troubles.ts';
import { jsonAnswer } from '../exchange.ts';
import type { Site } from '../site.ts';
import type { Input } from './input.ts';
import {
  inPath,
  inQuery,
  integer,
  operationsIn,
  pathOf,
  type Operation,
  type Parameter,
} from './operation.ts';

const RUN = inPath('runId', 'A run’s id or the beginning of it; `latest` or `current`.', {
  pattern: '[A-Za-z0-9-]{1,40}',
  example: 'latest',
});
const OF_PAGE: readonly Parameter[] = [
  integer('limit', 'Items of a page, at most.', { default: '50', minimum: 1, maximum: 500 }),
  integer('offset', 'Items before the page.', { default: '0', minimum: 0, maximum: 10_000_000 }),
];
const OF_JOB = inQuery('job', 'Of this job alone.', { pattern: '[a-z0-9-]{1,40}' });

/** Runs, their searches that came to no good, and their files. No PHI: patients are lines of the roster. */
export function runOperations(site: Site): readonly Operation[] {
  const operation = operationsIn('Console');
  const ofRun = <T>(input: Input, work: (ledger: Ledger, run: RunRow) => Promise<T> | T): Promise<T> =>
    site.read(async (ledger) => {
      const run = chooseRun(ledger, input.given('runId'));
      return work(ledger!, run);
    });
  const list = operation('listRuns', '/api/v1/runs', 'Runs', 'Runs, the newest first', {
    parameters: [OF_JOB, ...OF_PAGE],
    answer: (input) =>
      site.read((ledger) => {
        const jobName = input.text('job');
        const [offset, limit] = [input.number('offset'), input.number('limit')];
        const ofJob = jobName === undefined ? {} : { jobName };
        // One more, to know whether a page comes after.
        const rows = ledger?.runs({ ...ofJob, limit: offset + limit + 1 }).slice(offset) ?? [];
        return jsonAnswer(pageOf(list, input, rows.slice(0, limit).map(asRun), rows.length > limit));
      }),
  });
  const searches = operation(
    'listSearches',
    '/api/v1/runs/{runId}/searches',
    'Searches',
    'A run’s searches: counts by type, and each gap and failure by roster line',
    {
      text: 'Counts by type are known once the run is closed.',
      parameters: [RUN, ...OF_PAGE],
      answer: (input) =>
        ofRun(input, async (ledger, run) => {
          const stateFolder = site.config().jobs[0]!.settings.paths.state_folder;
          const rows = await outcomesOf(ledger, stateFolder, run);
          const { items, hasMore } = await slice(rows ?? [], input);
          const counts = run.summary?.searches ?? (await howFar(ledger, stateFolder, run));
          const types = (run.summary?.types ?? []).map(({ resourceType, records, searches: ofType }) => ({
            ...{ resourceType, records },
            searches: ofType,
          }));
          return jsonAnswer({
            searches: counts ?? null,
            types,
            ...pageOf(searches, input, items.map(asSearch), hasMore),
          });
        }),
    },
  );
  const files = operation(
    'listFiles',
    '/api/v1/runs/{runId}/files',
    'Files',
    'The files of a published run, as its manifest has them',
    {
      parameters: [RUN, ...OF_PAGE],
      answer: (input) =>
        ofRun(input, async (_ledger, { folder, runId }) => {
          if (folder === undefined || !existsSync(folder)) {
            throw new RoundsError('RUN_FOLDER_GONE', `the folder of run ${runId} is not there`);
          }
          const { items, hasMore } = await slice(await filesOf(folder), input);
          return jsonAnswer({ folder, ...pageOf(files, input, items, hasMore) });
        }),
    },
  );
  return [
    list,
    operation('getRun', '/api/v1/runs/{runId}', 'Run', 'One run', {
      parameters: [RUN],
      answer: (input) => ofRun(input, (_ledger, run) => jsonAnswer(asRun(run))),
    }),
    searches,
    files,
  ];
}

function pageOf<T>(
  operation: Operation,
  input: Input,
  items: readonly T[],
  hasMore: boolean,
): { readonly items: readonly T[]; readonly next: string | null } {
  if (!hasMore) return { items, next: null };
  const given = operation.parameters.map(({ name }): readonly [string, string] => [
    name,
    name === 'offset' ? String(input.number('offset') + items.length) : (input.text(name) ?? ''),
  ]);
  return { items, next: pathOf(operation, given) };
}

/** The page's part of a list, which is read no further than needed. */
async function slice<T>(
  rows: AsyncIterable<T> | Iterable<T>,
  input: Input,
): Promise<{ readonly items: readonly T[]; readonly hasMore: boolean }> {
  const [offset, limit] = [input.number('offset'), input.number('limit')];
  const items: T[] = [];
  let at = 0;
  for await (const row of rows) {
    if (items.length === limit) return { items, hasMore: true };
    if (at >= offset) items.push(row);
    at++;
  }
  return { items, hasMore: false };
}

function asRun(run: RunRow): object {
  const { runId, jobName, state, status, baseRunId, context, resumed, folder, summary } = run;
  return {
    ...{ runId, job: jobName, state, status: status ?? null, baseRunId: baseRunId ?? null },
    server: new URL(context.server).host,
    startedAt: isoInstant(run.startedAtMs),
    finishedAt: run.finishedAtMs === undefined ? null : isoInstant(run.finishedAtMs),
    ...{ resumed, folder: folder ?? null, summary: summary ?? null },
  };
}

function asSearch({ resourceType, outcome, cause }: OutcomeRow): object {
  const { code, epicCode, httpStatus, rosterLine } = cause;
  return {
    ...{ resourceType, outcome, code, epicCode: epicCode ?? null },
    ...{ httpStatus: httpStatus ?? null, rosterLine: rosterLine ?? null },
  };
}

async function filesOf(folder: string): Promise<readonly object[]> {
  const { output, deleted, error, extension } = await readManifest(folder);
  const lists = { output, deleted, error } as const;
  return [
    ...Object.entries(lists).flatMap(([kind, listed]) =>
      listed.map(({ url, type, count, extension: { bytes, sha256 } }) => ({
        ...{ url, kind, type, count, bytes, sha256 },
      })),
    ),
    ...extension.files.map(({ url, bytes, sha256 }) => ({
      ...{ url, kind: 'other', type: null, count: null, bytes, sha256 },
    })),
  ];
}
