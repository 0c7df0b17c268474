import type { Clock } from '../../src/system/clock.ts';

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

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

export const START_MS = Date.UTC(2026, 10, 22, 2);

export function createFakeClock({ startMs = START_MS, auto = false }: FakeClockOptions = {}): FakeClock {
  let elapsed = 0;
  const sleeps: number[] = [];
  const sleepers = new Set<Sleeper>();
  const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted();
    sleeps.push(ms);
    if (auto) {
      elapsed += ms;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const sleeper = { dueMs: elapsed + ms, wake };
      sleepers.add(sleeper);
      signal?.addEventListener('abort', stop);
    });
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
        const next = [...sleepers].toSorted((a, b) => a.dueMs - b.dueMs)[0];
        if (next === undefined || next.dueMs > until) break;
        elapsed = Math.max(elapsed, next.dueMs);
        sleepers.delete(next);
        next.wake();
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
