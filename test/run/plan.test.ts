import { describe, expect, it } from 'vitest';
import type { Capability, TypeCapability } from '../../src/fhir/capability.ts';
import { makePlan, referencedTypeNo, typeName, typeNames } from '../../src/run/plan.ts';

function offer(searchParams: readonly string[], given: Partial<TypeCapability> = {}): TypeCapability {
  return {
    read: true,
    search: true,
    searchParams: new Set(searchParams),
    includes: new Set(),
    revIncludes: new Set(),
    ...given,
  };
}

const EPIC: Capability = {
  fhirVersion: '4.0.1',
  software: { name: 'Epic' },
  types: new Map([
    ['Patient', offer(['_id', 'identifier'])],
    ['Observation', offer(['patient', 'category', 'code'], { revIncludes: new Set(['Provenance:target']) })],
    ['Condition', offer(['patient', 'category'])],
    ['AdverseEvent', offer(['subject'])],
    ['Practitioner', offer(['_id', 'name'])],
    ['Medication', offer(['_id'])],
    ['Location', offer([], { search: false })],
    ['Binary', offer(['_id'])],
    ['Provenance', offer([], { search: false })],
  ]),
};

const LAX: Capability = { fhirVersion: '4.0.1', types: new Map() };

const list = (...rows: readonly (string | readonly [string, ...string[]])[]) =>
  rows.map((row) =>
    typeof row === 'string'
      ? { resourceType: row, queries: [''] }
      : { resourceType: row[0], queries: row.slice(1) },
  );

describe('makePlan', () => {
  it('puts each type where an Epic server has it', () => {
    const listed = list(
      'Observation',
      'Practitioner',
      'AdverseEvent',
      'Patient',
      'Location',
      'Binary',
      'Claim',
      'Provenance',
    );
    const plan = makePlan(listed, EPIC, 'epic');
    expect(plan.searched.map(({ resourceType, how, parameter }) => [resourceType, how, parameter])).toEqual([
      ['Patient', 'read', ''],
      ['Observation', 'search', 'patient'],
      ['AdverseEvent', 'search', 'subject'],
    ]);
    expect(plan.referenced).toEqual([
      { resourceType: 'Practitioner', byIdSearch: true, byRead: true },
      { resourceType: 'Location', byIdSearch: false, byRead: true },
      { resourceType: 'Binary', byIdSearch: false, byRead: true },
    ]);
    expect(plan.carried).toEqual(['Provenance']);
    expect(plan.notOffered).toEqual(['Claim']);
  });

  it('asks Epic for a bare Observation by its working categories, which it chose itself', () => {
    const { searched } = makePlan(list('Observation'), EPIC, 'epic');
    expect(searched[0]?.filters).toEqual(
      ['social-history', 'vital-signs', 'imaging', 'laboratory', 'survey', 'exam'].map(
        (name) => `category=${name}`,
      ),
    );
    expect(searched[0]?.assumed).toEqual(searched[0]?.filters);
    expect(makePlan(list('Observation'), EPIC, 'plain').searched[0]).toMatchObject({
      filters: [''],
      assumed: [],
    });
  });

  it('keeps the list’s own filters, which are not assumed', () => {
    const { searched } = makePlan(list(['Observation', 'category=sdoh', 'category=LDA']), EPIC, 'epic');
    expect(searched[0]).toMatchObject({ filters: ['category=sdoh', 'category=LDA'], assumed: [] });
  });

  it('brings Provenance along with each search that can carry it, and only where it is listed', () => {
    const [observation, condition] = makePlan(
      list('Observation', 'Condition', 'Provenance'),
      EPIC,
      'epic',
    ).searched;
    expect(observation?.filters[0]).toBe('category=social-history&_revinclude=Provenance%3Atarget');
    expect(observation?.assumed).toEqual(observation?.filters);
    expect(observation?.includes).toEqual(['Provenance']);
    expect(condition).toMatchObject({ filters: [''], includes: [] });
    const without = makePlan(list('Observation'), EPIC, 'epic').searched[0];
    expect(without?.filters[0]).toBe('category=social-history');
  });

  it('knows which types a query brings along', () => {
    const { searched } = makePlan(
      list(['Condition', '_include=Condition:asserter:Practitioner'], ['AdverseEvent', '_include=*']),
      EPIC,
      'epic',
    );
    expect(searched.map(({ includes }) => includes)).toEqual([['Practitioner'], ['*']]);
  });

  it('takes R4’s own word for a server that names no types', () => {
    const plan = makePlan(list('Observation', 'Condition', 'Practitioner', 'Patient'), LAX, 'plain');
    expect(
      plan.searched.map(({ resourceType, parameter, filters }) => [resourceType, parameter, filters]),
    ).toEqual([
      ['Patient', '', ['']],
      ['Observation', 'patient', ['']],
      ['Condition', 'patient', ['']],
    ]);
    expect(plan.referenced).toEqual([{ resourceType: 'Practitioner', byIdSearch: false, byRead: true }]);
    expect(plan.notOffered).toEqual([]);
  });
});

describe('typeNos', () => {
  const plan = makePlan(list('Practitioner', 'Observation', 'Patient', 'Medication'), EPIC, 'epic');

  it('number the searched types first, then those reached by reference', () => {
    expect(typeNames(plan)).toEqual(['Patient', 'Observation', 'Practitioner', 'Medication']);
    expect(typeNames(plan).map((_, typeNo) => typeName(plan, typeNo))).toEqual(typeNames(plan));
    expect(() => typeName(plan, 4)).toThrow(RangeError);
  });

  it('are found again for reference types alone', () => {
    expect(referencedTypeNo(plan, 'Medication')).toBe(3);
    expect(referencedTypeNo(plan, 'Observation')).toBeUndefined();
    expect(referencedTypeNo(plan, 'Claim')).toBeUndefined();
  });
});
