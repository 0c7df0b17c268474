import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ensureBuilt } from '../support/built.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const execute = promisify(execFile);

/** Runs a script of this folder; gives what it wrote by --json, and on stdout. */
async function measuredBy(script: string, args: readonly string[]) {
  await ensureBuilt();
  const file = path.join(await temporaryFolder(), 'result.json');
  const command = [path.join(import.meta.dirname, script), ...args, '--json', file];
  // What it measured is no matter here: a target that was missed, or a soak too short to settle.
  const { stdout } = await execute(process.execPath, command).catch((error: { stdout: string }) => error);
  return { result: JSON.parse(await readFile(file, 'utf8')), stdout };
}

describe('npm run bench', () => {
  it('measures us and the raw limit: searches, also by TLS and gzip, and a bulk export', async () => {
    const rows = ['searches-0', 'searches-20-secure', 'bulk'];
    const { result, stdout } = await measuredBy('bench.mjs', [...rows, '--small', '--rounds', '2']);
    expect(result.rows).toMatchObject(rows.map((name) => ({ name })));
    for (const { error, rounds, medians } of result.rows) {
      expect(error).toBeUndefined();
      expect(rounds).toHaveLength(2);
      for (const figure of ['wallS', 'rawWallS', 'ratio', 'cpuS', 'rawCpuS', 'rssMb', 'rawRssMb']) {
        expect(medians[figure], figure).toBeGreaterThan(0);
      }
    }
    expect(stdout).toMatch(/^searches-20-secure +\d/m);
  });

  it('measures what grows with the patients, pages of one patient, and a limit of the server', async () => {
    const rows = ['growth', 'one-patient', 'limit'];
    const { result } = await measuredBy('bench.mjs', [...rows, '--small', '--rounds', '1']);
    expect(result.rows.map(({ error }: { error: unknown }) => error)).toEqual(rows.map(() => undefined));
  });

  it('measures the tables of the console', async () => {
    const { result } = await measuredBy('bench.mjs', ['tables', '--small']);
    expect(result.rows).toMatchObject([{ name: 'tables' }]);
    const [{ error, medians }] = result.rows;
    expect(error).toBeUndefined();
    for (const figure of ['indexS', 'firstPageS', 'filterAnyS', 'sortFirstS', 'resourceS', 'rssMb']) {
      expect(medians[figure], figure).toBeGreaterThan(0);
    }
  });

  it('refuses a row that is not there', async () => {
    await expect(
      execute(process.execPath, [path.join(import.meta.dirname, 'bench.mjs'), 'x']),
    ).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('searches-0') });
  });
});

describe('npm run soak', () => {
  it('samples what a daemon holds that runs against a faulty server', async () => {
    const { result } = await measuredBy('soak.mjs', ['--minutes', '0.15']);
    expect(result.samples.length).toBeGreaterThan(20);
    expect(result.runs).toBeGreaterThan(0);
    const figures = result.verdicts.map(({ figure }: { figure: string }) => figure);
    expect(figures).toEqual(['rssMb', 'heapMb', 'externalMb', 'descriptors', 'handles']);
  });
});
