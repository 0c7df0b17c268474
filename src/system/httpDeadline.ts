import { RoundsError } from '../errors.ts';

/** What ends an exchange before its time: the caller's signal, or waiting too long. */
export interface Deadline {
  /** Aborted with the caller's reason, or with RoundsError TIMEOUT. */
  readonly signal: AbortSignal;
  /** Waits from now on, for `timeoutMs` at most. */
  start(): void;
  /** Waits no longer. */
  stop(): void;
  /** Stops, and leaves nothing on the caller's signal. May be repeated. */
  release(): void;
}

/** A deadline that has been started. Has to be released. */
export function startDeadline(timeoutMs: number, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => clearTimeout(timer);
  const start = (): void => {
    stop();
    timer = setTimeout(
      () => controller.abort(new RoundsError('TIMEOUT', 'the server did not answer in time')),
      timeoutMs,
    );
  };
  // AbortSignal.any would keep every request's signal reachable from the run's signal (nodejs/node#54614).
  const forward = (): void => controller.abort(outer?.reason);
  outer?.addEventListener('abort', forward, { once: true });
  start();
  return {
    signal: controller.signal,
    start,
    stop,
    release() {
      stop();
      outer?.removeEventListener('abort', forward);
    },
  };
}
