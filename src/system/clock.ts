import { setTimeout as sleepFor } from 'node:timers/promises';

/** Time as an argument: the one thing that tests replace. */
export interface Clock {
  /** Milliseconds since 1970, UTC. May jump. */
  now(): number;
  /** Milliseconds since some start; never jumps back. For durations and time-outs. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason as soon as it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node takes longer delays than this for 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    let left = Math.max(0, ms);
    do {
      const step = Math.min(left, LONGEST_TIMER_MS);
      try {
        await sleepFor(step, undefined, signal ? { signal } : {});
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      }
      left -= step;
    } while (left > 0);
  },
};

/** `2026-11-22T02:00:00.000Z`: how instants stand in files and the ledger. */
export function isoInstant(ms: number): string {
  return new Date(ms).toISOString();
}
