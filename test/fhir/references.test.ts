import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/fhir/jsonBytes.ts';
import { belongsTo, referencesIn } from '../../src/fhir/references.ts';
import { readSearchset } from '../../src/fhir/searchset.ts';
import { sampleFolder, sampleSearchsets } from './sampleData.ts';

const BASE = 'https://fhir.example/api/FHIR/R4';
const read = (resource: JsonObject, base = BASE) => referencesIn(resource, base);
const namesOf = (resource: JsonObject, base = BASE): string[] =>
  read(resource, base)
    .others.map((name) => `${name.resourceType}/${name.resourceId}`)
    .sort();
const to = (reference: string): JsonObject => ({ reference });

describe('referencesIn', () => {
  it('reads relative and same-base references, with and without a version, once each', () => {
    const resource = {
      resourceType: 'Observation',
      subject: to('Patient/p1'),
      performer: [
        to('Practitioner/d1'),
        to(`${BASE}/Practitioner/d1`),
        to('Practitioner/d1/_history/3'),
        to(`${BASE}/PractitionerRole/r.1-_/_history/2`),
      ],
      extension: [
        { url: 'x', valueReference: to('Device/v') },
        { extension: [{ valueReference: to('Patient/p2') }] },
      ],
    };
    expect(namesOf(resource)).toEqual(['Device/v', 'Practitioner/d1', 'PractitionerRole/r.1-_']);
    expect(read(resource)).toMatchObject({
      patients: expect.arrayContaining(['p1', 'p2']),
      subjectPatients: ['p1'],
    });
    expect(read(resource)).toMatchObject({ foreign: 0, logical: 0, contained: 0 });
  });

  it.each([BASE, `${BASE}/`, 'https://FHIR.example:443/api/FHIR/R4'])(
    'takes %s for the same base',
    (base) => {
      expect(namesOf({ a: to(`${BASE}/Location/l1`) }, base)).toEqual(['Location/l1']);
      expect(namesOf({ a: to('HTTPS://fhir.EXAMPLE:443/api/FHIR/R4/Location/l1') }, base)).toEqual([
        'Location/l1',
      ]);
    },
  );

  it.each([
    'https://other.example/api/FHIR/R4/Location/l1',
    'http://fhir.example/api/FHIR/R4/Location/l1',
    'https://fhir.example:8443/api/FHIR/R4/Location/l1',
    'https://fhir.example/api/FHIR/R4x/Location/l1',
    'https://fhir.example/api/FHIR/STU3/Location/l1',
    'https://fhir.example.evil/api/FHIR/R4/Location/l1',
    '//fhir.example/api/FHIR/R4/Location/l1',
    '/Location/l1',
    '../Location/l1',
    'urn:uuid:ad134528-56a5-35fd-c37f-466ff119c625',
    'urn:oid:1.2.3',
    'Location',
    'Location/',
    'Location/a b',
    'location/l1',
    'Location/l1/extra',
    '',
  ])('counts %s as foreign', (reference) => {
    expect(read({ a: to(reference) })).toMatchObject({ others: [], foreign: 1, logical: 0, contained: 0 });
  });

  it('counts contained and logical references', () => {
    const resource = {
      identifier: [{ value: 'no reference' }],
      a: to('#c1'),
      b: to('#'),
      c: { identifier: { system: 's', value: 'v' }, display: 'd' },
      d: to('Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999999169'),
      e: to(`${BASE}/Practitioner?identifier=1`),
      f: { reference: 'Practitioner/d1', identifier: { value: 'v' } },
    };
    expect(read(resource)).toMatchObject({ contained: 2, logical: 3, foreign: 0 });
    expect(namesOf(resource)).toEqual(['Practitioner/d1']);
  });

  it('does not take a resource with a single identifier for a logical reference', () => {
    expect(read({ resourceType: 'Composition', identifier: { value: 'v' } }).logical).toBe(0);
  });

  it('reads Binaries of attachments wherever they are, and no other url', () => {
    const resource = {
      content: [{ attachment: { contentType: 'text/html', url: 'Binary/b1' } }],
      presentedForm: [{ url: `${BASE}/Binary/b2` }],
      photo: [{ contentType: 'image/png', url: 'https://cdn.example/Binary/b3' }],
      valueAttachment: { contentType: 'text/plain', url: 'https://cdn.example/x.txt' },
      extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/x' }, { url: 'race' }],
    };
    expect(namesOf(resource)).toEqual(['Binary/b1', 'Binary/b2']);
    expect(read(resource).foreign).toBe(2);
  });

  it('reads canonicals of the same base without their version', () => {
    const resource = {
      questionnaire: `${BASE}/Questionnaire/q1|2.0`,
      instantiatesCanonical: [
        `${BASE}/PlanDefinition/d1`,
        'http://hl7.org/PlanDefinition/x|1',
        'urn:oid:1.2',
      ],
      part: { instantiatesCanonical: `${BASE}/ActivityDefinition/a1|3` },
    };
    expect(namesOf(resource)).toEqual(['ActivityDefinition/a1', 'PlanDefinition/d1', 'Questionnaire/q1']);
    expect(read(resource).foreign).toBe(0);
  });

  it('finds the subject in each of its forms', () => {
    const p = to('Patient/p');
    const subjects = [
      { subject: p },
      { subject: [to('Group/g'), p] },
      { patient: p },
      { beneficiary: p },
      { individual: p },
      { for: p },
      { participant: [{ actor: to('Practitioner/d') }, { actor: p }] },
      { participant: [{ individual: p }] },
    ];
    for (const resource of subjects) expect(read(resource).subjectPatients).toEqual(['p']);
    expect(read({ target: [p], author: p, note: [{ subject: p }] }).subjectPatients).toEqual([]);
  });

  it('does not recurse', () => {
    let nested: JsonObject = { subject: to('Practitioner/deep') };
    for (let depth = 0; depth < 100_000; depth++) nested = { extension: [nested] };
    expect(namesOf(nested)).toEqual(['Practitioner/deep']);
  });

  it('is not confused by odd members', () => {
    const odd = JSON.parse(
      '{"reference":7,"subject":null,"participant":[null,1,{"actor":[]}],"url":null,"__proto__":{"reference":"Location/l"},"instantiatesCanonical":[1,null],"identifier":[]}',
    ) as JsonObject;
    expect(namesOf(odd)).toEqual(['Location/l']);
  });

  describe.runIf(sampleFolder !== undefined)('on the sample patients', () => {
    it('counts what a text search counts', () => {
      for (const text of sampleSearchsets(sampleFolder!)) {
        const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
        const found = { foreign: 0, logical: 0, contained: 0 };
        for (const { resource } of readSearchset(Buffer.from(text)).entries) {
          const references = read(resource);
          found.foreign += references.foreign;
          found.logical += references.logical;
          found.contained += references.contained;
        }
        expect(found).toEqual({
          foreign: count(/"reference": "urn:uuid:/g),
          logical: count(/"reference": "[A-Z][A-Za-z]+\?/g) + identifierOnly(text),
          contained: count(/"reference": "#/g),
        });
      }
    });
  });
});

/** References by identifier alone, as they stand in pretty-printed text: an object that begins with `identifier`. */
function identifierOnly(text: string): number {
  return text.match(/: \{\s+"identifier": \{/g)?.length ?? 0;
}

describe('belongsTo', () => {
  const whose = (resource: JsonObject): string => belongsTo(read(resource), 'p1');
  it.each([
    ['patient', { subject: to('Patient/p1') }],
    ['patient', { subject: to(`${BASE}/Patient/p1/_history/1`), performer: [to('Practitioner/d')] }],
    ['patient', { target: [to('Patient/p1'), to('Observation/o')] }],
    ['patient', { resourceType: 'Patient', id: 'p1' }],
    ['shared', { resourceType: 'Patient', id: 'p1', link: [{ other: to('Patient/p0') }] }],
    ['shared', { resourceType: 'Practitioner', id: 'd' }],
    ['shared', { subject: to('Group/g') }],
    ['shared', { participant: [{ actor: to('Patient/p2') }, { actor: to('Patient/p1') }] }],
    ['shared', { subject: to('Patient/p1'), focus: [to('Patient/p2')] }],
    ['foreign', { subject: to('Patient/p2') }],
    ['foreign', { subject: to('Patient/p2'), focus: [to('Patient/p1')] }],
    ['foreign', { target: [to('Patient/p2')] }],
    ['foreign', { participant: [{ actor: to('Patient/p2') }, { actor: to('Location/l') }] }],
    ['foreign', { resourceType: 'Patient', id: 'p2' }],
    ['foreign', { resourceType: 'Patient', id: 'p2', link: [{ other: to('Patient/p1') }] }],
    ['foreign', { subject: to('Patient/P1') }],
  ])('is %s for %j', (expected, resource) => {
    expect(whose(resource)).toBe(expected);
  });
});
