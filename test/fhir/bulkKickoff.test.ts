import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  exportParameters,
  kickoffRequest,
  refusedParameters,
  withoutParameters,
  type ExportRequest,
} from '../../src/fhir/bulkKickoff.ts';
import { issuesOf, type OperationOutcomeIssue } from '../../src/fhir/outcome.ts';
import type { HttpRequest } from '../../src/system/http.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { getFile, GROUP, manifestAt, send, statusUrlOf, tokenAt } from '../sandbox/support/bulk.ts';
import { rsaKey, type Fetched, type Parsed } from '../sandbox/support/client.ts';
import { thrown } from '../support/rejection.ts';
import { exportRequest } from './exportRequest.ts';

const BASE = 'https://fhir.example.org/R4';
const ALL = exportRequest({
  types: ['Patient', 'Observation'],
  typeFilters: ['Observation?category=laboratory,survey', 'Patient?gender=female'],
  since: '2026-01-01T00:00:00.000+01:00',
  until: '2026-02-01T00:00:00Z',
  elements: ['id', 'Patient.birthDate'],
  includeAssociatedData: ['LatestProvenanceResources', '_custom'],
  organizeOutputBy: 'Patient',
  allowPartialManifests: true,
  outputFormat: 'application/fhir+ndjson',
});
const queryOf = ({ url }: HttpRequest): readonly (readonly [string, string])[] => [
  ...new URL(url).searchParams,
];
const bodyOf = ({ body }: HttpRequest): Parsed => JSON.parse(body ?? '');

