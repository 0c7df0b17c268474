import { openTeller, type Surroundings } from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { asRoundsError, ERROR_CODES, type ErrorCode, type RoundsError } from '../errors.ts';
import { areRunLocksHeld } from '../run/lock.ts';
import { placeOf } from '../run/jobPlace.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { checkAccess } from '../run/preflight.ts';
import { hasSnapshot, snapshotFolder } from '../run/snapshot.ts';
import type { StateLedger } from '../run/stateLedger.ts';
import { servedThrough, type Unfinished } from '../schedule/catchUp.ts';
import { startTicks } from '../schedule/cronSchedule.ts';
import { createHours } from '../schedule/hours.ts';
import type { Attempt, AttemptEnd, JobFacts, JobRules } from '../schedule/jobLoop.ts';
import { createSlots } from '../schedule/slots.ts';
import { runWith } from './oneRun.ts';

/** A job as its schedule's loop sees it: its rules from the INI, its facts from the ledger, its runs. */

const MINUTE_MS = 60_000;
/** The first wait for a server that went away; no longer than the run itself has waited. */
const LONGEST_FIRST_HOLD_MS = 5 * MINUTE_MS;

/** undefined: the job is run by hand alone. */
export function rulesOf({ settings }: JobConfig): JobRules | undefined {
  const { schedule, api_settings: api } = settings;
  const { cron, timezone } = schedule;
  if (cron === undefined) return undefined;
  return {
    slots: createSlots(cron, timezone),
    allowedHours: createHours(schedule.allowed_hours, timezone),
    catchUp: schedule.catch_up,
    retryAfterMs: schedule.retry_failed_after_minutes * MINUTE_MS,
    patienceMs: schedule.resume_within_hours * 60 * MINUTE_MS,
    firstHoldMs: Math.max(1_000, Math.min(api.max_outage_minutes * MINUTE_MS, LONGEST_FIRST_HOLD_MS)),
    startTicks: (ring) => startTicks(cron, timezone, ring),
  };
}

/** Runs that are looked back at: a job's attempts since its slot are few. */
const LOOK_BACK_RUNS = 20;

/** What the ledger says; a schedule that it does not know yet counts from now on. */
export async function factsOf(job: JobConfig, ledger: Ledger, nowMs: number): Promise<JobFacts> {
  const { jobName } = job;
  const noted = ledger.schedules.served(jobName);
  const isKnown = noted?.schedule === scheduleOf(job);
  if (!isKnown) noteServed(job, ledger, nowMs);
  const slotMs = isKnown ? noted.slotMs : nowMs;
  const runs = ledger.runs({ jobName, limit: LOOK_BACK_RUNS });
  const fresh = runs.find(({ state, status, baseRunId }) => {
    return state === 'closed' && status !== 'abandoned' && baseRunId === undefined;
  });
  const open = ledger.openRunOf(jobName);
  return {
    servedMs: servedThrough(slotMs, fresh?.startedAtMs, nowMs),
    hasOpenRun: open !== undefined && (await isResumable(job, open)),
    unfinished: await unfinishedOf(job, runs, slotMs),
  };
}

/** Cron expression and time zone, as the ledger names a schedule. */
function scheduleOf({ settings }: JobConfig): string {
  return `${settings.schedule.cron ?? ''} ${settings.schedule.timezone}`;
}

export function noteServed(job: JobConfig, ledger: Ledger, slotMs: number): void {
  ledger.schedules.markServed(job.jobName, { schedule: scheduleOf(job), slotMs });
}

async function isResumable({ settings }: JobConfig, { runId }: RunRow): Promise<boolean> {
  return hasSnapshot(snapshotFolder(settings.paths.state_folder, runId));
}

/** The newest run, where something of it may succeed later. */
async function unfinishedOf(
  job: JobConfig,
  runs: readonly RunRow[],
  slotMs: number,
): Promise<Unfinished | undefined> {
  const [last] = runs;
  if (last?.finishedAtMs === undefined || last.summary === undefined) return undefined;
  const { status, folder, summary } = last;
  const isPublished = status === 'partial';
  const mayGoBetter = isPublished
    ? folder !== undefined && summary.searches.failed > 0 && (await isResumable(job, last))
    : status === 'failed' && isTransient(summary.failure?.code);
  const runsSinceSlot = runs.filter(({ startedAtMs }) => startedAtMs >= slotMs).length;
  return mayGoBetter ? { finishedAtMs: last.finishedAtMs, runsSinceSlot, isPublished } : undefined;
}

function isTransient(code: string | undefined): boolean {
  return code !== undefined && code in ERROR_CODES && ERROR_CODES[code as ErrorCode].failure === 'transient';
}

/** One attempt at a run. Throws nothing; `refused` is told why a run could not begin, `done` that one has ended. */
export async function attemptRun(
  job: JobConfig,
  { retryFailed, patient, missed }: Attempt,
  deps: {
    readonly state: StateLedger;
    readonly around: Surroundings;
    readonly refused: (job: JobConfig, error: RoundsError) => Promise<void>;
    readonly done: (job: JobConfig) => Promise<void>;
  },
): Promise<AttemptEnd> {
  const { state, around, refused, done } = deps;
  const { log, signal, clock } = around;
  const { jobName, settings } = job;
  const options = { fresh: false, retryFailed, acceptRoster: false, manual: false, patient };
  if (signal.aborted || areRunLocksHeld(job, placeOf(job))) return 'waiting';
  try {
    const access = await checkAccess(job, signal).catch(async (error: unknown) => {
      await tellRefused(job, around);
      throw error;
    });
    await state.use((ledger) =>
      runWith(job, access, ledger, around, {
        ...{ command: 'fhir-rounds daemon', emit: () => undefined, options },
        ...(missed === undefined ? {} : { missedSlots: missed }),
      }),
    );
    await done(job);
    return 'closed';
  } catch (thrown) {
    if (signal.aborted) return 'waiting';
    const error = asRoundsError(thrown);
    const { code, failure, hint } = error;
    const hours = createHours(settings.schedule.allowed_hours, settings.schedule.timezone);
    const isOver = code === 'LOCK_HELD' || !hours.isOpen(clock.now());
    const end = isOver ? 'waiting' : failure === 'transient' ? 'away' : 'refused';
    if (end === 'waiting') log.info('run.waits', { job: jobName, code });
    else log.error(`run.${end}`, { job: jobName, code, hint });
    if (end === 'refused') await refused(job, error);
    return end;
  }
}

async function tellRefused(job: JobConfig, around: Surroundings): Promise<void> {
  const teller = await openTeller(job, around).catch(() => undefined);
  teller?.refused();
  await teller?.close();
}
