import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { until } from '../support/cli.ts';
import { said, slotAnHourAgo, slotsMissed, startDaemon, withLedger } from '../support/daemon.ts';
import { expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { CLIENT_ID, oracleRows, siteForTest, siteKey, type Site } from '../support/site.ts';

const TYPES = ['Patient', 'Condition', 'Encounter'];
const SHIFTED_CLOCK = pathToFileURL(path.join(import.meta.dirname, '..', 'crash', 'shiftedClock.mjs')).href;

async function expectAll(site: Site, job = 'default'): Promise<void> {
  await expectExactly(await newestRun(site, job), site.sandbox.oracle(oracleRows(TYPES)));
}

describe('a slot that was missed while the daemon was down', () => {
  it('is caught up once, and the report says so', async () => {
    const cron = slotAnHourAgo();
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': cron },
    });
    await slotsMissed(site, cron);
    const first = await startDaemon(site);
    await until('the slot is caught up', async () => (await runsOf(site)).length === 1);
    await first.stop();
    await expectAll(site);
    const { summary } = await withLedger(site, (ledger) => ledger.lastPublished('default')!);
    expect(summary!.missedSlots?.count).toBe(3);
    // Another daemon finds nothing to catch up.
    const again = await startDaemon(site);
    await until('the other daemon has looked', async () => said(again, 'schedule.started'));
    await sleep(1_500);
    await again.stop();
    expect(await runsOf(site)).toHaveLength(1);
  });

  it('is passed over with catch_up = skip', async () => {
    const cron = slotAnHourAgo();
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'schedule.cron': cron, 'schedule.catch_up': 'skip' },
    });
    await slotsMissed(site, cron);
    const daemon = await startDaemon(site);
    const slotMs = () => withLedger(site, (ledger) => ledger.schedules.served('default')!.slotMs);
    await until('it is passed over', async () => (await slotMs()) > Date.now() - 3 * 3_600_000);
    await daemon.stop();
    expect(site.sandbox.counts().total).toBe(0);
  });

  it('is none of a schedule that was not there then', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'schedule.cron': slotAnHourAgo() },
    });
    await slotsMissed(site, '0 0 1 1 *');
    const daemon = await startDaemon(site);
    await sleep(1_500);
    await daemon.stop();
    expect(site.sandbox.counts().total).toBe(0);
  });
});

