import { describe, expect, it } from 'vitest';
import { until } from '../support/cli.ts';
import { expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest } from '../support/site.ts';

const TYPES = ['Patient', 'Condition', 'Encounter'];
const EVERY_SECOND = '* * * * * *';

describe('the daemon', () => {
  it('runs a job at its times, mails each report, and ends at SIGTERM', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2 },
      resources: TYPES,
      settings: { 'schedule.cron': EVERY_SECOND },
    });
    const { child, ended } = await site.start(['daemon']);
    await until('two runs are published', async () => (await runsOf(site)).length >= 2);
    await until('two reports are mailed', () => site.sandbox.smtp!.mails.length >= 2);
    child.kill('SIGTERM');
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(0);
    await expectExactly(await newestRun(site), site.sandbox.oracle(oracleRows(TYPES)));
  });

  it('goes on with an interrupted run when it starts', async () => {
    const site = await siteForTest({
      sandbox: { patients: 6, latencyMs: 40, smtp: false },
      resources: TYPES,
      mail: false,
      // Never due by itself while the test runs.
      settings: { 'schedule.cron': '0 0 29 2 *' },
    });
    const killed = await site.stopWhen(() => site.sandbox.counts().total > 12, 'SIGKILL', ['run']);
    expect(killed.signal).toBe('SIGKILL');
    const { child, ended } = await site.start(['daemon']);
    await until('the run is published', async () => (await runsOf(site)).length === 1);
    child.kill('SIGINT');
    expect((await ended).code).toBe(0);
    const published = await newestRun(site);
    await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES)));
    expect(await published.text('report.txt')).toContain('picked up again once');
  });

  it('checkpoints a run at SIGTERM, to be picked up later', async () => {
    const site = await siteForTest({
      sandbox: { patients: 6, latencyMs: 60, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': EVERY_SECOND },
    });
    const { child, ended } = await site.start(['daemon']);
    await until('a run is under way', () => site.sandbox.counts().total > 10);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
    expect(await runsOf(site)).toEqual([]);
    expect((await site.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(site), site.sandbox.oracle(oracleRows(TYPES)));
  });

  it('has nothing to do without a schedule, and says what to write', async () => {
    const site = await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false });
    const { code, stderr } = await site.run(['daemon']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/\[schedule\] cron/);
  });
});
