import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { EPIC_SANDBOX_GROUP } from '../../src/sandbox/startSandbox.ts';
import { verifyFolder } from '../../src/publish/verify.ts';
import { BULK_TYPES, bulkSite, kickoffUrl } from '../support/bulkSite.ts';
import { currentOf, errorsOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { runHere } from '../support/runHere.ts';
import { rosterOf, type Site } from '../support/site.ts';

/** Requests of an endpoint, as the server logged them. */
const asked = ({ sandbox }: Site, endpoint: string) =>
  sandbox.requests.filter((request) => request.endpoint === endpoint);

describe('a bulk job brings what a perfect client would', () => {
  it.each(['group', 'patient', 'system'] as const)('of %s level', async (level) => {
    const site = await bulkSite({ sandbox: { dialect: 'us-core' }, settings: { 'bulk.level': level } });
    expect(await runHere(site)).toBe(0);
    const run = await newestRun(site);
    await expectExactly(run, site.sandbox.bulk.oracle({ url: kickoffUrl(level) }).resources);
    expect((await verifyFolder(run.folder)).damage).toEqual([]);
    expect(await currentOf(site)).toBe(run.runId);
    expect(run.manifest.request).toContain('$export');
    expect(asked(site, 'kickoff')).toHaveLength(1);
    expect(asked(site, 'cancel').map(({ status }) => status)).toEqual([202]);
  });

  it('of Epic’s group, with its rules', async () => {
    const site = await bulkSite({ sandbox: { special: true, patients: 20 } });
    expect(await runHere(site)).toBe(0);
    const run = await newestRun(site);
    await expectExactly(run, site.sandbox.bulk.oracle({ url: kickoffUrl('group') }).resources);
    const causes = (await errorsOf(run)).map(({ outcome, code }) => `${outcome} ${code}`);
    expect(new Set(causes)).toEqual(new Set(['gap FHIR_ACCESS_DENIED', 'gap FHIR_DATA_WITHHELD']));
  });

  it('of the roster’s patients, in several exports, what they share once', async () => {
    const site = await bulkSite({
      sandbox: { dialect: 'us-core', patients: 7 },
      settings: { 'bulk.patients': 'roster', 'bulk.patients_per_export': 2 },
    });
    const roster = rosterOf(site.sandbox, [0, 2, 3, 5, 6]);
    const { writeFile } = await import('node:fs/promises');
    await writeFile(site.rosterFile, roster);
    expect(await runHere(site)).toBe(0);
    const run = await newestRun(site);
    const parameter = [0, 2, 3, 5, 6].map((ordinal) => ({
      name: 'patient',
      valueReference: { reference: `Patient/${site.sandbox.patientIdAt(ordinal)}` },
    }));
    const types = { name: '_type', valueString: BULK_TYPES.join(',') };
    await expectExactly(
      run,
      site.sandbox.bulk.oracle({
        url: kickoffUrl('group').split('?')[0]!,
        parameters: { resourceType: 'Parameters', parameter: [types, ...parameter] },
      }).resources,
    );
    expect(asked(site, 'kickoff')).toHaveLength(3);
    expect(asked(site, 'cancel')).toHaveLength(3);
  });
});

describe('every parameter reaches the server as it is meant', () => {
  const url = kickoffUrl('group');
  it.each([
    [
      'a _typeFilter, with commas and bars',
      {},
      [],
      '_typeFilter=Observation%3Fcategory%3Dlaboratory%2Cvital-signs',
    ],
    ['_since', { 'bulk.since': '2025-06-01T00:00:00Z' }, [], '_since=2025-06-01T00%3A00%3A00Z'],
    ['_until', { 'bulk.until': '2025-06-01T00:00:00Z' }, [], '_until=2025-06-01T00%3A00%3A00Z'],
    ['_elements', { 'bulk.elements': 'id, Patient.birthDate' }, [], '_elements=id%2CPatient.birthDate'],
    [
      'includeAssociatedData',
      { 'bulk.include_associated_data': 'LatestProvenanceResources' },
      ['Provenance'],
      'includeAssociatedData=LatestProvenanceResources',
    ],
    [
      '_outputFormat',
      { 'bulk.output_format': 'application/fhir+ndjson' },
      [],
      '_outputFormat=application%2Ffhir%2Bndjson',
    ],
  ] as const)('%s', async (name, settings, more, query) => {
    const rows = [...BULK_TYPES, ...more].map((type) =>
      type === 'Observation' && name.startsWith('a _typeFilter')
        ? 'Observation,"category=laboratory,vital-signs"'
        : `${type},`,
    );
    for (const method of ['get', 'post']) {
      const site = await bulkSite({
        sandbox: { dialect: 'us-core' },
        resources: ['resource,query', ...rows, ''].join('\n'),
        settings: { ...settings, 'bulk.kickoff_method': method },
      });
      expect(await runHere(site)).toBe(0);
      const types = more.length === 0 ? url : kickoffUrl('group', [...BULK_TYPES, ...more]);
      await expectExactly(
        await newestRun(site),
        site.sandbox.bulk.oracle({ url: `${types}&${query}` }).resources,
      );
    }
  });

  it('organizeOutputBy, whose files hold one patient after the other', async () => {
    const site = await bulkSite({
      sandbox: { dialect: 'us-core', bulk: { resourcesPerFile: 40 } },
      settings: { 'bulk.organize_output_by': 'Patient', 'bulk.level': 'patient' },
    });
    expect(await runHere(site)).toBe(0);
    const run = await newestRun(site);
    expect(run.manifest.outputOrganizedBy).toBe('Patient');
    const names = run.manifest.output.map(({ url: file }) => file);
    expect(names.slice(0, 2)).toEqual(['Resource.ndjson', 'Resource.002.ndjson']);
    const goesOn = run.manifest.output.flatMap(({ continuesInFile }) => continuesInFile ?? []);
    expect(goesOn.length).toBeGreaterThan(0);
    expect(goesOn.filter((file) => !names.includes(file))).toEqual([]);
    const blocks = run.lines.filter(({ resourceType }) => resourceType === 'Parameters');
    expect(blocks.length).toBeGreaterThanOrEqual(4);
    const resources = run.lines.filter(({ resourceType }) => resourceType !== 'Parameters');
    const asked = `${kickoffUrl('patient')}&organizeOutputBy=Patient`;
    await expectExactly({ ...run, lines: resources }, site.sandbox.bulk.oracle({ url: asked }).resources);
  });

  it('Epic’s _typeFilter, whose commas are encoded twice', async () => {
    const site = await bulkSite({
      resources:
        'resource,query\nPatient,\nObservation,"category=laboratory,vital-signs"\nCondition,category=problem-list-item\n',
    });
    expect(await runHere(site)).toBe(0);
    const run = await newestRun(site);
    const filter = encodeURIComponent(
      'Observation?category=laboratory%2Cvital-signs,Condition?category=problem-list-item',
    );
    const types = kickoffUrl('group', ['Patient', 'Observation', 'Condition']);
    await expectExactly(run, site.sandbox.bulk.oracle({ url: `${types}&_typeFilter=${filter}` }).resources);
  });
});

it('brings the attachments of an export, and goes on without those that it cannot have', async () => {
  const site = await bulkSite({
    sandbox: {
      dialect: 'us-core',
      faults: [{ match: { endpoint: 'read', type: 'Binary' }, when: { nth: [1] }, then: { status: 404 } }],
    },
    resources: ['Patient', 'DocumentReference', 'DiagnosticReport'],
    settings: { 'attachments.download': 'true' },
  });
  expect(await runHere(site)).toBe(0);
  const run = await newestRun(site);
  const index = (await run.text('attachments.ndjson')).trimEnd().split('\n');
  const contents = run.files.filter((file) => file.startsWith('attachments/'));
  expect(contents.length).toBeGreaterThan(1);
  expect(index.length).toBeGreaterThanOrEqual(contents.length);
  expect((await errorsOf(run)).map(({ resourceType, outcome }) => `${outcome} ${resourceType}`)).toContain(
    'gap Attachment',
  );
  expect((await verifyFolder(run.folder)).damage).toEqual([]);
});

it('says of an export without a single file that nothing came, type by type', async () => {
  const site = await bulkSite({
    sandbox: { dialect: 'us-core', bulk: { groups: { [EPIC_SANDBOX_GROUP]: [] } } },
    resources: ['Patient', 'Condition'],
  });
  expect(await runHere(site)).toBe(0);
  const run = await newestRun(site);
  expect(run.lines).toEqual([]);
  expect(run.manifest.extension.searches).toEqual({ planned: 2, ok: 0, empty: 2, gap: 0, failed: 0 });
  expect(await run.text('report.txt')).toContain('0 resources');
});

describe('since = last', () => {
  it('brings what changed since the last complete run, and its deletions', async () => {
    const site = await bulkSite({ sandbox: { dialect: 'us-core' }, settings: { 'bulk.since': 'last' } });
    expect(await runHere(site)).toBe(0);
    const first = await newestRun(site);
    const [kept, gone] = first.lines.filter(({ resourceType }) => resourceType === 'Condition');
    await new Promise((resolve) => setTimeout(resolve, 20));
    site.sandbox.bulk.touch('Condition', kept!.id);
    site.sandbox.bulk.remove('Condition', gone!.id);
    expect(await runHere(site)).toBe(0);
    const second = await newestRun(site);
    expect(second.lines.map(({ resourceType, id }) => `${resourceType}/${id}`)).toEqual([
      `Condition/${kept!.id}`,
    ]);
    const [deleted] = second.manifest.deleted;
    expect(deleted).toMatchObject({ type: 'Bundle', url: 'deleted/Bundle.ndjson', count: 1 });
    const bundle = JSON.parse(await second.text('deleted/Bundle.ndjson')) as {
      entry: { request: { url: string } }[];
    };
    expect(bundle.entry.map(({ request }) => request.url)).toEqual([`Condition/${gone!.id}`]);
    const report = await second.text('report.txt');
    expect(report).toContain('1 deletion');
    // Against everything, a few changes would be a fall by 99 %.
    expect(report).not.toContain('Look at this');
    expect(await runsOf(site)).toHaveLength(2);
  });
});

it('writes the run’s log as the SMART bulk data client does', async () => {
  const site = await bulkSite({
    sandbox: { dialect: 'us-core' },
    resources: 'resource,query\nPatient,\nObservation,category=laboratory\nCondition,\n',
  });
  expect(await runHere(site)).toBe(0);
  const run = await newestRun(site);
  const log = (await run.text('log.ndjson'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { eventId: string; eventDetail: Record<string, unknown> });
  const ids = log.map(({ eventId }) => eventId);
  for (const eventId of [
    'kickoff',
    'status_complete',
    'manifest_complete',
    'download_request',
    'download_complete',
    'export_complete',
  ]) {
    expect(ids).toContain(eventId);
  }
  // A query may hold what a person typed; so may a filter's values.
  expect(
    log
      .map(({ eventDetail }) => JSON.stringify(eventDetail))
      .filter((text) => /\?|laboratory/.test(text.replaceAll('Observation?category=…', ''))),
  ).toEqual([]);
  const complete = log.filter(({ eventId }) => eventId === 'download_complete');
  expect(complete.reduce((sum, { eventDetail }) => sum + (eventDetail['resourceCount'] as number), 0)).toBe(
    run.lines.length,
  );
});

it('leaves nothing of its own behind', async () => {
  const site = await bulkSite();
  expect(await runHere(site)).toBe(0);
  const job = path.join(site.exportFolder, 'default');
  expect(await readdir(path.join(job, '.staging'))).toEqual([]);
  const run = await newestRun(site);
  expect(run.files.filter((name) => name.startsWith('.') || name.includes('.keys'))).toEqual([]);
  expect(await readFile(path.join(run.folder, 'report.txt'), 'utf8')).toContain('bulk export');
});
