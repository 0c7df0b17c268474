import { inPath, inQuery, integer, operationsIn, type Operation, type Parameter } from '../api/operation.ts';
import type { Input } from '../api/input.ts';
import type { Ask } from '../exchange.ts';
import type { Site } from '../site.ts';
import { askServer, type GatewayDeps } from './gateway.ts';
import { demandOpen, jobNamed, type Use } from './guard.ts';
import { JOB } from './job.ts';
import type { Question } from './question.ts';

/** The one table of what the gateway asks the FHIR server: paths of the original program, in terms of FHIR. */

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

export function fhirOperations(site: Site, deps: GatewayDeps): readonly Operation[] {
  const operation = operationsIn('FHIR server');
  const ask = (question: Question, input: Input, asked: Ask, path: string) =>
    askServer(deps, useOf(site, input, asked, path), question, asked);

  const searchOf = ({ path, resourceType, summary, text, filters = [] }: OfPatient): Operation =>
    operation(`search${resourceType}OfPatient`, path, 'Searchset', summary, {
      ...(text === undefined ? {} : { text }),
      parameters: [PATIENT, ...filters, COUNT, JOB],
      patientId: (input) => input.text('patient_id'),
      answer: (input, asked) => {
        const names = [...filters, COUNT].map(({ name }) => name);
        const parameters = [['patient', input.given('patient_id')] as const, ...given(input, names)];
        return ask({ kind: 'search', resourceType, parameters }, input, asked, path);
      },
    });
  const readOf = ({ path, resourceType }: (typeof BY_ID)[number]): Operation =>
    operation(`read${resourceType}`, path, 'Resource', `One ${resourceType} by its id`, {
      parameters: [inPath('id', 'FHIR id.', { pattern: ID_PATTERN }), JOB],
      answer: (input, asked) =>
        ask({ kind: 'read', resourceType, resourceId: input.given('id') }, input, asked, path),
    });

  return [
    operation('readPatient', '/fhir/patient/{id}', 'Resource', 'One Patient by id', {
      parameters: [PATIENT_ID, JOB],
      patientId: (input) => input.text('id'),
      answer: (input, asked) =>
        ask(
          { kind: 'read', resourceType: 'Patient', resourceId: input.given('id') },
          ...([input, asked, '/fhir/patient/{id}'] as const),
        ),
    }),
    operation('searchPatients', '/fhir/patient/search', 'Searchset', 'Patients by name', {
      text: 'At sandboxes alone: a search by name shows anybody.',
      parameters: [
        inQuery('family', 'Family name, or its beginning.', { example: 'Lopez' }),
        inQuery('given', 'Given name, or its beginning.', { example: 'Camila' }),
        integer('limit', 'Patients, at most.', { default: '10', minimum: 1, maximum: 100 }),
        JOB,
      ],
      answer: (input, asked) => {
        const parameters = [...given(input, ['family', 'given']), ['_count', input.given('limit')] as const];
        return ask(
          { kind: 'search', resourceType: 'Patient', parameters },
          input,
          asked,
          '/fhir/patient/search',
        );
      },
    }),
    ...OF_PATIENT.map(searchOf),
    operation(
      'searchAppointments',
      '/fhir/appointments/search',
      'Searchset',
      'A patient’s Appointments by filters',
      {
        parameters: [
          patientQuery('patient'),
          DATE,
          inQuery('status', 'Such as `booked`.'),
          inQuery('service-category', 'At Epic `appointment` or `surgery`.'),
          ...[COUNT, JOB],
        ],
        patientId: (input) => input.text('patient')?.replace('Patient/', ''),
        answer: (input, asked) => {
          const parameters = given(input, ['patient', 'date', 'status', 'service-category', '_count']);
          return ask(
            { kind: 'search', resourceType: 'Appointment', parameters },
            input,
            asked,
            '/fhir/appointments/search',
          );
        },
      },
    ),
    operation('searchCoverage', '/fhir/coverage/search', 'Searchset', 'Coverages by beneficiary', {
      parameters: [patientQuery('beneficiary'), COUNT, JOB],
      patientId: (input) => input.text('beneficiary')?.replace('Patient/', ''),
      answer: (input, asked) => {
        const parameters = given(input, ['beneficiary', '_count']);
        return ask(
          { kind: 'search', resourceType: 'Coverage', parameters },
          input,
          asked,
          '/fhir/coverage/search',
        );
      },
    }),
    ...BY_ID.map(readOf),
    operation('readAny', '/fhir/{type}/{resource_id}', 'Resource', 'One resource of any type by its id', {
      parameters: [TYPE, inPath('resource_id', 'FHIR id.', { pattern: ID_PATTERN }), JOB],
      patientId: (input) => (input.text('type') === 'Patient' ? input.text('resource_id') : undefined),
      answer: (input, asked) =>
        ask(
          { kind: 'read', resourceType: input.given('type'), resourceId: input.given('resource_id') },
          ...([input, asked, '/fhir/{type}/{resource_id}'] as const),
        ),
    }),
    operation('searchAny', '/fhir/{type}', 'Searchset', 'A search of any type', {
      text: 'All parameters but job go to the server as they are, encoded.',
      parameters: [TYPE, JOB],
      takesOthers: true,
      patientId: ({ others }) =>
        others.find(([name]) => name === 'patient' || name === 'subject')?.[1].replace(/^Patient\//, ''),
      answer: (input, asked) =>
        ask(
          { kind: 'search', resourceType: input.given('type'), parameters: input.others },
          ...([input, asked, '/fhir/{type}'] as const),
        ),
    }),
  ];
}

const TYPE = inPath('type', 'A resource type of FHIR R4, as FHIR writes it.', {
  pattern: '[A-Z][A-Za-z]{1,63}',
  example: 'Condition',
});

/** The parameters that were given, as FHIR's of the same name. */
function given(input: Input, names: readonly string[]): readonly (readonly [string, string])[] {
  return names.flatMap((name) => {
    const value = input.text(name);
    return value === undefined ? [] : [[name, value] as const];
  });
}

/** Throws CONSOLE_ASK_INVALID, and CONSOLE_UNAVAILABLE where the gateway is off. */
export function useOf(site: Site, input: Input, { session, method }: Ask, path: string): Use {
  const job = jobNamed(site, input.text('job'));
  return { job, mode: demandOpen(job), session: session?.name ?? '', route: `${method} ${path}` };
}
