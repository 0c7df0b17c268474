import { spawnSync } from 'node:child_process';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { CLI, ensureBuilt } from '../support/built.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, textsBelow, type Site } from '../support/site.ts';
import { canMount, mountDisk } from './support.ts';

const TYPES = ['Patient', 'Condition'];
/** Somebody without rights of his own: root may write anywhere, so root sees no EACCES. */
const NOBODY = 65_532;
const isRoot = process.geteuid?.() === 0;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 3, smtp: false });
});
afterAll(() => sandbox.close());

const site = (): Promise<Site> => siteForTest({ sandbox, resources: TYPES, mail: false });

/** Whether somebody without rights can run the program: not where the clone lies below /root, say. */
const canBeNobody = isRoot && (await runsAsNobody());

async function runsAsNobody(): Promise<boolean> {
  await ensureBuilt();
  return spawnSync(process.execPath, [CLI, '--version'], { uid: NOBODY, gid: NOBODY }).status === 0;
}

/** A site that belongs to nobody, who runs the program. */
async function nobodysSite(): Promise<{ readonly one: Site; readonly run: Site['run'] }> {
  const one = await site();
  for (const name of ['', ...(await readdir(one.folder))]) await chown(one.path(name), NOBODY, NOBODY);
  return { one, run: (args) => one.run(args, { uid: NOBODY }) };
}

describe.runIf(canBeNobody)('a user who may not write', () => {
  it.each(['exportFolder', 'stateFolder', 'logFolder'] as const)(
    'to the %s is told so with exit 2, before the first request',
    async (which) => {
      const { one, run } = await nobodysSite();
      await mkdir(one[which], { mode: 0o500 });
      await chown(one[which], NOBODY, NOBODY);
      const before = sandbox.counts().total;
      for (const args of [['run', '--dry-run'], ['run']]) {
        const { code, stderr } = await run(args);
        expect(code, stderr).toBe(2);
        expect(stderr).toMatch(new RegExp(`PATH_UNUSABLE: ${one[which]}.*EACCES`));
      }
      expect(sandbox.counts().total).toBe(before);
      await chmod(one[which], 0o700);
      expect((await run(['run'])).code).toBe(0);
    },
  );

  it('to the job’s folder any more in the middle of a run is told so, and the next start goes on', async () => {
    const { one, run } = await nobodysSite();
    expect((await run(['run'])).code).toBe(0);
    const before = await currentOf(one);
    const job = path.join(one.exportFolder, 'default');
    sandbox.setFaults([
      { match: { endpoint: 'search' }, when: { nth: [1] }, then: { status: 429, retryAfter: 1 } },
    ]);
    onTestFinished(() => sandbox.setFaults([]));
    const running = run(['run']);
    while (sandbox.faultsStruck()[0] === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await chmod(job, 0o500);
    const { code, stderr } = await running;
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(/PATH_UNUSABLE.*EACCES/);
    expect(await currentOf(one)).toBe(before);
    expect(await runsOf(one)).toEqual([before]);
    await chmod(job, 0o700);
    expect((await run(['run'])).code).toBe(0);
    const published = await newestRun(one);
    await expectExactly(published, sandbox.oracle(oracleRows(TYPES)));
    expect(await currentOf(one)).toBe(published.runId);
    expect(await runsOf(one)).toHaveLength(2);
  });
});

describe.runIf(canMount)('staging on another file system than the exports (EXDEV)', () => {
  it.each(['a disk of its own', 'a bind mount of the same disk'])(
    '(%s) is refused before the first request, since a run is published by one rename',
    async (kind) => {
      const one = await site();
      expect((await one.run(['run'])).code).toBe(0);
      const before = await currentOf(one);
      const staging = path.join(one.exportFolder, 'default', '.staging');
      if (kind === 'a disk of its own') mountDisk(staging, '4m');
      else {
        const elsewhere = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-bind-'));
        onTestFinished(() => rm(elsewhere, { recursive: true }));
        expect(spawnSync('mount', ['--bind', elsewhere, staging]).status).toBe(0);
        onTestFinished(() => void spawnSync('umount', ['-l', staging]));
      }
      const requests = sandbox.counts().total;
      const { code, stderr } = await one.run(['run']);
      expect(code, stderr).toBe(2);
      expect(stderr).toContain('.staging lies on another file system');
      expect(sandbox.counts().total).toBe(requests);
      expect(await currentOf(one)).toBe(before);
      spawnSync('umount', ['-l', staging]);
      expect((await one.run(['run'])).code).toBe(0);
    },
  );
});

describe('run --dry-run', () => {
  it('makes no folder and no file', async () => {
    const one = await site();
    const before = [...(await textsBelow(one.folder))];
    const names = await readdir(one.folder);
    const { code, stderr } = await one.run(['run', '--dry-run']);
    expect(code, stderr).toBe(0);
    expect(await readdir(one.folder)).toEqual(names);
    expect([...(await textsBelow(one.folder))]).toEqual(before);
  });

  it('changes nothing of a site that has run', async () => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    const copy = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-copy-'));
    onTestFinished(() => rm(copy, { recursive: true }));
    await cp(one.folder, copy, { recursive: true });
    expect((await one.run(['run', '--dry-run'])).code).toBe(0);
    expect([...(await textsBelow(one.folder))]).toEqual([...(await textsBelow(copy))]);
  });
});
