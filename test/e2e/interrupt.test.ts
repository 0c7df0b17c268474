import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { until } from '../support/cli.ts';
import { expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, type Site } from '../support/site.ts';

const TYPES = ['Patient', 'Observation', 'Condition', 'Encounter', 'Practitioner'];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 8, latencyMs: 60, smtp: false });
});
afterAll(() => sandbox.close());

const site = (): Promise<Site> => siteForTest({ sandbox, resources: TYPES, mail: false });
const oracle = () => sandbox.oracle(oracleRows(TYPES));

describe('a run that is interrupted', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s exits 6 at its checkpoint, and goes on later',
    async (signal) => {
      const one = await site();
      const from = sandbox.counts().total;
      const stopped = await one.stopWhen(() => sandbox.counts().total - from > 30, signal, ['run']);
      expect(stopped.code, stopped.stderr).toBe(6);
      expect(stopped.stderr).toContain('INTERRUPTED');
      expect(await runsOf(one)).toEqual([]);
      const status = await one.run(['status', '--json']);
      expect(status.code).toBe(1);
      expect(JSON.parse(status.stdout)).toMatchObject({ jobs: [{ verdict: 'interrupted' }] });

      const { code, stdout, stderr } = await one.run(['run']);
      expect(code, stderr).toBe(0);
      expect(stdout).toContain('picked up again once');
      await expectExactly(await newestRun(one), oracle());
    },
  );

  it('by SIGINT does not wait for requests that hang', async () => {
    const one = await site();
    sandbox.setFaults([{ match: { endpoint: 'search', type: 'Condition' }, then: { hang: true } }]);
    try {
      const from = sandbox.counts().total;
      const { child, ended } = await one.start(['run']);
      await until(
        'requests hang',
        () => sandbox.counts().total - from > 10 && sandbox.counts().inFlight >= 5,
      );
      child.kill('SIGINT');
      expect((await ended).code).toBe(6);
    } finally {
      sandbox.setFaults([]);
    }
    expect((await one.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(one), oracle());
  });
});

describe('a run that is interrupted before it has begun to pull', () => {
  it('exits 6 and leaves nothing behind', async () => {
    const one = await site();
    sandbox.setFaults([{ match: { endpoint: 'token' }, then: { hang: true } }]);
    const stopped = await one
      .stopWhen(() => sandbox.counts().inFlight === 1, 'SIGINT', ['run'])
      .finally(() => sandbox.setFaults([]));
    expect(stopped.code, stopped.stderr).toBe(6);
    expect((await one.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(one), oracle());
    const runs = JSON.parse((await one.run(['runs', '--json'])).stdout) as { status: string }[];
    expect(runs.map(({ status }) => status)).toEqual(['complete']);
    expect(await readdir(path.join(one.exportFolder, 'default', '.staging'))).toEqual([]);
    expect(await readdir(path.join(one.stateFolder, 'runs'))).toEqual([]);
  });
});

describe('a second run', () => {
  it('of the same job exits 5 naming who holds it, and the first completes', async () => {
    const one = await site();
    const from = sandbox.counts().total;
    const first = await one.start(['run']);
    await until('the first run is under way', () => sandbox.counts().total - from > 5);
    const second = await one.run(['run']);
    expect(second.code).toBe(5);
    expect(second.stderr).toMatch(
      new RegExp(`LOCK_HELD: job default is held by .*process ${first.child.pid}\\b`),
    );
    const status = await one.run(['status', '--json']);
    expect(JSON.parse(status.stdout)).toMatchObject({ jobs: [{ verdict: 'running' }] });
    expect((await first.ended).code).toBe(0);
    await expectExactly(await newestRun(one), oracle());
    expect(await runsOf(one)).toHaveLength(1);
  });

  it('of another job at the same server exits 5 too, and a dead holder blocks nobody', async () => {
    const one = await siteForTest({
      sandbox,
      resources: TYPES,
      mail: false,
      settings: { '[job one] ': '', '[job two] ': '' },
    });
    const from = sandbox.counts().total;
    const first = await one.start(['run', 'one']);
    await until('the first run is under way', () => sandbox.counts().total - from > 5);
    const second = await one.run(['run', 'two']);
    expect(second.code).toBe(5);
    expect(second.stderr).toMatch(/LOCK_HELD: server .* is held by .*run one/);
    first.child.kill('SIGKILL');
    await first.ended;
    const third = await one.run(['run', 'two']);
    expect(third.code, third.stderr).toBe(0);
    await expectExactly(await newestRun(one, 'two'), oracle());
  });
});
