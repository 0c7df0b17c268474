import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { newestRun, runsOf, type Published } from '../support/publishedRun.ts';
import { listOf, makeSite, setMode, siteForTest, type Site } from '../support/site.ts';

const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8);
const isPosix = process.platform !== 'win32';

describe('an INI with several jobs', () => {
  let site: Site;
  let nightly: Published;

  beforeAll(async () => {
    site = await makeSite({
      sandbox: { patients: 3 },
      settings: {
        '[job nightly] schedule.cron': '0 2 * * *',
        '[job weekly] data_sources.epic_sandbox_resources': 'weekly.csv',
      },
    });
    await writeFile(site.path('weekly.csv'), listOf(['Encounter']));
    expect((await site.run(['run', 'nightly'])).code).toBe(0);
    nightly = await newestRun(site, 'nightly');
  });
  afterAll(() => site.close());

  it('wants to be told which: run without a name lists them and asks for nothing', async () => {
    const before = site.sandbox.counts().total;
    const { code, stderr } = await site.run(['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('name one of the jobs: nightly, weekly');
    expect(site.sandbox.counts().total).toBe(before);
  });

  it('shows each job’s health and next run', async () => {
    const { code, stdout } = await site.run(['status']);
    expect(code).toBe(1);
    expect(stdout).toMatch(new RegExp(`^nightly: healthy\\. Run ${nightly.runId}.*Next run \\d{4}-`, 'm'));
    expect(stdout).toMatch(/^weekly: never run/m);
    const { jobs } = JSON.parse((await site.run(['status', '--json'])).stdout) as { jobs: { job: string }[] };
    expect(jobs.map(({ job }) => job)).toEqual(['nightly', 'weekly']);
  });

  it('gives each job its own list and folder', async () => {
    expect((await site.run(['run', 'weekly'])).code).toBe(0);
    const weekly = await newestRun(site, 'weekly');
    expect(new Set(weekly.lines.map(({ resourceType }) => resourceType))).toEqual(new Set(['Encounter']));
    expect(await runsOf(site, 'nightly')).toEqual([nightly.runId]);
    expect((await site.run(['status'])).code).toBe(0);
  });

  it('shows the history of all or of one, and one run whole', async () => {
    const { stdout } = await site.run(['runs', 'nightly']);
    expect(stdout.trim().split('\n')).toEqual([expect.stringContaining(nightly.runId)]);
    const all = JSON.parse((await site.run(['runs', '--json'])).stdout) as {
      runId: string;
      jobName: string;
    }[];
    expect(all.map(({ jobName }) => jobName)).toEqual(['weekly', 'nightly']);
    const shown = await site.run(['show', nightly.runId]);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/^OK - /);
    expect(shown.stdout).toContain('Condition');
    const asJson = JSON.parse((await site.run(['show', nightly.runId, '--json'])).stdout) as object;
    expect(asJson).toMatchObject({ runId: nightly.runId, status: 'complete', summary: { patients: 3 } });
    expect((await site.run(['show', '20200101T000000Z-0000'])).code).toBe(2);
  });

  it('refuses a job that is not there, with --json as JSON', async () => {
    const { code, stdout } = await site.run(['token', '--job', 'monthly', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'USAGE', message: expect.stringContaining('nightly') as string },
    });
  });
});

describe('verify', () => {
  it('exits 4 and names the file when a byte was flipped, a file added, or one is gone', async () => {
    const site = await siteForTest({ sandbox: { patients: 2, smtp: false }, mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    const { folder } = await newestRun(site);
    expect((await site.run(['verify', folder])).code).toBe(0);
    const file = path.join(folder, 'Condition.ndjson');
    const bytes = await readFile(file);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = bytes[at]! ^ 1;
    await writeFile(file, bytes);
    await appendFile(path.join(folder, 'report.txt'), 'x');
    await writeFile(path.join(folder, 'extra.txt'), '');
    const { code, stdout } = await site.run(['verify', folder]);
    expect(code).toBe(4);
    for (const name of ['Condition.ndjson', 'report.txt', 'extra.txt']) expect(stdout).toContain(name);
    expect((await site.run(['verify', site.folder])).code).toBe(4);
  });
});

describe('token', () => {
  it('prints one line, or writes it for its owner alone', async () => {
    const site = await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false });
    const { code, stdout, stderr } = await site.run(['token']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^[\w.-]{1000,}\n$/);
    const answer = await fetch(`${site.sandbox.fhirBase}/Patient/${site.sandbox.patientIdAt(0)}`, {
      headers: { authorization: `Bearer ${stdout.trim()}` },
    });
    expect(answer.status).toBe(200);
    const written = await site.run(['token', '--out', 'token.txt']);
    expect(written.code).toBe(0);
    const token = await readFile(site.path('token.txt'), 'utf8');
    expect(token).toMatch(/^[\w.-]{1000,}\n$/);
    expect(written.stdout + written.stderr).not.toContain(token.trim());
    if (isPosix) expect(await modeOf(site.path('token.txt'))).toBe('600');
  });
});

