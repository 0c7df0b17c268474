import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { namesIn } from '../support/asked.ts';
import type { CliResult } from '../support/cli.ts';
import { runsOf } from '../support/publishedRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { rosterOf, siteForTest, type Site, type SiteOptions } from '../support/site.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 7, smtp: false });
});
afterAll(() => sandbox.close());

const site = (options: SiteOptions = {}): Promise<Site> => siteForTest({ sandbox, mail: false, ...options });

/** Refused: exit 2, in few words and without a stack, before the sandbox saw any request; and no copy of the roster stays. */
async function refusal(
  of: Site,
  args: readonly string[] = ['run'],
): Promise<CliResult & { lines: string[] }> {
  const before = sandbox.counts().total;
  const result = await of.run(args);
  expect(result.code, result.stderr).toBe(2);
  expect(sandbox.counts().total).toBe(before);
  expect(await namesIn(path.join(of.stateFolder, 'runs'))).toEqual([]);
  expect(result.stderr).not.toMatch(/^\s+at /m);
  expect(result.stderr).not.toContain('INTERNAL');
  return { ...result, lines: result.stderr.trimEnd().split('\n') };
}

/** A FUSE mount stands for all file systems whose locks another machine may not see: sshfs and its like are FUSE. */
const canMount = process.geteuid?.() === 0 && existsSync('/dev/fuse') && existsSync('/usr/bin/bindfs');

async function mountFuse(): Promise<string> {
  const [source, target] = [await temporaryFolder(), await temporaryFolder()];
  execFileSync('/usr/bin/bindfs', [source, target]);
  onTestFinished(() => void execFileSync('umount', [target]));
  return target;
}

