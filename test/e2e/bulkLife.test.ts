import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLedgerForReading } from '../../src/run/ledger.ts';
import { bulkSite, kickoffUrl } from '../support/bulkSite.ts';
import { expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import type { Site } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { startDaemon } from '../support/daemon.ts';
import { onceEach, sampleLines, synthea } from '../support/sampleData.ts';

const asked = ({ sandbox }: Site, endpoint: string) =>
  sandbox.requests.filter((request) => request.endpoint === endpoint);
/** True once the endpoint was asked so often. */
const until =
  (site: Site, endpoint: string, times = 1) =>
  (): boolean =>
    asked(site, endpoint).length >= times;

/** Some 100 MB. */
function observations(count: number): Buffer {
  const text = 'x'.repeat(900);
  return Buffer.concat(
    Array.from({ length: count }, (_, no) =>
      Buffer.from(
        `{"resourceType":"Observation","id":"o${no}","status":"final","code":{"text":"${text}"},"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":1.50}}\n`,
      ),
    ),
  );
}

/** How often the ledger vouched for a part of a file of the open run. */
function checkpoints({ stateFolder }: Site): number {
  const ledger = openLedgerForReading(stateFolder);
  try {
    const run = ledger?.openRunOf('default');
    const commits = run === undefined ? [] : [...ledger!.pulls.commits(run.runNo)];
    return commits.flatMap(({ commit }) => commit.bulk ?? []).filter(({ step }) => step === 'part').length;
  } finally {
    ledger?.close();
  }
}

async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('a bulk run that waits for its export', () => {
  it('goes on with it after kill -9, and asks for no other', async () => {
    const site = await bulkSite({ sandbox: { bulk: { polls: 2, seconds: 3 } } });
    await site.stopWhen(until(site, 'status'), 'SIGKILL', ['run']);
    const again = await site.run(['run', '--quiet']);
    expect(again.code, again.stderr).toBe(0);
    expect(asked(site, 'kickoff')).toHaveLength(1);
    await expectExactly(
      await newestRun(site),
      site.sandbox.bulk.oracle({ url: kickoffUrl('group') }).resources,
    );
  });

  it('lets other jobs pull from the same server', async () => {
    const site = await bulkSite({
      sandbox: { bulk: { seconds: 3600 } },
      settings: { '[job other] method': 'crawl' },
    });
    const waiting = await site.start(['run', 'default']);
    await waitFor(until(site, 'status'));
    const other = await site.run(['run', 'other', '--quiet']);
    expect(other.code, other.stderr).toBe(0);
    const status = await site.run(['status']);
    expect(status.stdout).toMatch(/The server prepares the export, asked for .* ago/);
    waiting.child.kill('SIGTERM');
    expect((await waiting.ended).code).toBe(6);
  });

  it('lets the daemon’s other jobs run, and goes on with the daemon’s next start', async () => {
    const site = await bulkSite({
      sandbox: { bulk: { seconds: 12 } },
      settings: {
        'schedule.cron': '* * * * * *',
        '[job other] method': 'crawl',
      },
    });
    const daemon = await startDaemon(site);
    await waitFor(async () => until(site, 'status')() && (await runsOf(site, 'other')).length > 0);
    expect(await runsOf(site)).toEqual([]);
    await daemon.stop();
    await startDaemon(site);
    await waitFor(async () => (await runsOf(site)).length > 0);
    expect(asked(site, 'kickoff')).toHaveLength(1);
  });

  it('is cancelled while it waits: its export is deleted, and nothing is published', async () => {
    const site = await bulkSite({ sandbox: { bulk: { seconds: 3600 } } });
    const waiting = await site.start(['run']);
    await waitFor(until(site, 'status'));
    const cancelled = await site.run(['cancel']);
    expect(cancelled.code, cancelled.stderr).toBe(0);
    expect(cancelled.stdout).toContain('is cancelled');
    expect(cancelled.stdout).toContain('Exports deleted at the server: 1');
    expect((await waiting.ended).code).toBe(1);
    expect(asked(site, 'cancel').map(({ status }) => status)).toEqual([202]);
    expect(await runsOf(site)).toEqual([]);
    expect((await site.run(['cancel'])).stdout).toContain('no run under way');
  });

  it('is cancelled after it was interrupted', async () => {
    const site = await bulkSite({ sandbox: { bulk: { seconds: 3600 } } });
    await site.stopWhen(until(site, 'status'), 'SIGTERM', ['run']);
    const cancelled = await site.run(['cancel', '--json']);
    expect(JSON.parse(cancelled.stdout)).toMatchObject({ job: 'default', exportsDeleted: 1 });
    expect(asked(site, 'cancel')).toHaveLength(1);
  });

  it('is given up for a fresh one, whose first step deletes the old export', async () => {
    const site = await bulkSite({ sandbox: { dialect: 'us-core', bulk: { seconds: 3 } } });
    await site.stopWhen(until(site, 'status'), 'SIGTERM', ['run']);
    const fresh = await site.run(['run', '--fresh', '--quiet']);
    expect(fresh.code, fresh.stderr).toBe(0);
    expect(asked(site, 'kickoff')).toHaveLength(2);
    expect(asked(site, 'cancel')).toHaveLength(2);
  });
});

describe('a bulk run that is killed while it downloads', () => {
  it('goes on within a large file where the ledger vouches for it', { timeout: 180_000 }, async () => {
    const dataDir = await temporaryFolder();
    await writeFile(path.join(dataDir, 'Patient.ndjson'), '{"resourceType":"Patient","id":"p1"}\n');
    await writeFile(path.join(dataDir, 'Observation.ndjson'), observations(100_000));
    const site = await bulkSite({
      sandbox: { dialect: 'us-core', dataDir, bulk: { resourcesPerFile: 1_000_000 } },
      resources: ['Patient', 'Observation'],
    });
    await site.stopWhen(() => checkpoints(site) > 0, 'SIGKILL', ['run']);
    const again = await site.run(['run', '--quiet']);
    expect(again.code, again.stderr).toBe(0);
    const last = asked(site, 'file').at(-1)!;
    expect([last.status, last.headers['range']]).toEqual([206, expect.stringMatching(/^bytes=\d{8}-$/)]);
    const [observation] = (await newestRun(site)).manifest.output.filter(
      ({ type }) => type === 'Observation',
    );
    const sha256 = createHash('sha256')
      .update(await readFile(path.join(dataDir, 'Observation.ndjson')))
      .digest('hex');
    expect(observation).toMatchObject({ count: 100_000, extension: { sha256 } });
  });

  it('downloads no finished file again', async () => {
    const site = await bulkSite({
      sandbox: {
        patients: 8,
        faults: [
          { match: { endpoint: 'file', page: 6 }, when: { first: 1 }, then: { dripBytesPerSecond: 500 } },
        ],
      },
    });
    // A commit's second, and the files before the slow one are done for good.
    let since = Infinity;
    await site.stopWhen(
      () => {
        if (asked(site, 'file').length >= 12) since = Math.min(since, Date.now());
        return Date.now() - since > 2_500;
      },
      'SIGKILL',
      ['run'],
    );
    const before = new Map<string, number>();
    for (const { path } of asked(site, 'file')) before.set(path, (before.get(path) ?? 0) + 1);
    const from = asked(site, 'file').length;
    const again = await site.run(['run', '--quiet']);
    expect(again.code, again.stderr).toBe(0);
    const repeated = asked(site, 'file')
      .slice(from)
      .filter(({ path }) => before.has(path));
    expect(repeated.length).toBeLessThanOrEqual(5);
    expect(asked(site, 'kickoff')).toHaveLength(1);
    await expectExactly(
      await newestRun(site),
      site.sandbox.bulk.oracle({ url: kickoffUrl('group') }).resources,
    );
  });
});

describe('a bulk run of which a file fails', () => {
  it('keeps the export for --retry-failed, which brings that file alone and then deletes it', async () => {
    const site = await bulkSite({
      sandbox: { faults: [{ match: { endpoint: 'file', page: 2 }, then: { status: 500 } }] },
      settings: { 'api_settings.max_attempts': 2 },
    });
    const first = await site.run(['run', '--quiet']);
    expect(first.code, first.stderr).toBe(3);
    expect(asked(site, 'cancel')).toEqual([]);
    site.sandbox.setFaults([]);
    const from = asked(site, 'file').length;
    const second = await site.run(['run', '--retry-failed', '--quiet']);
    expect(second.code, second.stderr).toBe(0);
    expect(asked(site, 'file').length - from).toBe(1);
    expect(asked(site, 'kickoff')).toHaveLength(1);
    expect(asked(site, 'cancel')).toHaveLength(1);
    await expectExactly(
      await newestRun(site),
      site.sandbox.bulk.oracle({ url: kickoffUrl('group') }).resources,
    );
  });

  it('asks anew, with --retry-failed, for an export that the server gave up', async () => {
    const site = await bulkSite({
      sandbox: {
        dialect: 'us-core',
        patients: 4,
        faults: [{ match: { endpoint: 'manifest' }, when: { nth: [2] }, then: { exportFails: '40000' } }],
      },
      settings: { 'bulk.patients': 'roster', 'bulk.patients_per_export': 2 },
    });
    const first = await site.run(['run', '--quiet']);
    expect(first.code, first.stderr).toBe(3);
    const second = await site.run(['run', '--retry-failed', '--quiet']);
    expect(second.code, second.stderr).toBe(0);
    expect(asked(site, 'kickoff')).toHaveLength(3);
    await expectExactly(
      await newestRun(site),
      site.sandbox.bulk.oracle({ url: kickoffUrl('group') }).resources,
    );
  });

  it('lets go of the export when the next run asks for a new one', async () => {
    const site = await bulkSite({
      sandbox: {
        dialect: 'us-core',
        faults: [{ match: { endpoint: 'file', page: 2 }, then: { status: 500 } }],
      },
      settings: { 'api_settings.max_attempts': 1 },
    });
    expect((await site.run(['run', '--quiet'])).code).toBe(3);
    site.sandbox.setFaults([]);
    expect((await site.run(['run', '--quiet'])).code).toBe(0);
    expect(asked(site, 'cancel')).toHaveLength(2);
  });
});

it('a run that changes its method is not resumed', async () => {
  const site = await bulkSite({ sandbox: { bulk: { seconds: 3600 } } });
  await site.stopWhen(until(site, 'status'), 'SIGTERM', ['run']);
  await site.configure({ '[job default] method': 'crawl' });
  const crawl = await site.run(['run', '--quiet']);
  expect([crawl.code, crawl.stderr]).toEqual([2, expect.stringContaining('method')]);
});

describe.runIf(synthea !== undefined)('the Synthea sample', () => {
  it.each(['system', 'patient', 'group'])('comes byte for byte as in its files, by %s', async (level) => {
    const lines = onceEach(sampleLines(synthea!));
    const types = [...new Set(lines.map(({ type }) => type))];
    const site = await bulkSite({
      sandbox: { dialect: 'us-core', dataDir: synthea!, bulk: { resourcesPerFile: 500 } },
      resources: types,
      settings: { 'bulk.level': level },
      roster: 'fhir_id\n',
    });
    await rm(site.rosterFile);
    const { code, stderr } = await site.run(['run', '--quiet']);
    expect(code, stderr).toBe(0);
    await expectExactly(
      await newestRun(site),
      lines.map((line) => ({ ...line, bytes: 0 })),
    );
  });
});
