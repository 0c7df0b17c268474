import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { tamper } from '../support/ledger.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { afterRequests, oracleRows, siteForTest, type Site } from '../support/site.ts';
import { statusOf } from './support.ts';

const TYPES = ['Patient'];
/** `npm run long` raises it. */
const PAIRS = Number(process.env['FHIR_ROUNDS_TEST_PAIRS'] ?? 8);
/** For a machine that is busy; a pair takes a second or two otherwise. */
const PAIR_LIMIT_MS = 20_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 2, latencyMs: 300, smtp: false });
});
afterAll(() => sandbox.close());

const site = (): Promise<Site> => siteForTest({ sandbox, resources: TYPES, mail: false });

describe('two runs started together', () => {
  const title = `(${PAIRS} times, the first on a ledger that neither has made): one writes, the other exits 5 and names it`;
  it(title, { timeout: 60_000 + PAIRS * PAIR_LIMIT_MS }, async () => {
    const one = await site();
    for (let pair = 1; pair <= PAIRS; pair++) {
      const both = await Promise.all([one.start(['run']), one.start(['run'])]);
      const ends = await Promise.all(both.map(({ ended }) => ended));
      const codes = ends.map(({ code }) => code);
      expect(codes.toSorted(), ends.map(({ stderr }) => stderr).join('\n')).toEqual([0, 5]);
      const winner = both[codes.indexOf(0)]!.child.pid;
      expect(ends[codes.indexOf(5)]!.stderr).toMatch(
        new RegExp(`is held by .*\\(process ${winner} on ${hostname()}.*\\) since \\d{4}-\\d\\d-\\d\\dT`),
      );
      expect(await runsOf(one)).toHaveLength(pair);
    }
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(TYPES)));
    expect((await statusOf(one)).code).toBe(0);
  });
});

describe('a holder that died', () => {
  it('blocks nobody, not even where its process id is another’s now', async () => {
    const one = await site();
    await one.stopWhen(afterRequests(sandbox, 2), 'SIGKILL', ['run']);
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    onTestFinished(() => void other.kill('SIGKILL'));
    await once(other, 'spawn');
    tamper(one.stateFolder, `UPDATE holders SET pid = ${other.pid}`);
    const status = await statusOf(one);
    expect(status).toMatchObject({ code: 1, jobs: [{ verdict: 'interrupted' }] });
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(TYPES)));
  });
});

describe('a clock that jumps', () => {
  it('back: an interrupted run goes on', async () => {
    const one = await site();
    await one.stopWhen(afterRequests(sandbox, 3), 'SIGKILL', ['run']);
    tamper(one.stateFolder, 'UPDATE runs SET started_at = started_at + 86400000 * 300');
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(TYPES)));
    expect((await statusOf(one)).code).toBe(0);
  });

  it('back: the next run is named after the last, and becomes the current one', async () => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    const ahead = '20990101T000000Z-abcd';
    tamper(one.stateFolder, `UPDATE runs SET run_id = '${ahead}'`);
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    expect(await currentOf(one)).toMatch(/^20990101T000001Z-[0-9a-f]{4}$/);
  });
});
