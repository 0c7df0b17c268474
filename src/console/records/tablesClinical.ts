import {
  choiceColumn,
  dateColumn,
  extra,
  referenceColumn,
  textColumn,
  type Column,
  type Table,
} from './cells.ts';
import {
  at,
  choiceDate,
  choiceOf,
  choiceText,
  codesOf,
  conceptsText,
  conceptText,
  joined,
  objectsOf,
  periodText,
  quantityText,
  referenceText,
  textOf,
} from './datatypes.ts';
import type { ExactObject } from './exactJson.ts';
import { referenceRangeText, valueCell } from './observation.ts';
import { dateOf, subjectOf } from './tableGeneric.ts';

/** What was found, done and prescribed. */

const status = textColumn('status', 'Status', ({ status: said }) => conceptText(said));
const patient = referenceColumn('patient', 'Patient', subjectOf);
const encounter = extra(referenceColumn('encounter', 'Encounter', ({ encounter: said }) => at(said)));
const category = textColumn('category', 'Category', (resource) => conceptsText(resource['category']));
const code = (key: string, title: string): Column => textColumn(key, title, codeText);
const coded = extra(textColumn('code', 'Code', (resource) => joined(codesOf(resource['code']))));
const note = extra(
  textColumn('note', 'Note', (resource) =>
    joined(
      objectsOf(resource['note']).map(({ text }) => textOf(text)),
      ' ',
    ),
  ),
);

function codeText(resource: ExactObject): string | undefined {
  return conceptText(resource['code']);
}

/** medication[x]: what it is called, or where it is described. */
function medicationText(resource: ExactObject): string | undefined {
  const choice = choiceOf(resource, 'medication');
  if (choice?.type !== 'Reference') return choiceText(choice);
  const contained = textOf(at(choice.value, 'reference'));
  const inside = objectsOf(resource['contained']).find(({ id }) => `#${textOf(id)}` === contained);
  return (inside && conceptText(inside['code'])) ?? referenceText(choice.value);
}

function dosageText({ dosageInstruction }: ExactObject): string | undefined {
  return joined(
    objectsOf(dosageInstruction).map((dosage) => {
      const dose = choiceText(choiceOf(objectsOf(dosage['doseAndRate'])[0] ?? {}, 'dose'));
      const often = choiceText({ type: 'Timing', value: dosage['timing'] ?? null });
      const asNeeded = dosage['asNeededBoolean'] === true ? 'as needed' : undefined;
      return textOf(dosage['text']) ?? joined([dose, often, conceptText(dosage['route']), asNeeded]);
    }),
    '; ',
  );
}

const effective = (resource: ExactObject) =>
  choiceDate(choiceOf(resource, 'effective')) ?? textOf(resource['issued']);
const performed = (resource: ExactObject) => choiceDate(choiceOf(resource, 'performed'));
const onset = (resource: ExactObject) =>
  choiceDate(choiceOf(resource, 'onset')) ?? textOf(resource['recordedDate']);

