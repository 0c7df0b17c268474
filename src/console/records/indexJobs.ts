import { Worker } from 'node:worker_threads';
import { asRoundsError, RoundsError, type ErrorCode } from '../../errors.ts';
import type { SortJob } from './columnSort.ts';
import type { BuildJob } from './indexBuild.ts';

export type IndexJob = ({ readonly kind: 'build' } & BuildJob) | ({ readonly kind: 'sort' } & SortJob);

/** What the thread says: how far it is, that it is done, or why it will not be. */
export type IndexNews =
  | 'done'
  | { readonly bytes: number }
  | { readonly code: ErrorCode; readonly message: string; readonly hint: string };

/** As it was built, since a thread reads no TypeScript. */
const THREAD = new URL('./indexThread.js', import.meta.url);
/** Enough for the objects of a line of some megabytes; columns lie outside of it. */
const HEAP_MB = 160;

/** Does a job in a thread of its own, which does not keep the process alive. Rejects with what went wrong. */
export function runIndexJob(job: IndexJob, tell: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(THREAD, {
      name: 'index',
      workerData: job,
      // Flags are for the process: what --import loads there would be loaded here once more.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 16 },
    });
    worker.unref();
    worker.on('message', (news: IndexNews) => {
      if (news === 'done') resolve();
      else if ('bytes' in news) tell(news.bytes);
      else reject(new RoundsError(news.code, news.message, { hint: news.hint }));
    });
    worker.on('error', (error) => reject(asRoundsError(error)));
    worker.on('exit', () =>
      reject(new RoundsError('INTERNAL', 'the thread that builds an index ended early')),
    );
  });
}
