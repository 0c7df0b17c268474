import { connectServer, openStateLedger, type Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError, RoundsError } from '../errors.ts';
import { placeOf } from '../run/jobPlace.ts';
import { closeFailed } from '../run/close.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { areRunLocksHeld, takeRunLocks } from '../run/lock.ts';
import { checkAccess } from '../run/preflight.ts';
import { deleteLeftExports } from '../run/pullBulk.ts';
import { closeContextOf } from '../run/runJob.ts';
import { systemClock } from '../system/clock.ts';
import { silentLog } from '../system/logger.ts';
import { systemRandom } from '../system/random.ts';
import { chooseJob, EXIT, loadCommandConfig, programVersion, type CommandContext } from './context.ts';

/** How long who carries the run out may take to end it: a request is let go at once, a commit is finished. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 200;

/**
 * `cancel [JOB]`: ends the job's open run as abandoned, whoever carries it out, and deletes what the job has left at
 * the server. Nothing that is published changes. Throws LOCK_HELD when the run's process does not let go.
 */
export async function cancelCommand(jobName: string | undefined, context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context);
  const job = chooseJob(config, jobName);
  const around: Surroundings = {
    clock: systemClock,
    log: silentLog,
    random: systemRandom,
    signal: context.signal,
  };
  const state = await openStateLedger(config, around, context.note);
  try {
    const ledger = await state.fresh();
    const run = ledger.openRunOf(job.jobName);
    if (run) await endRun(job, ledger, run, around);
    const left = await deleteExports(job, ledger, around);
    const result = { job: job.jobName, cancelled: run?.runId ?? null, exportsDeleted: left };
    context.print(context.json ? JSON.stringify(result) : sentenceOf(result));
    return EXIT.complete;
  } finally {
    state.close();
  }
}

function sentenceOf(result: {
  readonly job: string;
  readonly cancelled: string | null;
  readonly exportsDeleted: number;
}): string {
  const exports =
    result.exportsDeleted === 0 ? '' : ` Exports deleted at the server: ${result.exportsDeleted}.`;
  if (result.cancelled === null) return `${result.job} has no run under way.${exports}`;
  return `Run ${result.cancelled} of ${result.job} is cancelled; nothing of it was published.${exports}`;
}

async function endRun(
  job: JobConfig,
  ledger: Ledger,
  run: RunRow,
  { clock, signal, random, log }: Surroundings,
): Promise<void> {
  ledger.askCancel(run.runNo);
  const place = placeOf(job);
  for (let waited = 0; areRunLocksHeld({ ...job, method: 'bulk' }, place); waited += LOOK_MS) {
    if (waited >= PATIENCE_MS) break;
    await clock.sleep(LOOK_MS, signal);
  }
  const command = `fhir-rounds cancel ${job.jobName}`;
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
