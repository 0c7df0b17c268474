import { setTimeout as realSleep } from 'node:timers/promises';
import type { Clock } from '../../src/system/clock.ts';
import { createSleepers } from '../support/sleepers.ts';

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
  const sleepers = createSleepers();
  let elapsed = 0;
  let isPumping = false;

  async function pump(): Promise<void> {
    isPumping = true;
    while (sleepers.size > 0) {
      const before = activity().total;
      await realSleep(1);
      const { inFlight, total } = activity();
      const dueMs = sleepers.nextDueMs;
      if (inFlight > 0 || total !== before || dueMs === undefined) continue;
      elapsed = Math.max(elapsed, dueMs);
      sleepers.wakeNext();
    }
    isPumping = false;
  }

  return {
    now: () => startMs + elapsed,
    monotonicMs: () => elapsed,
    sleep: async (ms, signal) => {
      const woken = sleepers.sleepUntil(elapsed + Math.max(0, ms), signal);
      if (!isPumping) void pump();
      await woken;
    },
  };
}
