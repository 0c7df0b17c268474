import { describe, expect, it } from 'vitest';
import { until } from '../support/cli.ts';
import { openConsole } from '../support/consoleClient.ts';
import { startDaemon, withLedger } from '../support/daemon.ts';
import { siteForTest, type Site } from '../support/site.ts';

/** Never while a test runs. */
const NEVER = '0 0 29 2 *';

async function requestOf(site: Site) {
  return withLedger(site, (ledger) => ledger.requests.recent('default', 1)[0]);
}

async function isEnded(site: Site): Promise<boolean> {
  const request = await requestOf(site);
  return request?.state === 'done' || request?.state === 'refused';
}

describe('what is asked of the daemon in the console', () => {
  it('is a run, a dry run and a retry, each answered on the page', async () => {
    const site = await siteForTest({ mail: false, settings: { 'schedule.cron': NEVER } });
    const { client } = await openConsole(site);
    expect((await client.get('/')).text).toContain('No daemon runs for this state folder');
    await startDaemon(site);
    for (const [kind, answer] of [
      ['dry-run', 'nothing was requested'],
      ['run', /Run \S+ ended: complete/],
      ['retry-failed', /no failed search to retry/],
    ] as const) {
      expect((await client.post('/jobs/default/requests', { kind })).status).toBe(303);
      await until(`the answer to ${kind}`, () => isEnded(site));
      expect.soft((await requestOf(site))?.answer).toMatch(answer);
      expect.soft((await client.get('/')).text).toMatch(new RegExp(`<li>\\s*${kind}, `));
    }
    expect((await client.get('/')).text).toContain('The daemon runs');
    expect((await client.get('/runs')).text).toContain('complete');
  });

  it('waits for a daemon, and is asked once however often the button is pressed', async () => {
    const site = await siteForTest({ mail: false, settings: { 'schedule.cron': NEVER } });
    const { client } = await openConsole(site);
    for (const _ of [1, 2, 3]) await client.post('/jobs/default/requests', { kind: 'dry-run' });
    expect(await withLedger(site, ({ requests }) => requests.waiting().length)).toBe(1);
    await startDaemon(site);
    await until('the answer', () => isEnded(site));
  });

  it('cancels a run, whoever carries it out', async () => {
    const site = await siteForTest({
      ...{ mail: false, sandbox: { patients: 60, latencyMs: 100 } },
      settings: { 'schedule.cron': NEVER, 'api_settings.concurrency': 1 },
    });
    const { client } = await openConsole(site);
    await startDaemon(site);
    const run = await site.start(['run']);
    await until('some progress', async () => (await client.get('/')).text.includes('Under way'));
    expect((await client.get('/')).text).toContain('Cancel the run');
    await client.post('/jobs/default/requests', { kind: 'cancel' });
    expect((await run.ended).stdout).toContain('ABANDONED');
    await until('the answer', () => isEnded(site));
    expect((await requestOf(site))?.state).toBe('done');
    const [last] = await withLedger(site, (ledger) => ledger.runs({ limit: 1 }));
    expect(last?.status).toBe('abandoned');
  });

  it('is refused where nobody can want it any more, or it is being done', async () => {
    const site = await siteForTest({
      ...{ mail: false, sandbox: { patients: 60, latencyMs: 100 } },
      settings: { 'schedule.cron': NEVER, 'api_settings.concurrency': 1 },
    });
    const { client } = await openConsole(site);
    const longAgo = Date.now() - 7 * 3_600_000;
    const asked = { jobName: 'default', askedBy: 'session' };
    await withLedger(site, ({ requests }) => requests.ask({ ...asked, kind: 'run' }, longAgo));
    await withLedger(site, ({ requests }) => requests.ask({ ...asked, kind: 'cancel' }, longAgo));
    const run = await site.start(['run']);
    await until('some progress', async () => (await client.get('/')).text.includes('Under way'));
    expect((await client.get('/')).text).not.toMatch(/Run now|Go on with the run/);
    await startDaemon(site);
    const answers = () =>
      withLedger(site, ({ requests }) => requests.recent('default', 3).map(({ answer }) => answer ?? ''));
    await until('answers', async () => !(await answers()).includes(''));
    const [cancel, run7] = await answers();
    expect(run7).toContain('No daemon took it up for 7 h');
    expect(cancel).toMatch(/Run \S+ began after this was asked for/);
    await client.post('/jobs/default/requests', { kind: 'run' });
    await until('the answer', () => isEnded(site));
    expect((await requestOf(site))?.answer).toMatch(/Run \S+ is under way already/);
    expect((await run.ended).stdout).toMatch(/^OK/);
  });

  it('is the same as what the daemon is at', async () => {
    const site = await siteForTest({ mail: false });
    const [first, second] = await withLedger(site, ({ requests }) => {
      const asked = { jobName: 'default', kind: 'run', askedBy: 'session' } as const;
      const one = requests.ask(asked, 1);
      requests.take(one.requestNo);
      return [one, requests.ask(asked, 2)];
    });
    expect(second?.requestNo).toBe(first?.requestNo);
  });

  it('refuses what cannot be asked for', async () => {
    const site = await siteForTest({ mail: false, settings: { 'schedule.cron': NEVER } });
    const { client } = await openConsole(site);
    expect((await client.post('/jobs/default/requests', { kind: 'format-disk' })).status).toBe(400);
    expect((await client.post('/jobs/other/requests', { kind: 'run' })).status).toBe(404);
  });

  it('harms no run when the console is killed in the middle of it', async () => {
    const site = await siteForTest({
      ...{ mail: false, sandbox: { patients: 40, latencyMs: 50 } },
      settings: { 'schedule.cron': NEVER },
    });
    await startDaemon(site);
    const first = await openConsole(site);
    await first.client.post('/jobs/default/requests', { kind: 'run' });
    for (let kills = 0; !(await isEnded(site)); kills++) {
      const { client, child, ended } = kills === 0 ? first : await openConsole(site);
      const seen = client.get('/');
      const asked = Promise.allSettled(['/live', '/runs', '/runs/latest'].map((path) => client.get(path)));
      await seen;
      child.kill('SIGKILL');
      await Promise.all([ended, asked]);
    }
    expect((await requestOf(site))?.answer).toMatch(/ended: complete/);
    expect((await site.run(['verify', 'latest'])).code).toBe(0);
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
  });
});
