import type { Clock } from '../../src/system/clock.ts';
import { createSleepers } from './sleepers.ts';

/** A clock that moves only when a test says so. */
export interface FakeClock extends Clock {
  /** All waits that were asked for so far, in ms and in order. */
  readonly sleeps: readonly number[];
  /** How many sleep at this moment. */
  readonly sleeping: number;
  /** Moves time on, waking each sleeper at its own instant; what it wakes gets to run in between. */
  advance(ms: number): Promise<void>;
}

export interface FakeClockOptions {
  readonly startMs?: number;
  /** Every sleep moves the time on by itself and ends at once: for one caller that only retries. */
  readonly auto?: boolean;
}

export const START_MS = Date.UTC(2026, 10, 22, 2);

export function createFakeClock({ startMs = START_MS, auto = false }: FakeClockOptions = {}): FakeClock {
  let elapsed = 0;
  const sleeps: number[] = [];
  const sleepers = createSleepers();
  const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted();
    sleeps.push(ms);
    if (auto) elapsed += ms;
    else await sleepers.sleepUntil(elapsed + ms, signal);
  };
  return {
    sleeps,
    get sleeping() {
      return sleepers.size;
    },
    now: () => startMs + elapsed,
    monotonicMs: () => elapsed,
    sleep,
    async advance(ms) {
      const until = elapsed + ms;
      for (;;) {
        await settle();
        const dueMs = sleepers.nextDueMs;
        if (dueMs === undefined || dueMs > until) break;
        elapsed = Math.max(elapsed, dueMs);
        sleepers.wakeNext();
      }
      elapsed = until;
      await settle();
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when `condition` holds; for what real sockets and files have to do first. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
