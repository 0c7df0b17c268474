import path from 'node:path';
import { asRoundsError, RoundsError, type ErrorCode } from '../errors.ts';
import type { RunSummary } from '../report/summary.ts';
import { openFileLimit } from '../system/files.ts';
import { cancelCheck } from './cancelCheck.ts';
import { resumeOrBegin, type BegunRun } from './begin.ts';
import { closeFailed, closePublished, closePulled, findPublished } from './close.ts';
import type { CloseContext, RunDeps, RunOptions, Server } from './deps.ts';
import { recordDiskFull } from './diskFull.ts';
import { toLog, type Emit } from './events.ts';
import { placeOf, type JobPlace } from './jobPlace.ts';
import { takeRunLocks, type RunLocks } from './lock.ts';
import type { RunRow } from './ledgerRows.ts';
import { typeNames } from './plan.ts';
import { deleteLeftExports, endExports, pullBulk } from './pullBulk.ts';
import { pullRun, type PulledRun } from './pullRun.ts';
import { RunLog } from './runLog.ts';
import { hasSnapshot, openSnapshot, snapshotFolder, type Snapshot } from './snapshot.ts';
import { linkBase, takeSnapshot } from './takeSnapshot.ts';

/**
 * One run of a job, from its inputs to its published folder and queued mail.
 *
 * Throws CONFIG_INVALID and its like (nothing was requested), LOCK_HELD, RUN_NOT_RESUMABLE, or, for a run that was
 * interrupted and will resume, INTERRUPTED or what stopped it (RUN_PAUSED, DISK_FULL ...). A run that failed for good returns
 * its summary with status `failed`.
 */
export async function runJob(deps: RunDeps, options: RunOptions): Promise<RunSummary> {
  const place = placeOf(deps.job);
  const closing = closeContextOf(deps, place);
  try {
    const locks = await takeRunLocks(deps, place);
    try {
      const begun = await resumeOrBegin(deps, options, place, closing);
      locks.nameRun(begun.run.runId);
      const summary = await carryOut(deps, place, closing, begun, options, locks);
      deps.emit({ event: 'run.closed', runId: summary.runId, status: summary.status });
      return summary;
    } finally {
      locks.close();
    }
  } catch (thrown) {
    const error = asRoundsError(thrown);
    throw error.code === 'DISK_FULL' ? await recordDiskFull(deps, place, error) : thrown;
  }
}

/** From the first request to the close. */
async function carryOut(
  deps: RunDeps,
  place: JobPlace,
  closing: CloseContext,
  begun: BegunRun,
  { patient }: RunOptions,
  locks: RunLocks,
): Promise<RunSummary> {
  const { run } = begun;
  const log = deps.log.child({ runId: run.runId });
  const runLog = await RunLog.open(snapshotFolder(place.stateFolder, run.runId), run.runId, deps.clock);
  const tell: Emit = (event) => {
    deps.emit(event);
    toLog(log, event);
    runLog.tell(event);
  };
  try {
    const published = await findPublished(closing, run);
    if (published) return await closePublished(closing, run, published);

    const telling = { ...deps, emit: tell, log };
    const server = await deps.connect(deps.access, tell, log);
    try {
      const { snapshot, pulled } = await pull(telling, place, begun, runLog, server, locks);
      tell({ event: 'run.phase', phase: 'publishing' });
      await runLog.close();
      const summary = await closePulled(closing, run, snapshot, pulled);
      log.info('run.closed', {
        status: summary.status,
        records: summary.records,
        failed: summary.searches.failed,
      });
      await endExports(telling, server, run, summary);
      return summary;
    } finally {
      await server.close();
    }
  } catch (thrown) {
    const error = asRoundsError(thrown);
    noteWork(deps, run, closing);
    if (error.code === 'RUN_CANCELLED') {
      log.warn('run.cancelled');
      return await closeFailed(closing, run, 'abandoned', error);
    }
    // A run that has its snapshot can go on where it stopped; one that failed before, or lost what it had, is over.
    const isWhole = error.code !== 'RUN_NOT_RESUMABLE' && error.code !== 'PUBLISH_MISMATCH';
    const canGoOn = isWhole && (await hasSnapshot(snapshotFolder(place.stateFolder, run.runId)));
    log.error('run.stopped', { code: error.code, canGoOn });
    // Where it has pulled nothing yet, the next attempt begins anew.
    const isWaitedFor = patient && error.failure === 'transient';
    if (canGoOn || isWaitedFor || deps.signal.aborted) throw stopped(run.runId, error);
    return await closeFailed(closing, run, 'failed', error);
  } finally {
    // Where its lines matter it was closed before; here it must not hide what stopped the run.
    await runLog.close().catch(() => undefined);
  }
}

