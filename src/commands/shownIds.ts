import { openStateLedger } from '../compose.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import { readRoster } from '../inputs/patientRoster.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { hasSnapshot, snapshotFolder, snapshotRoster } from '../run/snapshot.ts';
import { systemClock } from '../system/clock.ts';
import { silentLog } from '../system/logger.ts';
import type { CommandContext } from './context.ts';

/** What the few commands that show ids of patients and records have in common. */

/** Throws USAGE unless what is printed is seen by a person at a terminal and not kept by a pipe or a file. */
export function demandTerminal(context: CommandContext, otherwise: string): void {
  if (context.printsToTerminal && !context.json) return;
  throw new RoundsError('USAGE', `--ids prints ids of patients to a terminal only${otherwise}`);
}

/** Writes down, durably, that ids of these runs were shown; to be called before the first is. */
export async function auditShownIds(
  config: Config,
  runs: readonly Pick<RunRow, 'runId' | 'jobName' | 'context'>[],
  context: CommandContext,
): Promise<void> {
  const state = await openStateLedger(config, { clock: systemClock, log: silentLog }, context.note);
  try {
    await state.use(async ({ audit }) => {
      for (const { runId, jobName, context: of } of runs) {
        audit.append({
          event: 'ids.shown',
          atMs: systemClock.now(),
          job: jobName,
          runId,
          server: new URL(of.server).host,
          clientId: of.clientId,
        });
      }
    });
  } finally {
    state.close();
  }
}

export interface NamedPatients {
  /** Patient id or MRN by roster line. */
  readonly byLine: ReadonlyMap<number, string>;
  /** Whether they are from the run's own copy of the roster, or from the file as it is now. */
  readonly from: 'run' | 'file';
}

/** Who stands in these lines of the roster: as the run knew it while it keeps its copy, else as the file says now. */
export async function patientsOf(
  job: JobConfig,
  run: RunRow,
  wanted: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<NamedPatients> {
  const byLine = new Map<number, string>();
  const take = (line: number, patientId: string | undefined, mrn: string | undefined): void => {
    if (wanted.has(line)) byLine.set(line, patientId ?? `MRN ${mrn ?? '?'}`);
  };
  const folder = snapshotFolder(job.settings.paths.state_folder, run.runId);
  if (await hasSnapshot(folder)) {
    for await (const { line, patientId, mrn } of snapshotRoster(folder)) take(line, patientId, mrn);
    return { byLine, from: 'run' };
  }
  const file = job.settings.data_sources.epic_sandbox_roster;
  for await (const { line, patientId, mrn } of readRoster(file, { badRows: 'skip', signal })) {
    take(line, patientId, mrn);
  }
  return { byLine, from: 'file' };
}