describe('keys', () => {
  it('generate, jwks and certificate make what a registration needs, and replace nothing', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: {
        'paths.private_key': 'new/private.pem',
        'paths.public_key': 'new/public.pem',
        'paths.certificate': 'new/certificate.pem',
        'jwt_settings.key_id': null,
        'oauth_settings.client_id': 'new-client',
      },
    });
    expect((await site.run(['keys', 'generate'])).code).toBe(0);
    if (isPosix) expect(await modeOf(site.path('new/private.pem'))).toBe('600');
    const again = await site.run(['keys', 'generate']);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('KEY_EXISTS');
    expect((await site.run(['keys', 'certificate'])).code).toBe(0);
    const { stdout } = await site.run(['keys', 'jwks']);
    const jwks = JSON.parse(stdout) as { keys: { kid: string }[] };
    expect(JSON.stringify(jwks)).not.toMatch(/"(d|p|q)":/);
    // Either way of registering it is taken.
    site.sandbox.registerClient({ clientId: 'new-client', jwks });
    expect((await site.run(['token'])).code).toBe(0);
    const certificatePem = await readFile(site.path('new/certificate.pem'), 'utf8');
    site.sandbox.registerClient({ clientId: 'new-client', certificatePem });
    expect((await site.run(['token'])).code).toBe(0);
  });
});

describe('init and check', () => {
  it('init makes a new site, of which check --offline says what is missing', async () => {
    const site = await siteForTest({ sandbox: { patients: 1, smtp: false } });
    const folder = site.path('fresh');
    await mkdir(folder);
    const made = await runCli(['init'], { cwd: folder });
    expect(made.code, made.stderr).toBe(0);
    expect((await readdir(path.join(folder, 'config'))).toSorted()).toEqual([
      'certificate.pem',
      'fhir-rounds.ini',
      'private-key.pem',
      'public-key.pem',
    ]);
    if (isPosix) {
      for (const name of ['config/private-key.pem', 'config/fhir-rounds.ini', 'data/roster.csv']) {
        expect(`${name} ${await modeOf(path.join(folder, name))}`).toBe(`${name} 600`);
      }
    }
    const missing = await runCli(['check', '--offline'], { cwd: folder });
    expect(missing.code).toBe(2);
    expect(missing.stderr).toMatch(/\[oauth_settings\] client_id: is not set/);

    const key = await readFile(path.join(folder, 'config/private-key.pem'), 'utf8');
    const again = await runCli(['init'], { cwd: folder });
    expect(again.code).toBe(2);
    expect(await readFile(path.join(folder, 'config/private-key.pem'), 'utf8')).toBe(key);

    const other = site.path('other');
    const filled = await runCli(
      ['init', '--folder', other, '--client-id', 'some-client', '--base', site.sandbox.fhirBase],
      { cwd: folder },
    );
    expect(filled.code, filled.stderr).toBe(0);
    const ready = await runCli(['check', '--offline'], { cwd: other });
    expect(ready.code, ready.stdout + ready.stderr).toBe(0);
  });

  it('check asks server and mail server, and finds all well', async () => {
    const site = await siteForTest({ sandbox: { patients: 1 } });
    const { code, stdout } = await site.run(['check', '--no-probe']);
    expect(code, stdout).toBe(0);
    expect(stdout).not.toContain('PROBLEM');
    expect(stdout).toContain('token granted');
    expect(stdout).toContain('login accepted');
    expect(site.sandbox.smtp!.mails).toHaveLength(0);
    expect(site.sandbox.requests.filter(({ endpoint }) => ['search', 'read'].includes(endpoint))).toEqual([]);
  });

  it.runIf(isPosix)('check tells every step that is not well, and what to do', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1 },
      resources: ['Patient', 'ResearchStudy', 'Basic'],
    });
    await writeFile(site.path('smtp-pass'), 'wrong\n', { mode: 0o600 });
    const mailFails = await site.run(['check', '--json']);
    expect(mailFails.code).toBe(2);
    const steps = JSON.parse(mailFails.stdout) as { step: string; verdict: string; detail: string }[];
    expect(steps.filter(({ verdict }) => verdict === 'problem').map(({ step }) => step)).toEqual(['mail']);
    expect(steps.find(({ step }) => step === 'type Basic')?.detail).toContain('does not offer');
    await setMode(site.path('private-key.pem'), 0o644);
    const keyFails = await site.run(['check', '--offline']);
    expect(keyFails.code).toBe(2);
    expect(keyFails.stdout).toMatch(/^PROBLEM .*KEY_EXPOSED[^]*chmod 600/m);
  });

  it('run --dry-run says what would be asked, and asks nothing', async () => {
    const site = await siteForTest({ sandbox: { patients: 4 } });
    const { code, stdout } = await site.run(['run', '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toContain('4 patients (0 by MRN) x 2 resource types');
    expect(site.sandbox.counts().total).toBe(0);
    expect(await runsOf(site)).toEqual([]);
  });
});
