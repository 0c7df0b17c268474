import { readFile, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyFolder } from '../../src/publish/verify.ts';
import { BALLAST_BYTES, BALLAST_FILE } from '../../src/run/ballast.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, type Site } from '../support/site.ts';
import { canMount, mountDisk, statusOf, type SmallDisk } from './support.ts';

const TYPES = ['Patient', 'Observation', 'Encounter', 'Practitioner'];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 40 });
});
afterAll(() => sandbox.close());

const site = (mail = false): Promise<Site> => siteForTest({ sandbox, resources: TYPES, mail });

/** Room was made: the next run goes on (or begins, where nothing had begun) and is whole. */
async function expectCompletes(one: Site, disk: SmallDisk): Promise<void> {
  disk.remount('size=64m');
  const { code, stderr } = await one.run(['run']);
  expect(code, stderr).toBe(0);
  const published = await newestRun(one);
  await expectExactly(published, sandbox.oracle(oracleRows(TYPES)));
  expect(await currentOf(one)).toBe(published.runId);
  expect((await verifyFolder(published.folder)).damage).toEqual([]);
}

describe.runIf(canMount)('a full disk', () => {
  it.each(['8k', '200k'])('under the exports (%s) stops the run, which goes on', async (size) => {
    const one = await site();
    const disk = mountDisk(one.exportFolder, size);
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(6);
    expect(stderr).toContain('DISK_FULL');
    expect(stderr).toContain(`Free space on the disk of ${one.exportFolder}`);
    expect(await currentOf(one)).toBeUndefined();
    expect(await runsOf(one)).toEqual([]);
    const { code: health, jobs } = await statusOf(one);
    expect(health).toBe(1);
    expect(jobs[0]!.warnings[0]).toContain('The disk was full');
    await expectCompletes(one, disk);
    expect(await (await newestRun(one)).text('report.txt')).toContain('The disk was full');
    expect((await statusOf(one)).code).toBe(0);
  });

  it('leaves the current export as it is', async () => {
    const one = await site();
    const disk = mountDisk(one.exportFolder, '64m');
    expect((await one.run(['run'])).code).toBe(0);
    const before = await currentOf(one);
    const { blocks, bfree, bsize } = await statfs(one.exportFolder);
    disk.remount(`size=${(blocks - bfree) * bsize + 100_000}`);
    expect((await one.run(['run'])).code).toBe(6);
    expect(await currentOf(one)).toBe(before);
    expect((await verifyFolder(path.join(one.exportFolder, 'default', before!))).damage).toEqual([]);
    await expectCompletes(one, disk);
    expect(await currentOf(one)).not.toBe(before);
  });

  it.each(['48k', '120k', '180k'])(
    'under the state (%s, no ballast) stops the run, which goes on',
    async (size) => {
      const one = await site();
      const disk = mountDisk(one.stateFolder, size);
      const { code, stderr } = await one.run(['run']);
      expect(code, stderr).toBe(6);
      expect(stderr).toContain('DISK_FULL');
      // Where only the last words did not fit, the run is published and whole; it is closed by the next one.
      const published = await runsOf(one);
      expect(await currentOf(one)).toBe(published[0]);
      await expectCompletes(one, disk);
      if (published.length > 0) expect(await runsOf(one)).toEqual(published);
    },
  );

  it('is written down and mailed from the room of the ballast, which comes back', async () => {
    const one = await site(true);
    mountDisk(one.stateFolder, '8m');
    const exports = mountDisk(one.exportFolder, '200k');
    const from = sandbox.smtp!.mails.length;
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(6);
    const ballast = path.join(one.stateFolder, BALLAST_FILE);
    expect((await stat(ballast)).size).toBe(0);
    const [mail, ...others] = sandbox.smtp!.mails.slice(from);
    expect(others).toEqual([]);
    expect(mail!.raw.toString()).toMatch(
      /Subject: STOPPED default: the disk is full \[\d{8}T\d{6}Z-[0-9a-f]{4}\]/,
    );
    // Full still: the same is not mailed again.
    expect((await one.run(['run'])).code).toBe(6);
    expect(sandbox.smtp!.mails).toHaveLength(from + 1);
    await expectCompletes(one, exports);
    expect((await one.run(['run'])).code).toBe(0);
    expect((await stat(ballast)).size).toBe(BALLAST_BYTES);
    const log = await readFile(path.join(one.logFolder, 'fhir-rounds.log'), 'utf8');
    expect(log).not.toContain('disk.full_unrecorded');
  });
});
