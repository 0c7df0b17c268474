import type { Clock } from '../system/clock.ts';
import { Bell } from './bell.ts';
import {
  holdAfter,
  nextStep,
  ON_TIME_MS,
  type Missed,
  type ScheduleRules,
  type Step,
  type Unfinished,
} from './catchUp.ts';

/** What a job is served by at this moment; another one after each reload of the configuration. */
export interface JobRules extends ScheduleRules {
  /** Rings at each slot that node-cron knows; closed when other rules take its place. */
  readonly startTicks: (ring: () => void) => { close(): void };
  /** How long a server that is away is waited for, from the first attempt in vain, before a person is told. */
  readonly patienceMs: number;
  /** The first wait after an attempt in vain. */
  readonly firstHoldMs: number;
}

/** What the ledger says of a job. */
export interface JobFacts {
  readonly servedMs: number;
  /** Whether a run was interrupted that can go on. */
  readonly hasOpenRun: boolean;
  readonly unfinished: Unfinished | undefined;
}

export interface Attempt {
  readonly retryFailed: boolean;
  /** Whether a server that is away pauses the run; else it fails now. */
  readonly patient: boolean;
  readonly missed: Missed | undefined;
}

/**
 * How an attempt ended.
 * - `closed`: the run has its end, whatever it was. - `waiting`: somebody else has the lock, or the hours are over.
 * - `away`: something passes (the server is away, the disk is full); what was begun goes on later.
 * - `refused`: it could not begin, and a person has to act.
 */
export type AttemptEnd = 'closed' | 'waiting' | 'away' | 'refused';

export interface JobLoopDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The rules that count now; undefined: the job has no schedule any more. */
  readonly rules: () => JobRules | undefined;
  readonly look: () => Promise<JobFacts>;
  readonly attempt: (attempt: Attempt) => Promise<AttemptEnd>;
  readonly markServed: (slotMs: number) => Promise<void>;
  /** Told of what `look` and `markServed` throw: the ledger may be locked, or its disk full. It is tried again. */
  readonly failed: (error: unknown) => void;
}

/** The clock on the wall is looked at so often at least: it may be set, a machine may sleep, and node-cron lose a slot. */
const LOOK_EVERY_MS = 60_000;
/** Who holds a lock does not tell when it lets go. */
const LOCK_LOOK_MS = 2_000;

/** Serves the schedule of one job until told to stop. What was served is in the ledger, so a crash loses nothing. */
export class JobLoop {
  readonly #deps: JobLoopDeps;
  readonly #bell: Bell;
  #ticks: { readonly rules: JobRules; close(): void } | undefined;
  /** The newest slot that was seen to be due, and the newest that was seen so in time. */
  #dueMs: number | undefined;
  #noticedMs: number | undefined;
  #wasOpen = false;
  #holdUntilMs = 0;
  #inVain = 0;
  #awaySinceMs: number | undefined;

  constructor(deps: JobLoopDeps) {
    this.#deps = deps;
    this.#bell = new Bell(deps.clock);
  }

  /** Whether a server that is away, or a full disk, is waited for. */
  get isAway(): boolean {
    return this.#awaySinceMs !== undefined;
  }

  /** Something changed: looks at once, and tries again what was held. */
  wake(): void {
    this.#holdUntilMs = 0;
    this.#bell.ring();
  }

  /** Resolves when the signal is aborted, or the job has no schedule any more. Never throws. */
  async run(): Promise<void> {
    const { signal, rules, failed } = this.#deps;
    try {
      for (let now = rules(); now !== undefined && !signal.aborted; now = rules()) {
        this.#follow(now);
        try {
          await this.#step(now);
        } catch (error) {
          failed(error);
          await this.#bell.sleep(LOOK_EVERY_MS, signal);
        }
      }
    } finally {
      this.#ticks?.close();
    }
  }

  #follow(rules: JobRules): void {
    if (this.#ticks?.rules === rules) return;
    this.#ticks?.close();
    const ticks = rules.startTicks(() => this.#bell.ring());
    this.#ticks = { rules, close: () => ticks.close() };
  }

  async #step(rules: JobRules): Promise<void> {
    const { clock, signal, look, markServed } = this.#deps;
    const facts = await look();
    const nowMs = clock.now();
    this.#notice(rules.slots.newest(facts.servedMs, nowMs), nowMs);
    // What was waited for so long was given up, and a person told; the patience with the next run begins anew.
    if (this.#wasOpen && !facts.hasOpenRun && this.isAway) this.#awaySinceMs = nowMs;
    this.#wasOpen = facts.hasOpenRun;
    const step = nextStep(
      { ...facts, nowMs, noticedMs: this.#noticedMs, holdUntilMs: this.#holdUntilMs },
      rules,
    );
    if (step.do === 'pass-over') return markServed(step.slotMs);
    if (step.do === 'wait') {
      const left = (step.untilMs ?? Infinity) - nowMs;
      return this.#bell.sleep(Math.min(Math.max(left, 0), LOOK_EVERY_MS), signal);
    }
    const end = await this.#deps.attempt(this.#attemptOf(step, facts, rules, nowMs));
    // An interrupted run that was taken up serves the slot that it was begun for; this one has its own to come.
    const isServed = end === 'closed' && step.do === 'run' && !facts.hasOpenRun;
    if (isServed && step.slotMs !== undefined) await markServed(step.slotMs);
    await this.#settle(end, rules, nowMs);
  }

  #notice(dueMs: number | undefined, nowMs: number): void {
    if (dueMs === undefined || dueMs === this.#dueMs) return;
    this.#dueMs = dueMs;
    // What could not begin for the slot before may do so now.
    if (!this.isAway) this.#inVain = 0;
    if (nowMs - dueMs <= ON_TIME_MS) this.#noticedMs = dueMs;
  }

  #attemptOf(step: Step, { hasOpenRun }: JobFacts, { patienceMs }: JobRules, nowMs: number): Attempt {
    return {
      retryFailed: step.do === 'retry-failed',
      // An open run has its own limit (resume_within_hours), and is reported when it is abandoned.
      patient: hasOpenRun || nowMs - (this.#awaySinceMs ?? nowMs) < patienceMs,
      missed: step.do === 'run' ? step.missed : undefined,
    };
  }

  async #settle(end: AttemptEnd, rules: JobRules, beganMs: number): Promise<void> {
    const { clock, signal } = this.#deps;
    if (signal.aborted) return;
    if (end === 'waiting') return this.#bell.sleep(LOCK_LOOK_MS, signal);
    if (end === 'closed') {
      this.#inVain = 0;
      this.#awaySinceMs = undefined;
      return;
    }
    this.#inVain++;
    this.#awaySinceMs = end === 'away' ? (this.#awaySinceMs ?? beganMs) : undefined;
    const now = clock.now();
    if (end === 'away') this.#holdUntilMs = now + holdAfter(this.#inVain, rules.firstHoldMs);
    else {
      const retryMs =
        rules.retryAfterMs === 0 ? Infinity : rules.retryAfterMs * 2 ** Math.min(this.#inVain - 1, 20);
      this.#holdUntilMs = Math.min(now + retryMs, rules.slots.after(now) ?? Infinity);
    }
  }
}
