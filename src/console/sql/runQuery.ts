import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { RoundsError } from '../../errors.ts';
import { readManifest } from '../../publish/verify.ts';
import { ensureFolder } from '../../system/files.ts';
import { TYPE_NAME } from '../records/typeName.ts';
import type { Site } from '../site.ts';
import type { QueryLine, QueryOrder, QueryView } from './queryMessages.ts';

/** What a query may take: the console must not eat the memory that a run beside it needs. */
const MEMORY_MEGABYTES = 512;
const THREADS = 2;
const LONGEST_MS = 60_000;

/** One query, as asked for. */
export interface Query {
  readonly sql: string;
  /** The run's published folder. */
  readonly folder: string;
  readonly maxRows?: number;
  readonly signal: AbortSignal;
}

/**
 * The package's file. Throws CONSOLE_UNAVAILABLE where DuckDB is not installed: beside the program, or in the
 * node_modules of [console] duckdb_folder.
 */
export function findDuckDb(site: Site): string {
  const folder = site.config().jobs[0]!.settings.console.duckdb_folder;
  const from = folder === undefined ? fileURLToPath(import.meta.url) : path.join(folder, 'package.json');
  try {
    return createRequire(from).resolve('@duckdb/node-api');
  } catch {
    throw new RoundsError('CONSOLE_UNAVAILABLE', 'DuckDB is not installed, and SQL needs it', {
      hint: 'Install it beside the program: npm install --no-save @duckdb/node-api (70 MB); or anywhere else, and name that folder in [console] duckdb_folder.',
    });
  }
}

/** The tables that a run's folder has: a type each. */
export async function viewsOf(folder: string): Promise<readonly QueryView[]> {
  const byType = new Map<string, string[]>();
  for (const { type, url } of (await readManifest(folder)).output) {
    if (!TYPE_NAME.test(type)) continue;
    byType.set(type, [...(byType.get(type) ?? []), path.join(folder, url)]);
  }
  return [...byType].map(([name, files]) => ({ name, files }));
}

/** What a query brings: its columns, then its rows as they come. */
export interface Answered {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Ends with what `end` says; throws CONSOLE_ASK_INVALID where the query fails on its way. */
  readonly rows: AsyncIterable<readonly (string | null)[]>;
  /** Complete once the rows are at their end. */
  readonly end: { rows: number; hasMore: boolean; unreadable: number };
}

/** Throws CONSOLE_UNAVAILABLE, and CONSOLE_ASK_INVALID with DuckDB's own words, which are for who asked alone. */
export async function runQuery(site: Site, query: Query): Promise<Answered> {
  const folder = await makeTemporaryFolder(site);
  // Also where nobody comes to ask for the rows.
  query.signal.addEventListener('abort', () => void forget(folder).catch(() => undefined), { once: true });
  const lines = carryOut(site, query, folder, undefined);
  const end = { rows: 0, hasMore: false, unreadable: 0 };
  try {
    const first = await lines.next();
    if (first.done === true || !('columns' in first.value)) throw stopped();
    return { columns: first.value.columns, end, rows: rowsOf(lines, end, folder) };
  } catch (error) {
    await forget(folder);
    throw error;
  }
}

async function* rowsOf(
  lines: AsyncIterable<QueryLine>,
  end: Answered['end'],
  folder: string,
): AsyncGenerator<readonly (string | null)[]> {
  try {
    for await (const line of lines) {
      if ('rows' in line) yield* line.rows;
      else if ('end' in line) Object.assign(end, line.end);
    }
  } finally {
    await forget(folder);
  }
}

/** The same as a Parquet file; `use` has it as long as it runs. Throws as `runQuery`. */
export async function writeParquet<T>(
  site: Site,
  query: Query,
  use: (file: string) => Promise<T>,
): Promise<T> {
  const folder = await makeTemporaryFolder(site);
  try {
    const file = path.join(folder, 'result.parquet');
    for await (const _ of carryOut(site, query, folder, file)) continue;
    return await use(file);
  } finally {
    await forget(folder);
  }
}

async function* carryOut(
  site: Site,
  { sql, folder, maxRows, signal }: Query,
  temporaryFolder: string,
  parquetFile: string | undefined,
): AsyncGenerator<QueryLine, void, undefined> {
  const duckdb = findDuckDb(site);
  const views = (await viewsOf(folder)).filter(({ name }) =>
    new RegExp(`\\b${name}(_json)?\\b`, 'i').test(sql),
  );
  const order: QueryOrder = {
    ...{ duckdb, sql, views, folder, temporaryFolder },
    ...{ memoryMegabytes: MEMORY_MEGABYTES, threads: THREADS },
    ...(maxRows === undefined ? {} : { maxRows }),
    ...(parquetFile === undefined ? {} : { parquetFile }),
  };
  const inTime = AbortSignal.timeout(LONGEST_MS);
  const process = spawn(
    globalThis.process.execPath,
    [fileURLToPath(new URL('./queryProcess.js', import.meta.url))],
    {
      // None of the console's environment: DuckDB needs a place for its home at most.
      env: { HOME: temporaryFolder, TMPDIR: temporaryFolder },
      stdio: ['pipe', 'pipe', 'ignore'],
      signal: AbortSignal.any([signal, inTime]),
      killSignal: 'SIGKILL',
    },
  );
  // Ended by the signal: told below, where the lines end.
  process.on('error', () => undefined);
  process.stdin.on('error', () => undefined);
  // Left open: where it is closed the console is gone, and the query ends.
  process.stdin.write(`${JSON.stringify(order)}\n`);
  let isWhole = false;
  try {
    for await (const text of createInterface({ input: process.stdout, crlfDelay: Infinity })) {
      const line = JSON.parse(text) as QueryLine;
      if ('error' in line) {
        throw new RoundsError('CONSOLE_ASK_INVALID', line.error, {
          hint: 'Mend the query, and run it again.',
        });
      }
      isWhole = 'end' in line;
      yield line;
    }
    signal.throwIfAborted();
    if (!isWhole) throw stopped(inTime.aborted);
  } finally {
    process.kill('SIGKILL');
  }
}

function stopped(tookTooLong = false): RoundsError {
  return tookTooLong
    ? new RoundsError('CONSOLE_ASK_INVALID', `the query took more than ${LONGEST_MS / 1000} s, and was ended`)
    : new RoundsError(
        'CONSOLE_ASK_INVALID',
        'DuckDB ended without an answer: it may have run out of memory',
        {
          hint: `A query has ${MEMORY_MEGABYTES} MB; ask for less, or use DuckDB itself on the folder.`,
        },
      );
}

/** Below the console's own folder: what a query puts aside is PHI. */
async function makeTemporaryFolder(site: Site): Promise<string> {
  const parent = path.join(site.folder, 'queries');
  await ensureFolder(parent);
  return mkdtemp(path.join(parent, 'query-'));
}

/** Files may come in as long as the process dies. */
function forget(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** What queries left that a crash ended. To be called when the console starts. */
export async function forgetQueries(site: Site): Promise<void> {
  await rm(path.join(site.folder, 'queries'), { recursive: true, force: true });
}
