import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../system/clock.ts';
import { writeAtomic } from '../system/files.ts';
import type { RunEvent } from './events.ts';
import { locksFolder } from './ledgerGate.ts';

/** No server is believed for longer (system/retry.ts); a later instant was written by another clock. */
const LONGEST_MS = 15 * 60_000;
/** Shorter pauses are over before another process asks. */
const SHORTEST_MS = 1_000;

/**
 * The pause that a FHIR server asked for (429, 503, `RateLimit`), kept beside the locks for whoever asks it next:
 * another job, or the next start of a run that was stopped in it. To keep it is an attempt: a full disk loses it.
 */
export interface ServerPause {
  hear(event: RunEvent): void;
  /** What is left of it, in ms. */
  left(): Promise<number>;
}

export function serverPause(stateFolder: string, fhirBase: string, clock: Clock): ServerPause {
  const name = `${encodeURIComponent(new URL(fhirBase).origin)}.pause`;
  const file = path.join(locksFolder(stateFolder), name);
  return {
    hear: (event) => {
      if (event.event !== 'server.paused' || event.reason !== 'asked' || event.ms < SHORTEST_MS) return;
      void writeAtomic(file, String(Math.ceil(clock.now() + event.ms))).catch(() => undefined);
    },
    left: async () => {
      const until = Number(await readFile(file, 'utf8').catch(() => '0'));
      const left = until - clock.now();
      return left > 0 && left <= LONGEST_MS ? left : 0;
    },
  };
}
