import { setTimeout as realSleep } from 'node:timers/promises';
import type { Clock } from '../../src/system/clock.ts';

/** What goes on outside the clock: the virtual time stands still while a request is on its way. */
export interface Activity {
  readonly inFlight: number;
  readonly total: number;
}

/**
 * Time that passes only while everybody waits: real sockets and files work at their own pace, and once nothing has
 * moved for a moment, the sleeper that is due first is woken at its instant. Three hours take a second.
 */
export function createVirtualClock(activity: () => Activity): Clock {
  const startMs = Math.floor(Date.now() / 1000) * 1000;
  const sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();
  let elapsed = 0;
  let isPumping = false;

  async function pump(): Promise<void> {
    isPumping = true;
    while (sleepers.size > 0) {
      const before = activity().total;
      await realSleep(1);
      const { inFlight, total } = activity();
      if (inFlight > 0 || total !== before) continue;
      const [first] = [...sleepers].toSorted((a, b) => a.dueMs - b.dueMs);
      if (first === undefined) break;
      elapsed = Math.max(elapsed, first.dueMs);
      sleepers.delete(first);
      first.wake();
    }
    isPumping = false;
  }

  return {
    now: () => startMs + elapsed,
    monotonicMs: () => elapsed,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const stop = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason as Error);
        };
        const wake = (): void => {
          signal?.removeEventListener('abort', stop);
          resolve();
        };
        const sleeper = { dueMs: elapsed + Math.max(0, ms), wake };
        signal?.addEventListener('abort', stop, { once: true });
        sleepers.add(sleeper);
        if (!isPumping) void pump();
      }),
  };
}
