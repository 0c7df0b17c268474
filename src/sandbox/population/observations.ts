import type { TypeGenerator } from './context.ts';
import { concept, dateTime, spreadCount } from './context.ts';
import { hardExtension, hardNumber, hardString, longString, type Json } from './texts.ts';

const CATEGORY_SYSTEM = 'http://terminology.hl7.org/CodeSystem/observation-category';

/**
 * Primary category of the n-th observation, in turn. The last ones are not among those that a search without
 * a given category can find at Epic; `procedure` cannot even be asked for.
 */
const CATEGORIES = [
  'laboratory',
  'vital-signs',
  'laboratory',
  'social-history',
  'vital-signs',
  'laboratory',
  'survey',
  'vital-signs',
  'laboratory',
  'exam',
  'imaging',
  'vital-signs',
  'laboratory',
  'core-characteristics',
  'survey',
  'LDA',
  'functional-mental-status',
  'sdoh',
  'procedure',
  'obstetrics-gynecology',
] as const;

const CODES = [
  ['8302-2', 'Body Height', 'cm'],
  ['29463-7', 'Body Weight', 'kg'],
  ['8480-6', 'Systolic Blood Pressure', 'mm[Hg]'],
  ['718-7', 'Hemoglobin', 'g/dL'],
  ['2345-7', 'Glucose', 'mg/dL'],
  ['72166-2', 'Tobacco smoking status', '{score}'],
] as const;

const ordinary = spreadCount('Observation', 18, 14);

const category = (code: string): Json => concept(CATEGORY_SYSTEM, code, code.replaceAll('-', ' '));

export const OBSERVATION: TypeGenerator = {
  // One patient in 25 is heavy: its observations fill several pages of the default size.
  count: (patient) => ordinary(patient) + (patient.ordinal % 25 === 3 ? 220 : 0),
  make: (p, n) => {
    const drawn = p.roll('Observation', n, 1);
    const primary = n < 40 ? (CATEGORIES[n % CATEGORIES.length] ?? 'laboratory') : 'laboratory';
    // Some have two categories, so a search by each category returns them twice.
    const second = n % 5 === 2 ? (primary === 'survey' ? 'social-history' : 'survey') : undefined;
    const [code, display, unit] = CODES[drawn % CODES.length] ?? CODES[0];
    const when = dateTime(p.roll('Observation', n, 2));
    const practitioner = p.ref('Practitioner', drawn % 60);
    return {
      ...(n % 6 === 0 ? { extension: [hardExtension(drawn)] } : {}),
      ...(n % 9 === 4
        ? {
            contained: [
              { resourceType: 'Specimen', id: 'specimen-1', note: [{ text: hardString(drawn >>> 4) }] },
              { id: p.id, resourceType: 'Device', deviceName: [{ name: 'Meter', type: 'other' }] },
            ],
            specimen: { reference: '#specimen-1' },
          }
        : {}),
      status: n % 4 === 3 ? 'amended' : 'final',
      category: second === undefined ? [category(primary)] : [category(primary), category(second)],
      code: concept('http://loinc.org', code, display),
      subject: p.subject,
      encounter: p.ref('Encounter', n % p.count('Encounter')),
      effectiveDateTime: when,
      issued: when.replace('+00:00', 'Z').replace('Z', '.740Z'),
      performer: [n % 2 === 0 ? practitioner : p.ref('PractitionerRole', drawn % 60)],
      ...(n % 10 === 9
        ? { valueString: n === 19 ? longString(40_000, drawn) : hardString(drawn >>> 6) }
        : {
            valueQuantity: {
              value: hardNumber(drawn >>> 5),
              unit,
              system: 'http://unitsofmeasure.org',
              code: unit,
            },
          }),
      ...(n % 3 === 0 ? { note: [{ text: hardString(drawn >>> 7) }] } : {}),
    };
  },
};
