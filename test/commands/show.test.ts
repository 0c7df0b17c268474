import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lineRanges } from '../../src/views/troubles.ts';
import { newestRun } from '../support/publishedRun.ts';
import { makeSite, type Site } from '../support/site.ts';
import { HAS_TERMINAL, runOnTerminal } from '../support/terminal.ts';

let site: Site;
let runId: string;
const audit = () => readFile(path.join(site.stateFolder, 'audit.ndjson'), 'utf8');

beforeAll(async () => {
  site = await makeSite({
    sandbox: { patients: 4, smtp: false },
    mail: false,
    settings: { 'api_settings.max_attempts': 1 },
  });
  site.sandbox.setFaults([
    {
      match: { endpoint: 'search', type: 'Condition', patient: site.sandbox.patientIdAt(0)! },
      then: { status: 403 },
    },
    {
      match: { endpoint: 'search', type: 'Condition', patient: site.sandbox.patientIdAt(1)! },
      then: { status: 500 },
    },
    {
      match: { endpoint: 'search', type: 'Condition', patient: site.sandbox.patientIdAt(2)! },
      then: { status: 500 },
    },
  ]);
  expect((await site.run(['run'])).code).toBe(3);
  ({ runId } = await newestRun(site));
});
afterAll(() => site.close());

describe('show', () => {
  it('names every gap and failure by cause and roster line, failures first', async () => {
    const { code, stdout } = await site.run(['show', 'latest']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^PARTIAL - /);
    expect(stdout).toMatch(
      /^failed +Condition +HTTP_SERVER \(HTTP 500\) +2 searches: roster:3-4\ngap +Condition +HTTP_FORBIDDEN \(HTTP 403\) +1 search: roster:2$/m,
    );
    const { troubles } = JSON.parse((await site.run(['show', runId, '--json'])).stdout) as {
      troubles: object[];
    };
    expect(troubles).toMatchObject([
      { outcome: 'failed', code: 'HTTP_SERVER', httpStatus: 500, rosterLines: [3, 4] },
      { outcome: 'gap', code: 'HTTP_FORBIDDEN', rosterLines: [2] },
    ]);
  });

  it('takes the beginning of a run’s id, and says when none or several begin so', async () => {
    expect((await site.run(['show', runId.slice(0, 18)])).stdout).toContain(runId);
    const none = await site.run(['show', '1999']);
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('RUN_UNKNOWN') as string });
    expect((await site.run(['show', 'current'])).stderr).toContain('there is no run current');
    expect((await site.run(['run', '--retry-failed'])).code).toBe(3);
    const several = await site.run(['show', '2']);
    expect(several.code).toBe(2);
    expect(several.stderr).toMatch(/several runs begin with 2: \S+, \S+ \.\.\./);
    expect((await site.run(['show', runId])).code).toBe(0);
  });

  it('prints no id into a pipe, and writes nothing into the audit file for it', async () => {
    const before = await audit();
    const { code, stdout, stderr } = await site.run(['show', runId, '--ids']);
    expect(code).toBe(2);
    expect(stderr).toContain('terminal only');
    for (let ordinal = 0; ordinal < 4; ordinal++)
      expect(stdout).not.toContain(site.sandbox.patientIdAt(ordinal));
    expect(await audit()).toBe(before);
  });

  it.runIf(HAS_TERMINAL)(
    'prints the patients’ ids to a terminal, and only after it was audited',
    async () => {
      const { code, screen } = await runOnTerminal(['show', runId, '--ids', '--config', site.configFile]);
      expect(code, screen).toBe(0);
      for (const [line, ordinal] of [
        [2, 0],
        [3, 1],
        [4, 2],
      ] as const) {
        expect(screen).toContain(`roster:${line}  ${site.sandbox.patientIdAt(ordinal)}`);
      }
      expect(screen).not.toContain(site.sandbox.patientIdAt(3));
      const last = JSON.parse((await audit()).trimEnd().split('\n').at(-1)!) as object;
      expect(last).toMatchObject({ event: 'ids.shown', runId, job: 'default' });
      expect(JSON.stringify(last)).not.toContain(site.sandbox.patientIdAt(0));
      expect((await site.run(['verify', '--audit'])).code).toBe(0);
    },
  );
});

describe('verify', () => {
  it('takes a run’s name in place of its folder', async () => {
    for (const name of ['latest', runId, runId.slice(0, 18)]) {
      const { code, stdout } = await site.run(['verify', name]);
      expect(code, stdout).toBe(0);
      expect(stdout).toMatch(/^ok: \//);
    }
    expect((await site.run(['verify', 'current'])).stderr).toContain('RUN_UNKNOWN');
    const { folder } = await newestRun(site);
    await writeFile(path.join(folder, 'report.txt'), 'x');
    expect((await site.run(['verify', 'latest'])).code).toBe(4);
    await rm(folder, { recursive: true });
    const gone = await site.run(['verify', 'latest']);
    expect(gone.code).toBe(2);
    expect(gone.stderr).toMatch(/RUN_FOLDER_GONE: the folder of run \S+ is gone/);
  });
});

it.each([
  [[], ''],
  [[7], 'roster:7'],
  [[2, 3, 4, 9, 11, 12], 'roster:2-4, roster:9, roster:11-12'],
  [[2, 2, 3], 'roster:2-3'],
] as const)('roster lines %j are written %s', (lines, text) => {
  expect(lineRanges(lines)).toBe(text);
});
