import { membersOf } from '../jsonText.ts';
import type { StoredResource } from '../population/types.ts';

/** `_elements`: root elements, of one type (`Patient.name`) or of all (`id`). */
export interface Elements {
  readonly names: readonly string[];
}

const ELEMENT = /^(?:[A-Z][A-Za-z]+\.)?[a-z][A-Za-z]*$/;

export const isElement = (text: string) => ELEMENT.test(text);

/** Mandatory root elements by type (FHIR R4): they stay. `resourceType`, `id` and `meta` always do. */
const MANDATORY: Readonly<Record<string, string>> = {
  AllergyIntolerance: 'patient',
  Appointment: 'status participant',
  Binary: 'contentType',
  CarePlan: 'status intent subject',
  Condition: 'subject',
  Consent: 'status scope category',
  Coverage: 'status beneficiary payor',
  DeviceUseStatement: 'status subject device',
  DiagnosticReport: 'status code',
  DocumentReference: 'status content',
  Encounter: 'status class',
  ExplanationOfBenefit: 'status type use patient created insurer provider outcome insurance',
  Goal: 'lifecycleStatus description subject',
  Immunization: 'status vaccineCode patient occurrenceDateTime occurrenceString',
  List: 'status mode',
  MedicationRequest: 'status intent medicationReference medicationCodeableConcept subject',
  Observation: 'status code',
  Procedure: 'status subject',
  Provenance: 'target recorded agent',
  Questionnaire: 'status',
  QuestionnaireResponse: 'status',
  ServiceRequest: 'status intent subject',
};

const SUBSETTED = {
  system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue',
  code: 'SUBSETTED',
};

/** The resource with the elements asked for, cut out of its own bytes, and tagged SUBSETTED (3.0.0, `_elements`). */
export function subsetText({ type, text }: StoredResource, elements: Elements): Buffer {
  const wanted = new Set(['resourceType', 'id', ...(MANDATORY[type] ?? '').split(' ')]);
  for (const name of elements.names) {
    const [first = '', second] = name.split('.');
    if (second === undefined) wanted.add(first);
    else if (first === type) wanted.add(second);
  }
  const pieces: Buffer[] = [];
  let meta: { tag?: unknown[] } = {};
  for (const { key, start, end } of membersOf(text, 0)) {
    const value = text.subarray(start, end);
    if (key === 'meta') meta = JSON.parse(value.toString('utf8')) as typeof meta;
    else if (wanted.has(key)) pieces.push(Buffer.from(`${JSON.stringify(key)}:`), value, Buffer.from(','));
  }
  const tagged = { ...meta, tag: [...(meta.tag ?? []), SUBSETTED] };
  return Buffer.concat([Buffer.from('{'), ...pieces, Buffer.from(`"meta":${JSON.stringify(tagged)}}`)]);
}
