import { readFile, writeFile, mkdir, cp } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { expectExactly, newestRun, readRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, siteKey, type SiteSettings } from '../support/site.ts';
import { runCli } from '../support/cli.ts';

const TYPES = ['Patient', 'Observation', 'Condition', 'DocumentReference', 'Binary', 'Practitioner'];
const PATIENTS = 3;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: PATIENTS, smtp: false });
});
afterAll(() => sandbox.close());

const oracle = () => sandbox.oracle(oracleRows(TYPES));
const siteWith = (settings: SiteSettings) =>
  siteForTest({ sandbox, resources: TYPES, mail: false, settings });

describe('settings of the pull', () => {
  it('search_method = post keeps patient ids out of every URL but reads', async () => {
    const site = await siteWith({ 'api_settings.search_method': 'post', 'api_settings.page_size': 4 });
    const from = sandbox.requests.length;
    const { code, stderr } = await site.run(['run']);
    expect(code, stderr).toBe(0);
    await expectExactly(await newestRun(site), oracle());
    const requests = sandbox.requests.slice(from);
    const searches = requests.filter(({ endpoint }) => endpoint === 'search');
    expect(searches.length).toBeGreaterThan(10);
    expect(searches.filter(({ method }) => method !== 'POST')).toEqual([]);
    expect(requests.filter(({ endpoint }) => endpoint === 'page').length).toBeGreaterThan(0);
    const ids = Array.from({ length: PATIENTS }, (_, ordinal) => sandbox.patientIdAt(ordinal)!);
    const telling = requests
      .filter(({ endpoint }) => endpoint !== 'read')
      .map(({ path: url, query }) => `${url}?${query}`)
      .filter((url) => ids.some((id) => decodeURIComponent(url).includes(id)));
    expect(telling).toEqual([]);
  });

  it('a small page_size brings the same set, page by page and compressed', async () => {
    const site = await siteWith({ 'api_settings.page_size': 1, 'api_settings.concurrency': 8 });
    const from = sandbox.requests.length;
    expect((await site.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(site), oracle());
    const requests = sandbox.requests.slice(from);
    expect(requests.filter(({ endpoint }) => endpoint === 'page').length).toBeGreaterThan(20);
    for (const { headers, endpoint } of requests) {
      if (endpoint === 'search') expect(headers['accept-encoding']).toMatch(/gzip/);
    }
    expect(sandbox.counts().maxInFlight).toBeLessThanOrEqual(8);
  });

  it('max_pages stops a search there and says so as a gap', async () => {
    const site = await siteWith({ 'api_settings.page_size': 1, 'api_settings.max_pages': 1 });
    const { stdout } = await site.run(['run']);
    expect(stdout).toContain('FHIR_PAGE_CAP');
    expect((await newestRun(site)).manifest.extension.searches.gap).toBeGreaterThan(0);
  });

  it('resource_data_file names the files, and max_file_megabytes divides them', async () => {
    const big = await startSandbox({ patients: 40, smtp: false });
    try {
      const types = ['Patient', 'Observation', 'ExplanationOfBenefit'];
      const site = await siteForTest({
        sandbox: big,
        resources: types,
        mail: false,
        settings: {
          'file_patterns.resource_data_file': '${ResourceType}_${Timestamp}.ndjson',
          'file_patterns.max_file_megabytes': 1,
          'api_settings.concurrency': 8,
        },
      });
      const { code, stderr } = await site.run(['run']);
      expect(code, stderr).toBe(0);
      const published = await newestRun(site);
      await expectExactly(published, big.oracle(oracleRows(types)));
      const stamp = published.runId.slice(0, published.runId.indexOf('-'));
      const names = published.manifest.output.map(({ url }) => url);
      expect(names).toContain(`Patient_${stamp}.ndjson`);
      for (const { url, type } of published.manifest.output) {
        expect(url).toMatch(new RegExp(`^${type}_${stamp}(\\.\\d{3})?\\.ndjson$`));
      }
      expect(names).toContain(`Observation_${stamp}.002.ndjson`);
      for (const { extension } of published.manifest.output) expect(extension.bytes).toBeLessThan(1_100_000);
      expect((await site.run(['verify', published.folder])).code).toBe(0);
    } finally {
      await big.close();
    }
  });

  it('the list’s own filters are searched, several rows of a type as one search', async () => {
    const list = [
      'resource,query,enabled',
      'Patient,,',
      'Observation,category=laboratory,yes',
      'Observation,category=vital-signs,yes',
      'Condition,category=problem-list-item,',
      'Encounter,,no',
      '',
    ].join('\n');
    const site = await siteForTest({ sandbox, resources: list, mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    const published = await newestRun(site);
    await expectExactly(published, sandbox.oracle(list));
    expect(published.manifest.extension.searches.planned).toBe(PATIENTS * 3);
  });
});

describe('settings of the inputs and of the screen', () => {
  it('roster_bad_rows = skip leaves malformed and repeated rows out, and says how many', async () => {
    const ids = [0, 1].map((ordinal) => sandbox.patientIdAt(ordinal)!);
    const site = await siteForTest({
      sandbox,
      resources: TYPES,
      mail: false,
      roster: `fhir_id\n${ids[0]}\nno id at all\n${ids[1]}\n${ids[0]}\n`,
      settings: { 'data_sources.roster_bad_rows': 'skip' },
    });
    const { code, stdout, stderr } = await site.run(['run']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/2 roster rows were skipped/);
    await expectExactly(await newestRun(site), sandbox.oracle(oracleRows(TYPES), ids));
  });

  it('--quiet and --json leave nothing on stderr and one JSON document on stdout', async () => {
    const site = await siteWith({});
    const { code, stdout, stderr } = await site.run(['run', '--quiet', '--json']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    const published = await newestRun(site);
    expect(JSON.parse(stdout)).toMatchObject({
      runId: published.runId,
      status: 'complete',
      records: published.lines.length,
      folder: published.folder,
    });
  });
});

describe('the original program’s INI', () => {
  it('runs with nothing changed but endpoints and folder, and with its own CSVs', async () => {
    const site = await siteForTest({ sandbox, mail: false });
    const fixtures = path.join(import.meta.dirname, '../fixtures');
    const folder = site.path('original');
    await mkdir(path.join(folder, 'data'), { recursive: true });
    await mkdir(path.join(folder, 'keys'));
    await cp(path.join(fixtures, 'original-roster.csv'), path.join(folder, 'data/epic_sandbox_roster.csv'));
    await cp(
      path.join(fixtures, 'original-resources.csv'),
      path.join(folder, 'data/epic_sandbox_resources.csv'),
    );
    await writeFile(path.join(folder, 'keys/privatekey.pem'), siteKey().pem, { mode: 0o600 });

    const original = await readFile(path.join(fixtures, 'original.ini'), 'utf8');
    const clientId = /^client_id = (.*)$/m.exec(original)![1]!;
    const adapted = original
      .replace(/^app_folder_name = .*$/m, `app_folder_name = ${folder}`)
      .replace(/^token_endpoint = .*$/m, `token_endpoint = ${sandbox.tokenEndpoint}`)
      .replace(/^epic_endpoint = .*$/m, `epic_endpoint = ${sandbox.fhirBase}/`);
    const ini = path.join(folder, 'config.ini');
    await writeFile(ini, adapted, { mode: 0o600 });

    // As it was registered at the time: by an uploaded certificate, whose thumbprint is the key id.
    expect((await runCli(['keys', 'certificate', '--config', ini], { cwd: folder })).code).toBe(0);
    const certificatePem = await readFile(path.join(folder, 'keys/certificate.pem'), 'utf8');
    sandbox.registerClient({ clientId, certificatePem });

    const { code, stderr } = await runCli(['run', '--config', ini], { cwd: folder });
    expect(code, stderr).toBe(0);
    expect(stderr.match(/lab_lookback_days/g)).toHaveLength(1);
    const [runId] = await runsOf({ ...site, exportFolder: path.join(folder, 'exports') });
    const published = await readRun(path.join(folder, 'exports/default', runId!));
    const ids = [0, 1].map((ordinal) => sandbox.patientIdAt(ordinal)!);
    await expectExactly(published, sandbox.oracle(oracleRows(['Patient', 'Observation', 'Condition']), ids));
    expect(published.files.filter((name) => /^Observation_\d{8}T\d{6}Z\.ndjson$/.test(name))).toHaveLength(1);
  });
});
