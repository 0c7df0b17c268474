/** Which types can be searched how, in each dialect. The one table behind searches, capability and oracle. */

export type Dialect = 'epic' | 'us-core';

/** How a type is found: by a patient, by `_id` alone, by `_id` and name but no patient, or only read. */
export type SearchAccess = 'patient' | 'id' | 'reference' | 'read';

export type ParameterKind = 'reference' | 'token' | 'date' | 'string' | 'uri';

export interface ParameterRule {
  readonly name: string;
  readonly kind: ParameterKind;
  /** Element paths with dots; several are alternatives. */
  readonly paths: readonly string[];
}

export interface TypeRule {
  readonly type: string;
  readonly access: SearchAccess;
  readonly parameters: readonly ParameterRule[];
  /** At least one of these must be given with a patient (Epic). */
  readonly requiresOneOf: readonly string[];
  /** Epic's code when none is. */
  readonly missingCode: string;
}

/** Observation categories that Epic's searches work with, and those it refuses (Epic on FHIR, H). */
export const WORKING_OBSERVATION_CATEGORIES = [
  'social-history',
  'vital-signs',
  'imaging',
  'laboratory',
  'survey',
  'exam',
] as const;
export const REFUSED_OBSERVATION_CATEGORIES: readonly string[] = ['procedure', 'therapy', 'activity'];

/** `name:kind:path,path` by type. `patient` is named here for every type that has one. */
const PARAMETERS: Readonly<Record<string, string>> = {
  Patient:
    'identifier:token:identifier family:string:name.family given:string:name.given name:string:name.family,name.given birthdate:date:birthDate gender:token:gender',
  AdverseEvent: 'subject:reference:subject date:date:date',
  AllergyIntolerance:
    'patient:reference:patient clinical-status:token:clinicalStatus date:date:recordedDate code:token:code',
  Appointment:
    'patient:reference:participant.actor date:date:start status:token:status service-category:token:serviceCategory identifier:token:identifier',
  CarePlan:
    'patient:reference:subject subject:reference:subject category:token:category status:token:status date:date:period encounter:reference:encounter',
  CareTeam: 'patient:reference:subject subject:reference:subject status:token:status',
  Communication: 'patient:reference:subject subject:reference:subject category:token:category',
  Condition:
    'patient:reference:subject subject:reference:subject category:token:category clinical-status:token:clinicalStatus recorded-date:date:recordedDate onset-date:date:onsetDateTime,onsetPeriod encounter:reference:encounter code:token:code',
  Consent: 'patient:reference:patient status:token:status category:token:category date:date:dateTime',
  Coverage: 'patient:reference:beneficiary beneficiary:reference:beneficiary status:token:status',
  Device: 'patient:reference:patient type:token:type udi-di:string:udiCarrier.deviceIdentifier',
  DeviceRequest: 'patient:reference:subject subject:reference:subject status:token:status',
  DeviceUseStatement: 'patient:reference:subject subject:reference:subject device:reference:device',
  DiagnosticReport:
    'patient:reference:subject subject:reference:subject category:token:category code:token:code date:date:effectiveDateTime,effectivePeriod issued:date:issued status:token:status identifier:token:identifier',
  DocumentReference:
    'patient:reference:subject subject:reference:subject category:token:category type:token:type date:date:date period:date:context.period status:token:status encounter:reference:context.encounter docstatus:token:docStatus',
  Encounter:
    'patient:reference:subject subject:reference:subject date:date:period status:token:status class:token:class type:token:type identifier:token:identifier',
  EpisodeOfCare: 'patient:reference:patient type:token:type status:token:status',
  ExplanationOfBenefit:
    'patient:reference:patient created:date:created type:token:type status:token:status identifier:token:identifier',
  FamilyMemberHistory: 'patient:reference:patient',
  Flag: 'patient:reference:subject subject:reference:subject category:token:category status:token:status',
  Goal: 'patient:reference:subject subject:reference:subject lifecycle-status:token:lifecycleStatus start-date:date:startDate',
  ImagingStudy:
    'patient:reference:subject subject:reference:subject started:date:started identifier:token:identifier',
  Immunization: 'patient:reference:patient date:date:occurrenceDateTime status:token:status',
  List: 'patient:reference:subject subject:reference:subject code:token:code status:token:status',
  MedicationAdministration: 'patient:reference:subject subject:reference:subject status:token:status',
  MedicationDispense: 'patient:reference:subject subject:reference:subject status:token:status',
  MedicationRequest:
    'patient:reference:subject subject:reference:subject category:token:category status:token:status intent:token:intent authoredon:date:authoredOn date:date:authoredOn medication:reference:medicationReference',
  MedicationStatement: 'patient:reference:subject subject:reference:subject status:token:status',
  NutritionOrder: 'patient:reference:patient status:token:status',
  Observation:
    'patient:reference:subject subject:reference:subject category:token:category code:token:code date:date:effectiveDateTime,effectivePeriod,effectiveInstant issued:date:issued status:token:status encounter:reference:encounter',
  Procedure:
    'patient:reference:subject subject:reference:subject date:date:performedDateTime,performedPeriod status:token:status category:token:category code:token:code',
  Provenance: 'target:reference:target',
  QuestionnaireResponse:
    'patient:reference:subject subject:reference:subject authored:date:authored status:token:status questionnaire:uri:questionnaire',
  RelatedPerson: 'patient:reference:patient',
  ResearchSubject: 'patient:reference:individual individual:reference:individual status:token:status',
  ServiceRequest:
    'patient:reference:subject subject:reference:subject category:token:category code:token:code status:token:status intent:token:intent authored:date:authoredOn',
  Task: 'patient:reference:for status:token:status',
  Location: 'identifier:token:identifier name:string:name',
  Practitioner: 'identifier:token:identifier family:string:name.family given:string:name.given',
  PractitionerRole: 'practitioner:reference:practitioner identifier:token:identifier',
  ResearchStudy: 'identifier:token:identifier status:token:status',
};

