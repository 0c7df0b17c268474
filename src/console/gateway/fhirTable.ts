import { inPath, inQuery, integer, type Operation, type Parameter } from '../api/operation.ts';
import type { Input } from '../api/input.ts';
import { JOB } from './job.ts';
import type { Question } from './question.ts';

/** The one table of what the gateway asks the FHIR server: paths of the original program, in terms of FHIR. */

/** One path, and the question that it stands for. */
export interface FhirRow extends Pick<
  Operation,
  'key' | 'path' | 'summary' | 'parameters' | 'takesOthers' | 'text'
> {
  readonly question: (input: Input) => Question;
}

const ID_PATTERN = '(?!\\.{1,2}$)[A-Za-z0-9._-]{1,255}';
const EXAMPLE_PATIENT = 'erXuFYUfucBZaryVksYEcMg3';

const COUNT = integer('_count', 'Resources of a page, at most; the server has its own limit.', {
  minimum: 1,
  maximum: 1_000,
});
const PATIENT = inPath('patient_id', 'FHIR id of the patient.', {
  pattern: ID_PATTERN,
  example: EXAMPLE_PATIENT,
});
export const PATIENT_ID = inPath('id', 'FHIR id of the patient.', {
  pattern: ID_PATTERN,
  example: EXAMPLE_PATIENT,
});
const DATE = inQuery('date', 'A FHIR date, with a prefix where wanted.', {
  pattern:
    '(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?\\d{4}(?:-\\d{2}(?:-\\d{2}(?:T[0-9:.]{5,12}(?:Z|[+-]\\d{2}:\\d{2}))?)?)?',
  example: 'ge2024-01-01',
});
const patientQuery = (name: string): Parameter =>
  inQuery(name, 'FHIR id of the patient.', {
    required: true,
    pattern: `(?:Patient/)?${ID_PATTERN}`,
    example: EXAMPLE_PATIENT,
  });

interface OfPatient {
  readonly path: string;
  readonly resourceType: string;
  readonly summary: string;
  readonly filters?: readonly Parameter[];
  readonly text?: string;
}

/** Searches of one patient: each filter is a search parameter of the same name. */
const OF_PATIENT: readonly OfPatient[] = [
  {
    path: '/fhir/observation/{patient_id}',
    resourceType: 'Observation',
    summary: 'A patient’s Observations of a category or code',
    text: 'Epic wants one of the two (else 59108). Working categories: social-history, vital-signs, imaging, laboratory, survey, exam; procedure, therapy and activity are refused.',
    filters: [
      inQuery('category', 'Such as `laboratory`; several with commas.', { example: 'laboratory' }),
      inQuery('code', 'Such as a LOINC code; several with commas.'),
    ],
  },
  {
    path: '/fhir/conditions/{patient_id}',
    resourceType: 'Condition',
    summary: 'A patient’s Conditions',
    filters: [inQuery('clinical-status', 'Such as `active`.', { example: 'active' })],
  },
  { path: '/fhir/encounters/{patient_id}', resourceType: 'Encounter', summary: 'A patient’s Encounters' },
  { path: '/fhir/procedures/{patient_id}', resourceType: 'Procedure', summary: 'A patient’s Procedures' },
  {
    path: '/fhir/documents/{patient_id}',
    resourceType: 'DocumentReference',
    summary: 'A patient’s DocumentReferences',
    text: 'Their contents are Binaries, each behind a URL.',
  },
  {
    path: '/fhir/appointments/{patient_id}',
    resourceType: 'Appointment',
    summary: 'A patient’s Appointments',
    filters: [DATE],
  },
  { path: '/fhir/coverage/{patient_id}', resourceType: 'Coverage', summary: 'A patient’s Coverages' },
  {
    path: '/fhir/ExplanationOfBenefit/{patient_id}',
    resourceType: 'ExplanationOfBenefit',
    summary: 'A patient’s ExplanationOfBenefits',
    text: 'By id: /fhir/ExplanationOfBenefit?_id=ID.',
  },
  {
    path: '/fhir/CarePlan/{patient_id}',
    resourceType: 'CarePlan',
    summary: 'A patient’s CarePlans',
    text: 'Epic wants a category; the longitudinal plan is asked for where none is given. By id: /fhir/CarePlan?_id=ID.',
    filters: [
      inQuery('category', 'SNOMED CT: 38717003 longitudinal, 734163000 encounter-level.', {
        default: '38717003',
      }),
      inQuery('status', 'Such as `active`.', { example: 'active' }),
    ],
  },
  {
    path: '/fhir/QuestionnaireResponse/{patient_id}',
    resourceType: 'QuestionnaireResponse',
    summary: 'A patient’s QuestionnaireResponses',
    text: 'By id: /fhir/QuestionnaireResponse?_id=ID.',
  },
  { path: '/fhir/lists/{patient_id}', resourceType: 'List', summary: 'A patient’s Lists' },
  { path: '/fhir/consents/{patient_id}', resourceType: 'Consent', summary: 'A patient’s Consents' },
  {
    path: '/fhir/DeviceUseStatement/{patient_id}',
    resourceType: 'DeviceUseStatement',
    summary: 'A patient’s DeviceUseStatements',
    text: 'By id: /fhir/DeviceUseStatement?_id=ID.',
  },
];

