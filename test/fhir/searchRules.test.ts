import { describe, expect, it } from 'vitest';
import { readCapability, type Capability } from '../../src/fhir/capability.ts';
import {
  dialectOf,
  includedTypesOf,
  problemsOfList,
  provenanceCarriers,
  reachOf,
  type ListedType,
} from '../../src/fhir/searchRules.ts';

/** A statement of `name`, each type with its search parameters; none of them: read only. */
const server = (name: string, types: Record<string, string>, revIncludes = ''): Capability =>
  readCapability(
    Buffer.from(
      JSON.stringify({
        resourceType: 'CapabilityStatement',
        fhirVersion: '4.0.1',
        software: { name },
        rest: [
          {
            mode: 'server',
            resource: Object.entries(types).map(([type, params]) => ({
              type,
              interaction: [{ code: 'read' }, ...(params === '' ? [] : [{ code: 'search-type' }])],
              searchParam: params.split(' ').flatMap((param) => (param === '' ? [] : [{ name: param }])),
              searchRevInclude: revIncludes.split(' ').includes(type) ? ['Provenance:target'] : [],
            })),
          },
        ],
      }),
    ),
  );
const row = (resourceType: string, ...queries: string[]): ListedType => ({
  resourceType,
  queries: queries.length === 0 ? [''] : queries,
});

const EPIC_TYPES = {
  Patient: '_id identifier family given birthdate',
  Observation: '_id patient subject category code date issued',
  CarePlan: '_id patient subject category',
  EpisodeOfCare: '_id patient type',
  Condition: '_id patient subject category recorded-date',
  AdverseEvent: '_id subject',
  Practitioner: '_id name identifier',
  Location: '',
  Medication: '_id',
  Specimen: '_id',
  Binary: '_id',
  Provenance: '',
};
const epic = server('Epic', EPIC_TYPES, 'Observation Condition Patient');
const plain = server('HAPI FHIR Server', EPIC_TYPES);
const CATEGORIES = ['social-history', 'vital-signs', 'imaging', 'laboratory', 'survey', 'exam'];

describe('reachOf', () => {
  it('reads the Patient and searches what has a patient parameter', () => {
    expect(reachOf(row('Patient'), epic)).toEqual({ how: 'read' });
    expect(reachOf(row('Condition'), epic)).toEqual({
      how: 'search',
      parameter: 'patient',
      filters: [''],
      assumed: [],
    });
    expect(reachOf(row('AdverseEvent'), epic)).toEqual({
      how: 'search',
      parameter: 'subject',
      filters: [''],
      assumed: [],
    });
  });

  it('reaches by reference what has none, by _id where that is searchable', () => {
    expect(reachOf(row('Practitioner'), epic)).toEqual({ how: 'reference', byIdSearch: true });
    expect(reachOf(row('Specimen'), epic)).toEqual({ how: 'reference', byIdSearch: true });
    expect(reachOf(row('Location'), epic)).toEqual({ how: 'reference', byIdSearch: false });
    expect(reachOf(row('Binary'), epic)).toEqual({ how: 'reference', byIdSearch: false });
  });

  it('says what is not offered', () => {
    expect(reachOf(row('Immunization'), epic)).toEqual({ how: 'notOffered' });
  });

  it('brings Provenance by _revinclude, or searches it where the server can', () => {
    expect(reachOf(row('Provenance'), epic)).toEqual({ how: 'revinclude' });
    expect(reachOf(row('Provenance'), plain)).toEqual({ how: 'notOffered' });
    const lax = server('x', { Provenance: 'patient target' });
    expect(reachOf(row('Provenance'), lax)).toMatchObject({ how: 'search', parameter: 'patient' });
  });

  it('gives a bare Observation its working categories at Epic, and leaves it bare elsewhere', () => {
    const filters = CATEGORIES.map((category) => `category=${category}`);
    expect(reachOf(row('Observation'), epic)).toMatchObject({ filters });
    expect(reachOf({ resourceType: 'Observation', queries: [] }, epic)).toMatchObject({ filters });
    expect(reachOf(row('Observation'), plain)).toMatchObject({ filters: [''] });
    expect(reachOf(row('Observation'), plain, 'epic')).toMatchObject({ filters });
  });

  it('keeps the list’s own filters and adds a category where one lacks', () => {
    expect(reachOf(row('Observation', 'category=laboratory', 'code=1234-5'), epic)).toMatchObject({
      filters: ['category=laboratory', 'code=1234-5'],
    });
    expect(reachOf(row('Observation', 'date=ge2026-01-01'), epic)).toMatchObject({
      filters: CATEGORIES.map((category) => `category=${category}&date=ge2026-01-01`),
    });
    expect(reachOf(row('Observation', '', 'category=laboratory', 'category=sdoh'), epic)).toMatchObject({
      filters: [...CATEGORIES.map((category) => `category=${category}`), 'category=sdoh'],
    });
    expect(reachOf(row('Observation', 'category:in=x'), epic)).toMatchObject({ filters: ['category:in=x'] });
    expect(reachOf(row('Observation', '_id=a,b'), epic)).toMatchObject({ filters: ['_id=a,b'] });
    const plans = ['38717003', '734163000', '736271009', '736378000'].map((code) => `category=${code}`);
    expect(reachOf(row('CarePlan'), epic)).toMatchObject({ filters: plans, assumed: plans });
    expect(reachOf(row('CarePlan', 'category=assess-plan'), epic)).toMatchObject({
      filters: ['category=assess-plan'],
      assumed: [],
    });
  });

  it('falls back to R4’s patient compartment where a server lists no parameters', () => {
    const lax = server('x', { Observation: '', Coverage: '', Group: '', Practitioner: '', Patient: '' });
    const open: Capability = {
      ...lax,
      types: new Map([...lax.types].map(([type, can]) => [type, { ...can, search: true }])),
    };
    expect(reachOf(row('Observation'), open)).toMatchObject({ how: 'search', parameter: 'patient' });
    expect(reachOf(row('Coverage'), open)).toMatchObject({ how: 'search', parameter: 'patient' });
    expect(reachOf(row('Group'), open)).toMatchObject({ how: 'search', parameter: 'member' });
    expect(reachOf(row('Practitioner'), open)).toEqual({ how: 'reference', byIdSearch: false });
    const empty: Capability = { fhirVersion: '4.0.1', types: new Map() };
    expect(reachOf(row('Patient'), empty)).toEqual({ how: 'read' });
    expect(reachOf(row('AdverseEvent'), empty)).toMatchObject({ how: 'search', parameter: 'subject' });
    expect(reachOf(row('Organization'), empty)).toEqual({ how: 'reference', byIdSearch: false });
  });

  it('does not search a type that only allows read', () => {
    expect(reachOf(row('Condition'), server('x', { Condition: '', Goal: 'patient' }))).toEqual({
      how: 'reference',
      byIdSearch: false,
    });
  });
});

