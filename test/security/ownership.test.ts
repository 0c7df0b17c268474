import { chmod, chown, mkdir, symlink, writeFile, readFile, readdir, rename, lstat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readKeyFile } from '../../src/auth/keyFile.ts';
import { exposureOf, judge } from '../../src/system/ownership.ts';
import { newestRun, runsOf } from '../support/publishedRun.ts';
import { siteForTest, type Site } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const isPosix = process.platform !== 'win32';
const isRoot = process.geteuid?.() === 0;
const STRANGER = 65_533;

describe('judge', () => {
  const facts = { mode: 0o40700, ownerUid: 7, ourUid: 7, modesAreReal: true };
  it.each([
    ['what is ours alone', 0o700, facts, undefined, undefined],
    ['what is narrower than allowed', 0o750, facts, undefined, undefined],
    ['what the group may read, where it may', 0o750, { ...facts, mode: 0o40750 }, undefined, undefined],
    ['what the group may read', 0o700, { ...facts, mode: 0o40750 }, 'refuse', 'chmod 0700 /x'],
    ['what all may read', 0o750, { ...facts, mode: 0o40755 }, 'refuse', 'chmod 0750 /x'],
    ['what all may enter', 0o700, { ...facts, mode: 0o40711 }, 'refuse', 'chmod 0700 /x'],
    ['a group that may write', 0o750, { ...facts, mode: 0o42770 }, 'refuse', 'chmod 0750 /x'],
    ['another owner', 0o700, { ...facts, ownerUid: 8 }, 'refuse', 'chown -R 7 /x'],
    ['root as owner', 0o700, { ...facts, ownerUid: 0 }, 'refuse', 'chown -R 7 /x'],
    [
      'a share without modes',
      0o700,
      { ...facts, mode: 0o40777, modesAreReal: false },
      'warn',
      'chmod 0700 /x',
    ],
    [
      'a share that squashes owners',
      0o700,
      { ...facts, ownerUid: 65_534, modesAreReal: false },
      'warn',
      'chown',
    ],
  ] as const)('%s, allowed %o', (_name, allowed, given, verdict, fix) => {
    const found = judge('/x', allowed, given);
    expect(found?.verdict).toBe(verdict);
    if (fix !== undefined) expect(found?.fix).toContain(fix);
  });

  it('has nothing to say of a folder that is not there yet', async () => {
    expect(await exposureOf(path.join(await temporaryFolder(), 'none'), 0o700)).toBeUndefined();
  });
});

/** A small site, before its first run. */
const smallSite = (settings = {}): Promise<Site> =>
  siteForTest({ sandbox: { patients: 2 }, resources: ['Patient'], mail: false, settings });

