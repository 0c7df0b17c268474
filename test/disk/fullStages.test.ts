import { rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyFolder } from '../../src/publish/verify.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest } from '../support/site.ts';
import { canMount, mountDisk } from './support.ts';

const TYPES = ['Patient', 'Condition', 'Practitioner'];
const PRELOAD = pathToFileURL(path.join(import.meta.dirname, 'fillAt.mjs')).href;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 4 });
});
afterAll(() => sandbox.close());

interface Stage {
  readonly disk: 'exportFolder' | 'stateFolder';
  /** What the program is about to do when the disk gets full; see fillAt.mjs. */
  readonly at: string;
  /** From here on the run is published, and only what follows the rename is missing. */
  readonly isPublished?: true;
}

const STAGES: Readonly<Record<string, Stage>> = {
  'the snapshot of the roster': { disk: 'stateFolder', at: 'open .*/roster' },
  'the snapshot of the settings': { disk: 'stateFolder', at: 'open .*settings' },
  'the first append': { disk: 'exportFolder', at: 'open .*/Patient.ndjson$' },
  'the commit in the ledger': { disk: 'stateFolder', at: 'sql INSERT INTO commits' },
  'the rows of what is referred to': { disk: 'stateFolder', at: 'sql INSERT .*INTO shared' },
  'the report': { disk: 'exportFolder', at: 'open .*/report.html$' },
  'the copy of the log': { disk: 'exportFolder', at: 'open .*/[.]staging/.*/log.ndjson$' },
  'the manifest': { disk: 'exportFolder', at: 'open .*/manifest.json$' },
  'the rename that publishes': {
    disk: 'exportFolder',
    at: 'rename .*/[.]staging/[0-9TZ]+-[0-9a-f]{4}$',
    isPublished: true,
  },
  '`current`': { disk: 'exportFolder', at: 'open .*/[.]current.json', isPublished: true },
  'the audit’s last line': { disk: 'stateFolder', at: 'rename .*/[.]current.json', isPublished: true },
  'the mail’s way into the outbox': { disk: 'stateFolder', at: 'sql INSERT INTO outbox', isPublished: true },
};

describe.runIf(canMount)('a disk that gets full at', () => {
  it.each(Object.entries(STAGES))('%s', async (_, { disk, at, isPublished }) => {
    const site = await siteForTest({ sandbox, resources: TYPES });
    mountDisk(site.exportFolder, '8m');
    mountDisk(site.stateFolder, '8m');
    expect((await site.run(['run'])).code).toBe(0);
    const before = await newestRun(site);
    const mailsBefore = sandbox.smtp!.mails.length;

    const env = {
      NODE_OPTIONS: `--import ${PRELOAD}`,
      FILL_AT: JSON.stringify({ at, folder: site[disk] }),
    };
    const { code, stderr } = await site.run(['run'], { env });
    expect(stderr).toContain(`the disk of ${site[disk]} is full`);
    expect(code, stderr).toBe(6);
    expect(stderr).toContain('DISK_FULL');
    const runs = await runsOf(site);
    expect(runs).toHaveLength(isPublished ? 2 : 1);
    if (!isPublished) expect(await currentOf(site)).toBe(before.runId);
    for (const runId of runs) {
      expect((await verifyFolder(site.path('exports', 'default', runId))).damage).toEqual([]);
    }

    await rm(path.join(site[disk], 'filler'));
    const again = await site.run(['run']);
    expect(again.code, again.stderr).toBe(0);
    const published = await newestRun(site);
    await expectExactly(published, sandbox.oracle(oracleRows(TYPES)));
    expect((await verifyFolder(published.folder)).damage).toEqual([]);
    expect(await currentOf(site)).toBe(published.runId);
    expect(await runsOf(site)).toEqual([before.runId, published.runId]);
    // One mail says that it stopped, and one how it ended.
    const subjects = sandbox.smtp!.mails.slice(mailsBefore).map(({ subject }) => subject);
    expect(subjects.toSorted()).toEqual([
      expect.stringMatching(new RegExp(`^OK default.*${published.runId}`)),
      expect.stringMatching(/^STOPPED default: the disk is full/),
    ]);
  });
});
