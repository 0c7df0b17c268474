import { connectServer, type Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError, RoundsError } from '../errors.ts';
import { closeFailed } from '../run/close.ts';
import { placeOf } from '../run/jobPlace.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { areRunLocksHeld, takeRunLocks } from '../run/lock.ts';
import { checkAccess } from '../run/preflight.ts';
import { deleteLeftExports } from '../run/pullBulk.ts';
import { closeContextOf } from '../run/runJob.ts';
import { programVersion } from './context.ts';

/** How long who carries the run out may take to end it: a request is let go at once, a commit is finished. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 200;

export interface Cancelled {
  readonly job: string;
  /** The run that was ended; null: none was under way. */
  readonly cancelled: string | null;
  readonly exportsDeleted: number;
}

/**
 * Ends the job's open run as abandoned, whoever carries it out, and deletes what the job has left at the server.
 * `command` names the caller to who meets its lock. Throws LOCK_HELD when the run's process does not let go.
 */
export async function cancelRun(
  job: JobConfig,
  ledger: Ledger,
  around: Surroundings,
  command: string,
): Promise<Cancelled> {
  const run = ledger.openRunOf(job.jobName);
  if (run) await endRun(job, ledger, run, around, command);
  const exportsDeleted = await deleteExports(job, ledger, around);
  return { job: job.jobName, cancelled: run?.runId ?? null, exportsDeleted };
}

export function cancelSentence({ job, cancelled, exportsDeleted }: Cancelled): string {
  const exports = exportsDeleted === 0 ? '' : ` Exports deleted at the server: ${exportsDeleted}.`;
  if (cancelled === null) return `${job} has no run under way.${exports}`;
  return `Run ${cancelled} of ${job} is cancelled; nothing of it was published.${exports}`;
}

async function endRun(
  job: JobConfig,
  ledger: Ledger,
  run: RunRow,
  { clock, signal, random, log }: Surroundings,
  command: string,
): Promise<void> {
  ledger.askCancel(run.runNo);
  const place = placeOf(job);
  for (let waited = 0; areRunLocksHeld({ ...job, method: 'bulk' }, place); waited += LOOK_MS) {
    if (waited >= PATIENCE_MS) break;
    await clock.sleep(LOOK_MS, signal);
  }
  const locks = await takeRunLocks({ job: { ...job, method: 'bulk' }, ledger, clock, command }, place);
  try {
    // Its process may have closed it, also as complete: the request came too late then.
    if (ledger.openRunOf(job.jobName)?.runNo !== run.runNo) return;
    const deps = {
      ...{ job, ledger, clock, random, log },
      programVersion: programVersion(),
      nextRunAtMs: undefined,
    };
    const error = new RoundsError('RUN_CANCELLED', 'the run was cancelled by a person');
    await closeFailed(closeContextOf(deps, place), run, 'abandoned', error);
  } finally {
    locks.close();
  }
}

/** How many exports were deleted at the server. */
async function deleteExports(job: JobConfig, ledger: Ledger, around: Surroundings): Promise<number> {
  const left = ledger.exports.leftBy(job.jobName).length;
  if (left === 0) return 0;
  try {
    const access = await checkAccess(job, around.signal);
    const server = await connectServer(job, access, around, () => undefined);
    try {
      await deleteLeftExports({ ledger, log: around.log }, server, job.jobName);
    } finally {
      await server.close();
    }
  } catch (thrown) {
    const error = asRoundsError(thrown);
    throw new RoundsError(
      error.code,
      `the run is cancelled, and its export is still at the server: ${error.message}`,
      {
        hint: 'Call `fhir-rounds cancel` again when the server can be reached; the job’s next run tries it too.',
        cause: error,
      },
    );
  }
  return left - ledger.exports.leftBy(job.jobName).length;
}
