import type { Clock } from '../system/clock.ts';

/**
 * Something to sleep by: ends at its time, or earlier when somebody rings. Who rings while nobody sleeps is heard by the
 * next who goes to sleep.
 */
export class Bell {
  readonly #clock: Clock;
  readonly #sleepers = new Set<AbortController>();
  #unheard = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#unheard = this.#sleepers.size === 0;
    for (const sleeper of this.#sleepers) sleeper.abort();
  }

  /** Returns after `ms`, when it is rung, or when `signal` is aborted. Never throws. */
  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    const wasRung = this.#unheard;
    this.#unheard = false;
    if (signal.aborted || wasRung) return;
    const sleeper = new AbortController();
    // AbortSignal.any would keep each sleeper reachable from the signal, which lives as long as the daemon.
    const wake = (): void => sleeper.abort();
    signal.addEventListener('abort', wake);
    this.#sleepers.add(sleeper);
    try {
      await this.#clock.sleep(ms, sleeper.signal);
    } catch {
      // Rung, or told to stop: who sleeps looks which.
    } finally {
      this.#sleepers.delete(sleeper);
      signal.removeEventListener('abort', wake);
    }
  }
}
