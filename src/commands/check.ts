import type { Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { redactedSettings } from '../config/view.ts';
import { checkAccess, checkInputs } from '../run/preflight.ts';
import { systemClock } from '../system/clock.ts';
import { silentLog } from '../system/logger.ts';
import { systemRandom } from '../system/random.ts';
import { checkKeyFacts } from '../views/checkKey.ts';
import { checkFolders, checkKeeper, checkProxy, checkRoom } from './checkMachine.ts';
import { checkMail } from './checkMail.ts';
import { checkServer } from './checkServer.ts';
import { lineOf, tellerOf, type Step, type Teller } from '../views/checkStep.ts';
import { EXIT, loadCommandConfig, type CommandContext } from './context.ts';

export interface CheckCommand {
  readonly offline: boolean;
  readonly settings: boolean;
  /** Whether one record of each type is asked for. */
  readonly probe: boolean;
}

/**
 * `check`: every step of the way to a run (configuration, CSVs, key, folders, token, scopes, types, one record of each
 * type, mail login), each ok or what to do. Sends no mail and keeps nothing that it is sent. Exit 0, or 2 when
 * anything is a problem.
 */
export async function checkCommand(command: CheckCommand, context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context);
  if (command.settings) {
    const lines = redactedSettings(config);
    if (context.json) context.print(JSON.stringify(lines));
    else {
      for (const line of lines)
        context.print(`${line.jobName} [${line.section}] ${line.key} = ${line.value}  (${line.source})`);
    }
    return EXIT.complete;
  }
  const steps: Step[] = [];
  for (const job of config.jobs) {
    const to = tellerOf(job.jobName, context.signal, (step) => {
      steps.push(step);
      if (!context.json) context.print(lineOf(step));
    });
    to.tell('configuration', 'ok', config.file);
    await checkJob(job, command, context, to);
  }
  const problems = steps.filter(({ verdict }) => verdict === 'problem').length;
  if (context.json) context.print(JSON.stringify(steps));
  else
    context.print(
      problems === 0 ? 'All is well enough for a run.' : `Problems: ${problems}. Mend the first one first.`,
    );
  return problems === 0 ? EXIT.complete : EXIT.usage;
}

async function checkJob(
  job: JobConfig,
  command: CheckCommand,
  context: CommandContext,
  to: Teller,
): Promise<void> {
  const clock = systemClock;
  const around: Surroundings = { clock, log: silentLog, random: systemRandom, signal: context.signal };
  const access = await to.attempt('key and folders', async () => {
    const value = await checkAccess(job, context.signal);
    return { value, detail: `${value.key.algorithm}, kid ${value.keyId}; readable by its owner alone` };
  });
  for (const warning of access?.warnings ?? []) to.tell('key and folders', 'warning', warning);
  if (access) await checkKeyFacts(job, access, clock, to);
  const inputs = await to.attempt('roster and list', async () => {
    const value = await checkInputs(job, context.signal);
    const { roster, listed } = value;
    const who =
      roster === undefined
        ? 'all patients that the server exports'
        : `${roster.patients} patients (${roster.mrns} by MRN, ${roster.skipped} rows skipped)`;
    return { value, detail: `${who}, ${listed.length} types` };
  });
  await checkFolders(job, to);
  await checkRoom(job, to);
  checkProxy(job, context, to);
  checkKeeper(job, context, to);
  if (command.offline) {
    for (const step of ['token and server', 'mail']) to.tell(step, 'skipped', '--offline');
    return;
  }
  if (access) await checkServer(job, access, inputs, around, command.probe, to);
  await checkMail(job, clock, to);
}
