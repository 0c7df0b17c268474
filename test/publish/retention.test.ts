import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { jobFolders } from '../../src/publish/layout.ts';
import {
  emptyTrash,
  expiredRuns,
  removeRun,
  type RetentionRules,
  type RetentionRun,
} from '../../src/publish/retention.ts';
import { ensureFolder } from '../../src/system/files.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 10, 30);

/** A run that ended so many days ago. */
function run(daysAgo: number): RetentionRun {
  const at = new Date(NOW - daysAgo * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '');
  return { runId: `${at}T000000Z-0000`, finishedAtMs: NOW - daysAgo * DAY_MS, folder: '/exports' };
}

const runs: readonly RetentionRun[] = [run(1), run(10), run(31), run(40), run(50)];

function expired(rules: Partial<RetentionRules>): readonly number[] {
  return expiredRuns(runs, { keepRuns: 0, keepDays: 0, keep: new Set(), ...rules }, NOW).map((one) =>
    runs.indexOf(one),
  );
}

describe('expiredRuns', () => {
  it('lets go, oldest first, what is neither among the newest nor young', () => {
    expect(expired({ keepRuns: 1, keepDays: 30 })).toEqual([4, 3, 2]);
    expect(expired({ keepRuns: 4, keepDays: 30 })).toEqual([4]);
    expect(expired({ keepRuns: 9, keepDays: 1 })).toEqual([]);
    expect(expired({ keepRuns: 1, keepDays: 45 })).toEqual([4]);
    expect(expired({ keepRuns: 2, keepDays: 0 })).toEqual([4, 3, 2]);
  });

  it('takes a run at the very end of its days for young', () => {
    expect(expired({ keepDays: 50 })).toEqual([]);
    expect(expired({ keepDays: 49 })).toEqual([4]);
  });

  it('never lets go what must stay', () => {
    expect(expired({ keepDays: 30, keep: new Set([run(31).runId, run(50).runId]) })).toEqual([3]);
  });

  it('asks for runs that were published only, in whatever order they come', () => {
    const mixed = [run(50), { ...run(45), folder: undefined }, run(1), run(40)];
    const rules = { keepRuns: 2, keepDays: 0, keep: new Set<string>() };
    expect(expiredRuns(mixed, rules, NOW)).toEqual([mixed[0]]);
  });
});

describe('removeRun', () => {
  async function withRuns() {
    const folders = jobFolders(await temporaryFolder(), 'default');
    for (const one of [run(1), run(2)]) {
      await ensureFolder(path.join(folders.job, one.runId, 'error'));
      await writeFile(path.join(folders.job, one.runId, 'error', 'x'), 'x');
    }
    return folders;
  }

  it('takes the run away and leaves the others', async () => {
    const folders = await withRuns();
    await removeRun(folders, run(2).runId);
    expect((await readdir(folders.job)).toSorted()).toEqual(['.trash', run(1).runId]);
    expect(await readdir(folders.trash)).toEqual([]);
  });

  it('takes away what an interrupted removal left', async () => {
    const folders = await withRuns();
    await mkdir(path.join(folders.trash, run(9).runId, 'error'), { recursive: true });
    await emptyTrash(folders);
    expect(await readdir(folders.trash)).toEqual([]);
  });

  it('has nothing to do where nothing was ever removed', async () => {
    const folders = await withRuns();
    await emptyTrash(folders);
    expect(await readdir(folders.job)).toHaveLength(2);
  });

  it('removes nothing but runs', async () => {
    const folders = await withRuns();
    for (const name of ['.staging', '..', 'current', '']) {
      await expect(removeRun(folders, name)).rejects.toThrow(RangeError);
    }
    expect(await readdir(folders.job)).toHaveLength(2);
  });
});
