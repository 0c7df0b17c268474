import type { TypeGenerator } from './context.ts';
import { concept, date, dateTime, spreadCount } from './context.ts';
import type { GeneratedType } from './ids.ts';
import { hardString } from './texts.ts';

const documents = spreadCount('DocumentReference', 2, 3, 12);

/** Documents and their contents, forms, and where a record came from. */
export const DOCUMENT_GENERATORS = {
  DocumentReference: {
    count: documents,
    make: (p, n) => {
      const drawn = p.roll('DocumentReference', n, 1);
      const binary = p.ref('Binary', n).reference;
      return {
        status: 'current',
        docStatus: 'final',
        type: concept('http://loinc.org', n % 2 === 0 ? '11506-3' : '18842-5', 'Note'),
        category: [
          concept(
            'http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category',
            'clinical-note',
            'Clinical Note',
          ),
        ],
        subject: p.subject,
        date: dateTime(drawn).replace('+00:00', 'Z'),
        author: [p.ref('Practitioner', drawn % 60)],
        description: hardString(drawn >>> 5),
        // Never inline at Epic. Relative mostly, absolute now and then.
        content: [
          { attachment: { contentType: 'text/html', url: n % 3 === 2 ? `${p.fhirBase}/${binary}` : binary } },
        ],
        context: {
          encounter: [p.ref('Encounter', n % p.count('Encounter'))],
          period: { start: date(drawn) },
        },
      };
    },
  },
  Binary: {
    count: documents,
    make: (p, n) => {
      const drawn = p.roll('Binary', n, 1);
      const size = drawn % 10 === 0 ? 60_000 : 300 + (drawn % 2_000);
      return {
        contentType: 'text/html',
        data: Buffer.from(`<p>Note ${n} of patient ${p.ordinal}</p>`.padEnd(size, 'x')).toString('base64'),
      };
    },
  },
  QuestionnaireResponse: {
    count: spreadCount('QuestionnaireResponse', 1, 1, 4),
    make: (p, n) => ({
      questionnaire: `${p.fhirBase}/${p.ref('Questionnaire', (p.ordinal + n) % 3).reference}`,
      status: 'completed',
      subject: p.subject,
      authored: dateTime(p.roll('QuestionnaireResponse', n, 1)),
      item: [{ linkId: '1', answer: [{ valueString: hardString(p.roll('QuestionnaireResponse', n, 2)) }] }],
    }),
  },
  Provenance: {
    count: spreadCount('Provenance', 6, 3),
    make: (p, n) => {
      const drawn = p.roll('Provenance', n, 1);
      const conditions = p.count('Condition');
      return {
        // Never the patient itself, nor anything that is reached by reference: only what searches return.
        target: [
          p.ref('Observation', (n * 3) % p.count('Observation')),
          ...(n % 3 === 1 && conditions > 0 ? [p.ref('Condition', n % conditions)] : []),
          ...(n % 3 === 2 ? [p.ref('MedicationRequest', n % p.count('MedicationRequest'))] : []),
        ],
        recorded: dateTime(drawn).replace('+00:00', 'Z'),
        agent: [{ who: p.ref('Practitioner', drawn % 60), onBehalfOf: p.ref('Organization', drawn % 12) }],
      };
    },
  },
} satisfies Partial<Record<GeneratedType, TypeGenerator>>;
