import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { askedFor, heldBy } from '../support/asked.ts';
import type { CliResult } from '../support/cli.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import {
  afterRequests,
  oracleRows,
  rosterOf,
  siteForTest,
  TYPES_OF_EVERY_KIND,
  type Site,
} from '../support/site.ts';

const PATIENTS = 8;
/** Requests of a whole run, about: 8 patients x (1 read + 7 types, Observation with 6 filters), and the references. */
const REQUESTS = 115;

let sandbox: Sandbox;
beforeAll(async () => {
  // Slow enough for a run to last through several group commits.
  sandbox = await startSandbox({ patients: PATIENTS, latencyMs: 60, smtp: false });
});
afterAll(() => sandbox.close());

const site = (): Promise<Site> => siteForTest({ sandbox, resources: TYPES_OF_EVERY_KIND, mail: false });
const oracle = (patientIds?: readonly string[]) =>
  sandbox.oracle(oracleRows(TYPES_OF_EVERY_KIND), patientIds);

/** Runs it until the sandbox was asked so many times, and kills it. */
async function kill(one: Site, requests: number): Promise<void> {
  const { signal } = await one.stopWhen(afterRequests(sandbox, requests), 'SIGKILL', ['run']);
  expect(signal).toBe('SIGKILL');
}

/** Runs it again to its end, and nothing that was committed is asked for again. */
async function goOn(one: Site): Promise<CliResult & { readonly done: ReadonlySet<string> }> {
  const { done } = await heldBy(one);
  const asked = sandbox.requests.length;
  const result = await one.run(['run']);
  expect(result.code, result.stderr).toBe(0);
  expect(askedFor(sandbox.requests.slice(asked)).filter((search) => done.has(search))).toEqual([]);
  return { ...result, done };
}

describe('a run killed with SIGKILL', () => {
  it.each([
    { when: 'early', share: 0.15 },
    { when: 'half way', share: 0.5 },
    { when: 'among the references', share: 0.97 },
  ])('$when goes on where it stopped, and the result is exact', async ({ share }) => {
    const one = await site();
    await kill(one, Math.floor(REQUESTS * share));
    expect(await runsOf(one)).toEqual([]);
    const { stdout, done } = await goOn(one);
    if (share > 0.9) expect(done.size).toBeGreaterThan(10);

    const published = await newestRun(one);
    await expectExactly(published, oracle());
    expect(await runsOf(one)).toHaveLength(1);
    expect(await currentOf(one)).toBe(published.runId);
    expect((await one.run(['verify', published.folder])).code).toBe(0);
    expect(stdout).toContain('picked up again once');
    expect(await published.text('report.txt')).toContain('picked up again once');
  });

  it('twice is still exact', async () => {
    const one = await site();
    for (const share of [0.4, 0.3]) await kill(one, Math.floor(REQUESTS * share));
    await goOn(one);
    const published = await newestRun(one);
    await expectExactly(published, oracle());
    expect((await one.run(['verify', published.folder])).code).toBe(0);
    const shown = await one.run(['show', published.runId, '--json']);
    expect(JSON.parse(shown.stdout)).toMatchObject({ status: 'complete', summary: { resumed: 2 } });
  });

  it('keeps to its own roster: a new one waits for the next run', async () => {
    const one = await site();
    const ids = (ordinals: readonly number[]) => ordinals.map((ordinal) => sandbox.patientIdAt(ordinal)!);
    const before = [0, 1, 2, 3, 4];
    await writeFile(one.rosterFile, rosterOf(sandbox, before));
    await kill(one, 40);
    const after = [4, 5, 6, 7, 0];
    await writeFile(one.rosterFile, rosterOf(sandbox, after));
    expect((await one.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(one), oracle(ids(before)));
    expect((await one.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(one), oracle(ids(after)));
  });

  it('is closed as abandoned by --fresh, and by nothing else when the server in the INI is another', async () => {
    const one = await site();
    await kill(one, 40);
    const [open] = await readdir(path.join(one.stateFolder, 'runs'));
    await one.configure({
      'epic_settings.epic_endpoint': `${sandbox.origin.replace('127.0.0.1', 'localhost')}/R4`,
    });
    const asked = sandbox.counts().total;
    const refused = await one.run(['run']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/RUN_NOT_RESUMABLE.*another/);
    expect(refused.stderr).toContain('--fresh');
    expect(sandbox.counts().total).toBe(asked);

    await one.configure({});
    const { code, stderr } = await one.run(['run', '--fresh']);
    expect(code, stderr).toBe(0);
    const published = await newestRun(one);
    expect(published.runId).not.toBe(open);
    await expectExactly(published, oracle());
    expect(await readdir(path.join(one.exportFolder, 'default', '.staging'))).toEqual([]);
    const runs = JSON.parse((await one.run(['runs', '--json'])).stdout) as {
      runId: string;
      status: string;
    }[];
    expect(runs.map(({ runId, status }) => [runId, status])).toEqual([
      [published.runId, 'complete'],
      [open, 'abandoned'],
    ]);
  });
});
