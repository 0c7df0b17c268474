import { RoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Ledger } from './ledger.ts';

/** The ledger is not asked more often, however often the run asks. */
const LOOK_EVERY_MS = 1_000;

/**
 * Throws RUN_CANCELLED once a person asked in the ledger that the job's run ends (`cancel`). To be called wherever a run
 * takes up something new: between searches, between files, and while it waits.
 */
export function cancelCheck(ledger: Ledger, jobName: string, clock: Clock): () => void {
  let lookedAt = -Infinity;
  return () => {
    const now = clock.monotonicMs();
    if (now - lookedAt < LOOK_EVERY_MS) return;
    lookedAt = now;
    if (!ledger.isCancelAsked(jobName)) return;
    throw new RoundsError('RUN_CANCELLED', 'the run was cancelled by a person');
  };
}
