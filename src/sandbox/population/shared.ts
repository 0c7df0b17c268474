import type { TypeGenerator } from './context.ts';
import { concept, SHARED_POOLS } from './context.ts';
import type { GeneratedType } from './ids.ts';
import { hardString } from './texts.ts';

/** Types that patients share. They are reached by reference only; at Epic none of them has a patient search. */
const CITIES = ['Madison', 'Verona', 'Fitchburg', 'Monona'] as const;
const FAMILIES = ['Ames', 'Brook', "O'Neil", 'Świątek', 'Nguyễn', 'Müller'] as const;
const DRUGS = [
  'Lisinopril 10 MG Oral Tablet',
  'Metformin 500 MG',
  'Atorvastatin 20 MG',
  'Ibuprofen 200 MG',
] as const;

const pool = (type: GeneratedType) => () => SHARED_POOLS[type] ?? 0;

export const SHARED_GENERATORS = {
  Organization: {
    count: pool('Organization'),
    make: (p, n) => ({
      identifier: [{ system: 'http://hl7.org/fhir/sid/us-npi', value: String(1_000_000_000 + n) }],
      active: true,
      name: `Clinic ${n} of ${CITIES[n % CITIES.length] ?? ''}`,
      // A chain of parents: what is reached by reference leads to more of the same type.
      ...(n > 0 ? { partOf: p.ref('Organization', n >> 1) } : {}),
    }),
  },
  Practitioner: {
    count: pool('Practitioner'),
    make: (_, n) => ({
      identifier: [
        { use: 'usual', system: 'http://hl7.org/fhir/sid/us-npi', value: String(1_900_000_000 + n) },
      ],
      active: true,
      name: [
        { use: 'usual', text: hardString(n), family: FAMILIES[n % FAMILIES.length] ?? '', given: ['Alex'] },
      ],
    }),
  },
  PractitionerRole: {
    count: pool('PractitionerRole'),
    make: (p, n) => ({
      active: true,
      practitioner: p.ref('Practitioner', n),
      organization: p.ref('Organization', n % 12),
      location: [p.ref('Location', n % 20)],
    }),
  },
  Location: {
    count: pool('Location'),
    make: (p, n) => ({
      status: 'active',
      name: `Ward ${n}`,
      mode: 'instance',
      managingOrganization: p.ref('Organization', n % 12),
      ...(n % 5 === 4 ? { partOf: p.ref('Location', n - 1) } : {}),
    }),
  },
  Questionnaire: {
    count: pool('Questionnaire'),
    make: (p, n) => ({
      url: `${p.fhirBase}/Questionnaire/${p.ref('Questionnaire', n).reference.slice('Questionnaire/'.length)}`,
      status: 'active',
      title: `Intake form ${n}`,
      item: [{ linkId: '1', text: hardString(n + 3), type: 'string' }],
    }),
  },
  Medication: {
    count: pool('Medication'),
    make: (_, n) => ({
      code: concept(
        'http://www.nlm.nih.gov/research/umls/rxnorm',
        String(310_000 + n),
        DRUGS[n % DRUGS.length] ?? '',
      ),
      status: 'active',
    }),
  },
} satisfies Partial<Record<GeneratedType, TypeGenerator>>;
