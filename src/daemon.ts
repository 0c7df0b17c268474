import { openStateLedger, sendWaitingMail, type Surroundings } from './compose.ts';
import { EXIT, loadCommandConfig, type CommandContext } from './commands/context.ts';
import { runWith } from './commands/run.ts';
import type { Config, JobConfig } from './config/schema.ts';
import { asRoundsError, RoundsError } from './errors.ts';
import type { StateLedger } from './run/stateLedger.ts';
import { checkAccess } from './run/preflight.ts';
import { nextRunAt, startSchedule } from './schedule/cronSchedule.ts';
import { isoInstant, systemClock } from './system/clock.ts';
import { systemRandom } from './system/random.ts';
import { openLog, type Log } from './system/logger.ts';

/** How often mails that wait are looked after between runs. */
const OUTBOX_EVERY_MS = 60_000;

/**
 * `daemon`: runs every job that has a schedule at its times, until SIGINT or SIGTERM. An interrupted run is picked
 * up at start; a running one is checkpointed at the end, and goes on at the next start.
 */
export async function daemonCommand(context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context);
  const [first] = config.jobs;
  const { paths, logging } = first!.settings;
  const log = await openLog({ ...logging, folder: paths.log_folder, human: context.terminal !== undefined });
  const state = await openStateLedger(config, { clock: systemClock, log }, context.note);
  try {
    return await serve(config, state, log, context);
  } finally {
    state.close();
    await log.close();
  }
}

async function serve(config: Config, state: StateLedger, log: Log, context: CommandContext): Promise<number> {
  const scheduled = config.jobs.filter((job) => job.settings.schedule.cron !== undefined);
  if (scheduled.length === 0) {
    throw new RoundsError('CONFIG_INVALID', 'no job has a [schedule] cron, so the daemon has nothing to do', {
      hint: 'Set [schedule] cron = 0 2 * * *, or run by hand with `fhir-rounds run`.',
    });
  }
  const { signal } = context;
  const around: Surroundings = { clock: systemClock, log, random: systemRandom, signal };
  // Jobs of one process take turns, so that none is refused the server's lock by another.
  let turn: Promise<void> = Promise.resolve();
  const enqueue = (job: JobConfig): Promise<void> => {
    turn = turn.then(() => runScheduled(config, job, state, around));
    return turn;
  };
  const schedules = scheduled.map((job) => {
    const { cron, timezone } = job.settings.schedule;
    const next = nextRunAt(cron!, timezone);
    log.info('schedule.started', {
      job: job.jobName,
      next: next === undefined ? undefined : isoInstant(next),
    });
    return startSchedule(cron!, timezone, () => enqueue(job));
  });
  process.send?.('ready');
  process.on('message', (message) => {
    // PM2 on Windows, where a signal cannot be caught (shutdown_with_message).
    if (message === 'shutdown') process.emit('SIGINT');
  });
  for (const job of scheduled) if (state.current.openRunOf(job.jobName)) void enqueue(job);
  while (!signal.aborted) {
    await lookAfterMail(config, state, around);
    await systemClock.sleep(OUTBOX_EVERY_MS, signal).catch(() => undefined);
  }
  await Promise.all(schedules.map((schedule) => schedule.close()));
  await turn;
  log.info('daemon.stopped');
  return EXIT.complete;
}

async function runScheduled(
  config: Config,
  job: JobConfig,
  state: StateLedger,
  around: Surroundings,
): Promise<void> {
  if (around.signal.aborted) return;
  try {
    const access = await checkAccess(job, around.signal);
    await state.use((ledger) =>
      runWith(job, access, ledger, around, {
        command: 'fhir-rounds daemon',
        emit: () => undefined,
        options: { fresh: false, retryFailed: false, acceptRoster: false, manual: false },
      }),
    );
  } catch (thrown) {
    const error = asRoundsError(thrown);
    around.log.error('run.refused', { job: job.jobName, code: error.code, hint: error.hint });
  }
  await lookAfterMail(config, state, around);
}

/** Mail never stops the scheduler: neither a locked or damaged ledger nor a full disk does. */
async function lookAfterMail(config: Config, state: StateLedger, around: Surroundings): Promise<void> {
  try {
    await state.use((ledger) => sendWaitingMail(config, ledger, around));
  } catch (thrown) {
    const { code, hint } = asRoundsError(thrown);
    around.log.error('mail.not_looked_after', { code, hint });
  }
}
