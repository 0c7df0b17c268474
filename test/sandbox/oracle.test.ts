import { describe, expect, it } from 'vitest';
import { rowsOfList } from '../../src/sandbox/oracle.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import {
  codesOf,
  collected,
  getFhir,
  nextOf,
  resourceTexts,
  rsaKey,
  sha256,
  tokenFor,
} from './support/client.ts';

const SEARCHED = [
  'AllergyIntolerance',
  'Appointment',
  'CarePlan',
  'CareTeam',
  'Condition',
  'Consent',
  'Coverage',
  'Device',
  'DeviceUseStatement',
  'DiagnosticReport',
  'DocumentReference',
  'Encounter',
  'ExplanationOfBenefit',
  'Goal',
  'Immunization',
  'List',
  'MedicationRequest',
  'Observation',
  'Procedure',
  'QuestionnaireResponse',
  'ServiceRequest',
];
const REFERENCED = [
  'Binary',
  'Location',
  'Medication',
  'Organization',
  'Practitioner',
  'PractitionerRole',
  'Questionnaire',
];
const CATEGORIES = ['social-history', 'vital-signs', 'imaging', 'laboratory', 'survey', 'exam'];
const CARE_PLANS = ['38717003', '734163000', '736271009', '736378000'];

/** The plainest client there is: one request after the other, everything into a map, references until none is new. */
async function crawl(sandbox: Sandbox, dialect: 'epic' | 'us-core'): Promise<Map<string, string>> {
  const token = await tokenFor(sandbox, rsaKey());
  const found = new Map<string, string>();
  const keep = (text: string) => {
    const resource = JSON.parse(text) as { resourceType: string; id: string };
    if (resource.resourceType !== 'OperationOutcome')
      found.set(`${resource.resourceType}/${resource.id}`, text);
  };
  const search = async (path: string) => {
    let next: string | undefined = path;
    while (next !== undefined) {
      const page = await getFhir(sandbox, token, next);
      if (page.status !== 200) return expect(codesOf(page.json)).toHaveLength(1);
      resourceTexts(page.text).forEach(keep);
      next = nextOf(page.json);
    }
  };
  for (let ordinal = 0; ordinal < sandbox.patientCount; ordinal += 1) {
    const id = sandbox.patientIdAt(ordinal) ?? '';
    await search(`Patient?_id=${id}`);
    for (const type of dialect === 'epic' ? SEARCHED : [...SEARCHED, 'Provenance']) {
      const more = dialect === 'epic' ? '&_revinclude=Provenance:target' : '';
      const fan =
        dialect !== 'epic' ? [] : type === 'Observation' ? CATEGORIES : type === 'CarePlan' ? CARE_PLANS : [];
      for (const suffix of fan.length > 0 ? fan.map((category) => `&category=${category}`) : ['']) {
        await search(`${type}?patient=${id}${suffix}${more}&_count=30`);
      }
    }
  }
  const asked = new Set<string>();
  for (const text of found.values()) {
    const pattern = /"(?:reference|url|questionnaire)":"((?:[^"\\]|\\.)*)"/g;
    for (const [, value = ''] of text.matchAll(pattern)) {
      const [, type = '', id = ''] =
        /^([A-Z]\w+)\/([^/]+)$/.exec(value.replace(`${sandbox.fhirBase}/`, '')) ?? [];
      if (!REFERENCED.includes(type) || asked.has(`${type}/${id}`)) continue;
      asked.add(`${type}/${id}`);
      const answer = await getFhir(sandbox, token, `${type}?_id=${id}`);
      resourceTexts(answer.text).forEach(keep);
    }
  }
  return found;
}

describe.each(['epic', 'us-core'] as const)('the oracle of the %s dialect', (dialect) => {
  it('equals what a naive crawl gets', async () => {
    const sandbox = await startSandbox({ smtp: false, dialect, patients: 8, special: true, seed: 3 });
    try {
      const crawled = await crawl(sandbox, dialect);
      const rows = ['Patient', 'Provenance', ...SEARCHED, ...REFERENCED].map((resource) => ({ resource }));
      const lines = await collected(sandbox.oracle(rows));
      const told = lines.map((line) => `${line.type}/${line.id} ${line.sha256} ${line.bytes}`);
      const got = [...crawled].map(([key, text]) => `${key} ${sha256(text)} ${Buffer.byteLength(text)}`);
      expect(new Set(told).size).toBe(told.length);
      expect(told.toSorted()).toEqual(got.toSorted());
      expect(new Set(lines.map((line) => line.type)).size).toBe(rows.length);
    } finally {
      await sandbox.close();
    }
  });
});

describe('the oracle', () => {
  it('unites the rows of a type, follows listed types only and takes a list of patients', async () => {
    const sandbox = await startSandbox({ smtp: false, special: true });
    try {
      const ids = async (rows: { resource: string; query?: string }[], patients?: string[]) =>
        (await collected(sandbox.oracle(rows, patients))).map((line) => `${line.type}/${line.id}`);
      const row = (category: string) => ({ resource: 'Observation', query: `category=${category}` });
      const [a, b] = [await ids([row('laboratory')]), await ids([row('survey')])];
      const both = await ids([row('laboratory'), row('survey')]);
      expect(both.toSorted()).toEqual([...new Set([...a, ...b])].toSorted());
      expect(both.length).toBeLessThan(a.length + b.length);
      expect(await ids([{ resource: 'Observation', query: 'category=procedure' }])).toEqual([]);
      expect(await ids([{ resource: 'Binary' }])).toEqual([]);
      const withFiles = await ids([{ resource: 'Binary' }, { resource: 'DocumentReference' }]);
      expect(withFiles.some((key) => key.startsWith('Binary/'))).toBe(true);
      // A survivor and the id merged into it are one patient; a deleted one is none.
      const [survivor = '', merged = '', deleted = ''] = [0, 7, 8].map((n) => sandbox.patientIdAt(n) ?? '');
      const one = await ids([{ resource: 'Condition' }], [survivor]);
      expect(await ids([{ resource: 'Condition' }], [merged, survivor, deleted, 'nobody'])).toEqual(one);
    } finally {
      await sandbox.close();
    }
  });

  it('takes a list as CSV and is served as NDJSON', async () => {
    const csv =
      '\uFEFFresource,description,query,enabled\r\nPatient,"who, and where",,\r\nObservation,,"category=laboratory,survey",yes\nGoal,,,false\n';
    expect(rowsOfList(csv)).toEqual([
      { resource: 'Patient', query: '' },
      { resource: 'Observation', query: 'category=laboratory,survey' },
    ]);
    const sandbox = await startSandbox({ smtp: false });
    try {
      const direct = (await collected(sandbox.oracle(csv))).map((line) => JSON.stringify(line));
      const got = await (await fetch(`${sandbox.origin}/__oracle?list=${encodeURIComponent(csv)}`)).text();
      const posted = await fetch(`${sandbox.origin}/__oracle`, {
        method: 'POST',
        body: csv,
        headers: { 'content-type': 'text/csv' },
      });
      expect(got).toBe(`${direct.join('\n')}\n`);
      expect(await posted.text()).toBe(got);
    } finally {
      await sandbox.close();
    }
  });
});
