import type { Config } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { count, countOf } from '../report/format.ts';
import { doneOf, howFar } from '../run/howFar.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { isoInstant } from '../system/clock.ts';
import { chooseRun, withLedger } from '../views/chooseRun.ts';
import { loadCommandConfig, type CommandContext } from './context.ts';
import { auditShownIds, demandTerminal, patientsOf } from './shownIds.ts';
import { lineRanges, troublesOf, type Trouble } from '../views/troubles.ts';

export interface ShowCommand {
  /** `latest`, `current`, a run's id or its beginning. */
  readonly run: string;
  readonly jobName: string | undefined;
  /** Whether to print the ids of the patients behind gaps and failures, too. */
  readonly ids: boolean;
}

/**
 * `show RUN`: one run's counts, and its gaps and failures by cause and roster line. With `--ids` the patients' ids,
 * to a terminal only and written into the audit file first. Throws RUN_UNKNOWN, USAGE.
 */
export async function showCommand(command: ShowCommand, context: CommandContext): Promise<number> {
  if (command.ids) demandTerminal(context, '');
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => {
    const run = chooseRun(ledger, command.run, command.jobName);
    const troubles = await troublesOf(ledger!, stateFolderOf(config), run);
    if (context.json) {
      const { runNo: _runNo, ...row } = run;
      context.print(JSON.stringify({ ...row, troubles }));
      return 0;
    }
    for (const line of await headOf(ledger!, run, config)) context.print(line);
    for (const line of troubleLines(troubles)) context.print(line);
    if (command.ids) await showIds(config, run, troubles ?? [], context);
    return 0;
  });
}

async function headOf(ledger: Ledger, run: RunRow, config: Config): Promise<readonly string[]> {
  if (run.summary) {
    const { renderReport } = await import('../report/render.ts');
    const timezone =
      config.jobs.find((job) => job.jobName === run.jobName)?.settings.schedule.timezone ?? 'UTC';
    return [renderReport(run.summary, { timezone, locale: 'en', full: true }).text];
  }
  const far = await howFar(ledger, stateFolderOf(config), run);
  const done = far === undefined ? '' : `; ${doneOf(far)} of ${count(far.planned)} done`;
  return [
    `run ${run.runId} of ${run.jobName} began ${isoInstant(run.startedAtMs)} and is not closed${done}.`,
    '',
  ];
}

function* troubleLines(troubles: readonly Trouble[] | undefined): Generator<string> {
  if (troubles === undefined) {
    yield 'Its folder is gone, and with it the roster lines that are not named above.';
    return;
  }
  if (troubles.length === 0) return;
  yield 'Gaps and failures by cause and roster line';
  yield '------------------------------------------';
  for (const { outcome, code, epicCode, httpStatus, resourceType, searches, rosterLines } of troubles) {
    const details = [
      ...(httpStatus === undefined ? [] : [`HTTP ${httpStatus}`]),
      ...(epicCode === undefined ? [] : [`Epic ${epicCode}`]),
    ];
    const cause = details.length === 0 ? code : `${code} (${details.join(', ')})`;
    const where = rosterLines.length === 0 ? '' : `: ${lineRanges(rosterLines)}`;
    yield `${outcome.padEnd(6)}  ${resourceType}  ${cause}  ${countOf(searches, 'search', 'searches')}${where}`;
  }
}

async function showIds(
  config: Config,
  run: RunRow,
  troubles: readonly Trouble[],
  context: CommandContext,
): Promise<void> {
  const job = config.jobs.find(({ jobName }) => jobName === run.jobName);
  if (job === undefined) throw new RoundsError('USAGE', `the INI has no job ${run.jobName} any more`);
  const wanted = new Set(troubles.flatMap(({ rosterLines }) => rosterLines));
  if (wanted.size === 0) {
    context.print('No patient stands behind a gap or failure.');
    return;
  }
  await auditShownIds(config, [run], context);
  const { byLine, from } = await patientsOf(job, run, wanted, context.signal);
  context.print('');
  context.print(
    from === 'run'
      ? 'Patients, from the run’s own copy of the roster (this is written into the audit file)'
      : 'Patients, from the roster file as it is now (this is written into the audit file)',
  );
  for (const line of [...wanted].toSorted((a, b) => a - b)) {
    context.print(`roster:${line}  ${byLine.get(line) ?? 'not in the roster any more'}`);
  }
}

function stateFolderOf(config: Config): string {
  return config.jobs[0]!.settings.paths.state_folder;
}
