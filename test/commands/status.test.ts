import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { healthOf, wholeVerdict, type JobFacts } from '../../src/views/jobHealth.ts';
import type { RunRow } from '../../src/run/ledgerRows.ts';
import { until } from '../support/cli.ts';
import { newestRun } from '../support/publishedRun.ts';
import { makeSite, siteForTest, type Site } from '../support/site.ts';

interface StatusJson {
  readonly verdict: string;
  readonly why: string;
  readonly next?: string;
  readonly jobs: readonly {
    readonly job: string;
    readonly verdict: string;
    readonly why: string;
    readonly next?: string;
    readonly nextRun?: string;
    readonly holder?: { readonly pid: number };
    readonly progress?: { readonly done: number; readonly planned: number };
  }[];
  readonly outbox: { readonly mails: number; readonly held: number };
  readonly disk: { readonly freeBytes: number; readonly runsLeft?: number };
}

const SHIFTED_CLOCK = pathToFileURL(path.join(import.meta.dirname, '..', 'crash', 'shiftedClock.mjs')).href;
const HOUR_MS = 3_600_000;

const later = (hours: number) => ({
  env: { NODE_OPTIONS: `--import ${SHIFTED_CLOCK}`, CLOCK_SHIFT_MS: String(hours * HOUR_MS) },
});

async function statusOf(site: Site, hours = 0): Promise<{ code: number | undefined; status: StatusJson }> {
  const { code, stdout, stderr } = await site.run(['status', '--json'], hours === 0 ? {} : later(hours));
  expect(stderr).toBe('');
  return { code, status: JSON.parse(stdout) as StatusJson };
}

describe('status of a site whose run was complete', () => {
  let site: Site;
  beforeAll(async () => {
    site = await makeSite({
      sandbox: { patients: 2, smtp: false },
      mail: false,
      settings: { 'schedule.cron': '0 2 * * *', 'schedule.timezone': 'America/Chicago' },
    });
    const { code, stderr } = await site.run(['run']);
    expect(code, stderr).toBe(0);
  });
  afterAll(() => site.close());

  it('is healthy, exits 0, and says when the next one is, in the job’s zone', async () => {
    const { code, status } = await statusOf(site);
    expect(code).toBe(0);
    const { runId } = await newestRun(site);
    expect(status).toMatchObject({ verdict: 'healthy', outbox: { mails: 0, held: 0 } });
    expect(status.jobs).toMatchObject([{ job: 'default', verdict: 'healthy', lastRun: runId, warnings: [] }]);
    expect(status.disk.runsLeft).toBeGreaterThan(0);
    const { stdout } = await site.run(['status']);
    expect(stdout).toMatch(
      new RegExp(`^default: healthy\\. Run ${runId}, less than a minute ago: \\d+ resources`),
    );
    expect(stdout).toMatch(/Next run \d{4}-\d\d-\d\d 02:00 \(America\/Chicago\), in /);
    expect(stdout).toMatch(/^outbox: empty\.$/m);
    expect(stdout).toMatch(/^disk: .* free in .*, room for .* runs as large as the last\.$/m);
  });

  it('is late and exits 1 once a slot has passed and nothing runs', async () => {
    const { code, status } = await statusOf(site, 30);
    expect(code).toBe(1);
    expect(status).toMatchObject({ verdict: 'late', jobs: [{ verdict: 'late' }] });
    expect(status.why).toMatch(/^A run was due \d+ hours? ago and nothing runs\. Run /);
    expect(status.next).toContain('daemon');
  });

  it('loads no library for HTTP, mail, logs or tokens', async () => {
    const trace = site.path('modules.txt');
    const hook = site.path('trace.mjs');
    await writeFile(
      hook,
      `import { register } from 'node:module';
       import { appendFileSync } from 'node:fs';
       export async function load(url, context, next) {
         if (url.startsWith('file:')) appendFileSync(${JSON.stringify(trace)}, url + '\\n');
         return next(url, context);
       }
       if (process.argv.includes('status')) register(import.meta.url);`,
    );
    const { code } = await site.run(['status'], {
      env: { NODE_OPTIONS: `--import ${pathToFileURL(hook).href}` },
    });
    expect(code).toBe(0);
    const loaded = await readFile(trace, 'utf8');
    expect(loaded).toContain('/commands/status.js');
    expect(loaded).toContain('/node-cron/');
    const packages = new Set([...loaded.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)].map((m) => m[1]));
    for (const heavy of ['axios', 'undici', 'winston', 'nodemailer', 'jose', 'selfsigned']) {
      expect(packages).not.toContain(heavy);
    }
  });
});