describe('a kick-off', () => {
  it.each<[Partial<ExportRequest>, string]>([
    [{ level: 'system' }, `${BASE}/$export`],
    [{ level: 'patient' }, `${BASE}/Patient/$export`],
    [{ level: 'group', groupId: 'a.b-c' }, `${BASE}/Group/a.b-c/$export`],
    [{ level: 'group', groupId: '../x?y' }, `${BASE}/Group/..%2Fx%3Fy/$export`],
    [
      { types: ['Patient'], since: '2026-01-01T00:00:00+01:00' },
      `${BASE}/Patient/$export?_since=2026-01-01T00%3A00%3A00%2B01%3A00&_type=Patient`,
    ],
  ])('of %j goes to its place', (members, url) => {
    const sent = kickoffRequest(BASE, exportRequest(members), 'plain');
    expect(sent).toEqual({
      method: 'GET',
      url,
      headers: { accept: 'application/fhir+json', prefer: 'respond-async' },
    });
  });

  it('prefers what was asked for, in the standard’s words', () => {
    const preferOf = (members: Partial<ExportRequest>) =>
      kickoffRequest(BASE, exportRequest(members), 'plain').headers?.['prefer'];
    expect(preferOf({ lenient: true })).toBe('respond-async, handling=lenient');
    expect(preferOf({ separateExportStatus: true })).toBe('respond-async, separate-export-status');
    expect(preferOf({ lenient: true, separateExportStatus: true })).toBe(
      'respond-async, handling=lenient, separate-export-status',
    );
  });

  it('by GET has every parameter, given back by one decoding', () => {
    const sent = kickoffRequest(BASE, ALL, 'plain');
    expect(queryOf(sent)).toEqual([
      ['_outputFormat', 'application/fhir+ndjson'],
      ['_since', '2026-01-01T00:00:00.000+01:00'],
      ['_until', '2026-02-01T00:00:00Z'],
      ['_type', 'Patient,Observation'],
      ['_elements', 'id,Patient.birthDate'],
      ['includeAssociatedData', 'LatestProvenanceResources,_custom'],
      ['_typeFilter', 'Observation?category=laboratory,survey'],
      ['_typeFilter', 'Patient?gender=female'],
      ['organizeOutputBy', 'Patient'],
      ['allowPartialManifests', 'true'],
    ]);
    expect(queryOf(sent)).toEqual(exportParameters(ALL));
    expect(sent.body).toBeUndefined();
  });

  it('by POST has them in a Parameters resource, each with its own type of value', () => {
    const { method, url, headers, body } = kickoffRequest(
      BASE,
      { ...ALL, method: 'post', patients: ['p.1', 'p2'] },
      'plain',
    );
    expect({ method, url }).toEqual({ method: 'POST', url: `${BASE}/Patient/$export` });
    expect(headers).toEqual({
      accept: 'application/fhir+json',
      prefer: 'respond-async',
      'content-type': 'application/fhir+json',
    });
    expect(JSON.parse(body ?? '')).toEqual({
      resourceType: 'Parameters',
      parameter: [
        { name: '_outputFormat', valueString: 'application/fhir+ndjson' },
        { name: '_since', valueInstant: '2026-01-01T00:00:00.000+01:00' },
        { name: '_until', valueInstant: '2026-02-01T00:00:00Z' },
        { name: '_type', valueString: 'Patient,Observation' },
        { name: '_elements', valueString: 'id,Patient.birthDate' },
        { name: 'patient', valueReference: { reference: 'Patient/p.1' } },
        { name: 'patient', valueReference: { reference: 'Patient/p2' } },
        { name: 'includeAssociatedData', valueCode: 'LatestProvenanceResources' },
        { name: 'includeAssociatedData', valueCode: '_custom' },
        { name: '_typeFilter', valueString: 'Observation?category=laboratory,survey' },
        { name: '_typeFilter', valueString: 'Patient?gender=female' },
        { name: 'organizeOutputBy', valueString: 'Patient' },
        { name: 'allowPartialManifests', valueBoolean: true },
      ],
    });
  });

  it('in the epic dialect has all queries in one _typeFilter, their own commas encoded twice', () => {
    const { url } = kickoffRequest(BASE, ALL, 'epic');
    expect(new URL(url).searchParams.getAll('_typeFilter')).toEqual([
      'Observation?category=laboratory%2Csurvey,Patient?gender=female',
    ]);
    expect(url).toContain('laboratory%252Csurvey%2CPatient');
    const posted = bodyOf(kickoffRequest(BASE, { ...ALL, method: 'post' }, 'epic'));
    expect(posted.parameter.filter(({ name }: Parsed) => name === '_typeFilter')).toEqual([
      { name: '_typeFilter', valueString: 'Observation?category=laboratory%2Csurvey,Patient?gender=female' },
    ]);
  });

  it('gives back every value, whatever is in it', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' });
    fc.assert(
      fc.property(text, fc.array(text), (since, typeFilters) => {
        const request = exportRequest({ since, typeFilters });
        expect(queryOf(kickoffRequest(BASE, request, 'plain'))).toEqual(exportParameters(request));
        const epic = new URL(kickoffRequest(BASE, request, 'epic').url).searchParams.get('_typeFilter');
        expect(epic?.split(',').map((query) => query.replaceAll('%2C', ',')) ?? []).toEqual(
          typeFilters.map((query) => query.replaceAll('%2C', ',')),
        );
        const posted = bodyOf(kickoffRequest(BASE, { ...request, method: 'post' }, 'plain'));
        expect(posted.parameter).toEqual([
          { name: '_since', valueInstant: since },
          ...typeFilters.map((valueString) => ({ name: '_typeFilter', valueString })),
        ]);
      }),
    );
  });

  it.each<[Partial<ExportRequest>, string]>([
    [{ level: 'group' }, 'CONFIG_INVALID'],
    [{ level: 'group', groupId: '' }, 'CONFIG_INVALID'],
    [{ level: 'group', groupId: '..' }, 'URL_REFUSED'],
    [{ patients: ['1'] }, 'CONFIG_INVALID'],
    [{ patients: ['1'], method: 'post', level: 'system' }, 'CONFIG_INVALID'],
  ])('of %j is refused here: %s', (members, code) => {
    expect(thrown(() => kickoffRequest(BASE, exportRequest(members), 'plain')).code).toBe(code);
  });
});

