import { runByHand } from '../commands/oneRun.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import type { RunSummary } from '../report/summary.ts';
import { checkAccess } from '../run/preflight.ts';
import { systemClock } from '../system/clock.ts';
import { openLog, silentLog } from '../system/logger.ts';
import { systemRandom } from '../system/random.ts';
import type { CallOptions, RunTold } from './options.ts';

/** How {@link runJob} runs. */
export interface RunJobOptions extends CallOptions {
  /** false: nothing is mailed by this call; what waits in the outbox goes on waiting. Default true. */
  readonly mail?: boolean | undefined;
  /** Closes an interrupted run as abandoned and starts a new one, in place of resuming it. Default false. */
  readonly fresh?: boolean | undefined;
  /** Asks again what failed in the last partial run. Default false. */
  readonly retryFailed?: boolean | undefined;
  /** Takes a roster that shrank by more than `max_roster_drop_percent`. Default false. */
  readonly acceptRoster?: boolean | undefined;
  /** Is told how far the run is. Must not throw. */
  readonly onEvent?: ((event: RunTold) => void) | undefined;
}

/** Implements `runJob`: see there. `called`: how the holder of the lock is named to others. */
export async function runInProcess(
  config: Config,
  job: JobConfig,
  called: string,
  options: RunJobOptions,
): Promise<RunSummary> {
  const { signal = new AbortController().signal, onEvent = () => undefined } = options;
  const { level, target } = job.settings.logging;
  signal.throwIfAborted();
  const access = await checkAccess(job, signal);
  const folder = job.settings.paths.log_folder;
  // A library prints nothing: where the log has no file, events alone tell.
  const file =
    target === 'stdout' ? undefined : await openLog({ level, target: 'file', folder, human: false });
  try {
    return await runByHand(config, job, access, {
      around: { clock: systemClock, log: file ?? silentLog, random: systemRandom, signal },
      command: called,
      emit: onEvent,
      note: (text) => onEvent({ event: 'remark', text }),
      options: {
        fresh: options.fresh ?? false,
        retryFailed: options.retryFailed ?? false,
        acceptRoster: options.acceptRoster ?? false,
      },
      noMail: options.mail === false,
    });
  } finally {
    await file?.close();
  }
}
