import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { RunLock } from '../../src/run/lock.ts';
import { decodedPart } from '../../src/sandbox/smtpMessage.ts';
import { systemClock } from '../../src/system/clock.ts';
import { until } from '../support/cli.ts';
import { said, slotAnHourAgo, slotsMissed, startDaemon, withLedger } from '../support/daemon.ts';
import { startServer } from '../support/httpServer.ts';
import { expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, type Site, type SiteSettings } from '../support/site.ts';

const TYPES = ['Patient', 'Condition', 'Encounter'];
/** A schedule that is never due while a test runs. */
const NEVER = '0 0 29 2 *';

/** A site whose daemon has a slot to catch up when it starts. */
async function dueSite(settings: SiteSettings = {}, patients = 4): Promise<Site> {
  const cron = slotAnHourAgo();
  const site = await siteForTest({
    sandbox: { patients },
    resources: TYPES,
    settings: { 'schedule.cron': cron, ...settings },
  });
  await slotsMissed(site, cron);
  return site;
}

async function expectAll(site: Site): Promise<void> {
  await expectExactly(await newestRun(site), site.sandbox.oracle(oracleRows(TYPES)));
}

const subjects = (site: Site): readonly string[] => site.sandbox.smtp!.mails.map(({ subject }) => subject);

async function noticesOf(site: Site): Promise<readonly string[]> {
  return withLedger(site, (ledger) => ledger.notices.open('default').map(({ kind }) => kind));
}

describe('failed searches', () => {
  it('are asked again by the daemon itself', async () => {
    const site = await dueSite({
      'api_settings.max_attempts': 1,
      'schedule.retry_failed_after_minutes': 0.02,
    });
    // Both passes of the first run fail for one patient.
    site.sandbox.setFaults([
      { match: { type: 'Condition', patient: 1 }, when: { first: 2 }, then: { badJson: true } },
    ]);
    const daemon = await startDaemon(site);
    await until('two runs are published', async () => (await runsOf(site)).length === 2);
    await until('both are mailed', () => subjects(site).length === 2);
    await daemon.stop();
    await expectAll(site);
    const runs = await withLedger(site, (ledger) => ledger.runs());
    expect(runs.map(({ status }) => status)).toEqual(['complete', 'partial']);
    expect(runs[0]!.baseRunId).toBe(runs[1]!.runId);
  });
});

describe('a server that goes away', () => {
  const IMPATIENT = { 'api_settings.max_outage_minutes': 0.01, 'api_settings.concurrency': 2 };

  it('in the middle of a run pauses it; the daemon goes on by itself, and only the end is mailed', async () => {
    const site = await dueSite(IMPATIENT);
    site.sandbox.setFaults([
      { match: { endpoint: 'search' }, when: { after: 3 }, then: { reset: true } },
      { match: { endpoint: 'metadata' }, when: { after: 1 }, then: { reset: true } },
    ]);
    const daemon = await startDaemon(site);
    await until('the run is paused', () => said(daemon, 'run.away'));
    expect(daemon.output.stderr).toContain('RUN_PAUSED');
    expect(await runsOf(site)).toEqual([]);
    site.sandbox.setFaults([]);
    await until('it is published', async () => (await runsOf(site)).length === 1, 40_000);
    await until('its report is mailed', () => subjects(site).length === 1);
    await daemon.stop();
    await expectAll(site);
    const [run, ...others] = await withLedger(site, (ledger) => ledger.runs());
    expect(others).toEqual([]);
    expect(run!.summary).toMatchObject({ status: 'complete', searches: { failed: 0 } });
    expect(run!.resumed).toBeGreaterThan(0);
  });

  it('before a run has begun is waited for, and nothing is mailed but the end', async () => {
    const site = await dueSite({ ...IMPATIENT, 'api_settings.max_attempts': 1 });
    site.sandbox.setFaults([{ match: { endpoint: 'token' }, when: { first: 2 }, then: { status: 503 } }]);
    const daemon = await startDaemon(site);
    await until('it is published', async () => (await runsOf(site)).length === 1, 40_000);
    await until('its report is mailed', () => subjects(site).length === 1);
    await daemon.stop();
    expect(said(daemon, 'run.away')).toBe(true);
    await expectAll(site);
    expect(await withLedger(site, (ledger) => ledger.runs().map(({ status }) => status))).toEqual([
      'complete',
    ]);
  });

  it('for longer than resume_within_hours is a failed run, told once', async () => {
    const site = await dueSite({
      ...IMPATIENT,
      'api_settings.max_attempts': 1,
      'schedule.resume_within_hours': 0.0005,
      'schedule.retry_failed_after_minutes': 0,
    });
    site.sandbox.setFaults([{ match: { endpoint: 'token' }, then: { status: 503 } }]);
    const daemon = await startDaemon(site);
    await until('it is told', () => subjects(site).length > 0, 40_000);
    await daemon.stop();
    expect(subjects(site)).toHaveLength(1);
    expect(await withLedger(site, (ledger) => ledger.runs().map(({ status }) => status))).toEqual(['failed']);
  });
});

