import type { ListedType } from '../inputs/resourceList.ts';

/**
 * The names of the APIs in Epic's portal ("Incoming APIs" of an app) that a resource list needs.
 *
 * Source: lists of R4 APIs that app makers took from the portal, the latest of August 2026 (M). Epic renames them now
 * and then, and a few of its types have names that no such list holds: these are marked as a guess by form (L).
 */
export interface EpicApi {
  readonly name: string;
  readonly certainty: 'M' | 'L';
}

/** What stands in brackets between interaction and version, by type. `''`: nothing. */
const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  AllergyIntolerance: ['Patient Chart'],
  Binary: ['Clinical Notes', 'Labs'],
  CarePlan: ['Encounter', 'Longitudinal'],
  CareTeam: ['Longitudinal CareTeam'],
  Condition: ['Care Plan Problem', 'Encounter Diagnosis', 'Health Concerns', 'Problems'],
  Coverage: ['Patient Insurance Information'],
  Device: ['Implants'],
  DiagnosticReport: ['Results'],
  DocumentReference: ['Clinical Notes', 'Labs'],
  Encounter: ['Patient Chart'],
  FamilyMemberHistory: [''],
  Goal: ['Care Plan Goal', 'Patient'],
  Immunization: ['Patient Chart'],
  Location: ['Organizational Directory'],
  Media: ['Study'],
  Medication: ['Organization Med List'],
  MedicationDispense: ['Fill Status'],
  MedicationRequest: ['Signed Medication Order'],
  Observation: [
    'Assessments',
    'Labs',
    'SDOH Assessments',
    'SmartData Elements',
    'Social History',
    'Study Finding',
    'Vital Signs',
  ],
  Organization: ['Organizational Directory'],
  Patient: ['Demographics'],
  Practitioner: ['Organizational Directory'],
  PractitionerRole: ['Organizational Directory'],
  Procedure: ['Orders', 'SDOH Intervention', 'Surgeries'],
  Provenance: [''],
  Questionnaire: ['Patient-Entered Questionnaires'],
  RelatedPerson: ['Friends and Family', 'Proxy'],
  ServiceRequest: ['Community Resource ServiceRequest', 'Orders'],
  Specimen: ['Patient Chart'],
};

/** Epic's words for a category, where a row asks for one; other categories need all of the type's APIs. */
const SUBJECT_OF_CATEGORY: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Observation: {
    laboratory: 'Labs',
    'vital-signs': 'Vital Signs',
    'social-history': 'Social History',
    imaging: 'Study Finding',
    sdoh: 'SDOH Assessments',
    survey: 'Assessments',
  },
  Condition: {
    'problem-list-item': 'Problems',
    'encounter-diagnosis': 'Encounter Diagnosis',
    'health-concern': 'Health Concerns',
  },
  // SNOMED CT: longitudinal care plan, encounter-level ones.
  CarePlan: { '38717003': 'Longitudinal', '734163000': 'Encounter' },
};

/** Reached by reference, so read one by one. */
const READ_ONLY = [
  'Binary',
  'Location',
  'Media',
  'Medication',
  'Organization',
  'Practitioner',
  'PractitionerRole',
  'Provenance',
  'Questionnaire',
  'Specimen',
];

/** The APIs to tick for these types, in the list's order. */
export function epicApis(listed: readonly ListedType[]): readonly EpicApi[] {
  return listed.flatMap(({ resourceType, queries }) => {
    const known = SUBJECTS[resourceType];
    const certainty = known === undefined ? 'L' : 'M';
    const interactions = READ_ONLY.includes(resourceType) ? ['Read'] : ['Read', 'Search'];
    return interactions.flatMap((interaction) =>
      subjectsOf(resourceType, queries, known ?? ['']).map((subject): EpicApi => ({
        name: `${resourceType}.${interaction}${subject === '' ? '' : ` (${subject})`} (R4)`,
        certainty,
      })),
    );
  });
}

function subjectsOf(
  resourceType: string,
  queries: readonly string[],
  all: readonly string[],
): readonly string[] {
  const byCategory = SUBJECT_OF_CATEGORY[resourceType];
  if (byCategory === undefined) return all;
  const found = queries.map((query) => {
    const [category = '', ...others] = (new URLSearchParams(query).get('category') ?? '').split(',');
    return others.length > 0 ? undefined : byCategory[category.replace(/^.*\|/, '')];
  });
  const named = found.filter((subject) => subject !== undefined);
  // One row without a known category may need any of them.
  return found.length === 0 || named.length < found.length ? all : [...new Set(named)];
}
