import type { TypeGenerator } from './context.ts';
import { concept, date, dateTime, spreadCount } from './context.ts';
import type { GeneratedType } from './ids.ts';
import { hardNumber, hardString } from './texts.ts';

const SNOMED = 'http://snomed.info/sct';
/** The four categories that Epic's MedicationRequest search knows. */
const MEDICATION_CATEGORIES = ['inpatient', 'outpatient', 'community', 'discharge'] as const;

/** What was ordered, and what is used or worn. */
export const ORDER_GENERATORS = {
  MedicationRequest: {
    count: spreadCount('MedicationRequest', 4, 4),
    make: (p, n) => {
      const drawn = p.roll('MedicationRequest', n, 1);
      return {
        ...(n % 4 === 3
          ? { contained: [{ resourceType: 'Medication', id: 'med-1', code: { text: hardString(drawn) } }] }
          : {}),
        status: n % 3 === 0 ? 'active' : 'completed',
        intent: 'order',
        category: [
          concept(
            'http://terminology.hl7.org/CodeSystem/medicationrequest-category',
            MEDICATION_CATEGORIES[n % 4] ?? 'inpatient',
            'Category',
          ),
        ],
        medicationReference:
          n % 4 === 3 ? { reference: '#med-1' } : { ...p.ref('Medication', drawn % 30), display: 'Drug' },
        subject: p.subject,
        encounter: p.ref('Encounter', n % p.count('Encounter')),
        authoredOn: date(drawn),
        requester: p.ref('Practitioner', drawn % 60),
        dosageInstruction: [
          { doseAndRate: [{ doseQuantity: { value: hardNumber(drawn >>> 3), unit: 'mg' } }] },
        ],
      };
    },
  },
  ServiceRequest: {
    count: spreadCount('ServiceRequest', 1, 3, 10),
    make: (p, n) => ({
      status: 'active',
      intent: 'order',
      category: [concept(SNOMED, '108252007', 'Laboratory procedure')],
      code: concept('http://loinc.org', '2345-7', 'Glucose'),
      subject: p.subject,
      authoredOn: dateTime(p.roll('ServiceRequest', n, 1)),
      requester: p.ref('PractitionerRole', p.roll('ServiceRequest', n, 2) % 60),
    }),
  },
  Device: {
    count: spreadCount('Device', 1, 2, 5),
    make: (p, n) => ({
      status: 'active',
      serialNumber: String(p.roll('Device', n, 1)),
      type: concept(SNOMED, '72506001', 'Implantable defibrillator'),
      patient: p.subject,
      owner: p.ref('Organization', n % 12),
    }),
  },
  DeviceUseStatement: {
    count: ({ ordinal, seed }) => Math.min(1, spreadCount('Device', 1, 2, 5)({ ordinal, seed })),
    make: (p, n) => ({
      status: 'active',
      subject: p.subject,
      device: p.ref('Device', n),
      recordedOn: date(p.roll('DeviceUseStatement', n, 1)),
    }),
  },
} satisfies Partial<Record<GeneratedType, TypeGenerator>>;
