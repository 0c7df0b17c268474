import type { RunRow } from '../run/ledgerRows.ts';
import { withLedger } from '../views/chooseRun.ts';
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
