import {
  connectServer,
  openStateLedger,
  openTeller,
  sendWaitingMail,
  type Surroundings,
} from '../compose.ts';
import type { Config, JobConfig } from '../config/schema.ts';
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

/** A run that a person or a program asked for, and how it tells them of itself. */
export interface RunByHand {
  readonly around: Surroundings;
  readonly command: string;
  readonly emit: Emit;
  /** Takes remarks for a person, a line each. */
  readonly note: (text: string) => void;
  readonly options: Pick<RunOptions, 'fresh' | 'retryFailed' | 'acceptRoster'>;
  readonly noMail: boolean;
}

/** Runs a job to its end and sends its mail: `run` and the library. Throws what `runJob` throws. */
export async function runByHand(
  config: Config,
  job: JobConfig,
  access: Access,
  { around, command, emit, note, options, noMail }: RunByHand,
): Promise<RunSummary> {
  const state = await openStateLedger(config, around, note);
  const sendMail = async (): Promise<void> => {
    if (!noMail) await mail(config, state.current, around, note);
  };
  try {
    const { fresh, retryFailed, acceptRoster } = options;
    const how = { fresh, retryFailed, acceptRoster, manual: true, patient: false };
    const summary = await state.use((ledger) =>
      runWith(job, access, ledger, around, { command, emit, options: how }),
    );
    await sendMail();
    return summary;
  } catch (error) {
    // A run that stopped has its mail too. What else goes wrong now says less than what stopped it.
    if (asRoundsError(error).code === 'DISK_FULL') await sendMail().catch(() => undefined);
    throw error;
  } finally {
    state.close();
  }
}

async function mail(
  config: Config,
  ledger: Ledger,
  around: Surroundings,
  note: (text: string) => void,
): Promise<void> {
  const result = await sendWaitingMail(config, ledger, around, true);
  const { sent, waiting, held, lastCode, refusedRecipients = 0 } = result;
  around.log.info('mail.drained', { sent, waiting, held, lastCode });
  if (refusedRecipients > 0) {
    note(
      `warning: the mail server refused ${refusedRecipients} of the recipients in [email] notification_to; the log has their places there`,
    );
  }
  const left = waiting + held;
  if (left > 0) {
    const mails = left === 1 ? '1 mail waits' : `${left} mails wait`;
    note(`${mails} in the outbox (${lastCode ?? 'no mail settings'}) for whatever runs next`);
  }
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
