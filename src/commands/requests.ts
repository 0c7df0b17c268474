import type { Surroundings } from '../compose.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { asRoundsError, type RoundsError } from '../errors.ts';
import { duration } from '../report/format.ts';
import { placeOf } from '../run/jobPlace.ts';
import { isLockHeld, RunLock } from '../run/lock.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RequestKind, RunRequest } from '../run/ledgerRequests.ts';
import type { StateLedger } from '../run/stateLedger.ts';
import { DAEMON_LOCK } from '../views/daemon.ts';
import type { Attempt, AttemptEnd } from '../schedule/jobLoop.ts';
import { cancelRun, cancelSentence } from './cancelRun.ts';
import { dryRun, dryRunText } from './dryRun.ts';

/** A person waits at the other end; and an idle daemon must not be felt. */
const LOOK_EVERY_MS = 2_000;
/** Who asked for a run so long ago, while no daemon ran, does not wait for it any more. */
const LONGEST_WAIT_MS = 6 * 3_600_000;

export interface RequestDeps {
  readonly state: StateLedger;
  readonly around: Surroundings;
  readonly config: () => Config;
  /** One attempt in the turn of its server; `refused` is told why it could not begin. */
  readonly attempt: (
    jobName: string,
    attempt: Attempt,
    refused: (error: RoundsError) => void,
  ) => Promise<AttemptEnd>;
}

/**
 * Serves what people ask for in the console, as long as this daemon is the one that holds the state folder's lock
 * (another one may have been started by mistake). Ends with the signal; never throws.
 */
export async function serveRequests(deps: RequestDeps): Promise<void> {
  const { around } = deps;
  const { clock, signal, log } = around;
  const work = new Set<Promise<void>>();
  let lock: RunLock | undefined;
  try {
    while (!signal.aborted) {
      try {
        const ledger = await deps.state.fresh();
        lock ??= await takeDaemonLock(deps, ledger);
        if (lock !== undefined) takeUp(deps, ledger, work);
      } catch (thrown) {
        const { code, hint } = asRoundsError(thrown);
        log.error('daemon.not_done', { what: 'requests', code, hint });
      }
      await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    }
    await Promise.all(work);
  } finally {
    try {
      lock?.close();
    } catch {
      // Its name stays in a ledger that was replaced or cannot be written; the lock itself is free.
    }
  }
}

/** undefined: another daemon has it. */
async function takeDaemonLock(
  { state, around, config }: RequestDeps,
  ledger: Ledger,
): Promise<RunLock | undefined> {
  const { clock, log } = around;
  const stateFolder = config().jobs[0]!.settings.paths.state_folder;
  try {
    const lock = await RunLock.take({
      ...{ stateFolder, ledger, clock, name: DAEMON_LOCK, command: 'fhir-rounds daemon' },
    });
    await state.use(async ({ requests }) => requests.endTaken(clock.now()));
    return lock;
  } catch (thrown) {
    if (asRoundsError(thrown).code !== 'LOCK_HELD') throw thrown;
    log.warn('daemon.second', {
      what: 'another daemon serves this state folder; requests of the console go to it',
    });
    return undefined;
  }
}

function takeUp(deps: RequestDeps, ledger: Ledger, work: Set<Promise<void>>): void {
  for (const request of ledger.requests.waiting()) {
    if (!ledger.requests.take(request.requestNo)) continue;
    const { requestNo, jobName: job, kind } = request;
    deps.around.log.info('request.taken', { requestNo, job, kind });
    const end = serve(deps, request).finally(() => work.delete(end));
    work.add(end);
  }
}

async function serve(deps: RequestDeps, request: RunRequest): Promise<void> {
  const { state, around } = deps;
  const { clock, log } = around;
  const end = await carryOut(deps, request).catch((thrown: unknown) => refusal(asRoundsError(thrown)));
  log.info('request.ended', { requestNo: request.requestNo, state: end.state, runId: end.runId });
  await state
    .use(async ({ requests }) => requests.end(request, end, clock.now()))
    .catch((thrown: unknown) =>
      log.error('daemon.not_done', { what: 'requests', code: asRoundsError(thrown).code }),
    );
}

type End = Parameters<Ledger['requests']['end']>[1];

async function carryOut(deps: RequestDeps, request: RunRequest): Promise<End> {
  const { jobName, kind, askedAtMs } = request;
  const job = deps.config().jobs.find((one) => one.jobName === jobName);
  if (job === undefined) return { state: 'refused', answer: `The INI has no job ${jobName} any more.` };
  const waitedMs = deps.around.clock.now() - askedAtMs;
  if (kind !== 'cancel' && waitedMs > LONGEST_WAIT_MS) {
    return { state: 'refused', answer: `No daemon took it up for ${duration(waitedMs)}: ask again.` };
  }
  switch (kind) {
    case 'dry-run':
      return { state: 'done', answer: dryRunText(await dryRun(job, deps.around.signal)) };
    case 'cancel':
      return await cancel(deps, job, askedAtMs);
    case 'run':
    case 'retry-failed':
      return await run(deps, job, kind);
  }
}

async function cancel({ state, around }: RequestDeps, job: JobConfig, askedAtMs: number): Promise<End> {
  const ledger = await state.fresh();
  const open = ledger.openRunOf(job.jobName);
  // Nobody asked to cancel a run that began since.
  if (open !== undefined && open.startedAtMs > askedAtMs) {
    return {
      state: 'refused',
      answer: `Run ${open.runId} began after this was asked for, and is left alone.`,
    };
  }
  const result = await cancelRun(job, ledger, around, 'fhir-rounds daemon');
  return { state: 'done', runId: result.cancelled ?? undefined, answer: cancelSentence(result) };
}

async function run(
  { state, attempt }: RequestDeps,
  job: JobConfig,
  kind: Extract<RequestKind, 'run' | 'retry-failed'>,
): Promise<End> {
  const { jobName } = job;
  const open = (await state.fresh()).openRunOf(jobName);
  // Its turn would come when that run has ended: a second one is not what was meant.
  if (open !== undefined && isLockHeld(placeOf(job).stateFolder, `job ${jobName}`)) {
    return { state: 'refused', runId: open.runId, answer: `Run ${open.runId} is under way already.` };
  }
  let why: RoundsError | undefined;
  const end = await attempt(
    jobName,
    { retryFailed: kind === 'retry-failed', patient: true, missed: undefined },
    (error) => (why = error),
  );
  if (end === 'closed') {
    const [last] = (await state.fresh()).runs({ jobName, limit: 1 });
    return {
      state: 'done',
      runId: last?.runId,
      answer: `Run ${last?.runId} ended: ${last?.status ?? 'open'}.`,
    };
  }
  if (why !== undefined) return refusal(why);
  return { state: 'refused', answer: WHY_NOT[end] };
}

const WHY_NOT: Readonly<Record<Exclude<AttemptEnd, 'closed'>, string>> = {
  waiting: 'Another run has the job or its server, or the hours allowed are over.',
  away: 'The server is away, or the disk is full; what was begun goes on by itself.',
  refused: 'The run could not begin.',
};

function refusal({ message, hint }: RoundsError): End {
  return { state: 'refused', answer: `${message}\n${hint}` };
}
