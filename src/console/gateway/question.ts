import { RoundsError } from '../../errors.ts';
import { missingFilter } from '../../fhir/searchRules.ts';
import { isResourceId } from '../../fhir/searchset.ts';
import { RESOURCE_TYPES } from '../../fhir/resourceTypes.ts';
import { PATIENT_COMPARTMENT } from '../../fhir/patientCompartment.ts';
import type { Server } from '../../run/deps.ts';
import { refused } from './guard.ts';

/** One GET to the FHIR server, before it is asked. */
export type Question =
  | { readonly kind: 'read'; readonly resourceType: string; readonly resourceId: string }
  | {
      readonly kind: 'search';
      readonly resourceType: string;
      readonly parameters: readonly (readonly [name: string, value: string])[];
    };

/** Types that belong to no patient: directories and definitions. What is not named here may be somebody's record. */
export const WITHOUT_PATIENT: ReadonlySet<string> = new Set([
  ...[
    'CodeSystem',
    'ConceptMap',
    'DeviceDefinition',
    'Endpoint',
    'HealthcareService',
    'InsurancePlan',
    'Location',
  ],
  ...['Medication', 'MedicationKnowledge', 'Organization', 'OrganizationAffiliation', 'Practitioner'],
  ...['PractitionerRole', 'Questionnaire', 'ResearchStudy', 'Substance', 'ValueSet'],
]);

const PARAMETER_NAME = /^[A-Za-z_][A-Za-z0-9_.:-]{0,79}$/;
/** Parameters by which a search reaches no other record than those of its type and patient. */
const PLAIN_NAME = /^(?:[a-z][a-z0-9-]*|_id|_count|_sort|_summary|_elements|_lastUpdated)$/;
const LARGEST_COUNT = 1_000;
const MOST_IDS = 100;

/** Throws CONSOLE_ASK_INVALID for a type, an id or a parameter that is none. */
export function checkQuestion(question: Question): void {
  if (!RESOURCE_TYPES.has(question.resourceType)) {
    throw new RoundsError('CONSOLE_ASK_INVALID', 'that is no resource type of FHIR R4', {
      hint: 'Types begin with a capital letter: Observation, Condition ...',
    });
  }
  if (question.kind === 'read') {
    if (!isResourceId(question.resourceId))
      throw invalid('the id is none: letters, digits, dot, dash, underscore');
    return;
  }
  for (const [name, value] of question.parameters) {
    if (!PARAMETER_NAME.test(name)) throw invalid('a search parameter has an impossible name');
    if (name === '_count' && !(/^[1-9]\d{0,3}$/.test(value) && Number(value) <= LARGEST_COUNT)) {
      throw invalid(`_count is a whole number from 1 to ${LARGEST_COUNT}`);
    }
    if (isPatientName(question.resourceType, name) && value.includes('://')) {
      throw invalid(`${name} names a patient by id, not by URL`);
    }
  }
}

const invalid = (what: string): RoundsError => new RoundsError('CONSOLE_ASK_INVALID', what);

/** The patient that the question itself names; undefined where it names none, several or in another way. */
export function patientAsked(question: Question): string | undefined {
  if (question.kind === 'read') {
    return question.resourceType === 'Patient' ? question.resourceId : undefined;
  }
  const { resourceType, parameters } = question;
  const values = parameters.filter(([name]) => isPatientName(resourceType, name)).map(([, value]) => value);
  const [value, second] = values.map((one) => one.replace(/^Patient\//, ''));
  return second === undefined && isResourceId(value) ? value : undefined;
}

function isPatientName(resourceType: string, name: string): boolean {
  if (resourceType === 'Patient') return name === '_id';
  return (PATIENT_COMPARTMENT.get(resourceType) ?? []).some((one) => one === name);
}

/**
 * Throws CONSOLE_REFUSED for a search that could show more than one patient's records, or what belongs to no patient
 * otherwise than by its id. Of a read, the answer decides.
 */
export function demandNarrow(question: Question): void {
  if (question.kind === 'read') return;
  const { resourceType, parameters } = question;
  for (const [name] of parameters) {
    if (!PLAIN_NAME.test(name)) {
      throw refused('this search parameter reaches further than one patient', BY_PATIENT);
    }
  }
  if (patientAsked(question) !== undefined) return;
  const ids = parameters.filter(([name]) => name === '_id').flatMap(([, value]) => value.split(','));
  const isById = ids.length > 0 && ids.length <= MOST_IDS && ids.every(isResourceId);
  if (!isById || !WITHOUT_PATIENT.has(resourceType)) {
    throw refused('a search towards production names one patient of the roster', BY_PATIENT);
  }
}

const BY_PATIENT =
  'Ask with patient=ID (of Patient: _id), one patient at a time; organizations, practitioners and the like by _id.';

/** Throws CONSOLE_ASK_INVALID where Epic would refuse, or wrongly find nothing, with its rule. */
export function demandFilter(question: Question, { dialect }: Pick<Server, 'dialect'>): void {
  if (question.kind === 'read' || patientAsked(question) === undefined) return;
  const query = new URLSearchParams(
    question.parameters.map(([name, value]): [string, string] => [name, value]),
  ).toString();
  const rule = missingFilter(question.resourceType, query, dialect);
  if (rule === undefined) return;
  const needs = rule.needs.join(' or ');
  const code = question.resourceType === 'Observation' ? '59108' : '4115';
  const working = rule.filters.map((filter) => filter.slice(filter.indexOf('=') + 1)).join(', ');
  throw new RoundsError(
    'CONSOLE_ASK_INVALID',
    `Epic searches ${question.resourceType} by patient with ${needs} only (else its code ${code}): give ${needs}`,
    {
      hint:
        working === ''
          ? `The codes are the site’s own: ask the customer for them.`
          : `These work: ${working}. One request asks for one of them, or for several with commas between.`,
      epicCode: code,
    },
  );
}

/** `Observation?patient=...`: relative to the base, everything encoded. */
export function relativeUrl(question: Question): string {
  if (question.kind === 'read') {
    return `${question.resourceType}/${encodeURIComponent(question.resourceId)}`;
  }
  const query = question.parameters
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
  return query === '' ? question.resourceType : `${question.resourceType}?${query}`;
}
