import { spawn } from 'node:child_process';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { linkOrCopy } from '../../src/system/files.ts';
import { CLI, ensureBuilt } from '../support/built.ts';
import { expectExactly, newestRun } from '../support/publishedRun.ts';
import { oracleRows, siteForTest } from '../support/site.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { canMount, mountDisk } from './support.ts';

const MANY_TYPES =
  'Patient Observation Condition Encounter Appointment MedicationRequest Medication Practitioner Procedure DiagnosticReport'
    .split(' ')
    .concat(
      'AllergyIntolerance Immunization DocumentReference CarePlan Goal Organization Location Specimen'.split(
        ' ',
      ),
    );

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 5, smtp: false });
});
afterAll(() => sandbox.close());

describe.runIf(canMount)('two file systems', () => {
  it('have no common file: linkOrCopy copies, whole or not at all', async () => {
    const folder = await temporaryFolder();
    const here = mountDisk(path.join(folder, 'a'), '4m').folder;
    const there = mountDisk(path.join(folder, 'b'), '256k').folder;
    await writeFile(path.join(here, 'small'), 'x'.repeat(10_000));
    await writeFile(path.join(here, 'large'), 'x'.repeat(1_000_000));
    await linkOrCopy(path.join(here, 'small'), path.join(there, 'small'));
    expect(await readFile(path.join(there, 'small'), 'utf8')).toBe('x'.repeat(10_000));
    expect((await stat(path.join(there, 'small'))).nlink).toBe(1);
    await expect(linkOrCopy(path.join(here, 'large'), path.join(there, 'large'))).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    expect(await readdir(there)).toEqual(['small']);
    await expect(linkOrCopy(path.join(here, 'large'), path.join(there, 'small'))).rejects.toThrow();
    expect((await stat(path.join(there, 'small'))).size).toBe(10_000);
  });

  it('may hold state and exports apart', async () => {
    const one = await siteForTest({ sandbox, mail: false });
    mountDisk(one.stateFolder, '16m');
    mountDisk(one.exportFolder, '16m');
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(['Patient', 'Condition'])));
  });

  it.each(['exportFolder', 'stateFolder'] as const)(
    'read-only under the %s exits 2 and names it',
    async (which) => {
      const one = await siteForTest({ sandbox, mail: false });
      mountDisk(one[which], '4m').remount('ro');
      const before = sandbox.counts().total;
      const { code, stderr } = await one.run(['run']);
      expect(code, stderr).toBe(2);
      expect(stderr).toMatch(new RegExp(`PATH_UNUSABLE: ${one[which]}.*EROFS`));
      expect(sandbox.counts().total).toBe(before);
    },
  );
});

describe.runIf(process.platform !== 'win32')('few file handles (ulimit -n 64)', () => {
  it('are enough for a run of many types', async () => {
    const one = await siteForTest({
      sandbox,
      resources: MANY_TYPES,
      mail: false,
      settings: { 'api_settings.concurrency': 30 },
    });
    await ensureBuilt();
    const script = 'ulimit -n 64 && exec "$0" "$@"';
    // Not awaited synchronously: the sandbox answers from this process.
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn('sh', ['-c', script, process.execPath, CLI, 'run', '--config', one.configFile], {
      cwd: one.folder,
      env: { PATH, HOME },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.stdout.resume();
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code, said).toBe(0);
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(MANY_TYPES)));
  });
});