describe('a run that cannot begin', () => {
  it('is told once, stands in status, and is tried again when the INI is read anew', async () => {
    const site = await dueSite({ 'schedule.retry_failed_after_minutes': 0.02 });
    await rename(site.rosterFile, `${site.rosterFile}.away`);
    const daemon = await startDaemon(site);
    await until('it was refused twice', () => daemon.output.stderr.split('run.refused').length > 2);
    await until('it is mailed', () => subjects(site).length === 1);
    expect(subjects(site)[0]).toMatch(/^REFUSED default: \w+/);
    expect(await noticesOf(site)).toEqual(['refused']);
    const status = await site.run(['status']);
    expect(status.code).toBeGreaterThan(0);
    expect(status.stdout).toContain('The daemon could not begin a run');
    await rename(`${site.rosterFile}.away`, site.rosterFile);
    daemon.child.kill('SIGHUP');
    await until('it is published', async () => (await runsOf(site)).length === 1);
    await until('its report is mailed', () => subjects(site).length === 2);
    await daemon.stop();
    expect(await noticesOf(site)).toEqual([]);
    expect(site.sandbox.counts().total).toBeGreaterThan(0);
  });
});

describe('a slot that nobody serves', () => {
  it('is told once as overdue, until a run has ended', async () => {
    const site = await dueSite({ 'notify.overdue_after_hours': 0.0005 });
    const release = await withHeldLock(site);
    const daemon = await startDaemon(site);
    await until('it is mailed', () => subjects(site).length === 1);
    expect(subjects(site)[0]).toMatch(/^OVERDUE default: nothing since \d{4}-\d{2}-\d{2} \d{2}:\d{2}$/);
    expect(await noticesOf(site)).toEqual(['overdue']);
    release();
    await until('its slot is served', async () => (await runsOf(site)).length === 1);
    await until('its report is mailed', () => subjects(site).length === 2);
    await daemon.stop();
    expect(await noticesOf(site)).toEqual([]);
  });
});

/** Holds the job's lock in this process, as a run that hangs would. */
async function withHeldLock(site: Site): Promise<() => void> {
  const { openLedger } = await import('../../src/run/ledger.ts');
  const ledger = await openLedger(site.stateFolder);
  const lock = await RunLock.take({
    stateFolder: site.stateFolder,
    ledger,
    clock: systemClock,
    name: 'job default',
    command: 'a test',
  });
  return () => {
    lock.close();
    ledger.close();
  };
}

