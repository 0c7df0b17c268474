import type { TypeGenerator } from './context.ts';
import { concept, date, dateTime, spreadCount } from './context.ts';
import { EPIC_TEST_PATIENTS, MRN_SYSTEM, type GeneratedType } from './ids.ts';
import { hardExtension, hardString } from './texts.ts';

const GIVEN = ['Ana', 'Ben', 'Zoë', 'Đorđe', 'Mei', 'Tomás', 'Ingrid', 'Kwame'] as const;
const FAMILY = ['Lund', 'Okafor', 'García', 'Nguyễn', "O'Brien", 'Smith-Jones', '李', 'Haddad'] as const;

/** A patient's given and family name. */
export function nameOf(ordinal: number, drawn: number): { readonly given: string; readonly family: string } {
  const known = EPIC_TEST_PATIENTS[ordinal]?.name.split(' ');
  return {
    given: known?.[0] ?? GIVEN[drawn % GIVEN.length] ?? 'Ana',
    family: known?.[1] ?? `${FAMILY[(drawn >>> 4) % FAMILY.length] ?? 'Lund'}${ordinal}`,
  };
}

/** Who the patient is, and what was scheduled, insured and agreed. */
export const ADMINISTRATIVE_GENERATORS = {
  Patient: {
    count: () => 1,
    make: (p) => {
      const drawn = p.roll('Patient', 0, 1);
      const { given, family } = nameOf(p.ordinal, drawn);
      return {
        extension: [hardExtension(drawn)],
        identifier: [
          {
            use: 'usual',
            type: { text: 'EPI' },
            system: 'urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.0',
            value: `E${p.ordinal + 4000}`,
          },
          { use: 'usual', type: { text: 'MRN' }, system: MRN_SYSTEM, value: p.ids.mrn(p.ordinal) },
        ],
        active: true,
        name: [{ use: 'official', text: `${given} ${family}`, family, given: [given] }],
        gender: drawn % 2 === 0 ? 'female' : 'male',
        birthDate: `19${String(30 + (drawn % 70)).padStart(2, '0')}-0${1 + (drawn % 9)}-1${drawn % 10}`,
        deceasedBoolean: false,
        generalPractitioner: [p.ref('Practitioner', drawn % 60)],
        managingOrganization: p.ref('Organization', drawn % 12),
      };
    },
  },
  Appointment: {
    count: spreadCount('Appointment', 1, 2),
    make: (p, n) => {
      const start = dateTime(p.roll('Appointment', n, 1)).replace('+00:00', 'Z');
      const actors = [
        p.subject,
        ...(n === 0 && p.partnerId !== undefined ? [{ reference: `Patient/${p.partnerId}` }] : []),
      ];
      return {
        status: 'booked',
        serviceCategory: [
          concept(
            'http://open.epic.com/FHIR/StructureDefinition/appointment-service-category',
            n % 2 === 0 ? 'appointment' : 'surgery',
            'Category',
          ),
        ],
        start,
        end: start,
        participant: [
          ...actors.map((actor) => ({ actor, status: 'accepted' })),
          { actor: p.ref('Practitioner', p.roll('Appointment', n, 2) % 60), status: 'accepted' },
          { actor: p.ref('Location', p.roll('Appointment', n, 3) % 20), status: 'accepted' },
        ],
      };
    },
  },
  Coverage: {
    count: spreadCount('Coverage', 1, 1, 6),
    make: (p, n) => ({
      status: 'active',
      subscriberId: String(p.roll('Coverage', n, 1)),
      beneficiary: p.subject,
      payor: [p.ref('Organization', n % 12)],
    }),
  },
  ExplanationOfBenefit: {
    count: spreadCount('ExplanationOfBenefit', 1, 3, 4),
    make: (p, n) => ({
      contained: [{ resourceType: 'Coverage', id: 'coverage', status: 'active', beneficiary: p.subject }],
      status: 'active',
      type: concept(
        'http://terminology.hl7.org/CodeSystem/claim-type',
        (['institutional', 'professional', 'oral', 'pharmacy'] as const)[n % 4] ?? 'oral',
        'Claim type',
      ),
      use: 'claim',
      patient: p.subject,
      created: date(p.roll('ExplanationOfBenefit', n, 1)),
      insurer: p.ref('Organization', n % 12),
      provider: p.ref('Practitioner', p.roll('ExplanationOfBenefit', n, 2) % 60),
      insurance: [{ focal: true, coverage: { reference: '#coverage' } }],
    }),
  },
  Consent: {
    count: spreadCount('Consent', 1, 1, 3),
    make: (p, n) => ({
      status: 'active',
      scope: concept('http://terminology.hl7.org/CodeSystem/consentscope', 'treatment', 'Treatment'),
      category: [concept('http://loinc.org', '59284-0', 'Patient consent')],
      patient: p.subject,
      dateTime: date(p.roll('Consent', n, 1)),
    }),
  },
  List: {
    count: spreadCount('List', 1, 4, 7),
    make: (p, n) => {
      const code = (['problems', 'medications', 'allergies', 'immunizations'] as const)[n % 4] ?? 'problems';
      return {
        status: 'current',
        mode: 'working',
        code: concept('http://terminology.hl7.org/CodeSystem/list-example-use-codes', code, code),
        subject: p.subject,
        note: [{ text: hardString(p.roll('List', n, 1)) }],
        entry: p.count('Condition') > 0 ? [{ item: p.ref('Condition', 0) }] : undefined,
      };
    },
  },
} satisfies Partial<Record<GeneratedType, TypeGenerator>>;
