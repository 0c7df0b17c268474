import { existsSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { openLedgerForReading, type Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';

/** How a person names a run: `latest`, `current`, its id or the beginning of it. */

/** Work with the ledger that all jobs of an INI share; undefined when there is none yet. */
export async function withLedger<T>(
  config: Config,
  work: (ledger: Ledger | undefined) => Promise<T>,
): Promise<T> {
  const ledger = openLedgerForReading(config.jobs[0]!.settings.paths.state_folder);
  try {
    return await work(ledger);
  } finally {
    ledger?.close();
  }
}

/**
 * The run that `name` means: `latest` is the newest of all, `current` the newest complete one (with `jobName`, of that
 * job). Throws RUN_UNKNOWN when there is none or more than one.
 */
export function chooseRun(ledger: Ledger | undefined, name: string, jobName?: string): RunRow {
  const run = ledger && findNamed(ledger, name, jobName);
  if (run === undefined) throw new RoundsError('RUN_UNKNOWN', `there is no run ${name}`);
  return run;
}

function findNamed(ledger: Ledger, name: string, jobName: string | undefined): RunRow | undefined {
  if (name === 'latest') return ledger.runs({ ...(jobName === undefined ? {} : { jobName }), limit: 1 })[0];
  if (name === 'current') return ledger.lastComplete(jobName);
  const [first, second] = ledger.runsBeginning(name, 2);
  if (second === undefined) return first;
  throw new RoundsError(
    'RUN_UNKNOWN',
    `several runs begin with ${name}: ${first!.runId}, ${second.runId} ...`,
    { hint: 'Write as much of the id as makes it the only one.' },
  );
}

/** The published folder of a run. Throws RUN_FOLDER_GONE. */
export function folderOf({ runId, folder, status }: RunRow): string {
  if (folder !== undefined && existsSync(folder)) return folder;
  if (status !== 'complete' && status !== 'partial') {
    throw new RoundsError('RUN_FOLDER_GONE', `run ${runId} published nothing (${status ?? 'open'})`);
  }
  const why = folder === undefined ? 'retention took it' : `there is no ${folder}`;
  throw new RoundsError('RUN_FOLDER_GONE', `the folder of run ${runId} is gone: ${why}`);
}
