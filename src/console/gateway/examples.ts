import { operationsIn, type Operation } from '../api/operation.ts';
import { jsonAnswer } from '../exchange.ts';
import { localHref } from '../html.ts';

/** Epic's public test patients. Source: Epic on FHIR, sandbox test data (H). */
const TEST_PATIENTS = [
  { name: 'Camila Lopez', fhirId: 'erXuFYUfucBZaryVksYEcMg3', mrn: '203713' },
  { name: 'Derrick Lin', fhirId: 'eq081-VQEgP8drUUqCWzHfw3', mrn: '203711' },
  { name: 'Desiree Powell', fhirId: 'eAB3mDIBBcyUKviyzrxsnAw3', mrn: '203714' },
  { name: 'Elijah Davis', fhirId: 'egqBHVfQlt4Bw3XGXoxVxHg3', mrn: '203709' },
  { name: 'Linda Ross', fhirId: 'eIXesllypH3M9tAA5WdJftQ3', mrn: '203712' },
  { name: 'Olivia Roberts', fhirId: 'eh2xYHuzl9nkSFVvV3osUHg3', mrn: '203715' },
  { name: 'Warren McGinnis', fhirId: 'e0w0LEDCYtfckT6N.CkJKCw3', mrn: '203710' },
] as const;

/** Searches by name that find something in Epic's sandbox: its test patients', and a family name that many share. */
const SEARCHES: readonly { readonly family: string; readonly given?: string; readonly finds: string }[] = [
  ...TEST_PATIENTS.map(({ name }) => {
    const [given = '', family = ''] = name.split(' ');
    return { family, given, finds: name };
  }),
  { family: 'Smith', finds: 'whoever of that name the server has; none is one of the test patients' },
];

/** What can be asked for without knowing anybody: nothing of it is asked of the server. */
export function exampleOperations(): readonly Operation[] {
  const operation = operationsIn('Gateway');
  return [
    operation(
      'listTestPatients',
      '/fhir/patient/epic-test-patients',
      'TestPatients',
      'The test patients of Epic’s public sandbox',
      {
        answer: () =>
          jsonAnswer({
            source: 'Epic on FHIR, sandbox test data',
            items: TEST_PATIENTS.map((patient) => ({
              ...patient,
              path: localHref(['fhir', 'patient', patient.fhirId]),
            })),
          }),
      },
    ),
    operation(
      'listSearchExamples',
      '/fhir/patient/search/common-names',
      'SearchExamples',
      'Searches by name to try at Epic’s sandbox',
      {
        answer: () =>
          jsonAnswer({
            source: 'Names of the test patients of Epic’s public sandbox',
            items: SEARCHES.map(({ family, given, finds }) => ({
              ...{ family, given: given ?? null, finds },
              path: localHref(['fhir', 'patient', 'search'], { family, given }),
            })),
          }),
      },
    ),
  ];
}
