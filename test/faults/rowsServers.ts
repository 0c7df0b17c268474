import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { runWith } from '../../src/commands/oneRun.ts';
import { openStateLedger } from '../../src/compose.ts';
import { loadConfig } from '../../src/config/load.ts';
import { asRoundsError } from '../../src/errors.ts';
import { checkAccess } from '../../src/run/preflight.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { systemClock } from '../../src/system/clock.ts';
import { silentLog } from '../../src/system/logger.ts';
import { expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { CLIENT_ID, oracleRows, siteForTest, siteKey, type Site } from '../support/site.ts';
import type { FaultStory } from './row.ts';

const TYPES = ['Patient', 'Condition', 'Encounter'];

/** Two jobs of one server, which answers the first search with 429. */
function twoJobs(pauseSeconds: number): Promise<Site> {
  return siteForTest({
    sandbox: {
      patients: 3,
      smtp: false,
      faults: [
        {
          match: { endpoint: 'search' },
          when: { nth: [1] },
          then: { status: 429, headers: { RateLimit: `"default";r=0;t=${pauseSeconds}` } },
        },
      ],
    },
    resources: TYPES,
    mail: false,
    settings: { '[job north] method': 'crawl', '[job south] method': 'crawl' },
  });
}

async function untilStruck({ sandbox }: Site): Promise<void> {
  while (sandbox.faultsStruck()[0] === 0) await sleep(5);
}

/** Seconds from the 429 to the first question after those that were under way with it. */
function pauseOf({ requests }: Sandbox): number {
  const refused = requests.findIndex(({ status }) => status === 429);
  const from = requests[refused]!.atMs;
  const after = requests
    .slice(refused)
    .filter(({ endpoint, atMs }) => endpoint !== 'token' && atMs > from + 500);
  return (Math.min(...after.map(({ atMs }) => atMs)) - from) / 1000;
}

/** What befalls whoever asks a server, by the real clock. */
export const SERVER_STORIES: readonly FaultStory[] = [
  {
    title:
      'two jobs of one server are run at once in one process, and the server answers 429 with `RateLimit: ...;r=0;t=3` alone',
    result:
      'Pulls of one server exclude each other: one waits the 3 seconds out and completes, the other is told who pulls (LOCK_HELD), having asked nothing.',
    tell: async () => {
      const site = await twoJobs(3);
      const config = await loadConfig({ file: site.configFile, env: {} });
      const { signal } = new AbortController();
      const around = { clock: systemClock, log: silentLog, random: Math.random, signal };
      const state = await openStateLedger(config, around, () => undefined);
      try {
        const ends = await Promise.allSettled(
          config.jobs.map(async (job) =>
            runWith(job, await checkAccess(job, signal), await state.fresh(), around, {
              command: `test of ${job.jobName}`,
              emit: () => undefined,
              options: {
                fresh: false,
                retryFailed: false,
                acceptRoster: false,
                manual: true,
                patient: false,
              },
            }),
          ),
        );
        const [refused, ...others] = ends.flatMap((end) =>
          end.status === 'rejected' ? [asRoundsError(end.reason).code] : [],
        );
        expect([refused, others]).toEqual(['LOCK_HELD', []]);
      } finally {
        state.close();
      }
      expect(site.sandbox.counts().byEndpoint['token']).toBe(1);
      expect(pauseOf(site.sandbox)).toBeGreaterThan(2.5);
      const runs = [...(await runsOf(site, 'north')), ...(await runsOf(site, 'south'))];
      expect(runs).toHaveLength(1);
      return site;
    },
  },
  {
    title:
      'another job of a server is started, as a process of its own, while the server keeps the first waiting (429)',
    result:
      'Exit 5, naming the job that waits; nothing is asked. The daemon lets it begin when the first has ended.',
    tell: async () => {
      const site = await twoJobs(6);
      const { ended } = await site.start(['run', 'north']);
      await untilStruck(site);
      const { total } = site.sandbox.counts();
      const second = await site.run(['run', 'south']);
      expect(second.code, second.stderr).toBe(5);
      expect(second.stderr).toContain('north');
      // Those of the first that were under way.
      expect(site.sandbox.counts().total).toBeLessThan(total + 5);
      expect((await ended).code).toBe(0);
      expect((await site.run(['run', 'south'])).code).toBe(0);
      for (const job of ['north', 'south']) {
        await expectExactly(await newestRun(site, job), site.sandbox.oracle(oracleRows(TYPES)));
      }
      return site;
    },
  },
  {
    title:
      'a run is killed while it waits for the server (429), and another job of that server is started at once',
    result: 'The pause outlives the process: the next one asks nothing before it is over.',
    tell: async () => {
      const site = await twoJobs(7);
      await site.stopWhen(
        async () => {
          if (site.sandbox.faultsStruck()[0] === 0) return false;
          await sleep(300);
          return true;
        },
        'SIGKILL',
        ['run', 'north'],
      );
      const { code, stderr } = await site.run(['run', 'south']);
      expect(code, stderr).toBe(0);
      expect(pauseOf(site.sandbox)).toBeGreaterThan(6.5);
      await expectExactly(await newestRun(site, 'south'), site.sandbox.oracle(oracleRows(TYPES)));
      return site;
    },
  },
  {
    title: 'the server is restarted in the middle of a run and away for four seconds, by the real clock',
    result: 'The run waits and goes on: complete, exact; tokens of before the restart are replaced.',
    tell: async () => {
      const options = { patients: 6, smtp: false, latencyMs: 20 } as const;
      const before = await startSandbox(options);
      onTestFinished(() => before.close());
      const site = await siteForTest({
        sandbox: before,
        resources: TYPES,
        mail: false,
        settings: { 'api_settings.page_size': 3 },
      });
      const { ended } = await site.start(['run']);
      while (before.counts().total < 15) await sleep(5);
      await before.close();
      await sleep(4_000);
      const after = await startSandbox({
        ...options,
        port: Number(new URL(before.origin).port),
        clients: [{ clientId: CLIENT_ID, jwks: siteKey().jwks }],
      });
      onTestFinished(() => after.close());
      const { code, stderr } = await ended;
      expect(code, stderr).toBe(0);
      expect(after.counts().total).toBeGreaterThan(10);
      await expectExactly(await newestRun(site), after.oracle(oracleRows(TYPES)));
      return site;
    },
  },
];