describe('status of a site in trouble', () => {
  it('that never ran is late, and names the first step', async () => {
    const site = await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false });
    const { code, status } = await statusOf(site);
    expect(code).toBe(1);
    expect(status).toMatchObject({ verdict: 'late', jobs: [{ verdict: 'never run' }] });
    expect(status.next).toContain('fhir-rounds check');
  });

  it('names who runs, since when and how far', async () => {
    const site = await siteForTest({ sandbox: { patients: 3, smtp: false }, mail: false });
    site.sandbox.setFaults([{ match: { endpoint: 'search', type: 'Condition' }, then: { hang: true } }]);
    const { child, ended } = await site.start(['run']);
    await until('requests hang', () => site.sandbox.counts().inFlight >= 3);
    await until('a commit', async () => (await statusOf(site)).status.jobs[0]?.progress?.done === 3);
    const { code, status } = await statusOf(site);
    expect(code).toBe(0);
    expect(status).toMatchObject({
      verdict: 'running',
      jobs: [{ holder: { pid: child.pid }, progress: { done: 3, planned: 6 } }],
    });
    expect(status.why).toMatch(
      /by `fhir-rounds run default` \(process \d+ on .+\) for .+: 3 of 6 searches done\.$/,
    );
    child.kill('SIGINT');
    expect((await ended).code).toBe(6);
    expect((await statusOf(site)).status).toMatchObject({
      verdict: 'late',
      jobs: [{ verdict: 'interrupted', next: expect.stringContaining('fhir-rounds run default') as string }],
    });
  });

  it('weighs several jobs: the gravest is the verdict of the whole, and is named', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      mail: false,
      settings: { '[job nightly] api_settings.max_attempts': 1, '[job weekly] method': 'crawl' },
    });
    site.sandbox.setFaults([{ match: { endpoint: 'search', type: 'Condition' }, then: { status: 500 } }]);
    expect((await site.run(['run', 'nightly'])).code).toBe(3);
    const partial = await statusOf(site);
    expect(partial.code).toBe(1);
    expect(partial.status).toMatchObject({ verdict: 'late' });
    expect(partial.status.why).toBe('weekly: No run is recorded.');
    site.sandbox.setFaults([]);
    expect((await site.run(['run', 'weekly'])).code).toBe(0);
    const { stdout, code } = await site.run(['status']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^PARTIAL\. nightly: Run .*: 2 searches failed; no run was ever complete\.\n/);
    expect(stdout).toContain('  do: fhir-rounds run nightly --retry-failed');
    expect(stdout).toMatch(/^weekly: healthy\./m);
  });
});

describe('a job’s verdict', () => {
  const NOW = Date.UTC(2026, 10, 22, 12);
  const run = (changes: Partial<RunRow>): RunRow => ({
    runNo: 1,
    runId: '20261122T020000Z-3f2a',
    jobName: 'nightly',
    state: 'closed',
    status: 'complete',
    baseRunId: undefined,
    context: { server: '', clientId: '', exportFolder: '' },
    startedAtMs: NOW - 10 * HOUR_MS,
    finishedAtMs: NOW - 9 * HOUR_MS,
    workedMs: 0,
    resumed: 0,
    folder: undefined,
    summary: undefined,
    ...changes,
  });
  const facts = (changes: Partial<JobFacts>): JobFacts => ({
    jobName: 'nightly',
    method: 'crawl',
    nowMs: NOW,
    last: run({}),
    lastComplete: undefined,
    isRunning: false,
    holder: undefined,
    progress: undefined,
    waitsFor: undefined,
    missedSlotMs: undefined,
    waitsForServer: false,
    ...changes,
  });

  it.each([
    {
      how: 'a run at work outweighs what is overdue',
      given: { isRunning: true, missedSlotMs: NOW },
      verdict: 'running',
    },
    {
      how: 'a failure outweighs what is overdue',
      given: { last: run({ status: 'failed' }), missedSlotMs: NOW },
      verdict: 'failed',
    },
    {
      how: 'what is overdue outweighs a partial run',
      given: { last: run({ status: 'partial' }), missedSlotMs: NOW },
      verdict: 'late',
    },
    {
      how: 'a job that waits its turn is not late',
      given: { missedSlotMs: NOW, waitsForServer: true },
      verdict: 'healthy',
    },
    { how: 'an abandoned run has failed', given: { last: run({ status: 'abandoned' }) }, verdict: 'failed' },
    {
      how: 'a run that nobody goes on with is interrupted',
      given: { last: run({ state: 'open' }) },
      verdict: 'interrupted',
    },
  ] as const)('$how', ({ given, verdict }) => {
    const health = healthOf(facts(given));
    expect(health.verdict).toBe(verdict);
    expect(health.why).toMatch(/\.$/);
    if (verdict !== 'running' && verdict !== 'healthy') expect(health.next).toBeTruthy();
  });

  it('says how old the last complete run is when the newest is not whole', () => {
    const lastComplete = run({ finishedAtMs: NOW - 72 * HOUR_MS });
    expect(healthOf(facts({ last: run({ status: 'partial' }), lastComplete })).why).toContain(
      'the last complete run is 3 days old',
    );
  });

  it.each([
    [['healthy', 'running'], 'running'],
    [['partial', 'never run', 'healthy'], 'late'],
    [['interrupted', 'failed'], 'failed'],
    [['healthy'], 'healthy'],
  ] as const)('%j together are %s', (verdicts, whole) => {
    expect(wholeVerdict(verdicts)).toBe(whole);
  });
});
