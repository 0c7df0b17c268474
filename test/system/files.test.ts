import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import {
  asFileError,
  ensureFolder,
  exists,
  GROUP_MODES,
  isWindows,
  linkOrCopy,
  makeExclusive,
  networkFileSystem,
  PRIVATE_MODES,
  provePathWritable,
  renameFirmly,
  writeAtomic,
} from '../../src/system/files.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const modeOf = async (file: string): Promise<number> => (await stat(file)).mode & 0o777;
const isRoot = process.getuid?.() === 0;

describe('folders', () => {
  it.runIf(!isWindows)(
    'are made with exactly the mode asked for, their parents too, whatever the umask',
    async () => {
      const before = process.umask(0o077);
      onTestFinished(() => void process.umask(before));
      const root = await temporaryFolder();
      await ensureFolder(path.join(root, 'a', 'b', 'c'), GROUP_MODES);
      for (const at of ['a', 'a/b', 'a/b/c'])
        expect([at, await modeOf(path.join(root, at))]).toEqual([at, 0o750]);
      expect(await modeOf(root)).toBe(0o700);
    },
  );

  it.runIf(!isWindows)('that exist are left as they are', async () => {
    const root = await temporaryFolder();
    await chmod(root, 0o755);
    await ensureFolder(root);
    expect(await modeOf(root)).toBe(0o755);
  });

  it('are made once by makeExclusive', async () => {
    const folder = path.join(await temporaryFolder(), 'run');
    const all = await Promise.all(Array.from({ length: 8 }, () => makeExclusive(folder, PRIVATE_MODES)));
    expect(all.filter(Boolean)).toHaveLength(1);
    await expect(makeExclusive(path.join(folder, 'no', 'parent'), PRIVATE_MODES)).rejects.toThrow('ENOENT');
  });
});

describe('writeAtomic', () => {
  it('replaces a file whole and leaves no draft', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, 'current.json');
    await writeAtomic(file, 'old');
    await writeAtomic(file, 'new', GROUP_MODES);
    expect(await readFile(file, 'utf8')).toBe('new');
    if (!isWindows) expect(await modeOf(file)).toBe(0o640);
    expect(await readdir(folder)).toEqual(['current.json']);
  });

  it('leaves the old file and no draft when it fails', async () => {
    const folder = await temporaryFolder();
    await mkdir(path.join(folder, 'taken', 'full'), { recursive: true });
    await expect(writeAtomic(path.join(folder, 'taken'), 'new')).rejects.toThrow();
    expect(await readdir(folder)).toEqual(['taken']);
  });
});

describe('linkOrCopy', () => {
  it('gives the same content under another name, and never replaces a file', async () => {
    const folder = await temporaryFolder();
    const [from, to] = [path.join(folder, 'a'), path.join(folder, 'b')];
    await writeFile(from, 'x');
    await linkOrCopy(from, to);
    expect(await readFile(to, 'utf8')).toBe('x');
    await expect(linkOrCopy(from, to)).rejects.toThrow('EEXIST');
  });
});

describe('exists', () => {
  it('knows a file, a folder, nothing, and a link to nothing', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, 'a');
    await writeFile(file, '');
    if (!isWindows) await symlink('nowhere', path.join(folder, 'link'));
    const names = ['.', 'a', 'none', 'a/below', 'link'];
    const found = await Promise.all(names.map((name) => exists(path.join(folder, name))));
    expect(found).toEqual([true, true, false, false, false]);
  });
});

describe('provePathWritable', () => {
  it('makes the folder and leaves nothing in it', async () => {
    const folder = path.join(await temporaryFolder(), 'new');
    await provePathWritable(folder);
    expect(await readdir(folder)).toEqual([]);
  });

  it('says where it cannot', async () => {
    const file = path.join(await temporaryFolder(), 'file');
    await writeFile(file, '');
    const refusal = await rejection(provePathWritable(file));
    expect(refusal).toMatchObject({ code: 'PATH_UNUSABLE', failure: 'config' });
    expect(refusal.message).toContain(file);
  });

  it.runIf(!isWindows && !isRoot)('sees a folder that is not this user’s to write', async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o500);
    expect((await rejection(provePathWritable(folder))).code).toBe('PATH_UNUSABLE');
  });
});

describe('asFileError', () => {
  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EDQUOT', 'DISK_FULL'],
    ['EACCES', 'PATH_UNUSABLE'],
    [undefined, 'PATH_UNUSABLE'],
  ])('takes %s for %s', (code, expected) => {
    expect(asFileError(Object.assign(new Error('x'), { code }), 'Patient.ndjson').code).toBe(expected);
  });

  it('leaves ours alone', () => {
    const ours = new RoundsError('INTERRUPTED', 'stop');
    expect(asFileError(ours, 'x')).toBe(ours);
  });
});

describe('renameFirmly', () => {
  it('renames, and says at once when it cannot where files are not held by scanners', async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'a'), 'x');
    const clock = createFakeClock({ auto: true });
    await renameFirmly(path.join(folder, 'a'), path.join(folder, 'b'), clock);
    expect(await readdir(folder)).toEqual(['b']);
    await expect(renameFirmly(path.join(folder, 'a'), path.join(folder, 'c'), clock)).rejects.toThrow(
      'ENOENT',
    );
    expect(clock.sleeps).toEqual([]);
  });
});

describe('networkFileSystem', () => {
  it('asks the nearest folder that exists, and knows a local one', async () => {
    expect(await networkFileSystem(path.join(await temporaryFolder(), 'not', 'yet'))).toBeUndefined();
  });
});
