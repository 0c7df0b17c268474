import { existsSync } from 'node:fs';
import path from 'node:path';
import { readLines } from '../ndjson/reader.ts';
import { readOutcomeLine, type OutcomeRow } from '../report/outcomeFile.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { finalOutcomes } from '../run/replay.ts';
import { hasSnapshot, openSnapshot, snapshotFolder } from '../run/snapshot.ts';

/** Gaps or failures of one cause and type, with every roster line. */
export interface Trouble {
  readonly outcome: 'gap' | 'failed';
  readonly code: string;
  readonly epicCode: string | undefined;
  readonly httpStatus: number | undefined;
  readonly resourceType: string;
  readonly searches: number;
  /** Ascending; empty for units without a patient. */
  readonly rosterLines: readonly number[];
}

/** Published beside the data when there is any trouble. */
const OUTCOME_FILE = path.join('error', 'OperationOutcome.ndjson');

/**
 * A run's gaps and failures, failures first: from the ledger while the run may still need it, otherwise from its
 * published folder. Undefined when neither is there any more.
 */
export async function troublesOf(
  ledger: Ledger,
  stateFolder: string,
  run: RunRow,
): Promise<readonly Trouble[] | undefined> {
  const rows = await outcomesOf(ledger, stateFolder, run);
  return rows && gather(rows);
}

/** The same one by one, in the order in which they were recorded. */
export async function outcomesOf(
  ledger: Ledger,
  stateFolder: string,
  run: RunRow,
): Promise<AsyncIterable<OutcomeRow> | Iterable<OutcomeRow> | undefined> {
  if (run.folder !== undefined && existsSync(run.folder)) {
    const file = path.join(run.folder, OUTCOME_FILE);
    return existsSync(file) ? rowsOf(file) : [];
  }
  const folder = snapshotFolder(stateFolder, run.runId);
  if (!(await hasSnapshot(folder))) return undefined;
  return finalOutcomes(ledger, run, (await openSnapshot(folder)).settings.plan);
}

async function* rowsOf(file: string): AsyncGenerator<OutcomeRow> {
  for await (const line of readLines(file)) yield readOutcomeLine(line);
}

async function gather(rows: AsyncIterable<OutcomeRow> | Iterable<OutcomeRow>): Promise<readonly Trouble[]> {
  const byCause = new Map<string, Trouble & { searches: number; rosterLines: number[] }>();
  for await (const { outcome, resourceType, cause } of rows) {
    const { code, epicCode, httpStatus, rosterLine } = cause;
    const key = [outcome, code, epicCode, httpStatus, resourceType].join(' ');
    let trouble = byCause.get(key);
    if (trouble === undefined) {
      trouble = { outcome, code, epicCode, httpStatus, resourceType, searches: 0, rosterLines: [] };
      byCause.set(key, trouble);
    }
    trouble.searches++;
    if (rosterLine !== undefined) trouble.rosterLines.push(rosterLine);
  }
  const rank = ({ outcome }: Trouble): number => (outcome === 'failed' ? 0 : 1);
  for (const { rosterLines } of byCause.values()) rosterLines.sort((a, b) => a - b);
  return [...byCause.values()].toSorted((a, b) => rank(a) - rank(b) || b.searches - a.searches);
}

/** `roster:2-4, roster:9` */
export function lineRanges(lines: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const line of lines) {
    const last = ranges.at(-1);
    if (last && line <= last[1] + 1) last[1] = line;
    else ranges.push([line, line]);
  }
  return ranges.map(([from, to]) => (from === to ? `roster:${from}` : `roster:${from}-${to}`)).join(', ');
}
