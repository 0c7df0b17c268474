import path from 'node:path';
import { expect } from 'vitest';
import { verifyFolder } from '../../src/publish/verify.ts';
import { verifyAudit } from '../../src/run/auditVerify.ts';
import { openLedgerForReading } from '../../src/run/ledger.ts';
import type { OracleLine, Sandbox } from '../../src/sandbox/startSandbox.ts';
import { until } from '../support/cli.ts';
import { currentOf, expectExactly, readRun, runsOf, type Published } from '../support/publishedRun.ts';
import type { Site } from '../support/site.ts';
import { namesIn } from '../support/asked.ts';

/**
 * What must be true once a run came to its end, however often it was killed on the way: so many published folders,
 * each equal to its manifest and, but for the `partial` first, to the oracle; `current` at the newest, nothing left
 * over, the ledger closed, no line of the audit file cut.
 */
export async function expectWholeRuns(
  site: Site,
  oracle: readonly OracleLine[],
  runs = 1,
  partial = 0,
): Promise<readonly string[]> {
  const runIds = await runsOf(site);
  expect(runIds).toHaveLength(runs);
  for (const [no, runId] of runIds.entries()) {
    const published = await readRun(path.join(site.exportFolder, 'default', runId));
    if (no >= partial) await expectExactly(published, oracle);
    expect((await verifyFolder(published.folder)).damage).toEqual([]);
    expect(published.manifest.extension.status).toBe(no < partial ? 'partial' : 'complete');
    await expectRunLog(published);
  }
  expect(await currentOf(site)).toBe(runIds.at(-1));
  await expectNothingLeft(site, runIds, runIds.slice(0, partial));
  return runIds;
}

/** Each line of the run's log is whole: a crash that tore one has not spoilt it. */
async function expectRunLog(published: Published): Promise<void> {
  const log = (await published.text('log.ndjson')).split('\n');
  expect(log.pop()).toBe('');
  for (const line of log) expect(JSON.parse(line)).toMatchObject({ exportId: published.runId });
}

/** No draft, no staging, no working copy but of what can be retried; the ledger has the end of every run. */
async function expectNothingLeft(
  site: Site,
  runIds: readonly string[],
  retriable: readonly string[],
): Promise<void> {
  const job = path.join(site.exportFolder, 'default');
  expect(await namesIn(site.exportFolder)).toEqual(['default']);
  expect(await namesIn(job)).toEqual([...runIds, '.staging', 'current', 'current.json'].toSorted());
  expect(await namesIn(path.join(job, '.staging'))).toEqual([]);
  expect(await namesIn(path.join(site.stateFolder, 'runs'))).toEqual(retriable);
  expect((await namesIn(site.stateFolder)).filter((name) => name.startsWith('.'))).toEqual([]);
  const ledger = openLedgerForReading(site.stateFolder)!;
  try {
    expect(ledger.openRunOf('default')).toBeUndefined();
    expect(ledger.lastPublished('default')).toMatchObject({ runId: runIds.at(-1), status: 'complete' });
    expect(ledger.outbox.waitingRunIds()).toEqual([]);
    expect(ledger.incidents.open('default')).toEqual([]);
    const known = { ledger: ledger.audit.head(), witnesses: [], manifests: new Map<string, string>() };
    expect(verifyAudit(path.join(site.stateFolder, 'audit.ndjson'), known).damage).toEqual([]);
  } finally {
    ledger.close();
  }
}

/** A mail server that keeps every copy, where Bridge would drop it: what crashes repeat is to be seen. */
export const COUNTS_REPEATS = { dedupe: false } as const;

/** How often each run's mail came since `from`, by the run's id; a repeated one is the same mail. */
export function mailsByRun({ smtp }: Sandbox, from = 0): ReadonlyMap<string, number> {
  const copies = new Map<string, number>();
  for (const { raw } of smtp!.mails.slice(from)) {
    const runId = /^message-id:\s*<(\d{8}T\d{6}Z-[0-9a-f]{4})\./im.exec(raw)?.[1] ?? 'none';
    copies.set(runId, (copies.get(runId) ?? 0) + 1);
  }
  return copies;
}

/** Waits until the server has done with the requests of a process that is no more. */
export async function settled(sandbox: Sandbox): Promise<void> {
  await until('the requests of a killed process', () => sandbox.counts().inFlight === 0);
}

export async function linesOf(
  oracle: AsyncIterable<OracleLine> | Iterable<OracleLine>,
): Promise<readonly OracleLine[]> {
  const lines: OracleLine[] = [];
  for await (const line of oracle) lines.push(line);
  return lines;
}
