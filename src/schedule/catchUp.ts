import type { Hours } from './hours.ts';
import type { Slots } from './slots.ts';

/** What a job's daemon does next, decided from what is known at one moment. Pure. */

export interface ScheduleRules {
  readonly slots: Slots;
  readonly allowedHours: Hours;
  /** What becomes of a slot that nobody was there to serve. */
  readonly catchUp: 'once' | 'skip';
  /** 0 = failed searches are not asked again. */
  readonly retryAfterMs: number;
}

export interface Moment {
  readonly nowMs: number;
  /** Slots up to this one are served. */
  readonly servedMs: number;
  /** Whether a run was begun and not closed. */
  readonly hasOpenRun: boolean;
  /** The job's newest run, where it ended with what may succeed later. */
  readonly unfinished: Unfinished | undefined;
  /** The newest slot that was noticed when it was due, and may have had to wait since. */
  readonly noticedMs: number | undefined;
  /** Until then nothing is tried: the last attempt met a server that is away, or could not begin. */
  readonly holdUntilMs: number;
}

export interface Unfinished {
  readonly finishedAtMs: number;
  /** Runs of the job since its slot, this one included. */
  readonly runsSinceSlot: number;
  /** Whether it was published, so that its failed searches alone are asked; else all is. */
  readonly isPublished: boolean;
}

export type Step =
  /** Nothing now; at the latest then it is to be asked again. */
  | { readonly do: 'wait'; readonly untilMs: number | undefined }
  /** The slot was missed, and counts as served. */
  | { readonly do: 'pass-over'; readonly slotMs: number }
  /** `slotMs` undefined: no slot is due, an interrupted or failed run is taken up. */
  | { readonly do: 'run'; readonly slotMs: number | undefined; readonly missed: Missed | undefined }
  | { readonly do: 'retry-failed' };

/** Slots that nobody served and one run makes up for. */
export interface Missed {
  /** At most `MOST_COUNTED`. */
  readonly count: number;
  readonly firstMs: number;
}

/** A slot noticed later than this was missed: the daemon was down, the machine asleep or the event loop blocked. */
export const ON_TIME_MS = 5 * 60_000;
const MOST_COUNTED = 1_000;

export function nextStep(moment: Moment, rules: ScheduleRules): Step {
  const { nowMs, servedMs, hasOpenRun } = moment;
  const { slots, allowedHours } = rules;
  const dueMs = slots.newest(servedMs, nowMs);
  if (dueMs !== undefined && rules.catchUp === 'skip' && wasMissed(dueMs, moment)) {
    return { do: 'pass-over', slotMs: dueMs };
  }
  const nextMs = slots.after(nowMs);
  const retryMs = retryAt(moment.unfinished, rules);
  const isRetryDue = retryMs !== undefined && retryMs <= nowMs;
  if (dueMs === undefined && !hasOpenRun && !isRetryDue) return wait(retryMs, nextMs);
  if (moment.holdUntilMs > nowMs) return wait(moment.holdUntilMs, nextMs);
  if (!allowedHours.isOpen(nowMs)) return wait(allowedHours.nextChange(nowMs), nextMs);
  if (hasOpenRun || dueMs !== undefined || !moment.unfinished!.isPublished) {
    return { do: 'run', slotMs: dueMs, missed: missedOf(dueMs, moment, slots) };
  }
  return { do: 'retry-failed' };
}

function wait(...instants: readonly (number | undefined)[]): Step {
  const known = instants.filter((instant) => instant !== undefined);
  return { do: 'wait', untilMs: known.length === 0 ? undefined : Math.min(...known) };
}

function wasMissed(dueMs: number, { nowMs, noticedMs }: Moment): boolean {
  return nowMs - dueMs > ON_TIME_MS && dueMs !== noticedMs;
}

function missedOf(dueMs: number | undefined, moment: Moment, slots: Slots): Missed | undefined {
  if (dueMs === undefined || dueMs === moment.noticedMs) return undefined;
  const lateMs = moment.nowMs - ON_TIME_MS;
  const firstMs = slots.after(moment.servedMs, lateMs);
  if (firstMs === undefined) return undefined;
  let count = 1;
  for (let at = slots.after(firstMs, lateMs); at !== undefined && count < MOST_COUNTED; count++) {
    at = slots.after(at, lateMs);
  }
  return { count, firstMs };
}

/** When what failed is asked again: after a while that doubles with each run, and never after the next slot. */
function retryAt(
  unfinished: Unfinished | undefined,
  { slots, retryAfterMs }: Pick<ScheduleRules, 'slots' | 'retryAfterMs'>,
): number | undefined {
  if (unfinished === undefined || retryAfterMs === 0) return undefined;
  const { finishedAtMs, runsSinceSlot } = unfinished;
  const atMs = finishedAtMs + retryAfterMs * 2 ** Math.max(0, runsSinceSlot - 1);
  return slots.after(finishedAtMs, atMs) === undefined ? atMs : undefined;
}

const LONGEST_HOLD_MS = 60 * 60_000;

/** How long to hold after so many attempts in vain: twice as long each time, an hour at most. */
export function holdAfter(attempts: number, firstMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(attempts - 1, 20), LONGEST_HOLD_MS);
}

/** A clock that was set back by more than this starts the schedule anew; by less, nothing is run twice. */
const LARGEST_STEP_BACK_MS = 24 * 60 * 60_000;

/** Up to which slot a job is served, from the ledger: by what was noted, and by a run that was begun since. */
export function servedThrough(notedMs: number, lastRunStartedMs: number | undefined, nowMs: number): number {
  const newest = [notedMs, lastRunStartedMs ?? notedMs].filter(
    (instant) => instant - nowMs <= LARGEST_STEP_BACK_MS,
  );
  return newest.length === 0 ? nowMs : Math.max(...newest);
}
