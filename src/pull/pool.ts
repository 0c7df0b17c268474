import { setMaxListeners } from 'node:events';

/**
 * Runs `work` for every item, at most `concurrency` at a time, taking the next item only when there is room: the
 * source is never read ahead. Rejects with the first failure (of source or work) when all that had begun has
 * ended; no item is begun after a failure or an abort.
 */
export async function forEachConcurrent<T>(
  source: AsyncIterable<T>,
  concurrency: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  // Every worker's request or sleep listens for the abort, and takes its listener away: no leak, as Node would warn of
  // from the eleventh on.
  setMaxListeners(0, signal);
  const items = source[Symbol.asyncIterator]();
  let stopped = false;
  let first: { readonly error: unknown } | undefined;
  // One reader at a time: an async generator queues calls, but a failed one must stop the others.
  let turn: Promise<unknown> = Promise.resolve();
  const take = (): Promise<IteratorResult<T>> => {
    const taken = turn.then(async () => (stopped ? { done: true as const, value: undefined } : items.next()));
    turn = taken.catch(() => undefined);
    return taken;
  };
  const worker = async (): Promise<void> => {
    try {
      for (;;) {
        signal.throwIfAborted();
        const next = await take();
        if (next.done) return;
        signal.throwIfAborted();
        await work(next.value);
      }
    } catch (error) {
      stopped = true;
      first ??= { error };
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (first === undefined) return;
  await items.return?.();
  throw first.error;
}

/**
 * Lanes for work: what is given begins in order, at most `lanes` at a time. Each caller gets its own result or failure,
 * which stops nobody else.
 */
export function inLanes(lanes: number): <T>(work: () => Promise<T>) => Promise<T> {
  const ends: Promise<unknown>[] = Array.from({ length: lanes }, () => Promise.resolve());
  let next = 0;
  return (work) => {
    const lane = next++ % lanes;
    const done = ends[lane]!.then(work);
    ends[lane] = done.catch(() => undefined);
    return done;
  };
}
