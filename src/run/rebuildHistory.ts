import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError, RoundsError, type ErrorCode } from '../errors.ts';
import { RUN_ID } from '../publish/layout.ts';
import { attachmentsOf, type Manifest, type ManifestFile } from '../publish/manifest.ts';
import { readManifest } from '../publish/verify.ts';
import { countOf } from '../report/format.ts';
import type { RunSummary, TypeSummary } from '../report/summary.ts';
import { asFileError, errno } from '../system/files.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/logger.ts';
import { placeOf } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import { isAnyRunUnderWay, throughGate } from './ledgerGate.ts';
import { removeSnapshot, snapshotFolder } from './snapshot.ts';

export interface StateLedgerOptions {
  readonly stateFolder: string;
  readonly jobs: readonly JobConfig[];
  readonly clock: Clock;
  readonly log: Log;
  /** Tells a person at once (stderr). */
  readonly say: (text: string) => void;
}

/**
 * Rebuilds a new ledger's history and says, where there was one before, that it was lost or damaged and what became
 * of it. A run that was half finished is discarded: its snapshot here, its staging when the next run begins. Does
 * nothing to a ledger that has its history; goes on where a crash cut it short.
 */
export async function completeHistory(
  { stateFolder, jobs, clock, log, say }: StateLedgerOptions,
  ledger: Ledger,
): Promise<void> {
  const why = ledger.incidents.pendingRebuild;
  if (why === undefined) return;
  const runs = await rebuildHistory(ledger, jobs, log);
  const discarded = await throughGate(stateFolder, () => discardSnapshots(stateFolder, ledger));
  const isLoss = why !== '' || runs > 0 || discarded > 0;
  const text = [
    why === '' ? 'The ledger was missing.' : why,
    `Its history was rebuilt from the manifests of ${countOf(runs, 'published run')}.`,
    ...(discarded > 0 ? ['A run that was half finished was discarded; the next one began anew.'] : []),
  ].join(' ');
  ledger.incidents.rebuilt(isLoss ? text : undefined, clock.now());
  if (!isLoss) return;
  log.error('ledger.replaced', { why: text, runs, discarded });
  say(`warning: ${text}`);
}

/** Snapshots of runs that this ledger does not know; none while a run is under way, whose snapshot comes first. */
async function discardSnapshots(stateFolder: string, ledger: Ledger): Promise<number> {
  const folder = path.dirname(snapshotFolder(stateFolder, 'any'));
  const names = (await namesIn(folder)).filter((name) => RUN_ID.test(name));
  if (names.length === 0 || (await isAnyRunUnderWay(stateFolder))) return 0;
  let discarded = 0;
  for (const runId of names) {
    if (ledger.findRun(runId)?.state === 'open') continue;
    // Of a published run it was kept to ask again for what failed, which the new ledger does not know.
    if (ledger.findRun(runId) === undefined) discarded++;
    await removeSnapshot(snapshotFolder(stateFolder, runId));
  }
  return discarded;
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errno(error) === 'ENOENT') return [];
    throw asFileError(error, folder);
  }
}

/** Errors that are not of the one manifest. */
const NOT_OF_MANIFEST: ReadonlySet<ErrorCode> = new Set(['DISK_FULL', 'LEDGER_DAMAGED', 'LOCK_HELD']);

/**
 * Fills a new ledger with what the published folders tell: after a lost or moved state folder, `runs`, the
 * comparison with the run before, and retention know them again. Patients are not in a manifest, so the next
 * roster is held against none. Returns how many runs there are. Repeated harmlessly.
 */
async function rebuildHistory(ledger: Ledger, jobs: readonly JobConfig[], log: Log): Promise<number> {
  let all = 0;
  for (const job of jobs) {
    const place = placeOf(job);
    let adopted = 0;
    for (const name of (await namesIn(place.folders.job)).filter((one) => RUN_ID.test(one)).toSorted()) {
      const folder = path.join(place.folders.job, name);
      try {
        const manifest = await readManifest(folder);
        assertHistory(manifest, name, job.jobName);
        ledger.adoptRun(summaryFrom(manifest, folder, place.fhirBase), place.context);
        adopted++;
      } catch (thrown) {
        const error = asRoundsError(thrown);
        if (NOT_OF_MANIFEST.has(error.code)) throw thrown;
        log.warn('history.unreadable', { runId: name, code: error.code });
      }
    }
    if (adopted > 0) log.info('history.rebuilt', { job: job.jobName, runs: adopted });
    all += adopted;
  }
  return all;
}

/** A manifest that is to become history must say when, how and whose; else it would break what reads the ledger. */
function assertHistory({ extension }: Manifest, name: string, jobName: string): void {
  const { runId, job, status, startedAt, finishedAt, searches } = extension as Partial<Manifest['extension']>;
  const isTimed = [startedAt, finishedAt].every((text) => Number.isFinite(Date.parse(text ?? '')));
  const isCounted =
    searches !== undefined && Object.values(searches).every((count) => Number.isInteger(count));
  const isKnown = status === 'complete' || status === 'partial';
  if (runId === name && job === jobName && isTimed && isCounted && isKnown) return;
  throw new RoundsError('VERIFY_DAMAGED', `the manifest of ${name} does not tell of that run`);
}

function summaryFrom(manifest: Manifest, folder: string, fhirBase: string): RunSummary {
  const { output, extension } = manifest;
  const attachments = attachmentsOf(manifest);
  const startedAtMs = Date.parse(extension.startedAt);
  const finishedAtMs = Date.parse(extension.finishedAt);
  const bytesOf = (files: readonly ManifestFile[]): number => sum(files.map((file) => file.extension.bytes));
  const types = [...new Set(output.map((file) => file.type))].map((resourceType): TypeSummary => {
    const files = output.filter((file) => file.type === resourceType);
    return {
      resourceType,
      records: sum(files.map((file) => file.count)),
      files: files.length,
      bytes: bytesOf(files),
      searches: { planned: 0, ok: 0, empty: 0, gap: 0, failed: 0 },
      previousRecords: undefined,
    };
  });
  return {
    formatVersion: 1,
    programVersion: '',
    jobName: extension.job,
    runId: extension.runId,
    status: extension.status,
    failure: undefined,
    startedAtMs,
    finishedAtMs,
    durationMs: finishedAtMs - startedAtMs,
    resumed: 0,
    method: 'crawl',
    server: new URL(fhirBase).host,
    environment: undefined,
    patients: 0,
    records: sum(types.map((type) => type.records)),
    files: output.length,
    bytes: bytesOf(output),
    searches: extension.searches,
    types,
    causes: [],
    merged: [],
    duplicates: { same: 0, differing: 0 },
    notes: ['Taken from the manifest, since the ledger was lost.'],
    http: { requests: 0, retries: 0, waitedMs: 0 },
    previousRunId: undefined,
    folder,
    current: undefined,
    nextRunAtMs: undefined,
    ...(attachments.files > 0 ? { attachments: { ...attachments, otherType: 0, tooLarge: 0 } } : {}),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
