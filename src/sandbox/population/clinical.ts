import type { TypeGenerator } from './context.ts';
import { concept, date, dateTime, spreadCount } from './context.ts';
import type { GeneratedType } from './ids.ts';
import { OBSERVATION } from './observations.ts';
import { hardNumber, hardString } from './texts.ts';

const SNOMED = 'http://snomed.info/sct';
const PROBLEMS = [
  'Essential hypertension',
  'Type 2 diabetes',
  'Asthma',
  'Anemia',
  'Gastro\u2010reflux',
] as const;
const pickOf = (list: readonly string[], index: number) => list[index % list.length] ?? '';

/** CarePlan categories at Epic: longitudinal, encounter-level, outpatient, oncology (SNOMED CT). */
export const CARE_PLAN_CATEGORIES = ['38717003', '734163000', '736271009', '736378000'] as const;

/** What is known of a patient's health. */
export const CLINICAL_GENERATORS = {
  Observation: OBSERVATION,
  Condition: {
    count: spreadCount('Condition', 3, 4, 23),
    make: (p, n) => {
      const drawn = p.roll('Condition', n, 1);
      return {
        clinicalStatus: concept(
          'http://terminology.hl7.org/CodeSystem/condition-clinical',
          n % 3 === 0 ? 'resolved' : 'active',
          'status',
        ),
        verificationStatus: concept(
          'http://terminology.hl7.org/CodeSystem/condition-ver-status',
          'confirmed',
          'Confirmed',
        ),
        category: [
          concept(
            'http://terminology.hl7.org/CodeSystem/condition-category',
            n % 2 === 0 ? 'problem-list-item' : 'encounter-diagnosis',
            n % 2 === 0 ? 'Problem List Item' : 'Encounter Diagnosis',
          ),
        ],
        code: concept(SNOMED, String(38_341_003 + (drawn % 5)), pickOf(PROBLEMS, drawn)),
        subject: p.subject,
        encounter: p.ref('Encounter', n % p.count('Encounter')),
        onsetDateTime: date(drawn),
        recordedDate: date(drawn),
        note: [{ text: hardString(drawn >>> 3) }],
      };
    },
  },
  Encounter: {
    count: spreadCount('Encounter', 2, 4),
    make: (p, n) => {
      const drawn = p.roll('Encounter', n, 1);
      const start = dateTime(drawn);
      return {
        status: n % 5 === 4 ? 'in-progress' : 'finished',
        class: {
          system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode',
          code: n % 2 === 0 ? 'AMB' : 'IMP',
        },
        type: [concept(SNOMED, '185349003', 'Encounter for check up')],
        subject: p.subject,
        participant: [{ individual: p.ref('Practitioner', drawn % 60) }],
        period: { start, ...(n % 5 === 4 ? {} : { end: start }) },
        location: [{ location: p.ref('Location', drawn % 20) }],
        serviceProvider: p.ref('Organization', drawn % 12),
      };
    },
  },
  Procedure: {
    count: spreadCount('Procedure', 1, 3, 9),
    make: (p, n) => ({
      status: 'completed',
      category: concept(SNOMED, '387713003', 'Surgical procedure'),
      code: concept(SNOMED, String(710_824_005 + n), 'Assessment of needs'),
      subject: p.subject,
      encounter: p.ref('Encounter', n % p.count('Encounter')),
      performedDateTime: dateTime(p.roll('Procedure', n, 1)),
      performer: [{ actor: p.ref('Practitioner', p.roll('Procedure', n, 2) % 60) }],
    }),
  },
  CarePlan: {
    count: spreadCount('CarePlan', 1, 3, 8),
    make: (p, n) => {
      const code = CARE_PLAN_CATEGORIES[(n + p.ordinal) % CARE_PLAN_CATEGORIES.length] ?? '38717003';
      return {
        status: 'active',
        intent: 'plan',
        category: [
          concept(SNOMED, code, 'Care plan'),
          concept('http://hl7.org/fhir/us/core/CodeSystem/careplan-category', 'assess-plan', 'Assess'),
        ],
        subject: p.subject,
        period: { start: date(p.roll('CarePlan', n, 1)) },
        careTeam: p.count('CareTeam') > 0 ? [p.ref('CareTeam', 0)] : undefined,
      };
    },
  },
  Immunization: {
    count: spreadCount('Immunization', 1, 5, 7),
    make: (p, n) => ({
      status: 'completed',
      vaccineCode: concept('http://hl7.org/fhir/sid/cvx', String(140 + n), 'Influenza, seasonal'),
      patient: p.subject,
      occurrenceDateTime: date(p.roll('Immunization', n, 1)),
      primarySource: true,
      doseQuantity: { value: hardNumber(p.roll('Immunization', n, 2)), unit: 'mL' },
      location: p.ref('Location', p.roll('Immunization', n, 3) % 20),
    }),
  },
  AllergyIntolerance: {
    count: spreadCount('AllergyIntolerance', 1, 2, 5),
    make: (p, n) => ({
      clinicalStatus: concept(
        'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical',
        'active',
        'Active',
      ),
      code: concept(SNOMED, String(91_936_005 + n), 'Allergy to penicillin'),
      patient: p.subject,
      recordedDate: date(p.roll('AllergyIntolerance', n, 1)),
      note: [{ text: hardString(p.roll('AllergyIntolerance', n, 2)) }],
    }),
  },
  DiagnosticReport: {
    count: spreadCount('DiagnosticReport', 2, 3),
    make: (p, n) => {
      const drawn = p.roll('DiagnosticReport', n, 1);
      const observations = p.count('Observation');
      return {
        status: 'final',
        category: [
          concept('http://terminology.hl7.org/CodeSystem/v2-0074', n % 2 === 0 ? 'LAB' : 'RAD', 'Section'),
        ],
        code: concept('http://loinc.org', '58410-2', 'CBC panel'),
        subject: p.subject,
        encounter: p.ref('Encounter', n % p.count('Encounter')),
        effectiveDateTime: dateTime(drawn),
        issued: dateTime(drawn).replace('+00:00', 'Z'),
        performer: [p.ref('Organization', drawn % 12)],
        result: [0, 1, 2].map((step) => p.ref('Observation', (n * 3 + step) % observations)),
      };
    },
  },
  Goal: {
    count: spreadCount('Goal', 1, 2, 6),
    make: (p, n) => ({
      lifecycleStatus: 'active',
      description: { text: hardString(p.roll('Goal', n, 1)) },
      subject: p.subject,
      startDate: date(p.roll('Goal', n, 2)),
    }),
  },
  CareTeam: {
    count: spreadCount('CareTeam', 1, 1),
    make: (p, n) => ({
      status: 'active',
      subject: p.subject,
      participant: [
        { member: p.ref('PractitionerRole', p.roll('CareTeam', n, 1) % 60) },
        { member: p.ref('Organization', p.roll('CareTeam', n, 2) % 12) },
        { member: p.subject },
      ],
    }),
  },
} satisfies Partial<Record<GeneratedType, TypeGenerator>>;
