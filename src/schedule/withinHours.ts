import { RoundsError } from '../errors.ts';
import { isoInstant, type Clock } from '../system/clock.ts';
import type { Hours } from './hours.ts';

/** How often the clock on the wall is looked at: it may be set, and a machine may sleep. */
const LOOK_EVERY_MS = 60_000;

/**
 * Does `work` in the hours allowed. Outside of them, or when they end meanwhile, it throws RUN_PAUSED; `work` is told
 * by its signal.
 */
export async function withinHours<T>(
  hours: Hours,
  around: { readonly clock: Clock; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock, signal } = around;
  if (!hours.isOpen(clock.now())) throw outside(hours, clock.now());
  const inside = new AbortController();
  const over = new AbortController();
  const forward = (): void => inside.abort(signal.reason);
  signal.addEventListener('abort', forward, { once: true });
  if (signal.aborted) forward();
  const watch = async (): Promise<void> => {
    for (;;) {
      const now = clock.now();
      if (!hours.isOpen(now)) return inside.abort(outside(hours, now));
      const change = hours.nextChange(now);
      // Always open.
      if (change === undefined) return;
      await clock.sleep(Math.min(change - now, LOOK_EVERY_MS), over.signal);
    }
  };
  const watching = watch().catch(() => undefined);
  try {
    return await work(inside.signal);
  } finally {
    over.abort();
    signal.removeEventListener('abort', forward);
    await watching;
  }
}

function outside(hours: Hours, nowMs: number): RoundsError {
  const opening = hours.nextChange(nowMs);
  const when = opening === undefined ? '' : `; they begin again at ${isoInstant(opening)}`;
  return new RoundsError('RUN_PAUSED', `[schedule] allowed_hours are over${when}`, {
    hint:
      'The daemon goes on by itself then. To run now all the same, once: ' +
      'FHIR_ROUNDS_SCHEDULE_ALLOWED_HOURS=00:00-24:00 fhir-rounds run JOB',
  });
}