/** Reads by id. */
const BY_ID: readonly { readonly path: string; readonly resourceType: string }[] = [
  { path: '/fhir/organizations/{id}', resourceType: 'Organization' },
  { path: '/fhir/practitioner/{id}', resourceType: 'Practitioner' },
  { path: '/fhir/PractitionerRole/{id}', resourceType: 'PractitionerRole' },
  { path: '/fhir/questionnaires/{id}', resourceType: 'Questionnaire' },
  { path: '/fhir/provenance/{id}', resourceType: 'Provenance' },
];

const TYPE = inPath('type', 'A resource type of FHIR R4, as FHIR writes it.', {
  pattern: '[A-Z][A-Za-z]{1,63}',
  example: 'Condition',
});

export const FHIR_ROWS: readonly FhirRow[] = [
  {
    key: 'readPatient',
    path: '/fhir/patient/{id}',
    summary: 'One Patient by id',
    parameters: [PATIENT_ID, JOB],
    question: (input) => ({ kind: 'read', resourceType: 'Patient', resourceId: input.given('id') }),
  },
  {
    key: 'searchPatients',
    path: '/fhir/patient/search',
    summary: 'Patients by name',
    text: 'At sandboxes alone: a search by name shows anybody.',
    parameters: [
      inQuery('family', 'Family name, or its beginning.', { example: 'Lopez' }),
      inQuery('given', 'Given name, or its beginning.', { example: 'Camila' }),
      integer('limit', 'Patients, at most.', { default: '10', minimum: 1, maximum: 100 }),
      JOB,
    ],
    question: (input) => ({
      kind: 'search',
      resourceType: 'Patient',
      parameters: [...given(input, ['family', 'given']), ['_count', input.given('limit')]],
    }),
  },
  ...OF_PATIENT.map(searchRow),
  {
    key: 'searchAppointments',
    path: '/fhir/appointments/search',
    summary: 'A patient’s Appointments by filters',
    parameters: [
      patientQuery('patient'),
      DATE,
      inQuery('status', 'Such as `booked`.'),
      inQuery('service-category', 'At Epic `appointment` or `surgery`.'),
      ...[COUNT, JOB],
    ],
    question: (input) => ({
      kind: 'search',
      resourceType: 'Appointment',
      parameters: given(input, ['patient', 'date', 'status', 'service-category', '_count']),
    }),
  },
  {
    key: 'searchCoverage',
    path: '/fhir/coverage/search',
    summary: 'Coverages by beneficiary',
    parameters: [patientQuery('beneficiary'), COUNT, JOB],
    question: (input) => ({
      kind: 'search',
      resourceType: 'Coverage',
      parameters: given(input, ['beneficiary', '_count']),
    }),
  },
  ...BY_ID.map(readRow),
  {
    key: 'readAny',
    path: '/fhir/{type}/{resource_id}',
    summary: 'One resource of any type by its id',
    parameters: [TYPE, inPath('resource_id', 'FHIR id.', { pattern: ID_PATTERN }), JOB],
    question: (input) => ({
      kind: 'read',
      resourceType: input.given('type'),
      resourceId: input.given('resource_id'),
    }),
  },
  {
    key: 'searchAny',
    path: '/fhir/{type}',
    summary: 'A search of any type',
    text: 'All parameters but job go to the server as they are, encoded.',
    parameters: [TYPE, JOB],
    takesOthers: true,
    question: (input) => ({ kind: 'search', resourceType: input.given('type'), parameters: input.others }),
  },
];

function searchRow({ path, resourceType, summary, text, filters = [] }: OfPatient): FhirRow {
  const names = [...filters, COUNT].map(({ name }) => name);
  return {
    key: `search${resourceType}OfPatient`,
    ...{ path, summary },
    ...(text === undefined ? {} : { text }),
    parameters: [PATIENT, ...filters, COUNT, JOB],
    question: (input) => ({
      kind: 'search',
      resourceType,
      parameters: [['patient', input.given('patient_id')], ...given(input, names)],
    }),
  };
}

function readRow({ path, resourceType }: (typeof BY_ID)[number]): FhirRow {
  return {
    key: `read${resourceType}`,
    path,
    summary: `One ${resourceType} by its id`,
    parameters: [inPath('id', 'FHIR id.', { pattern: ID_PATTERN }), JOB],
    question: (input) => ({ kind: 'read', resourceType, resourceId: input.given('id') }),
  };
}

/** The parameters that were given, as FHIR's of the same name. */
function given(input: Input, names: readonly string[]): readonly (readonly [string, string])[] {
  return names.flatMap((name) => {
    const value = input.text(name);
    return value === undefined ? [] : [[name, value] as const];
  });
}
