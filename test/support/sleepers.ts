/** Who sleeps on a test's clock: they wake when the clock says so, the one that is due first at first. */
export interface Sleepers {
  readonly size: number;
  /** Resolves when woken; rejects with the signal's reason, at once when it is aborted already. */
  sleepUntil(dueMs: number, signal?: AbortSignal): Promise<void>;
  /** When the first is due. */
  readonly nextDueMs: number | undefined;
  wakeNext(): void;
}

export function createSleepers(): Sleepers {
  const sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();
  const next = () => [...sleepers].toSorted((a, b) => a.dueMs - b.dueMs)[0];
  return {
    get size() {
      return sleepers.size;
    },
    get nextDueMs() {
      return next()?.dueMs;
    },
    async sleepUntil(dueMs, signal) {
      signal?.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const stop = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason as Error);
        };
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', stop);
          resolve();
        };
        const sleeper = { dueMs, wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', stop, { once: true });
      });
    },
    wakeNext: () => next()?.wake(),
  };
}
