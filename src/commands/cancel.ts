import { openStateLedger, type Surroundings } from '../compose.ts';
import { systemClock } from '../system/clock.ts';
import { silentLog } from '../system/logger.ts';
import { systemRandom } from '../system/random.ts';
import { cancelRun, cancelSentence } from './cancelRun.ts';
import { chooseJob, EXIT, loadCommandConfig, type CommandContext } from './context.ts';

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
    const command = `fhir-rounds cancel ${job.jobName}`;
    const result = await cancelRun(job, await state.fresh(), around, command);
    context.print(context.json ? JSON.stringify(result) : cancelSentence(result));
    return EXIT.complete;
  } finally {
    state.close();
  }
}
