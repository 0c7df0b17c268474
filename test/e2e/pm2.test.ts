import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { until } from '../support/cli.ts';
import { ConsoleClient } from '../support/consoleClient.ts';
import { installUnderPm2, useIni, type Pm2Installation } from '../support/pm2.ts';
import { expectExactly, readRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, type Site } from '../support/site.ts';

/** The daemon under the real PM2, as an operator has it: `pm2 start ecosystem.config.cjs`. */

const TYPES = ['Patient', 'Condition', 'Encounter'];
const EVERY_SECOND = '* * * * * *';
/** PM2's own commands take half a second each. */
const LIMIT_MS = 90_000;

/** A run takes some ten seconds, so that PM2's command, itself seconds on a busy machine, comes in the middle of it. */
const siteUnderWay = (latencyMs = 250): Promise<Site> =>
  siteForTest({
    sandbox: { patients: 24, latencyMs },
    resources: TYPES,
    settings: { 'schedule.cron': EVERY_SECOND, 'api_settings.concurrency': 2 },
  });

async function start(installation: Pm2Installation): Promise<void> {
  await installation.pm2('start', path.join(installation.folder, 'ecosystem.config.cjs'));
}

/** The first run that was published: the one that was disturbed. */
async function firstRun(site: Site) {
  await until('a run is published', async () => (await runsOf(site)).length > 0, LIMIT_MS);
  return readRun(path.join(site.exportFolder, 'default', (await runsOf(site))[0]!));
}

describe.skipIf(process.platform === 'win32')('under PM2 the daemon', () => {
  it(
    'is started and called ready, runs at its times, and logs where it should',
    { timeout: LIMIT_MS },
    async () => {
      const site = await siteUnderWay(0);
      const installation = await installUnderPm2(site, { SITE_SECRET: 'CANARY-of-the-shell' });
      await start(installation);
      const { pm2_env: env } = await installation.process();
      expect(env.status).toBe('online');
      await expectExactly(await firstRun(site), site.sandbox.oracle(oracleRows(TYPES)));
      await until('the report is mailed', () => site.sandbox.smtp!.mails.length > 0);

      expect(env.pm_out_log_path).toBe(path.join(installation.folder, 'logs', 'pm2-out.log'));
      expect(env.pm_err_log_path).toBe(path.join(installation.folder, 'logs', 'pm2-error.log'));
      expect(await readFile(path.join(site.logFolder, 'fhir-rounds.log'), 'utf8')).toContain(
        'schedule.started',
      );
      expect(await readFile(env.pm_err_log_path, 'utf8')).toBe('');

      await installation.pm2('save');
      const dump = await readFile(path.join(installation.home, 'dump.pm2'), 'utf8');
      expect(dump).toContain('bootstrap.mjs');
      expect(dump).not.toContain('CANARY');

      await installation.pm2('stop', 'fhir-rounds');
      const stopped = await installation.process();
      expect(stopped.pm2_env).toMatchObject({ status: 'stopped', exit_code: 0, restart_time: 0 });
    },
  );

  it('keeps the console beside it where that is wanted, and only there', { timeout: LIMIT_MS }, async () => {
    const site = await siteUnderWay(0);
    const installation = await installUnderPm2(site);
    await start(installation);
    const stopped = await installation.process('fhir-rounds-console');
    expect(stopped.pm2_env).toMatchObject({ restart_time: 0, exit_code: 0 });

    await site.configure({ 'console.enabled': 'true', 'console.port': 0 });
    await useIni(installation.folder, site);
    await installation.pm2('restart', 'fhir-rounds-console');
    const console = await installation.process('fhir-rounds-console');
    expect(console.pm2_env.status).toBe('online');
    const { stdout } = await site.run(['console', '--link']);
    const client = new ConsoleClient(new URL(stdout.trim()).origin);
    expect((await client.login(stdout.trim())).status).toBe(303);
    expect((await client.get('/')).text).toContain('The daemon runs');
    for (const file of [console.pm2_env.pm_out_log_path, console.pm2_env.pm_err_log_path]) {
      expect(await readFile(file, 'utf8')).not.toContain('login?code');
    }
  });

  it.each(['restart', 'reload'])(
    'goes on with its run after `pm2 %s` in the middle of it',
    { timeout: LIMIT_MS },
    async (command) => {
      const site = await siteUnderWay();
      const installation = await installUnderPm2(site);
      await start(installation);
      await until('a run is under way', () => site.sandbox.counts().total > 12, LIMIT_MS);
      await installation.pm2(command, 'fhir-rounds');
      const published = await firstRun(site);
      await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES)));
      expect(await published.text('report.txt')).toContain('picked up again once');
      expect((await installation.process()).pm2_env.status).toBe('online');
    },
  );

  it('is started again after kill -9, and goes on with its run', { timeout: LIMIT_MS }, async () => {
    const site = await siteUnderWay();
    const installation = await installUnderPm2(site);
    await start(installation);
    const { pid } = await installation.process();
    await until('a run is under way', () => site.sandbox.counts().total > 12, LIMIT_MS);
    process.kill(pid, 'SIGKILL');
    const published = await firstRun(site);
    await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES)));
    expect(await published.text('report.txt')).toContain('picked up again once');
    const again = await installation.process();
    expect(again.pid).not.toBe(pid);
    expect(again.pm2_env).toMatchObject({ status: 'online', restart_time: 1 });
  });

  it(
    'stops at a bad INI, says why, asks the server nothing, and starts once it is mended',
    { timeout: LIMIT_MS },
    async () => {
      const site = await siteUnderWay(0);
      const installation = await installUnderPm2(site);
      const ini = path.join(installation.folder, 'config', 'fhir-rounds.ini');
      await writeFile(
        ini,
        (await readFile(ini, 'utf8')).replace('page_size', 'pagesize') + '[oauth_setting]\n',
      );
      await start(installation).catch(() => undefined);
      await until('it has ended', async () => (await installation.process()).pid === 0);
      // Time enough for the restart that must not come.
      await sleep(2500);
      const { pid, pm2_env: env } = await installation.process();
      expect({ pid, restarts: env.restart_time, exit: env.exit_code }).toEqual({
        pid: 0,
        restarts: 0,
        exit: 2,
      });
      expect(await readFile(env.pm_err_log_path, 'utf8')).toMatch(/CONFIG_INVALID[^]*oauth_setting/);
      expect(site.sandbox.counts().total).toBe(0);

      await useIni(installation.folder, site);
      await installation.pm2('restart', 'fhir-rounds');
      await expectExactly(await firstRun(site), site.sandbox.oracle(oracleRows(TYPES)));
    },
  );
});
