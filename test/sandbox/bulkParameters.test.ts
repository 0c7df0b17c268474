import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import {
  exported,
  GROUP,
  keysOf,
  kickoff,
  oracleKeys,
  tokenAt,
  type KickoffChanges,
} from './support/bulk.ts';
import { rsaKey, sha256, type Parsed } from './support/client.ts';

/** Two patients by hand: what an export has to hold is said here, not by the server. */
const LINES = {
  p1: '{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"gender":"female","birthDate":"1950-05-05"}',
  p2: '{"resourceType":"Patient","id":"p2","meta":{"lastUpdated":"2026-03-01T00:00:00Z"},"gender":"male"}',
  o1: '{"resourceType":"Observation","id":"o1","meta":{"lastUpdated":"2026-01-02T00:00:00Z"},"status":"final","category":[{"coding":[{"code":"laboratory"}]}],"code":{"text":"Na"},"subject":{"reference":"Patient/p1"},"performer":[{"reference":"Practitioner/d1"}],"effectiveDateTime":"2020-06-01T10:00:00Z","valueQuantity":{"value":1.50}}',
  o2: '{"resourceType":"Observation","id":"o2","meta":{"lastUpdated":"2026-02-02T00:00:00Z"},"status":"preliminary","category":[{"coding":[{"code":"vital-signs"}]}],"code":{"text":"HR"},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2021-06-01T10:00:00Z"}',
  o3: '{"resourceType":"Observation","id":"o3","meta":{"lastUpdated":"2026-03-02T00:00:00Z"},"status":"final","category":[{"coding":[{"code":"survey"}]}],"code":{"text":"PHQ"},"subject":{"reference":"Patient/p2"},"effectiveDateTime":"2022-06-01T10:00:00Z"}',
  a1: '{"resourceType":"Appointment","id":"a1","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"status":"booked","participant":[{"actor":{"reference":"Patient/p1"}},{"actor":{"reference":"Patient/p2"}}]}',
  v1: '{"resourceType":"Provenance","id":"v1","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"target":[{"reference":"Observation/o1"}],"recorded":"2020-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}',
  v2: '{"resourceType":"Provenance","id":"v2","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"target":[{"reference":"Observation/o1"}],"recorded":"2021-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}',
  d1: '{"resourceType":"Practitioner","id":"d1","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"active":true}',
  d2: '{"resourceType":"Practitioner","id":"d2","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"active":false}',
} as const;
type Name = keyof typeof LINES;

let folder: string;
let sandbox: Sandbox;
let token: string;
const clock = { nowMs: Date.parse('2026-06-01T00:00:00Z') };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bulk-parameters-'));
  await writeFile(join(folder, 'all.ndjson'), Object.values(LINES).join('\n'));
  sandbox = await startSandbox({
    smtp: false,
    dialect: 'us-core',
    dataDir: folder,
    now: () => clock.nowMs,
    bulk: { groups: { [GROUP]: 'all', first: [0] }, polls: 0 },
  });
  token = await tokenAt(sandbox, rsaKey(), clock.nowMs);
});
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true });
});

const named = (...names: Name[]) =>
  keysOf(
    names.map((name) => {
      const { resourceType, id } = JSON.parse(LINES[name]);
      return { type: resourceType, id, sha256: sha256(LINES[name]) };
    }),
  );
const encoded = (query: string) => encodeURIComponent(query);
const lenient = { headers: { Prefer: 'respond-async, handling=lenient' } };
const texts = (outcomes: readonly Parsed[]) =>
  outcomes.flatMap((outcome: Parsed) => outcome.issue.map((issue: Parsed) => issue.diagnostics)).join('; ');
const patientParameter = (reference: string) => ({ name: 'patient', valueReference: { reference } });