/** The time is for the report alone: a ledger that cannot be written must not hide what stopped the run. */
function noteWork({ ledger, clock, log }: RunDeps, run: RunRow, { attemptFrom }: CloseContext): void {
  try {
    ledger.addWorked(run.runNo, clock.monotonicMs() - attemptFrom);
  } catch (error) {
    log.warn('run.time_lost', { code: asRoundsError(error).code });
  }
}

/** What a person is told of a run that goes on later: its own code where that says more than "interrupted". */
function stopped(runId: string, error: RoundsError): RoundsError {
  if (error.failure !== 'transient' || SAYS_IT_ALL.has(error.code)) return error;
  const hint = `${error.hint} The run goes on where it stopped.`;
  return new RoundsError('INTERRUPTED', `run ${runId} stopped: ${error.code}: ${error.message}`, {
    hint,
    cause: error,
  });
}

const SAYS_IT_ALL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['INTERRUPTED', 'RUN_PAUSED', 'DISK_FULL']);

async function pull(
  deps: RunDeps,
  place: JobPlace,
  { run, inputs }: BegunRun,
  runLog: RunLog,
  server: Server,
  locks: RunLocks,
): Promise<{ readonly snapshot: Snapshot; readonly pulled: PulledRun }> {
  const snapshot = inputs
    ? await takeSnapshot(deps, place, run, inputs, server)
    : await openSnapshot(snapshotFolder(place.stateFolder, run.runId));
  await linkBase(place, snapshot, run);
  const { plan, patients, bulk } = snapshot.settings;
  const planned = patients * plan.searched.length;
  const { jobName, method } = deps.job;
  deps.emit({ event: 'run.started', runId: run.runId, method, patients, planned, resumed: run.resumed > 0 });
  const shared = {
    ...deps,
    run,
    snapshot,
    staging: path.join(place.folders.staging, run.runId),
    modes: place.modes,
    client: server.client,
    fhirBase: place.fhirBase,
    concurrency: await affordableConcurrency(deps),
    throwIfCancelled: cancelCheck(deps.ledger, jobName, deps.clock),
  };
  if (bulk !== undefined) {
    await deleteLeftExports(deps, server, jobName);
    return { snapshot, pulled: await pullBulk(shared, server, runLog, locks) };
  }
  runLog.kickoff(place.fhirBase, deps.programVersion, server.capability.fhirVersion, {
    patients,
    types: typeNames(plan),
  });
  return { snapshot, pulled: await pullRun(shared) };
}

/** What Node, the ledger, the log and the NDJSON files need of file handles. */
const HANDLES_TAKEN = 44;
/** A search has a socket, and a spool file when it is large. */
const HANDLES_OF_SEARCH = 2;

/** As configured, or fewer where this process may not open so many files. */
async function affordableConcurrency({ job, log }: RunDeps): Promise<number> {
  const { concurrency } = job.settings.api_settings;
  const limit = (await openFileLimit()) ?? Infinity;
  const affordable = Math.max(1, Math.floor((limit - HANDLES_TAKEN) / HANDLES_OF_SEARCH));
  if (affordable >= concurrency) return concurrency;
  log.warn('run.concurrency_lowered', { from: concurrency, to: affordable, openFiles: limit });
  return affordable;
}

/** What a run of this job is closed with. */
export function closeContextOf(
  deps: Omit<RunDeps, 'access' | 'connect' | 'signal' | 'emit' | 'log' | 'random' | 'command'>,
  place: JobPlace,
): CloseContext {
  const { job, clock, ledger, programVersion, nextRunAtMs, missedSlots } = deps;
  const { schedule, retention, email, paths, epic_settings: epic } = job.settings;
  return {
    ...place,
    ledger,
    clock,
    environment: epic.environment,
    method: job.method,
    timezone: schedule.timezone,
    programVersion,
    nextRunAtMs,
    notifyOn: email?.notify_on,
    keepRuns: retention.keep_runs,
    keepDays: retention.keep_days,
    missedSlots,
    privateKeyFile: paths.private_key,
    certificateFile: paths.certificate,
    attemptFrom: clock.monotonicMs(),
  };
}