describe('the INI', () => {
  it('counts from the next run on once it was changed', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': NEVER },
    });
    const daemon = await startDaemon(site);
    await site.configure({ 'schedule.cron': '* * * * * *' });
    await until('runs begin', async () => (await runsOf(site)).length >= 1);
    await site.configure({ 'schedule.cron': NEVER });
    await until('it was read again', () => daemon.output.stderr.split('config.reloaded').length > 2);
    await daemon.stop();
    await expectAll(site);
  });

  it('gains a job and loses one while the daemon runs', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { '[job one] schedule.cron': NEVER },
    });
    const daemon = await startDaemon(site);
    // Editors put another file in its place.
    const text = (await readFile(site.configFile, 'utf8')).replace('[job one]', '[job two]');
    await writeFile(`${site.configFile}.new`, text.replace(NEVER, '* * * * * *'), { mode: 0o600 });
    await rename(`${site.configFile}.new`, site.configFile);
    await until('the new job runs', async () => (await runsOf(site, 'two')).length >= 1);
    await daemon.stop();
    expect(await runsOf(site, 'one')).toEqual([]);
  });

  it('that is broken leaves all as it was; it is told once a content, and stands in status until it is mended', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2 },
      resources: TYPES,
      settings: { 'schedule.cron': NEVER },
    });
    const daemon = await startDaemon(site);
    const refused = () => daemon.output.stderr.split('config.not_taken').length - 1;
    await site.configure({ 'schedule.cron': 'at two', 'schedule.timezone': 'UTC' });
    await until('it is not taken', () => refused() === 1);
    await until('it is mailed', () => subjects(site).length === 1);
    daemon.child.kill('SIGHUP');
    await until('it is not taken again', () => refused() === 2);
    await site.configure({ 'schedule.cron': 'at three' });
    await until('another one is not taken', () => refused() === 3);
    await until('that is mailed too', () => subjects(site).length === 2);
    expect(new Set(subjects(site))).toEqual(
      new Set(['CONFIGURATION not taken: the daemon goes on with the one before']),
    );
    expect(decodedPart(site.sandbox.smtp!.mails[0]!.raw, 'text/plain')).toContain('[schedule] cron');
    expect(await noticesOf(site)).toEqual(['config-invalid']);
    const status = await site.run(['status']);
    expect(status.code).toBe(2);
    expect(status.stderr).toContain('[schedule] cron');
    await rm(site.configFile);
    await until('a missing one is not taken', () => refused() >= 4);
    await site.configure({});
    await until('the good one is taken', () => said(daemon, 'config.reloaded'));
    await until('and nothing is the matter', async () => (await noticesOf(site)).length === 0);
    await daemon.stop();
  });

  it('cannot move the ledger under a running daemon', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'schedule.cron': NEVER },
    });
    const daemon = await startDaemon(site);
    await site.configure({ 'paths.state_folder': 'elsewhere' });
    await until('it is not taken', () => said(daemon, 'config.not_taken'));
    expect(daemon.output.stderr).toContain('state_folder cannot change');
    await daemon.stop();
  });
});

describe('who else is told', () => {
  it('is a watchdog of start, success and failure, and a program of each run', async () => {
    const watchdog = await startServer((response) => response.end('OK'));
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      resources: TYPES,
      mail: false,
    });
    await writeFile(
      site.path('tell.mjs'),
      `import { writeFileSync } from 'node:fs';
       const chunks = [];
       for await (const chunk of process.stdin) chunks.push(chunk);
       writeFileSync(process.argv[2], JSON.stringify({ summary: JSON.parse(Buffer.concat(chunks)), env: process.env }));`,
    );
    const settings = {
      'notify.ping_url': `${watchdog.origin}/ping/5f0c3a51-secret`,
      'notify.notify_command': `${process.execPath} ${site.path('tell.mjs')} '${site.path('told to.json')}'`,
    };
    await site.configure(settings);
    const env = { FHIR_ROUNDS_LOGGING_LEVEL: 'debug', EPIC_CLIENT_SECRET: 'not-to-be-told' };
    const good = await site.run(['run'], { env });
    expect(good.code, good.stderr).toBe(0);
    const pings = () => watchdog.requests.map(({ method, url, body }) => `${method} ${url} ${body}`);
    const base = 'POST /ping/5f0c3a51-secret';
    expect(pings()).toEqual([`${base}/start `, `${base} `]);
    const told = JSON.parse(await readFile(site.path('told to.json'), 'utf8')) as {
      summary: { status: string; jobName: string };
      env: Record<string, string>;
    };
    expect(told.summary).toMatchObject({ status: 'complete', jobName: 'default' });
    expect(Object.keys(told.env).filter((name) => /^(FHIR_|EPIC_|NODE_)/.test(name))).toEqual([]);

    site.sandbox.setFaults([{ match: { type: 'Condition' }, then: { badJson: true } }]);
    await site.configure({ ...settings, 'api_settings.max_attempts': 1 });
    expect((await site.run(['run'])).code).toBe(3);
    expect(pings().slice(2)).toEqual([`${base}/start `, `${base}/fail `]);
    expect(good.stderr + (await readFile(`${site.logFolder}/fhir-rounds.log`, 'utf8'))).not.toContain(
      'secret',
    );
  });

  it('hinders no run by being away, slow or wrong', async () => {
    const watchdog = await startServer((response) => {
      response.statusCode = 500;
      response.end();
    });
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: {
        'notify.ping_url': `${watchdog.origin}/ping`,
        'notify.notify_command': '/nowhere/no-such-program',
      },
    });
    expect((await site.run(['run'])).code).toBe(0);
    const log = await readFile(`${site.logFolder}/fhir-rounds.log`, 'utf8');
    expect(log).toContain('ping.failed');
    expect(log).toContain('notify_command.not_started');
  });
});
