import path from 'node:path';
import { onTestFinished } from 'vitest';
import { LEDGER_FILE, openLedger, type Ledger } from '../../src/run/ledger.ts';
import type { ChainPosition, RunRow, SharedRow } from '../../src/run/ledgerRows.ts';
import type { Commit } from '../../src/run/tally.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { START_MS } from './fakeClock.ts';

export const CONTEXT = {
  server: 'https://fhir.example/R4',
  clientId: 'client',
  exportFolder: '/srv/exports',
};
export const RUN_ID = '20261122T020000Z-3f2a';

/** A ledger that is closed when the running test ends. */
export async function testLedger(folder: string): Promise<Ledger> {
  const ledger = await openLedger(folder);
  onTestFinished(() => ledger.close());
  return ledger;
}

export function beginTestRun(
  ledger: Ledger,
  given: { readonly runId?: string; readonly base?: RunRow } = {},
): RunRow {
  return ledger.beginRun({
    runId: given.runId ?? RUN_ID,
    jobName: 'default',
    context: CONTEXT,
    startedAtMs: START_MS,
    ...(given.base ? { base: given.base } : {}),
  });
}

/** Commits in order, each with the shared rows it brings. */
export function commitAll(
  ledger: Ledger,
  run: RunRow,
  commits: readonly (readonly [commit: Commit, shared?: readonly SharedRow[]])[],
): ChainPosition {
  return commits.reduce(
    (position, [commit, shared]) => ledger.pulls.commit(run.runNo, position, commit, shared ?? []),
    ledger.pulls.chainStart(run.runNo),
  );
}

/** Runs SQL on the ledger's file behind its back, as bit rot or a hand would. */
export function tamper(folder: string, sql: string): void {
  const db = openDatabase(path.join(folder, LEDGER_FILE), { busyTimeoutMs: 1_000 });
  db.exec(sql);
  db.close();
}

export function sharedRow(resourceId: string, state: SharedRow['state'], contentCrc = 0): SharedRow {
  return { resourceType: 'Practitioner', resourceId, state, contentCrc };
}
