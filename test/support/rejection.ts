import { RoundsError } from '../../src/errors.ts';

/** The RoundsError that a promise rejects with; anything else fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<RoundsError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome && outcome.error instanceof RoundsError) return outcome.error;
  throw new Error('expected a RoundsError', { cause: outcome });
}

/** The RoundsError that a call throws; anything else fails the test. */
export function thrown(call: () => unknown): RoundsError {
  try {
    call();
  } catch (error) {
    if (error instanceof RoundsError) return error;
    throw error;
  }
  throw new Error('expected a RoundsError, and nothing was thrown');
}
