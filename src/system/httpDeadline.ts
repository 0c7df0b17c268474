import { RoundsError } from '../errors.ts';

/** What ends an exchange before its time: the caller's signal, or waiting too long. */
export interface Deadline {
  /** Waits from now on, for `timeoutMs` at most. */
  start(): void;
  /** Waits no longer. */
  stop(): void;
  /** Stops, and leaves nothing on the caller's signal. May be repeated. */
  release(): void;
}

/**
 * A deadline that has been started. Has to be released, unless it has ended the exchange.
 * @param end told the caller's reason, or RoundsError TIMEOUT; never before `startDeadline` has returned
 */
export function startDeadline(
  timeoutMs: number,
  outer: AbortSignal | undefined,
  end: (reason: Error) => void,
): Deadline {
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => clearTimeout(timer);
  const finish = (reason: Error): void => {
    release();
    end(reason);
  };
  const late = (): void => finish(new RoundsError('TIMEOUT', 'the server did not answer in time'));
  // AbortSignal.any would keep every request's signal reachable from the run's signal (nodejs/node#54614).
  const forward = (): void => finish(outer?.reason as Error);
  const start = (): void => {
    stop();
    timer = setTimeout(late, timeoutMs);
  };
  const release = (): void => {
    stop();
    outer?.removeEventListener('abort', forward);
  };
  outer?.addEventListener('abort', forward, { once: true });
  start();
  return { start, stop, release };
}
