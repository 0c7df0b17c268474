import { asRoundsError, RoundsError } from '../errors.ts';
import { renderDiskFull } from '../report/diskFullMail.ts';
import { byteSize } from '../report/format.ts';
import { isoInstant } from '../system/clock.ts';
import { freeBytes } from '../system/files.ts';
import { dropBallast } from './ballast.ts';
import type { RunDeps } from './deps.ts';
import type { JobPlace } from './jobPlace.ts';

/**
 * A run stops for want of room: the ballast goes, the ledger writes down what happened and queues a mail, once a
 * run. Returns the error to be thrown, which says what to free and where. Throws nothing of its own.
 */
export async function recordDiskFull(
  deps: Pick<RunDeps, 'job' | 'ledger' | 'clock' | 'log'>,
  place: JobPlace,
  error: RoundsError,
): Promise<RoundsError> {
  const { job, ledger, clock, log } = deps;
  const full = new RoundsError('DISK_FULL', error.message, { hint: await whatToFree(place), cause: error });
  await dropBallast(place.stateFolder);
  try {
    const open = ledger.openRunOf(job.jobName);
    const isTold = ledger.incidents.open(job.jobName).some(({ kind }) => kind === 'disk-full');
    if (isTold) return full;
    const atMs = clock.now();
    const mail = { jobName: job.jobName, runId: open?.runId, message: full.message, hint: full.hint };
    ledger.noteIncident(
      {
        jobName: job.jobName,
        kind: 'disk-full',
        text: `The disk was full at ${isoInstant(atMs)}; the run stopped, and went on when there was room.`,
        atMs,
      },
      open,
      job.settings.email === undefined ? undefined : renderDiskFull(mail),
    );
  } catch (thrown) {
    // Not even the ballast made room: the exit code and stderr have to do.
    log.error('disk.full_unrecorded', { code: asRoundsError(thrown).code });
  }
  return full;
}

async function whatToFree({ stateFolder, context: { exportFolder } }: JobPlace): Promise<string> {
  const folders = await Promise.all(
    [exportFolder, stateFolder].map(async (folder) => ({
      folder,
      free: await freeBytes(folder).catch(() => 0),
    })),
  );
  const [fullest] = folders.toSorted((a, b) => a.free - b.free);
  const { folder, free } = fullest!;
  return `Free space on the disk of ${folder} (${byteSize(free)} left), then run again: it goes on where it stopped.`;
}