describe('withoutParameters', () => {
  const whole: ExportRequest = { ...ALL, method: 'post', patients: ['1'] };
  const names = [...new Set(exportParameters(whole).map(([name]) => name))];

  it.each(names)('leaves out %s, and nothing else', (name) => {
    const rest = withoutParameters(whole, [name]);
    expect(exportParameters(rest)).toEqual(exportParameters(whole).filter(([other]) => other !== name));
    expect(rest).toMatchObject({ level: 'patient', method: 'post', lenient: false });
  });

  it('leaves out all, and takes names that there are not for nothing', () => {
    expect(names.length).toBe(10);
    expect(withoutParameters(whole, names)).toEqual(exportRequest({ method: 'post' }));
    expect(withoutParameters(whole, ['level', 'constructor', '__proto__', ''])).toEqual(whole);
  });
});

describe('refusedParameters', () => {
  const sent: ExportRequest = { ...ALL, method: 'post', patients: ['1'] };
  const issue = (members: object, severity = 'error'): readonly OperationOutcomeIssue[] =>
    issuesOf({ issue: [{ severity, code: 'not-supported', ...members }] });
  const refused = (text: string, request = sent) => refusedParameters(request, issue({ diagnostics: text }));

  it.each<[string, readonly string[]]>([
    ['_since is not supported', ['_since']],
    ['The parameter "_typeFilter" is not supported.', ['_typeFilter']],
    ['unknown parameters _type, _elements', ['_type', '_elements']],
    ['_TYPE?', ['_type']],
    ['_types my_type __type _typeFilters', []],
    ['includeAssociatedData=LatestProvenanceResources', ['includeAssociatedData']],
    ['organizeOutputBy and allowPartialManifests', ['organizeOutputBy', 'allowPartialManifests']],
    ['type since elements', []],
    ['the parameter patient is not supported', ['patient']],
    ['unknown parameter: patient', ['patient']],
    ["'patient' is for other levels", ['patient']],
    ['the patient parameter', ['patient']],
    // Not the parameter but a person: to leave the parameter out would be to ask for everybody.
    ['a patient is not on this server or not in the group', []],
    ['Patient/1 is unknown; no such patient', []],
    ['the resource Patient is not supported', []],
  ])('%j complains of %j', (text, names) => {
    expect(refused(text)).toEqual(names);
    expect(refusedParameters(sent, issue({ details: { text } }))).toEqual(names);
  });

  it('reads expression and location too, and only what was sent', () => {
    expect(refusedParameters(sent, issue({ expression: ['http._until'] }))).toEqual(['_until']);
    expect(refusedParameters(sent, issue({ location: ['_outputFormat', 'x'] }))).toEqual(['_outputFormat']);
    expect(
      refusedParameters(sent, issue({ expression: ["Parameters.parameter.where(name='patient')"] })),
    ).toEqual(['patient']);
    expect(refusedParameters(sent, issue({ expression: ['http.patient'] }))).toEqual(['patient']);
    expect(refusedParameters(sent, issue({ expression: ['Bundle.entry.patient'] }))).toEqual([]);
    expect(refused('_since and _type', exportRequest({ since: 'x' }))).toEqual(['_since']);
    expect(refused('_since', exportRequest())).toEqual([]);
  });

  it('takes a warning for a complaint, and mere information for none', () => {
    const diagnostics = '_since is ignored';
    expect(refusedParameters(sent, issue({ diagnostics }, 'warning'))).toEqual(['_since']);
    expect(refusedParameters(sent, issue({ diagnostics }, 'information'))).toEqual([]);
    expect(refusedParameters(sent, issue({ expression: '_since', location: [1, null, {}] }))).toEqual([]);
  });
});

/** Records by hand, so that what a filter selects is said here, not by the server. */
const coded = (id: string, category: string, system: string, code: string, day: string) =>
  `{"resourceType":"Observation","id":"${id}","meta":{"lastUpdated":"${day}T00:00:00Z"},"status":"final","category":[{"coding":[{"system":"urn:cat","code":"${category}"}]}],"code":{"coding":[{"system":"${system}","code":"${code}"}]},"subject":{"reference":"Patient/${id.slice(0, 2)}"},"effectiveDateTime":"${day}T10:00:00Z"}`;
