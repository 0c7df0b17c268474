import { openLedgerForReading, type Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import type { Config } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { isoInstant } from '../system/clock.ts';
import { loadCommandConfig, type CommandContext } from './context.ts';

/** `runs`: the history, newest first. */
export async function runsCommand(
  jobName: string | undefined,
  limit: number,
  context: CommandContext,
): Promise<number> {
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => {
    const runs = ledger?.runs({ ...(jobName === undefined ? {} : { jobName }), limit }) ?? [];
    if (context.json) context.print(JSON.stringify(runs.map(({ runNo: _runNo, ...run }) => run)));
    else if (runs.length === 0) context.print('No run is recorded.');
    else for (const run of runs) context.print(lineOf(run));
    return 0;
  });
}

function lineOf(run: RunRow): string {
  const { summary } = run;
  const verdict = run.status ?? 'open';
  const counts = summary
    ? `${summary.records} resources, ${summary.searches.gap} gaps, ${summary.searches.failed} failed, ${Math.round(summary.durationMs / 1000)} s`
    : 'not closed';
  return `${run.runId}  ${run.jobName}  ${verdict.padEnd(9)}  ${counts}`;
}

/** `show RUN`: one run's counts, gaps and failures by cause and roster line. */
export async function showCommand(runId: string, context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context, false);
  return withLedger(config, async (ledger) => {
    const run = ledger?.findRun(runId);
    if (run === undefined) throw new RoundsError('RUN_UNKNOWN', `there is no run ${runId}`);
    if (context.json) {
      const { runNo: _runNo, ...row } = run;
      context.print(JSON.stringify(row));
    } else if (run.summary) {
      const { renderReport } = await import('../report/render.ts');
      const timezone =
        config.jobs.find((job) => job.jobName === run.jobName)?.settings.schedule.timezone ?? 'UTC';
      context.print(renderReport(run.summary, { timezone, locale: 'en', full: true }).text);
    } else
      context.print(
        `run ${run.runId} of ${run.jobName} began ${isoInstant(run.startedAtMs)} and is not closed.`,
      );
    return 0;
  });
}

/** The ledger that all jobs of an INI share. */
async function withLedger<T>(config: Config, work: (ledger: Ledger | undefined) => Promise<T>): Promise<T> {
  const ledger = openLedgerForReading(config.jobs[0]!.settings.paths.state_folder);
  try {
    return await work(ledger);
  } finally {
    ledger?.close();
  }
}