describe('a run by hand', () => {
  it('is waited for by the daemon, which then serves its slot', async () => {
    const cron = slotAnHourAgo();
    const site = await siteForTest({
      sandbox: { patients: 6, latencyMs: 80, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': cron, 'api_settings.concurrency': 1 },
    });
    // It begins before the slot is noticed, and does not serve it: its start lies before the one that is noted.
    const byHand = await site.start(['run']);
    await until('the run by hand is under way', () => site.sandbox.counts().total > 3);
    await withLedger(site, (ledger) => {
      ledger.schedules.markServed('default', { schedule: `* * * * * * UTC`, slotMs: Date.now() });
    });
    await site.configure({ 'schedule.cron': '* * * * * *', 'schedule.catch_up': 'skip' });
    const daemon = await startDaemon(site);
    expect((await byHand.ended).code).toBe(0);
    await until('the daemon serves', async () => (await runsOf(site)).length >= 2);
    await daemon.stop();
    expect(said(daemon, 'run.refused')).toBe(false);
    await expectAll(site);
  });

  it('exits 5 while the daemon runs the job, and says who, since when and how far', async () => {
    const cron = slotAnHourAgo();
    const site = await siteForTest({
      sandbox: { patients: 6, latencyMs: 250, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': cron, 'api_settings.concurrency': 1 },
    });
    await slotsMissed(site, cron);
    const daemon = await startDaemon(site);
    await until('some searches are committed', async () =>
      withLedger(site, (ledger) => {
        const run = ledger.openRunOf('default');
        return run !== undefined && [...ledger.pulls.commits(run.runNo)].length > 0;
      }),
    );
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(5);
    expect(stderr).toMatch(
      new RegExp(
        'job default is held by `fhir-rounds daemon` ' +
          `\\(process ${daemon.child.pid} on \\S+, run \\d{8}T\\d{6}Z-[0-9a-f]{4}\\) ` +
          'since \\S+Z, [1-9]\\d* of 18 searches done',
      ),
    );
    await until('the run is published', async () => (await runsOf(site)).length === 1);
    await daemon.stop();
    await expectAll(site);
  });
});

describe('several jobs', () => {
  it('of one server take turns; those of another server run at the same time', async () => {
    const cron = slotAnHourAgo();
    const other = await startSandbox({
      patients: 3,
      latencyMs: 100,
      smtp: false,
      clients: [{ clientId: CLIENT_ID, jwks: siteKey().jwks }],
    });
    onTestFinished(() => other.close());
    const site = await siteForTest({
      sandbox: { patients: 3, latencyMs: 100, smtp: false },
      resources: TYPES,
      mail: false,
      settings: {
        'schedule.cron': cron,
        'api_settings.concurrency': 1,
        '[job one] ': '',
        '[job two] ': '',
        '[job far] epic_settings.epic_endpoint': other.fhirBase,
        '[job far] oauth_settings.token_endpoint': other.tokenEndpoint,
      },
    });
    const jobs = ['one', 'two', 'far'];
    await slotsMissed(site, cron, jobs);
    const daemon = await startDaemon(site);
    for (const job of jobs) {
      await until(`${job} is published`, async () => (await runsOf(site, job)).length === 1);
    }
    await daemon.stop();
    const spans = await withLedger(site, (ledger) =>
      jobs.map((job) => {
        const { startedAtMs, finishedAtMs } = ledger.lastPublished(job)!;
        return { from: startedAtMs, to: finishedAtMs! };
      }),
    );
    const [one, two, far] = spans as [Span, Span, Span];
    expect(overlap(one, two)).toBe(false);
    expect(overlap(far, one) || overlap(far, two)).toBe(true);
    for (const job of ['one', 'two']) await expectAll(site, job);
  });
});

interface Span {
  readonly from: number;
  readonly to: number;
}

function overlap(a: Span, b: Span): boolean {
  return a.from < b.to && b.from < a.to;
}

describe('allowed_hours', () => {
  /** `HH:MM` of an instant in UTC. */
  const hourAt = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

  it('keep a run by hand from beginning, and say when they begin', async () => {
    const now = Date.now();
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'schedule.allowed_hours': `${hourAt(now + 7_200_000)}-${hourAt(now + 10_800_000)}` },
    });
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(6);
    expect(stderr).toMatch(/RUN_PAUSED: \[schedule\] allowed_hours are over; they begin again at \S+Z/);
    expect(site.sandbox.counts().total).toBe(0);
    const anyway = { env: { FHIR_ROUNDS_SCHEDULE_ALLOWED_HOURS: '00:00-24:00' } };
    expect((await site.run(['run'], anyway)).code).toBe(0);
  });

  it('that end pause a run, which goes on when they begin again', async () => {
    const now = Date.now();
    const minute = Math.floor(now / 60_000) * 60_000;
    const hours = `${hourAt(minute + 3_600_000)}-${hourAt(minute + 7_200_000)}`;
    let shiftMs = 0;
    const site = await siteForTest({
      sandbox: { patients: 30, latencyMs: 150, smtp: false, now: () => Date.now() + shiftMs },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.allowed_hours': hours, 'api_settings.concurrency': 1 },
    });
    // Program and server live so much later that the hours end some seconds after the start.
    const runAt = (instantMs: number) => {
      shiftMs = instantMs - Date.now();
      return site.run(['run'], {
        env: { NODE_OPTIONS: `--import ${SHIFTED_CLOCK}`, CLOCK_SHIFT_MS: String(shiftMs) },
      });
    };
    const paused = await runAt(minute + 7_200_000 - 9_000);
    expect(paused.code, paused.stderr).toBe(6);
    expect(paused.stderr).toContain('RUN_PAUSED');
    const asked = site.sandbox.counts().total;
    expect(asked).toBeGreaterThan(0);
    expect(await runsOf(site)).toEqual([]);
    expect((await runAt(minute + 7_260_000)).code).toBe(6);
    expect(site.sandbox.counts().total).toBe(asked);
    const rest = await runAt(minute + 3_660_000);
    expect(rest.code, rest.stderr).toBe(0);
    await expectAll(site);
    const { summary } = await withLedger(site, (ledger) => ledger.lastPublished('default')!);
    expect(summary).toMatchObject({ resumed: 1, searches: { failed: 0 }, http: { retries: 0 } });
  });
});

describe('a signal', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s ends the daemon though its requests hang', async (name) => {
    const cron = slotAnHourAgo();
    const site = await siteForTest({
      sandbox: { patients: 4, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': cron },
    });
    await slotsMissed(site, cron);
    site.sandbox.setFaults([{ match: { endpoint: 'search' }, when: { after: 3 }, then: { hang: true } }]);
    const { child, ended } = await site.start(['daemon']);
    await until('requests hang', () => site.sandbox.counts().inFlight >= 3);
    child.kill(name);
    // Else this test would time out: the sandbox never answers.
    expect((await ended).code).toBe(0);
    site.sandbox.setFaults([]);
    expect((await site.run(['run'])).code).toBe(0);
    await expectAll(site);
  });
});