describe('dialectOf', () => {
  it('knows Epic by its software, and by its path only where the statement names none', () => {
    expect(dialectOf(epic)).toBe('epic');
    expect(dialectOf(plain)).toBe('plain');
    expect(dialectOf(server('Epicenter', {}))).toBe('plain');
    const path = 'https://fhir.example/interconnect-prd/api/FHIR/R4/';
    expect(dialectOf(plain, path)).toBe('plain');
    const { software: _software, ...nameless } = plain;
    expect(dialectOf(nameless, path)).toBe('epic');
    expect(dialectOf(nameless, 'https://fhir.example/fhir')).toBe('plain');
  });
});

describe('provenanceCarriers', () => {
  it('are the listed types that are searched and say that they take it', () => {
    const listed = ['Patient', 'Observation', 'CarePlan', 'Practitioner', 'Provenance'].map((type) =>
      row(type),
    );
    expect(provenanceCarriers(epic, listed)).toEqual(['Observation']);
    expect(provenanceCarriers(plain, listed)).toEqual([]);
  });
});

describe('includedTypesOf', () => {
  it.each([
    ['', [], false],
    ['category=laboratory', [], false],
    ['_include=MedicationRequest:medication:Medication', ['Medication'], false],
    [
      '_include:iterate=Encounter:location:Location&_revinclude=Provenance:target',
      ['Location', 'Provenance'],
      false,
    ],
    ['_include=MedicationRequest:medication', [], true],
    ['_include=*', [], true],
    ['_revinclude=*', [], true],
    ['_include=MedicationRequest%3Amedication%3AMedication', ['Medication'], false],
  ])('reads %s', (query, types, any) => {
    expect(includedTypesOf(['x=y', query])).toEqual({ types: new Set(types), any });
  });
});

describe('problemsOfList', () => {
  const problems = (capability: Capability, ...listed: ListedType[]): string[] =>
    problemsOfList(listed, capability).map(
      (problem) => `${problem.level} ${problem.resourceType} ${problem.what}`,
    );

  it('finds nothing wrong with a good list', () => {
    const listed = [
      row('Patient'),
      row('Observation'),
      row('CarePlan'),
      row('Provenance'),
      row('Practitioner'),
    ];
    expect(problems(epic, ...listed, row('EpisodeOfCare', 'type=urn:oid:1|2'))).toEqual([]);
  });

  it('asks for a filter where Epic needs one that cannot be known', () => {
    expect(problems(epic, row('EpisodeOfCare'))).toEqual([
      'error EpisodeOfCare needs type: give it in query (type=...)',
    ]);
    expect(problems(plain, row('EpisodeOfCare'))).toEqual([]);
  });

  it.each(['category=procedure', 'category=laboratory,therapy', 'category=http://x/y|activity'])(
    'warns of %s, which Epic refuses',
    (query) => {
      expect(problemsOfList([row('Observation', query)], epic)).toEqual([
        {
          level: 'warning',
          resourceType: 'Observation',
          query,
          what: expect.stringMatching(/^Epic refuses category=/),
        },
      ]);
      expect(problems(plain, row('Observation', query))).toEqual([]);
    },
  );

  it.each([
    ['patient=p1', 'error'],
    ['_count=5', 'error'],
    ['_format=xml', 'error'],
    ['_summary=true', 'warning'],
    ['_lastUpdated=gt2026', 'warning'],
    ['recorded_date=gt2026', 'warning'],
  ])('finds fault with %s', (query, level) => {
    expect(problemsOfList([row('Condition', query)], epic)).toMatchObject([{ level, query }]);
  });

  it('takes modifiers and chains of listed parameters', () => {
    expect(problems(epic, row('Condition', 'category:not=x&recorded-date=gt2026&subject.name=a'))).toEqual(
      [],
    );
  });

  it('warns of what is not offered, not carried, and not searched', () => {
    expect(problems(epic, row('Immunization'))).toHaveLength(1);
    expect(problems(epic, row('Provenance'), row('CarePlan'))).toHaveLength(1);
    expect(problems(epic, row('Practitioner', 'name=x'))).toHaveLength(1);
  });
});