export const CLINICAL_TABLES: Readonly<Record<string, Table>> = {
  Observation: {
    columns: [
      dateColumn('date', 'Date', effective),
      code('what', 'Observation'),
      { key: 'value', title: 'Value', cell: valueCell, isNumber: true },
      extra(textColumn('judgement', 'Judgement', (resource) => valueCell(resource).note)),
      textColumn('range', 'Reference range', referenceRangeText),
      patient,
      category,
      status,
      coded,
      encounter,
      extra(dateColumn('issued', 'Issued', ({ issued }) => issued)),
      note,
    ],
    when: effective,
    headline: (resource) => joined([codeText(resource), valueCell(resource).text], ': '),
  },
  Condition: {
    columns: [
      code('what', 'Condition'),
      textColumn('clinical', 'Clinical status', ({ clinicalStatus }) => conceptText(clinicalStatus)),
      textColumn('verification', 'Verification', ({ verificationStatus }) => conceptText(verificationStatus)),
      textColumn('severity', 'Severity', ({ severity }) => conceptText(severity)),
      choiceColumn('onset', 'Onset'),
      choiceColumn('abatement', 'Abatement'),
      patient,
      category,
      coded,
      extra(dateColumn('recorded', 'Recorded', ({ recordedDate }) => recordedDate)),
      encounter,
      note,
    ],
    when: onset,
    headline: codeText,
  },
  MedicationRequest: {
    columns: [
      {
        key: 'what',
        title: 'Medication',
        cell: (resource) => {
          const reference = textOf(at(choiceOf(resource, 'medication')?.value, 'reference'));
          return { text: medicationText(resource) ?? '', ...(reference === undefined ? {} : { reference }) };
        },
      },
      status,
      textColumn('intent', 'Intent', ({ intent }) => textOf(intent)),
      textColumn('dosage', 'Dosage', dosageText),
      dateColumn('authored', 'Ordered', ({ authoredOn }) => authoredOn),
      patient,
      referenceColumn('requester', 'Requester', ({ requester }) => requester),
      extra(
        textColumn(
          'reason',
          'Reason',
          (r) => conceptsText(r['reasonCode']) ?? references(r['reasonReference']),
        ),
      ),
      encounter,
      note,
    ],
    when: ({ authoredOn }) => textOf(authoredOn),
    headline: (resource) => joined([medicationText(resource), dosageText(resource)]),
  },
  Immunization: {
    columns: [
      choiceColumn('date', 'Date', 'occurrence'),
      textColumn('what', 'Vaccine', ({ vaccineCode }) => conceptText(vaccineCode)),
      status,
      textColumn('lot', 'Lot', ({ lotNumber }) => textOf(lotNumber)),
      textColumn('dose', 'Dose', ({ doseQuantity }) => quantityText(doseQuantity)),
      textColumn('site', 'Site', ({ site }) => conceptText(site)),
      patient,
      extra(textColumn('code', 'Code', ({ vaccineCode }) => joined(codesOf(vaccineCode)))),
      extra(textColumn('reason', 'Why not', ({ statusReason }) => conceptText(statusReason))),
      encounter,
      note,
    ],
    when: (resource) => choiceDate(choiceOf(resource, 'occurrence')),
    headline: ({ vaccineCode }) => conceptText(vaccineCode),
  },
  Procedure: {
    columns: [
      choiceColumn('date', 'Performed', 'performed'),
      code('what', 'Procedure'),
      status,
      textColumn(
        'reason',
        'Reason',
        (r) => conceptsText(r['reasonCode']) ?? references(r['reasonReference']),
      ),
      textColumn('outcome', 'Outcome', ({ outcome }) => conceptText(outcome)),
      patient,
      extra(category),
      coded,
      encounter,
      note,
    ],
    when: performed,
    headline: codeText,
  },
  DiagnosticReport: {
    columns: [
      dateColumn('date', 'Date', effective),
      code('what', 'Report'),
      status,
      category,
      textColumn('conclusion', 'Conclusion', ({ conclusion, conclusionCode }) =>
        joined([textOf(conclusion), conceptsText(conclusionCode)]),
      ),
      textColumn('results', 'Results', ({ result }) => countText(objectsOf(result).length, 'result')),
      patient,
      coded,
      extra(dateColumn('issued', 'Issued', ({ issued }) => issued)),
      encounter,
    ],
    when: effective,
    headline: (resource) => joined([codeText(resource), textOf(resource['conclusion'])], ': '),
  },
  AllergyIntolerance: {
    columns: [
      code('what', 'Substance'),
      textColumn('clinical', 'Clinical status', ({ clinicalStatus }) => conceptText(clinicalStatus)),
      textColumn('verification', 'Verification', ({ verificationStatus }) => conceptText(verificationStatus)),
      {
        key: 'criticality',
        title: 'Criticality',
        cell: ({ criticality }) => ({
          text: textOf(criticality) ?? '',
          ...(criticality === 'high' ? { tone: 'critical', note: 'high risk' } : {}),
        }),
      },
      textColumn('reaction', 'Reaction', reactionText),
      choiceColumn('onset', 'Onset'),
      patient,
      textColumn('category', 'Category', (resource) => conceptsText(resource['category'])),
      extra(textColumn('type', 'Type', ({ type }) => textOf(type))),
      extra(dateColumn('recorded', 'Recorded', ({ recordedDate }) => recordedDate)),
      note,
    ],
    when: onset,
    headline: (resource) => joined([codeText(resource), reactionText(resource)], ': '),
  },
  CarePlan: {
    columns: [
      textColumn('what', 'Care plan', carePlanText),
      status,
      textColumn('intent', 'Intent', ({ intent }) => textOf(intent)),
      dateColumn('start', 'Start', ({ period }) => at(period, 'start')),
      dateColumn('end', 'End', ({ period }) => at(period, 'end')),
      textColumn('activities', 'Activities', ({ activity }) =>
        joined(
          objectsOf(activity).map(
            ({ detail, reference }) =>
              conceptText(at(detail, 'code')) ??
              textOf(at(detail, 'description')) ??
              referenceText(reference),
          ),
        ),
      ),
      patient,
      extra(category),
      encounter,
      note,
    ],
    when: (resource) => textOf(at(resource['period'], 'start')) ?? dateOf(resource),
    headline: (resource) => joined([carePlanText(resource), periodText(resource['period'])]),
  },
};

function carePlanText(resource: ExactObject): string | undefined {
  return textOf(resource['title']) ?? textOf(resource['description']) ?? conceptsText(resource['category']);
}

function reactionText({ reaction }: ExactObject): string | undefined {
  return joined(
    objectsOf(reaction).map((one) => joined([conceptsText(one['manifestation']), textOf(one['severity'])])),
    '; ',
  );
}

function references(value: ExactObject[string]): string | undefined {
  return joined(objectsOf(value).map(referenceText));
}

function countText(n: number, one: string): string | undefined {
  return n === 0 ? undefined : `${n} ${one}${n === 1 ? '' : 's'}`;
}