const ID_ONLY =
  'Account Binary Claim Contract Endpoint Group Measure Media Medication Organization Questionnaire RequestGroup Specimen Substance'.split(
    ' ',
  );
const READ_ONLY = ['Provenance', 'ValueSet', 'ConceptMap'];
const BY_REFERENCE = ['Location', 'Practitioner', 'PractitionerRole', 'ResearchStudy'];

/** Elements that name the patient in types which Epic finds by `_id` only or does not have (us-core dialect). */
const OTHER_PATIENT_ELEMENTS: Readonly<Record<string, string>> = {
  Account: 'subject',
  Basic: 'subject',
  Claim: 'patient',
  ClaimResponse: 'patient',
  ClinicalImpression: 'subject',
  DetectedIssue: 'patient',
  ImmunizationRecommendation: 'patient',
  Invoice: 'subject',
  Media: 'subject',
  MolecularSequence: 'patient',
  RequestGroup: 'subject',
  RiskAssessment: 'subject',
  Specimen: 'subject',
  SupplyDelivery: 'patient',
  SupplyRequest: 'deliverFor',
  VisionPrescription: 'patient',
};

function parametersOf(definition: string): readonly ParameterRule[] {
  return definition
    .split(' ')
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', kind = '', paths = ''] = part.split(':');
      return { name, kind: kind as ParameterKind, paths: paths.split(',') };
    });
}

function rule(
  type: string,
  access: SearchAccess,
  definition: string,
  required: readonly string[] = [],
): TypeRule {
  return {
    type,
    access,
    parameters: parametersOf(definition),
    requiresOneOf: required,
    missingCode: type === 'Observation' ? '59108' : '4115',
  };
}

const EPIC_REQUIRED: Readonly<Record<string, readonly string[]>> = {
  Observation: ['category', 'code'],
  CarePlan: ['category'],
  EpisodeOfCare: ['type'],
};

/**
 * The rules of a dialect by type. `epic` knows Epic's types only (source: Epic's CapabilityStatement;
 * H); `us-core` finds everything with a patient element by patient, needs no category, and knows `extraTypes`
 * (what a data folder holds) besides.
 */
export function rulesOf(dialect: Dialect, extraTypes: readonly string[]): ReadonlyMap<string, TypeRule> {
  const rules = new Map<string, TypeRule>();
  for (const [type, definition] of Object.entries(PARAMETERS)) {
    if (READ_ONLY.includes(type)) continue;
    const access = BY_REFERENCE.includes(type) ? 'reference' : 'patient';
    rules.set(type, rule(type, access, definition, dialect === 'epic' ? EPIC_REQUIRED[type] : []));
  }
  for (const type of ID_ONLY) rules.set(type, rule(type, 'id', ''));
  for (const type of READ_ONLY) rules.set(type, rule(type, 'read', ''));
  if (dialect === 'us-core') {
    for (const [type, element] of Object.entries(OTHER_PATIENT_ELEMENTS)) {
      rules.set(type, rule(type, 'patient', `patient:reference:${element}`));
    }
    rules.set(
      'Provenance',
      rule('Provenance', 'patient', `patient:reference:target ${PARAMETERS['Provenance'] ?? ''}`),
    );
    for (const type of extraTypes) if (!rules.has(type)) rules.set(type, rule(type, 'id', ''));
  }
  return rules;
}

/** The parameters that name a patient, in the order they are looked for. */
export const PATIENT_PARAMETERS = ['patient', 'subject', 'beneficiary', 'individual'] as const;
