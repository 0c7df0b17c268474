import { openLog } from '../system/logger.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { renderReport } from '../report/render.ts';
import type { RunSummary } from '../report/summary.ts';
import { checkAccess } from '../run/preflight.ts';
import { chooseJob, EXIT, loadCommandConfig, type CommandContext } from './context.ts';
import { runByHand } from './oneRun.ts';
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
    return await runByHand(config, job, access, {
      around: { clock, log, random: systemRandom, signal: context.signal },
      command: `fhir-rounds run ${job.jobName}`,
      emit: progress.emit,
      note: context.note,
      options: command,
      noMail: command.noMail,
    });
  } finally {
    progress.end();
    await log.close();
  }
}
