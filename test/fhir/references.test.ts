import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/fhir/jsonBytes.ts';
import { scanOf } from '../../src/fhir/jsonScan.ts';
import { belongsTo, referenceReader, type ResourceReferences } from '../../src/fhir/references.ts';
import { scanResource } from '../../src/fhir/resourceScan.ts';
import { readSearchset } from '../../src/fhir/searchset.ts';
import { sampleFolder, sampleSearchsets } from './sampleData.ts';

const BASE = 'https://fhir.example/api/FHIR/R4';
const readText = (text: string, base = BASE): ResourceReferences => {
  const { resourceType = '', resourceId = '', named } = scanResource(scanOf(Buffer.from(text)), 0, 0);
  return referenceReader(base)({ resourceType, resourceId, named });
};
const read = (resource: JsonObject, base = BASE) => readText(JSON.stringify(resource), base);
const namesOf = (resource: JsonObject, base = BASE): string[] => distinct(read(resource, base));
const distinct = ({ others }: ResourceReferences): string[] =>
  [...new Set(others.map((name) => `${name.resourceType}/${name.resourceId}`))].sort();
const to = (reference: string): JsonObject => ({ reference });

describe('referenceReader', () => {
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
    expect(read(resource).patients).toEqual(new Set(['p1', 'p2']));
    expect(read(resource).subjectPatients).toEqual(new Set(['p1']));
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
    'Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999999169',
    `${BASE}/Practitioner?identifier=1`,
    '#c1',
    '#',
    '',
  ])('passes over %s', (reference) => {
    expect(read({ a: to(reference) })).toEqual({
      patients: new Set(),
      subjectPatients: new Set(),
      others: [],
    });
  });

  it('takes the reference of one that has an identifier, too', () => {
    const resource = {
      identifier: [{ value: 'no reference' }],
      a: { identifier: { system: 's', value: 'v' }, display: 'd' },
      b: { reference: 'Practitioner/d1', identifier: { value: 'v' } },
    };
    expect(namesOf(resource)).toEqual(['Practitioner/d1']);
  });

  it('makes out each resource by itself, whatever came before', () => {
    const reading = referenceReader(BASE);
    const named = (text: string) => [{ text, as: 'reference' as const }];
    for (let round = 0; round < 3; round++) {
      for (let no = 0; no < 1500; no++) {
        const { others } = reading({
          resourceType: 'Basic',
          resourceId: 'b',
          named: named(`Location/l${no}`),
        });
        expect(others).toEqual([{ resourceType: 'Location', resourceId: `l${no}` }]);
      }
    }
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
    for (const resource of subjects) expect(read(resource).subjectPatients).toEqual(new Set(['p']));
    expect(read({ target: [p], author: p, note: [{ subject: p }] }).subjectPatients.size).toBe(0);
  });

  it('reads them however deep they are, and however their keys are written', () => {
    let nested: JsonObject = { subject: to('Practitioner/deep') };
    for (let depth = 0; depth < 98; depth++) nested = { extension: [nested] };
    expect(namesOf(nested)).toEqual(['Practitioner/deep']);
    const escaped = readText(
      '{"\\u0073ubject" : {"\\u0072eference":"Patient\\/p"}, "a":{"r\\u0065ference":"Loc\\u0061tion/l"}}',
    );
    expect(distinct(escaped)).toEqual(['Location/l']);
    expect(escaped.subjectPatients).toEqual(new Set(['p']));
  });

  it('is not confused by odd members', () => {
    const odd =
      '{"reference":7,"subject":null,"participant":[null,1,{"actor":[]}],"url":null,"__proto__":{"reference":"Location/l"},"instantiatesCanonical":[1,null],"identifier":[]}';
    expect(distinct(readText(odd))).toEqual(['Location/l']);
  });

  describe.runIf(sampleFolder !== undefined)('on the sample patients', () => {
    it('are as many as a text search finds', () => {
      for (const text of sampleSearchsets(sampleFolder!)) {
        const named = readSearchset(Buffer.from(text)).entries.flatMap((entry) => entry.named);
        const references = named.filter(({ as }) => as === 'reference' || as === 'subject');
        expect(references.length).toBe(text.match(/"reference": "/g)?.length ?? 0);
      }
    });
  });
});

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