describe.runIf(isPosix)('a run', () => {
  it('refuses a state folder that others can reach, and says the command that mends it', async () => {
    const site = await smallSite();
    await mkdir(site.stateFolder);
    await chmod(site.stateFolder, 0o755);
    const refused = await site.run(['run']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('PATH_EXPOSED');
    expect(refused.stderr).toContain(`chmod 0700 ${site.stateFolder}`);
    expect(site.sandbox.counts().total).toBe(0);
    expect((await site.run(['check', '--offline'])).code).toBe(2);
    await chmod(site.stateFolder, 0o700);
    expect((await site.run(['run'])).code).toBe(0);
  });

  it('refuses exports that are wider than export_mode, also after the setting was narrowed', async () => {
    const site = await smallSite({ 'paths.export_mode': 'group' });
    expect((await site.run(['run'])).code).toBe(0);
    await site.configure({ 'paths.export_mode': 'private' });
    const refused = await site.run(['run']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`chmod 0700 ${path.join(site.exportFolder, 'default')}`);
    await chmod(path.join(site.exportFolder, 'default'), 0o700);
    expect((await site.run(['run'])).code).toBe(0);
  });

  it('leaves the export folder itself to its owner: other jobs and programs may use it', async () => {
    const site = await smallSite();
    await mkdir(site.exportFolder);
    await chmod(site.exportFolder, 0o755);
    expect((await site.run(['run'])).code).toBe(0);
  });

  it('refuses a private key that others can read', async () => {
    const site = await siteForTest({ sandbox: { patients: 2 }, resources: ['Patient'] });
    await chmod(site.path('private-key.pem'), 0o640);
    const refused = await site.run(['run']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('KEY_EXPOSED');
    expect(refused.stderr).not.toContain('PRIVATE KEY');
  });

  it.runIf(isRoot)('refuses a state folder and exports that belong to another user', async () => {
    const site = await smallSite();
    await mkdir(site.stateFolder, { mode: 0o700 });
    await chown(site.stateFolder, STRANGER, STRANGER);
    const refused = await site.run(['run']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`belongs to user ${STRANGER}`);
    expect(refused.stderr).toContain(`chown -R 0 ${site.stateFolder}`);
    await chown(site.stateFolder, 0, 0);
    await mkdir(path.join(site.exportFolder, 'default'), { recursive: true, mode: 0o700 });
    await chown(path.join(site.exportFolder, 'default'), STRANGER, STRANGER);
    expect((await site.run(['run'])).stderr).toContain(`belongs to user ${STRANGER}`);
    expect(site.sandbox.counts().total).toBe(0);
  });

  it.runIf(isRoot)('warns of a key that another user could replace', async () => {
    const file = path.join(await temporaryFolder(), 'key.pem');
    await writeFile(file, 'a key', { mode: 0o600 });
    await chown(file, STRANGER, STRANGER);
    expect((await readKeyFile(file)).warnings).toEqual([
      expect.stringContaining(`belongs to user ${STRANGER}`),
    ]);
  });
});

describe.runIf(isPosix)('links that somebody planted', () => {
  it('at the places of staging and trash: nothing is written or removed behind them', async () => {
    const site = await smallSite();
    expect((await site.run(['run'])).code).toBe(0);
    const victim = site.path('victim');
    await mkdir(victim);
    await writeFile(path.join(victim, 'precious'), 'precious');
    const job = path.join(site.exportFolder, 'default');
    const before = await newestRun(site);
    await symlink(victim, path.join(job, '.trash'));
    // A name in staging that no run owns is swept away: the link goes, what it leads to stays.
    await symlink(victim, path.join(job, '.staging', '20200101T000000Z-0000'));
    expect((await site.run(['run'])).code).toBe(0);
    expect(await readFile(path.join(victim, 'precious'), 'utf8')).toBe('precious');
    expect(await runsOf(site)).toHaveLength(2);
    expect((await site.run(['verify', before.folder])).code).toBe(0);

    await rename(path.join(job, '.staging'), path.join(job, '.was-staging'));
    await symlink(victim, path.join(job, '.staging'));
    const refused = await site.run(['run']);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('.staging is a link');
    expect(await readdir(victim)).toEqual(['precious']);
  });

  it('at `current`: a folder of somebody’s own stays, a link is replaced and not followed', async () => {
    const site = await smallSite();
    const job = path.join(site.exportFolder, 'default');
    await mkdir(job, { recursive: true, mode: 0o700 });
    const victim = site.path('victim');
    await mkdir(victim);
    await symlink(victim, path.join(job, 'current'));
    await symlink(path.join(victim, 'made'), path.join(job, 'current.json'));
    expect((await site.run(['run'])).code).toBe(0);
    const { runId } = await newestRun(site);
    expect((await lstat(path.join(job, 'current.json'))).isFile()).toBe(true);
    expect(JSON.parse(await readFile(path.join(job, 'current.json'), 'utf8'))).toMatchObject({ runId });
    await expect(readFile(path.join(victim, 'made'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readFile(path.join(job, 'current', 'manifest.json'), 'utf8')).toContain(runId);
  });
});
