import { parentPort, workerData } from 'node:worker_threads';
import { RoundsError } from '../../errors.ts';
import { sortColumn } from './columnSort.ts';
import { buildIndexes } from './indexBuild.ts';
import type { IndexJob, IndexNews } from './indexJobs.ts';

/** The thread that `runIndexJob` starts: does one job and ends. */

const TELL_EVERY_BYTES = 4_000_000;

const job = workerData as IndexJob;
const tell = (news: IndexNews): void => parentPort!.postMessage(news);
let told = 0;

try {
  if (job.kind === 'sort') sortColumn(job);
  else {
    buildIndexes(job, (bytes) => {
      if (bytes - told < TELL_EVERY_BYTES) return;
      told = bytes;
      tell({ bytes });
    });
  }
  tell('done');
} catch (error) {
  // Errors lose their class on their way to another thread.
  if (!(error instanceof RoundsError)) throw error;
  tell({ code: error.code, message: error.message, hint: error.hint });
}