const LINES = [
  '{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"gender":"female","birthDate":"1950-05-05"}',
  '{"resourceType":"Patient","id":"p2","meta":{"lastUpdated":"2026-03-01T00:00:00Z"},"gender":"male","birthDate":"1960-05-05"}',
  coded('p1-lab', 'laboratory', 'http://loinc.org', '2951-2', '2026-01-02'),
  coded('p1-hr', 'vital-signs', 'http://loinc.org', '8867-4', '2026-02-02'),
  coded('p2-phq', 'survey', 'http://loinc.org', '44249-1', '2026-03-02'),
  coded('p2-own', 'laboratory', 'urn:local', '2951-2', '2026-03-02'),
];
const OBSERVATIONS = ['p1-hr', 'p1-lab', 'p2-own', 'p2-phq'];

describe.each(['us-core', 'epic'] as const)(
  'the sandbox takes a kick-off as it is meant, as %s',
  (dialect) => {
    const NOW = Date.parse('2026-06-01T00:00:00Z');
    const own = dialect === 'epic' ? 'epic' : 'plain';
    let folder: string;
    let sandbox: Sandbox;
    let token: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'bulk-kickoff-'));
      await writeFile(join(folder, 'all.ndjson'), LINES.join('\n'));
      sandbox = await startSandbox({
        smtp: false,
        dialect,
        dataDir: folder,
        now: () => NOW,
        bulk: { groups: { [GROUP]: 'all' }, polls: 0, groupWaitSeconds: 0 },
      });
      token = await tokenAt(sandbox, rsaKey(), NOW);
    });
    afterAll(async () => {
      await sandbox.close();
      await rm(folder, { recursive: true });
    });

    const begin = async (members: Partial<ExportRequest>): Promise<readonly [Fetched, HttpRequest]> => {
      const request = exportRequest({ level: 'group', groupId: GROUP, ...members });
      const sent = kickoffRequest(sandbox.fhirBase, request, own);
      const { method, url, headers, body } = sent;
      return [await send(url, method, { authorization: `Bearer ${token}`, ...headers }, body), sent];
    };
    /** The ids that an export holds, which are those of the oracle too. */
    const exportedIds = async (members: Partial<ExportRequest>): Promise<readonly string[]> => {
      const [begun, { url, body }] = await begin(members);
      expect(begun.status, begun.text).toBe(202);
      const { json } = await manifestAt(token, statusUrlOf(begun));
      expect(json.error).toEqual([]);
      const texts = await Promise.all(
        json.output.map(async (one: Parsed) => (await getFile(token, one.url)).text),
      );
      const ids = texts
        .flatMap((text: string) => text.split('\n'))
        .filter((line) => line !== '' && !line.startsWith('{"resourceType":"Parameters"'))
        .map((line) => JSON.parse(line).id as string)
        .sort();
      const oracle = sandbox.bulk.oracle({
        url,
        ...(body !== undefined && { parameters: JSON.parse(body) }),
      });
      expect(ids).toEqual([...oracle.resources].map(({ id }) => id).sort());
      return ids;
    };

    it.each<[readonly string[], readonly string[]]>([
      [['Observation?category=laboratory,survey'], ['p1-lab', 'p2-own', 'p2-phq']],
      [['Observation?category=laboratory%2Csurvey'], ['p1-lab', 'p2-own', 'p2-phq']],
      [['Observation?category=laboratory,survey&code=http://loinc.org|2951-2'], ['p1-lab']],
      [
        ['Observation?code=http%3A%2F%2Floinc.org%7C2951-2,urn:local|2951-2&category=laboratory'],
        ['p1-lab', 'p2-own'],
      ],
      [
        [
          'Observation?category=survey',
          'Observation?category=vital-signs&date=ge2026-02-01T00:00:00%2B01:00',
        ],
        ['p1-hr', 'p2-phq'],
      ],
      [['Observation?category=laboratory,survey', 'Observation?category=vital-signs'], OBSERVATIONS],
      [
        ['Patient?gender=female,male&birthdate=lt1955', 'Observation?category=survey,vital-signs'],
        ['p1', 'p1-hr', 'p2-phq'],
      ],
    ])('with the filters %j', async (typeFilters, ids) => {
      const types = typeFilters.some((query) => query.startsWith('Patient'))
        ? ['Observation', 'Patient']
        : ['Observation'];
      expect(await exportedIds({ types, typeFilters })).toEqual(ids);
      if (dialect === 'us-core')
        expect(await exportedIds({ types, typeFilters, method: 'post' })).toEqual(ids);
    });

    it('with types and a format', async () => {
      const outputFormat = 'application/fhir+ndjson';
      expect(await exportedIds({ types: ['Patient'], outputFormat })).toEqual(['p1', 'p2']);
      expect(await exportedIds({ types: ['Patient', 'Observation'] })).toEqual(
        ['p1', ...OBSERVATIONS, 'p2'].sort(),
      );
    });

    if (dialect === 'us-core') {
      it.each(['get', 'post'] as const)('with every other parameter, by %s', async (method) => {
        const types = ['Observation'];
        expect(await exportedIds({ method, types, since: '2026-02-02T00:00:00+01:00' })).toEqual([
          'p1-hr',
          'p2-own',
          'p2-phq',
        ]);
        expect(await exportedIds({ method, types, until: '2026-02-01T00:00:00Z' })).toEqual(['p1-lab']);
        expect(await exportedIds({ method, types, elements: ['id', 'Observation.status'] })).toEqual(
          OBSERVATIONS,
        );
        const includeAssociatedData = ['LatestProvenanceResources', 'RelevantProvenanceResources'];
        expect(await exportedIds({ method, types, includeAssociatedData })).toEqual(OBSERVATIONS);
        const organized = { organizeOutputBy: 'Patient', allowPartialManifests: true };
        expect(await exportedIds({ method, types: ['Patient', ...types], ...organized })).toContain('p2');
        expect(await exportedIds({ method, level: 'system', types })).toEqual(OBSERVATIONS);
        expect(await exportedIds({ method, level: 'patient', types })).toEqual(OBSERVATIONS);
      });

      it('of named patients', async () => {
        const members = { method: 'post', types: ['Observation'] } as const;
        expect(await exportedIds({ ...members, patients: ['p1'] })).toEqual(['p1-hr', 'p1-lab']);
        expect(await exportedIds({ ...members, patients: ['p1', 'p2'] })).toEqual(OBSERVATIONS);
      });

      it('with its preferences', async () => {
        const [begun] = await begin({
          types: ['Patient', 'Nonsense'],
          lenient: true,
          separateExportStatus: true,
        });
        expect(begun.status).toBe(202);
        expect(begun.headers.get('preference-applied')).toBe('respond-async, separate-export-status');
      });

      it('and what it refuses is found by name', async () => {
        const members = { method: 'post', types: ['Patient'], organizeOutputBy: 'Group' } as const;
        const [begun] = await begin(members);
        expect(begun.status).toBe(400);
        expect(refusedParameters(exportRequest(members), issuesOf(begun.json))).toEqual(['organizeOutputBy']);
        const [stranger] = await begin({ method: 'post', patients: ['nobody'] });
        expect(stranger.status).toBe(400);
        const asked = exportRequest({ method: 'post', patients: ['nobody'] });
        expect(refusedParameters(asked, issuesOf(stranger.json))).toEqual([]);
      });
    } else {
      it('and what it refuses is found by name, and can be left out', async () => {
        const members = { types: ['Patient'], since: '2026-01-01T00:00:00Z', elements: ['id'] };
        const [begun] = await begin(members);
        expect(begun.status).toBe(400);
        const names = refusedParameters(exportRequest(members), issuesOf(begun.json));
        expect(names).toEqual(['_since', '_elements']);
        expect(
          await exportedIds(
            withoutParameters(exportRequest({ level: 'group', groupId: GROUP, ...members }), names),
          ),
        ).toEqual(['p1', 'p2']);
      });
    }
  },
);
