import { openLog, type Log } from '../system/logger.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { openStateLedger, sendWaitingMail, type Surroundings } from '../compose.ts';
import { renderReport } from '../report/render.ts';
import type { RunSummary } from '../report/summary.ts';
import type { Ledger } from '../run/ledger.ts';
import { checkAccess } from '../run/preflight.ts';
import { asRoundsError } from '../errors.ts';
import { chooseJob, EXIT, loadCommandConfig, type CommandContext } from './context.ts';
import { runWith } from './oneRun.ts';
import { showProgress } from './progress.ts';

export interface RunCommand {
  readonly jobName: string | undefined;
  readonly retryFailed: boolean;
  readonly fresh: boolean;
  readonly noMail: boolean;
  readonly acceptRoster: boolean;
}

/** `run [JOB]`: one run now, shown and mailed. Returns the exit code. */
export async function runCommand(command: RunCommand, context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context);
  const job = chooseJob(config, command.jobName);
  const summary = await runOnce(config, job, command, context);
  context.print(
    context.json
      ? JSON.stringify(summary)
      : renderReport(summary, { timezone: job.settings.schedule.timezone, locale: 'en', full: true }).text,
  );
  return exitCodeOf(summary);
}

export function exitCodeOf(summary: RunSummary): number {
  switch (summary.status) {
    case 'complete':
      return EXIT.complete;
    case 'partial':
      return EXIT.partial;
    case 'failed':
    case 'abandoned':
      return EXIT.failed;
  }
}

/** Runs a job to its end and sends its mail. */
export async function runOnce(
  config: Config,
  job: JobConfig,
  command: Pick<RunCommand, 'retryFailed' | 'fresh' | 'noMail' | 'acceptRoster'>,
  context: CommandContext,
): Promise<RunSummary> {
  const { paths, logging } = job.settings;
  const clock = systemClock;
  const access = await checkAccess(job, context.signal);
  const log = await openLog({
    level: logging.level,
    // The screen shows the run's progress; the lines go into the file.
    target: logging.target === 'stdout' ? 'stdout' : 'file',
    folder: paths.log_folder,
    human: context.terminal !== undefined && !context.json,
  });
  const progress = showProgress(context, clock);
  try {
    const around: Surroundings = { clock, log, random: systemRandom, signal: context.signal };
    const state = await openStateLedger(config, around, context.note);
    const sendMail = async (): Promise<void> => {
      if (!command.noMail) await mail(config, state.current, around, context, log);
    };
    try {
      const summary = await state.use((ledger) =>
        runWith(job, access, ledger, around, {
          command: `fhir-rounds run ${job.jobName}`,
          emit: progress.emit,
          options: { ...command, manual: true, patient: false },
        }),
      );
      await sendMail();
      return summary;
    } catch (error) {
      // A run that stopped has its mail too. What else goes wrong now says less than what stopped it.
      if (asRoundsError(error).code === 'DISK_FULL') await sendMail().catch(() => undefined);
      throw error;
    } finally {
      state.close();
    }
  } finally {
    progress.end();
    await log.close();
  }
}

async function mail(
  config: Config,
  ledger: Ledger,
  around: Surroundings,
  context: CommandContext,
  log: Log,
): Promise<void> {
  const result = await sendWaitingMail(config, ledger, around, true);
  const { sent, waiting, held, lastCode, refusedRecipients = 0 } = result;
  log.info('mail.drained', { sent, waiting, held, lastCode });
  if (refusedRecipients > 0) {
    context.note(
      `warning: the mail server refused ${refusedRecipients} of the recipients in [email] notification_to; the log has their places there`,
    );
  }
  const left = waiting + held;
  if (left > 0) {
    const mails = left === 1 ? '1 mail waits' : `${left} mails wait`;
    context.note(`${mails} in the outbox (${lastCode ?? 'no mail settings'}) for whatever runs next`);
  }
}
