import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { until, type CliOptions } from '../support/cli.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { CLIENT_ID, makeSite, oracleRows, rosterOf, siteKey, type Site } from '../support/site.ts';
import { settled } from './aftermath.ts';
import { isThorough } from './options.ts';
import { askedFor, hasOpenRun, heldBy } from '../support/asked.ts';

const TYPES = ['Patient', 'Condition', 'Encounter', 'Appointment', 'MedicationRequest', 'Practitioner'];
const PATIENTS = 30;
/** With the daemon; every other one its run is too old. */
const NIGHTS = isThorough ? 8 : 2;
const HOUR_MS = 3_600_000;
const SHIFTED_CLOCK = pathToFileURL(path.join(import.meta.dirname, 'shiftedClock.mjs')).href;

/** A site whose server and processes live through nights, each with a roster of its own. */
class Nights {
  site!: Site;
  sandbox!: Sandbox;
  roster: readonly string[] = [];
  #hours = 0;
  #port = 0;

  /** The server's clock moves with that of the processes: an assertion of tomorrow is refused today. */
  async at(hours: number): Promise<void> {
    this.#hours = hours;
    const before = this.sandbox as Sandbox | undefined;
    await before?.close();
    this.sandbox = await startSandbox({
      patients: PATIENTS,
      smtp: false,
      latencyMs: 20,
      port: this.#port,
      clockOffsetSeconds: hours * 3_600,
      clients: [{ clientId: CLIENT_ID, jwks: siteKey().jwks }],
    });
    this.#port = Number(new URL(this.sandbox.origin).port);
    this.site ??= await makeSite({
      sandbox: this.sandbox,
      resources: TYPES,
      mail: false,
      settings: { 'schedule.cron': '0 2 1 1 *', 'api_settings.concurrency': 3 },
    });
  }

  /** Ten patients; each night another ten, some of them known. */
  async writeRoster(night: number): Promise<void> {
    const ordinals = Array.from({ length: 10 }, (_, no) => (night * 7 + no * 3) % PATIENTS);
    this.roster = ordinals.map((ordinal) => this.sandbox.patientIdAt(ordinal)!);
    await writeFile(this.site.rosterFile, rosterOf(this.sandbox, ordinals));
  }

  get options(): CliOptions {
    return {
      env: { NODE_OPTIONS: `--import ${SHIFTED_CLOCK}`, CLOCK_SHIFT_MS: String(this.#hours * HOUR_MS) },
    };
  }

  run(...args: readonly string[]): ReturnType<Site['run']> {
    return this.site.run(['run', '--quiet', ...args], this.options);
  }

  /** Begins a run and kills it once the ledger holds some of it; returns its id. */
  async interrupt(): Promise<string> {
    const { child, ended } = await this.site.start(['run', '--quiet'], this.options);
    await until('a first commit', async () => (await heldBy(this.site)).done.size > 0);
    child.kill('SIGKILL');
    expect((await ended).signal).toBe('SIGKILL');
    await settled(this.sandbox);
    return (await heldBy(this.site)).runId!;
  }

  async expectNewest(roster: readonly string[]): Promise<string> {
    const published = await newestRun(this.site);
    await expectExactly(published, this.sandbox.oracle(oracleRows(TYPES), roster));
    expect(await currentOf(this.site)).toBe(published.runId);
    return published.runId;
  }

  async statuses(): Promise<readonly (readonly [string, string | undefined])[]> {
    const { stdout } = await this.site.run(['runs', '--json']);
    const runs = JSON.parse(stdout) as readonly { readonly runId: string; readonly status?: string }[];
    return runs.map(({ runId, status }) => [runId, status]);
  }

  async close(): Promise<void> {
    await this.sandbox.close();
    await this.site.close();
  }
}

async function nights(): Promise<Nights> {
  const made = new Nights();
  onTestFinished(() => made.close());
  await made.at(0);
  await made.writeRoster(0);
  return made;
}

it('a run goes on the same night from its own roster, though another was written since', async () => {
  const one = await nights();
  const { roster } = one;
  const interrupted = await one.interrupt();
  await one.at(2);
  await one.writeRoster(1);
  const { done } = await heldBy(one.site);
  const resumed = await one.run();
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(await one.expectNewest(roster)).toBe(interrupted);
  expect(askedFor(one.sandbox.requests).filter((search) => done.has(search))).toEqual([]);

  await one.at(24);
  expect((await one.run()).code).toBe(0);
  const next = await one.expectNewest(one.roster);
  expect(await one.statuses()).toEqual([
    [next, 'complete'],
    [interrupted, 'complete'],
  ]);
});

it('a person is told of a run that is too old, and --fresh abandons it', async () => {
  const one = await nights();
  const interrupted = await one.interrupt();
  await one.at(24);
  await one.writeRoster(1);
  const refused = await one.run();
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/RUN_NOT_RESUMABLE/);
  expect(refused.stderr).toContain('--fresh');
  expect(one.sandbox.counts().total).toBe(0);
  expect((await heldBy(one.site)).runId).toBe(interrupted);

  const fresh = await one.run('--fresh');
  expect(fresh.code, fresh.stderr).toBe(0);
  const runId = await one.expectNewest(one.roster);
  expect(await one.statuses()).toEqual([
    [runId, 'complete'],
    [interrupted, 'abandoned'],
  ]);
  expect(await runsOf(one.site)).toEqual([runId]);
  expect(await readdir(path.join(one.site.stateFolder, 'runs'))).toEqual([]);
});

it(
  'the daemon resumes a young run and abandons an old one by itself, night after night',
  { timeout: NIGHTS * 60_000 },
  async () => {
    const one = await nights();
    const expected: (readonly [string, string])[] = [];
    for (let night = 0; night < NIGHTS; night++) {
      await one.at(night * 24);
      await one.writeRoster(night);
      const ofTheRun = one.roster;
      const interrupted = await one.interrupt();
      const isYoung = night % 2 === 0;
      await one.at(night * 24 + (isYoung ? 19 : 21));
      await one.writeRoster(night + 100);
      const before = (await runsOf(one.site)).length;
      const { child, ended } = await one.site.start(['daemon'], one.options);
      await until('the daemon to publish', async () => (await runsOf(one.site)).length > before);
      await until('the run to be closed', () => !hasOpenRun(one.site));
      child.kill('SIGTERM');
      const { code, stderr } = await ended;
      expect(code, stderr).toBe(0);
      const published = await one.expectNewest(isYoung ? ofTheRun : one.roster);
      if (isYoung) expect(published).toBe(interrupted);
      else expected.unshift([interrupted, 'abandoned']);
      expected.unshift([published, 'complete']);
      expect(await one.statuses()).toEqual(expected);
    }
  },
);