describe('the configuration is refused before any request when', () => {
  it('there is no INI', async () => {
    const one = await site();
    await rm(one.configFile);
    const { stderr, lines } = await refusal(one);
    expect(stderr).toContain('CONFIG_MISSING');
    expect(stderr).toContain('fhir-rounds init');
    expect(lines.length).toBeLessThanOrEqual(3);
  });

  it('a key is unknown: it suggests the nearest one and names the line', async () => {
    const { stderr } = await refusal(await site({ settings: { 'api_settings.concurency': 3 } }));
    expect(stderr).toMatch(/fhir-rounds\.ini:\d+ \[api_settings\] concurency/);
    expect(stderr).toMatch(/did you mean "?concurrency/i);
  });

  it('interpolation runs in a circle', async () => {
    const { stderr } = await refusal(
      await site({
        settings: { 'paths.log_folder': '${state_folder}', 'paths.state_folder': '${log_folder}' },
      }),
    );
    expect(stderr).toMatch(/circle|cycl|itself/);
  });

  it('the schedule cannot be read', async () => {
    const { stderr } = await refusal(await site({ settings: { 'schedule.cron': '61 25 * * *' } }));
    expect(stderr).toMatch(/\[schedule\] cron/);
  });

  it('a server other than this machine is asked in clear', async () => {
    const { stderr } = await refusal(
      await site({ settings: { 'epic_settings.epic_endpoint': 'http://fhir.hospital.example/api/FHIR/R4' } }),
    );
    expect(stderr).toMatch(/\[epic_settings\] epic_endpoint/);
    expect(stderr).toContain('https');
  });

  it('the job that is named does not exist', async () => {
    const one = await site({ settings: { '[job nightly] ': '' } });
    const { stderr } = await refusal(one, ['run', 'weekly']);
    expect(stderr).toContain('there is no job weekly; there are: nightly');
  });

  it('several things are wrong: all are named at once', async () => {
    const { stderr } = await refusal(
      await site({
        settings: {
          'api_settings.page_size': 'many',
          'jwt_settings.jwt_algorithm': 'HS256',
          'schedule.timezone': 'Mars/Olympus',
          'paths.colour': 'blue',
        },
      }),
    );
    for (const words of ['page_size', 'jwt_algorithm', 'timezone', 'colour']) expect(stderr).toContain(words);
  });
});

describe('the inputs are refused before any request when', () => {
  it('the roster is empty', async () => {
    const { stderr } = await refusal(await site({ roster: 'fhir_id\n' }));
    expect(stderr).toMatch(/INPUT_INVALID.*roster\.csv/);
  });

  it('the roster has an id twice', async () => {
    const id = sandbox.patientIdAt(0)!;
    const { stderr } = await refusal(
      await site({ roster: `fhir_id\n${id}\n${sandbox.patientIdAt(1)}\n${id}\n` }),
    );
    expect(stderr).toMatch(/roster\.csv:4:1: .*line 2/);
    expect(stderr).not.toContain(id);
  });

  it('the roster has a malformed id: it names file, line and column and never the value', async () => {
    const { stderr } = await refusal(
      await site({ roster: `name,fhir_id\nSecret Name,${sandbox.patientIdAt(0)}\nOther Name,BAD ID?x=1\n` }),
    );
    expect(stderr).toMatch(/roster\.csv:3:2: /);
    expect(stderr).not.toMatch(/BAD|Name/);
  });

  it('the roster lost many patients since the last run, until that is accepted', async () => {
    const one = await site({ resources: ['Patient'] });
    expect((await one.run(['run'])).code).toBe(0);
    await writeFile(one.rosterFile, rosterOf(sandbox, [0, 1, 2]));
    const { stderr } = await refusal(one);
    expect(stderr).toContain('ROSTER_SHRUNK');
    expect(stderr).toContain('--accept-roster');
    expect(await runsOf(one)).toHaveLength(1);
    expect((await one.run(['run', '--accept-roster'])).code).toBe(0);
    expect(await runsOf(one)).toHaveLength(2);
  });

  it('the list names a type that FHIR does not have', async () => {
    const { stderr } = await refusal(await site({ resources: ['Patient', 'Observatoin'] }));
    expect(stderr).toMatch(/resources\.csv:3:1: .*Observation\b/);
  });

  it('roster, list and key are wrong: all are named at once', async () => {
    const one = await site({ roster: 'name\nx\n', resources: ['Nonsense'] });
    const { stderr } = await refusal(one);
    expect(stderr).toContain('roster.csv');
    expect(stderr).toContain('resources.csv');
  });
});

describe('key and folders are refused before any request when', () => {
  it.runIf(process.platform !== 'win32')('others can read the key', async () => {
    const one = await site();
    await chmod(one.path('private-key.pem'), 0o644);
    const { stderr } = await refusal(one);
    expect(stderr).toContain('KEY_EXPOSED');
    expect(stderr).toContain('chmod 600');
    expect(stderr).not.toContain(await readFile(one.path('private-key.pem'), 'utf8'));
  });

  it('the export folder cannot be made', async () => {
    const one = await site({ settings: { 'paths.epic_data_export_folder': 'resources.csv/exports' } });
    const { stderr } = await refusal(one);
    expect(stderr).toMatch(/PATH_UNUSABLE.*resources\.csv\/exports/);
  });

  it('exports would go into a published run', async () => {
    const one = await site({ resources: ['Patient'] });
    expect((await one.run(['run'])).code).toBe(0);
    const [runId] = await runsOf(one);
    await one.configure({
      'paths.epic_data_export_folder': path.join('exports', 'default', runId!, 'more'),
      'paths.state_folder': 'other-state',
    });
    const { stderr } = await refusal(one);
    expect(stderr).toMatch(/PATH_UNUSABLE.*inside a run/);
  });

  it('exports would hold the state', async () => {
    const { stderr } = await refusal(await site({ settings: { 'paths.state_folder': 'exports/state' } }));
    expect(stderr).toMatch(/epic_data_export_folder.*state_folder/);
  });

  it.runIf(canMount)('the state lies on a network file system', async () => {
    const folder = path.join(await mountFuse(), 'state');
    const { stderr } = await refusal(await site({ settings: { 'paths.state_folder': folder } }));
    expect(stderr).toMatch(/PATH_UNUSABLE.*lies on/);
  });

  it('the state folder is a file', async () => {
    const one = await site();
    await mkdir(one.exportFolder);
    await writeFile(one.stateFolder, '');
    const { stderr } = await refusal(one);
    expect(stderr).toMatch(/PATH_UNUSABLE/);
  });
});

describe('the command line', () => {
  it('refuses an unknown option and an unknown command', async () => {
    const one = await site();
    expect((await one.run(['run', '--frsh'])).stderr).toContain('--fresh');
    expect((await one.run(['run', '--frsh'])).code).toBe(2);
    expect((await one.run(['rum'])).code).toBe(2);
  });
});
