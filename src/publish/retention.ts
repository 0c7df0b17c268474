import { lstat, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { ensureFolder } from '../system/files.ts';
import { RUN_ID, type JobFolders } from './layout.ts';

export interface RetentionRun {
  readonly runId: string;
  readonly finishedAtMs: number;
  readonly folder: string | undefined;
}

export interface RetentionRules {
  /** The newest so many published runs always stay. */
  readonly keepRuns: number;
  /** A run younger than this stays; 0 = age does not matter, the number alone. */
  readonly keepDays: number;
  /** Runs that must stay: `current`'s target, the base of a retry, those with mail or DELETE pending. */
  readonly keep: ReadonlySet<string>;
}

const DAY_MS = 86_400_000;

/** Pure: which published runs may go, oldest first. Both rules must allow it. */
export function expiredRuns(
  runs: readonly RetentionRun[],
  rules: RetentionRules,
  nowMs: number,
): readonly RetentionRun[] {
  const published = runs
    .filter((run) => run.folder !== undefined)
    .toSorted((a, b) => (a.runId < b.runId ? 1 : -1));
  return published
    .slice(rules.keepRuns)
    .filter((run) => !rules.keep.has(run.runId))
    .filter((run) => rules.keepDays === 0 || nowMs - run.finishedAtMs > rules.keepDays * DAY_MS)
    .toReversed();
}

/** Takes a published run away: renamed out of sight first, then deleted, so that no reader meets half of it. */
export async function removeRun(folders: JobFolders, runId: string): Promise<void> {
  if (!RUN_ID.test(runId)) throw new RangeError('not a run id');
  await unlinkTrash(folders);
  await ensureFolder(folders.trash);
  await rename(path.join(folders.job, runId), path.join(folders.trash, runId));
  await emptyTrash(folders);
}

/** Deletes what an interrupted removal left. */
export async function emptyTrash(folders: JobFolders): Promise<void> {
  await unlinkTrash(folders);
  const names = await readdir(folders.trash).catch(() => []);
  for (const name of names) await rm(path.join(folders.trash, name), { recursive: true, force: true });
}

/** A link in the trash's place goes; what it leads to is not ours to delete. */
async function unlinkTrash({ trash }: JobFolders): Promise<void> {
  const found = await lstat(trash).catch(() => undefined);
  if (found?.isSymbolicLink()) await rm(trash);
}
