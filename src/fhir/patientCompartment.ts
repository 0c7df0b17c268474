/**
 * By which search parameter a patient's resources of each R4 type are found, the preferred first.
 *
 * Source: FHIR R4 (4.0.1) search parameters of the types in CompartmentDefinition/patient. Parameters that name
 * the patient in another role (`performer`, `author`, `recipient`, `subscriber` ...) are left out: what they find
 * belongs to somebody else. Used to choose among what a CapabilityStatement offers, and on its own where a server
 * lists no search parameters at all.
 */
const PATIENT = ['patient'] as const;
const PATIENT_OR_SUBJECT = ['patient', 'subject'] as const;
const SUBJECT = ['subject'] as const;

export type PatientParameter = 'patient' | 'subject' | 'beneficiary' | 'individual' | 'actor' | 'member';

export const PATIENT_COMPARTMENT: ReadonlyMap<string, readonly PatientParameter[]> = new Map<
  string,
  readonly PatientParameter[]
>([
  ['Account', PATIENT_OR_SUBJECT],
  ['AdverseEvent', ['subject', 'patient']],
  ['AllergyIntolerance', PATIENT],
  ['Appointment', ['patient', 'actor']],
  ['AppointmentResponse', ['patient', 'actor']],
  ['AuditEvent', PATIENT],
  ['Basic', PATIENT_OR_SUBJECT],
  ['BodyStructure', PATIENT],
  ['CarePlan', PATIENT_OR_SUBJECT],
  ['CareTeam', PATIENT_OR_SUBJECT],
  ['ChargeItem', PATIENT_OR_SUBJECT],
  ['Claim', PATIENT],
  ['ClaimResponse', PATIENT],
  ['ClinicalImpression', PATIENT_OR_SUBJECT],
  ['Communication', PATIENT_OR_SUBJECT],
  ['CommunicationRequest', PATIENT_OR_SUBJECT],
  ['Composition', PATIENT_OR_SUBJECT],
  ['Condition', PATIENT_OR_SUBJECT],
  ['Consent', PATIENT],
  ['Contract', PATIENT_OR_SUBJECT],
  ['Coverage', ['patient', 'beneficiary']],
  ['CoverageEligibilityRequest', PATIENT],
  ['CoverageEligibilityResponse', PATIENT],
  ['DetectedIssue', PATIENT],
  ['Device', PATIENT],
  ['DeviceRequest', PATIENT_OR_SUBJECT],
  ['DeviceUseStatement', PATIENT_OR_SUBJECT],
  ['DiagnosticReport', PATIENT_OR_SUBJECT],
  ['DocumentManifest', PATIENT_OR_SUBJECT],
  ['DocumentReference', PATIENT_OR_SUBJECT],
  ['Encounter', PATIENT_OR_SUBJECT],
  ['EnrollmentRequest', PATIENT_OR_SUBJECT],
  ['EpisodeOfCare', PATIENT],
  ['ExplanationOfBenefit', PATIENT],
  ['FamilyMemberHistory', PATIENT],
  ['Flag', PATIENT_OR_SUBJECT],
  ['Goal', PATIENT_OR_SUBJECT],
  ['Group', ['member']],
  ['GuidanceResponse', PATIENT_OR_SUBJECT],
  ['ImagingStudy', PATIENT_OR_SUBJECT],
  ['Immunization', PATIENT],
  ['ImmunizationEvaluation', PATIENT],
  ['ImmunizationRecommendation', PATIENT],
  ['Invoice', PATIENT_OR_SUBJECT],
  ['List', PATIENT_OR_SUBJECT],
  ['MeasureReport', PATIENT_OR_SUBJECT],
  ['Media', PATIENT_OR_SUBJECT],
  ['MedicationAdministration', PATIENT_OR_SUBJECT],
  ['MedicationDispense', PATIENT_OR_SUBJECT],
  ['MedicationRequest', PATIENT_OR_SUBJECT],
  ['MedicationStatement', PATIENT_OR_SUBJECT],
  ['MolecularSequence', PATIENT],
  ['NutritionOrder', PATIENT],
  ['Observation', PATIENT_OR_SUBJECT],
  ['Person', PATIENT],
  ['Procedure', PATIENT_OR_SUBJECT],
  ['Provenance', PATIENT],
  ['QuestionnaireResponse', PATIENT_OR_SUBJECT],
  ['RelatedPerson', PATIENT],
  ['RequestGroup', PATIENT_OR_SUBJECT],
  ['ResearchSubject', ['patient', 'individual']],
  ['RiskAssessment', PATIENT_OR_SUBJECT],
  ['Schedule', ['actor']],
  ['ServiceRequest', PATIENT_OR_SUBJECT],
  ['Specimen', PATIENT_OR_SUBJECT],
  ['SupplyDelivery', PATIENT],
  ['SupplyRequest', SUBJECT],
  ['Task', PATIENT_OR_SUBJECT],
  ['VisionPrescription', PATIENT],
]);