describe('an export holds', () => {
  it.each<[string, readonly Name[]]>([
    ['$export', Object.keys(LINES) as Name[]],
    ['Patient/$export', ['p1', 'p2', 'o1', 'o2', 'o3', 'a1', 'v1', 'v2', 'd1']],
    [`Group/${GROUP}/$export`, ['p1', 'p2', 'o1', 'o2', 'o3', 'a1', 'v1', 'v2', 'd1']],
    ['Group/first/$export', ['p1', 'o1', 'o2', 'a1', 'v1', 'v2', 'd1']],
    ['$export?_type=Practitioner', ['d1', 'd2']],
    ['Patient/$export?_type=Patient', ['p1', 'p2']],
    ['Patient/$export?_type=Patient&_type=Observation,Appointment', ['p1', 'p2', 'o1', 'o2', 'o3', 'a1']],
    ['Patient/$export?_type=Observation&_since=2026-02-01T00:00:00Z', ['o2', 'o3']],
    ['Patient/$export?_type=Observation&_since=2026-02-02T00:00:00.000Z', ['o3']],
    [`Patient/$export?_type=Observation&_since=${encoded('2026-02-01T00:00:00+00:00')}`, ['o2', 'o3']],
    ['Patient/$export?_type=Observation&_until=2026-02-02T00:00:00Z', ['o1']],
    ['Patient/$export?_type=Observation&_since=2026-01-15T00:00:00Z&_until=2026-02-15T00:00:00Z', ['o2']],
    [
      `Patient/$export?_type=Observation,Patient&_typeFilter=${encoded('Observation?category=laboratory,survey')}`,
      ['p1', 'p2', 'o1', 'o3'],
    ],
    [
      `Patient/$export?_type=Observation&_typeFilter=${encoded('Observation?category=laboratory%2Csurvey&status=final&date=lt2021')}`,
      ['o1'],
    ],
    [
      `Patient/$export?_type=Observation&_typeFilter=${encoded('Observation?category=laboratory')}&_typeFilter=${encoded(
        `Observation?date=gt${encoded('2022-01-01T00:00:00+01:00')}`,
      )}`,
      ['o1', 'o3'],
    ],
    [
      'Patient/$export?_type=Observation&includeAssociatedData=LatestProvenanceResources',
      ['o1', 'o2', 'o3', 'v2'],
    ],
    [
      'Patient/$export?_type=Observation&includeAssociatedData=LatestProvenanceResources,RelevantProvenanceResources',
      ['o1', 'o2', 'o3', 'v1', 'v2'],
    ],
    ['Patient/$export?_type=Observation&_outputFormat=application%2Ffhir%2Bndjson', ['o1', 'o2', 'o3']],
  ])('%s', async (path, names) => {
    const { lines, manifest } = await exported(sandbox, token, path);
    expect(keysOf(lines)).toEqual(named(...names));
    expect(oracleKeys(sandbox, path)).toEqual(named(...names));
    expect(manifest.error).toEqual([]);
    expect(manifest.deleted).toEqual([]);
    for (const file of manifest.output) {
      expect(file.count).toBe(lines.filter((line) => line.type === file.type).length);
    }
  });

  it('the posted patients alone', async () => {
    const parameters = [
      { name: '_type', valueString: 'Observation,Patient' },
      { name: '_typeFilter', valueString: 'Observation?category=vital-signs,survey' },
      patientParameter('Patient/p1'),
    ];
    for (const path of ['Patient/$export', `Group/${GROUP}/$export`]) {
      const { lines } = await exported(sandbox, token, path, { parameters });
      expect(keysOf(lines)).toEqual(named('p1', 'o2'));
      expect(oracleKeys(sandbox, path, parameters)).toEqual(named('p1', 'o2'));
    }
  });

  it('the elements asked for, cut from the same bytes and tagged', async () => {
    const { url } = (
      await exported(
        sandbox,
        token,
        'Patient/$export?_type=Observation&_elements=Observation.valueQuantity,birthDate',
      )
    ).manifest.output[0];
    const text = await (await fetch(url, { headers: { Authorization: `Bearer ${token}` } })).text();
    const [line = ''] = text.split('\n');
    expect(line).toContain('"valueQuantity":{"value":1.50}');
    const parsed = JSON.parse(line);
    expect(Object.keys(parsed).sort()).toEqual([
      'code',
      'id',
      'meta',
      'resourceType',
      'status',
      'valueQuantity',
    ]);
    expect(parsed.meta.lastUpdated).toBe('2026-01-02T00:00:00Z');
    expect(parsed.meta.tag[0].code).toBe('SUBSETTED');
  });

  it('blocks by patient, each with its header', async () => {
    const { url, type } = (await exported(sandbox, token, 'Patient/$export?organizeOutputBy=Patient'))
      .manifest.output[0];
    expect(type).toBeUndefined();
    const text = await (await fetch(url, { headers: { Authorization: `Bearer ${token}` } })).text();
    const kinds = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .map((line) =>
        line.resourceType === 'Parameters' ? line.parameter[0].valueReference.reference : line.id,
      );
    expect(kinds.filter((kind) => kind.startsWith('Patient/'))).toEqual(['Patient/p1', 'Patient/p2']);
    expect(kinds.indexOf('Patient/p1')).toBe(0);
    expect(kinds.indexOf('o3')).toBeGreaterThan(kinds.indexOf('Patient/p2'));
    expect(kinds.filter((kind) => kind === 'a1')).toEqual(['a1']);
  });

  it('what changed since, and what was deleted, as transaction Bundles', async () => {
    const first = await exported(sandbox, token, 'Patient/$export');
    clock.nowMs += 60_000;
    sandbox.bulk.touch('Observation', 'o1');
    sandbox.bulk.remove('Observation', 'o2');
    const path = `Patient/$export?_since=${first.manifest.transactionTime}`;
    const { lines, deleted, manifest } = await exported(sandbox, token, path);
    expect(keysOf(lines)).toEqual(named('o1'));
    expect(manifest.deleted.map((file: Parsed) => [file.type, file.count])).toEqual([['Bundle', 1]]);
    expect(deleted).toEqual([
      {
        resourceType: 'Bundle',
        type: 'transaction',
        entry: [{ request: { method: 'DELETE', url: 'Observation/o2' } }],
      },
    ]);
    expect([...sandbox.bulk.oracle({ url: path }).deletions]).toEqual(['Observation/o2']);
    // Of other types nothing is told, and without _since nothing at all.
    expect((await exported(sandbox, token, `${path}&_type=Patient`)).deleted).toEqual([]);
    const whole = await exported(sandbox, token, 'Patient/$export');
    expect(whole.deleted).toEqual([]);
    expect(whole.lines.map((line) => line.id)).not.toContain('o2');
    const read = await fetch(`${sandbox.fhirBase}/Observation/o2`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(read.status).toBe(404);
  });
});

const post = (...parameters: object[]): KickoffChanges => ({ parameters });

describe('a kick-off is refused', () => {
  it.each<[string, string, KickoffChanges]>([
    ['an unknown parameter', 'Patient/$export?_tpye=Patient', {}],
    ['an unknown type', 'Patient/$export?_type=Patient,Patent', {}],
    ['types outside the compartment only', 'Patient/$export?_type=Practitioner', {}],
    ['a date that is no instant', 'Patient/$export?_since=2026-01-01', {}],
    ['an unencoded plus', 'Patient/$export?_since=2026-01-01T00:00:00+00:00', {}],
    ['an unencoded plus in the format', 'Patient/$export?_outputFormat=application/fhir+ndjson', {}],
    ['another format', 'Patient/$export?_outputFormat=text/csv', {}],
    ['_since twice', 'Patient/$export?_since=2026-01-01T00:00:00Z&_since=2026-01-01T00:00:00Z', {}],
    ['patient by GET', 'Patient/$export?patient=Patient/p1', {}],
    ['a filter without a query', 'Patient/$export?_typeFilter=Observation', {}],
    ['a filter that is not encoded', 'Patient/$export?_typeFilter=Observation?status=final&date=gt2020', {}],
    ['a result parameter', `Patient/$export?_typeFilter=${encoded('Observation?_sort=date')}`, {}],
    ['an unknown criterion', `Patient/$export?_typeFilter=${encoded('Observation?colour=red')}`, {}],
    [
      'a filter of another type',
      `Patient/$export?_type=Patient&_typeFilter=${encoded('Observation?status=final')}`,
      {},
    ],
    [
      'a criterion that is no date',
      `Patient/$export?_typeFilter=${encoded('Observation?date=gt2020-01-01T00:00:00+00:00')}`,
      {},
    ],
    ['an unknown association', 'Patient/$export?includeAssociatedData=_mine', {}],
    ['another organisation', 'Patient/$export?organizeOutputBy=Encounter', {}],
    ['an element below the root', 'Patient/$export?_elements=Patient.name.family', {}],
    ['a boolean that is none', 'Patient/$export?allowPartialManifests=yes', {}],
    ['a patient who is not there', 'Patient/$export', post(patientParameter('Patient/p9'))],
    ['a patient outside the group', 'Group/first/$export', post(patientParameter('Patient/p2'))],
    ['a patient of the system', '$export', post(patientParameter('Patient/p1'))],
    ['a value of another type', 'Patient/$export', post({ name: '_type', valueCode: 'Patient' })],
    ['two values', 'Patient/$export', post({ name: '_type', valueString: 'Patient', valueCode: 'Patient' })],
    ['a body that is no Parameters', 'Patient/$export', { body: '{"resourceType":"Patient"}' }],
    ['a body that is no JSON', 'Patient/$export', { body: '_type=Patient' }],
    ['parameters beside the body', 'Patient/$export?_type=Patient', post()],
  ])('for %s', async (_what, path, changes) => {
    const answer = await kickoff(sandbox, token, path, changes);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toMatch(/^application\/fhir\+json/);
    expect(answer.json.resourceType).toBe('OperationOutcome');
    expect(answer.headers.get('content-location')).toBeNull();
    for (const Prefer of [
      'respond-async;handling=strict',
      'respond-async, handling=lenient, handling=strict',
    ]) {
      expect((await kickoff(sandbox, token, path, { ...changes, headers: { Prefer } })).status).toBe(400);
    }
  });

  it('for a body of another media type', async () => {
    const changes = { parameters: [], headers: { 'Content-Type': 'text/plain' } };
    expect((await kickoff(sandbox, token, 'Patient/$export', changes)).status).toBe(415);
  });
});

describe('with handling=lenient', () => {
  it('what is wrong is ignored, and said in the error files', async () => {
    const path = `Patient/$export?_type=Patient,Patent&colour=red&_typeFilter=${encoded('Observation?_sort=date')}`;
    const { lines, errors, manifest } = await exported(sandbox, token, path, lenient);
    expect(keysOf(lines)).toEqual(named('p1', 'p2'));
    expect(manifest.error.map((file: Parsed) => file.type)).toEqual(['OperationOutcome']);
    expect(texts(errors)).toMatch(/colour.*Patent.*_sort/);
    expect(keysOf(sandbox.bulk.oracle({ url: path, lenient: true }).resources)).toEqual(named('p1', 'p2'));
  });

  it('a restriction is never ignored whole', async () => {
    expect((await kickoff(sandbox, token, 'Patient/$export?_type=Patent', lenient)).status).toBe(400);
    const nobody = { ...lenient, ...post(patientParameter('Patient/p9')) };
    expect((await kickoff(sandbox, token, 'Patient/$export', nobody)).status).toBe(400);
  });
});
