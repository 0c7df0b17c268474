import { connectServer, openTeller, type Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError } from '../errors.ts';
import type { RunSummary } from '../report/summary.ts';
import type { RunDeps, RunOptions } from '../run/deps.ts';
import type { Emit } from '../run/events.ts';
import type { Ledger } from '../run/ledger.ts';
import type { Access } from '../run/preflight.ts';
import { runJob } from '../run/runJob.ts';
import { createHours } from '../schedule/hours.ts';
import { createSlots } from '../schedule/slots.ts';
import { withinHours } from '../schedule/withinHours.ts';
import { programVersion } from './context.ts';

/** What sets a run apart: who asked for it, and how. */
export interface OneRun {
  readonly command: string;
  readonly emit: Emit;
  readonly options: RunOptions;
  readonly missedSlots?: RunDeps['missedSlots'];
}

/** One run of a job, in the hours allowed and told of: what `run` and the daemon share. Throws what `runJob` throws. */
export async function runWith(
  job: JobConfig,
  access: Access,
  ledger: Ledger,
  around: Surroundings,
  { command, emit, options, missedSlots }: OneRun,
): Promise<RunSummary> {
  const { schedule } = job.settings;
  const { clock } = around;
  const hours = createHours(schedule.allowed_hours, schedule.timezone);
  const afterOutage = options.patient ? 'RUN_PAUSED' : 'SERVER_AWAY';
  const teller = await openTeller(job, around);
  try {
    return await withinHours(hours, around, async (signal) => {
      const within = { ...around, signal };
      const summary = await runJob(
        {
          ...within,
          job,
          access,
          ledger,
          emit: (event) => {
            if (event.event === 'run.started') teller.started();
            emit(event);
          },
          programVersion: programVersion(),
          command,
          nextRunAtMs: nextSlot(schedule, clock.now()),
          missedSlots,
          connect: (access, emit, log) => connectServer(job, access, { ...within, log }, emit, afterOutage),
        },
        options,
      );
      teller.ended(summary);
      return summary;
    });
  } catch (error) {
    if (asRoundsError(error).failure !== 'transient') teller.refused();
    throw error;
  } finally {
    await teller.close();
  }
}

function nextSlot({ cron, timezone }: JobConfig['settings']['schedule'], nowMs: number): number | undefined {
  return cron === undefined ? undefined : createSlots(cron, timezone).after(nowMs);
}
