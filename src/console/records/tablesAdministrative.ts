import {
  dateColumn,
  extra,
  numberColumn,
  referenceCell,
  referenceColumn,
  textColumn,
  type Column,
  type Table,
} from './cells.ts';
import {
  addressText,
  at,
  codesOf,
  conceptsText,
  conceptText,
  contactText,
  identifiersText,
  joined,
  nameText,
  objectsOf,
  quantityText,
  referenceText,
  textOf,
} from './datatypes.ts';
import type { Exact, ExactObject } from './exactJson.ts';
import { dateOf, subjectOf } from './tableGeneric.ts';

/** Who somebody is, when they came, what was written down, and who pays. */

const status = textColumn('status', 'Status', ({ status: said }) => conceptText(said));
const patient = referenceColumn('patient', 'Patient', subjectOf);
const identifier = textColumn('identifier', 'Identifier', ({ identifier: said }) => identifiersText(said));
const names = (value: Exact | undefined) => joined(objectsOf(value).map(referenceText));
const type = (title: string): Column =>
  textColumn('what', title, (resource) => conceptsText(resource['type']));

/** The Identifier of type MR (medical record number), else the first. */
function mrnText({ identifier: said }: ExactObject): string | undefined {
  const identifiers = objectsOf(said);
  const mrn = identifiers.find((one) => codesOf(one['type']).includes('MR')) ?? identifiers[0];
  return textOf(mrn?.['value']);
}

function participants({ participant }: ExactObject, isPatient: boolean): readonly ExactObject[] {
  return objectsOf(participant)
    .flatMap(({ actor, individual }) => objectsOf(actor ?? individual))
    .filter((actor) => /^Patient\/|\/Patient\//.test(textOf(actor['reference']) ?? '') === isPatient);
}

function encounterText(resource: ExactObject): string | undefined {
  return (
    conceptsText(resource['type']) ?? conceptText(resource['class']) ?? conceptText(resource['serviceType'])
  );
}

function appointmentText(resource: ExactObject): string | undefined {
  return (
    conceptsText(resource['serviceType']) ??
    conceptText(resource['appointmentType']) ??
    textOf(resource['description'])
  );
}

function documentText(resource: ExactObject): string | undefined {
  return textOf(resource['description']) ?? conceptText(resource['type']) ?? contentText(resource, 'title');
}

function contentText({ content }: ExactObject, name: string): string | undefined {
  return joined([...new Set(objectsOf(content).map(({ attachment }) => textOf(at(attachment, name))))]);
}

/** Of an ExplanationOfBenefit's totals that of one category. */
function total({ total: said }: ExactObject, category: string): Exact | undefined {
  return objectsOf(said).find((one) => codesOf(one['category']).includes(category))?.['amount'];
}

export const ADMINISTRATIVE_TABLES: Readonly<Record<string, Table>> = {
  Patient: {
    columns: [
      textColumn('name', 'Name', ({ name }) => nameText(name)),
      dateColumn('born', 'Born', ({ birthDate }) => birthDate),
      textColumn('gender', 'Gender', ({ gender }) => textOf(gender)),
      textColumn('mrn', 'MRN', mrnText),
      textColumn('address', 'Address', ({ address }) => addressText(address)),
      textColumn('phone', 'Phone', ({ telecom }) => contactText(telecom, 'phone')),
      textColumn(
        'deceased',
        'Deceased',
        (resource) =>
          textOf(resource['deceasedDateTime']) ?? (resource['deceasedBoolean'] === true ? 'yes' : undefined),
      ),
      extra(textColumn('email', 'E-mail', ({ telecom }) => contactText(telecom, 'email'))),
      extra(
        textColumn('language', 'Language', ({ communication }) =>
          joined(objectsOf(communication).map(({ language }) => conceptText(language))),
        ),
      ),
      extra(textColumn('marital', 'Marital status', ({ maritalStatus }) => conceptText(maritalStatus))),
      extra(identifier),
      extra(textColumn('active', 'Active', ({ active }) => textOf(active))),
    ],
    when: ({ birthDate }) => textOf(birthDate),
    headline: ({ name }) => nameText(name),
  },
  Encounter: {
    columns: [
      dateColumn('start', 'Start', ({ period }) => at(period, 'start')),
      dateColumn('end', 'End', ({ period }) => at(period, 'end')),
      textColumn('what', 'Encounter', encounterText),
      textColumn('class', 'Class', (resource) => conceptText(resource['class'])),
      status,
      textColumn('reason', 'Reason', (r) => conceptsText(r['reasonCode']) ?? names(r['reasonReference'])),
      textColumn('location', 'Location', ({ location }) =>
        joined(objectsOf(location).map((one) => referenceText(one['location']))),
      ),
      patient,
      extra(textColumn('practitioner', 'Practitioner', (resource) => names(participants(resource, false)))),
      extra(referenceColumn('provider', 'Provider', ({ serviceProvider }) => serviceProvider)),
      extra(identifier),
    ],
    when: (resource) => textOf(at(resource['period'], 'start')) ?? dateOf(resource),
    headline: (resource) => joined([encounterText(resource), conceptsText(resource['reasonCode'])], ': '),
  },
  Appointment: {
    columns: [
      dateColumn('start', 'Start', ({ start }) => start),
      dateColumn('end', 'End', ({ end }) => end),
      textColumn('what', 'Appointment', appointmentText),
      status,
      {
        key: 'patient',
        title: 'Patient',
        cell: (resource) => referenceCell(participants(resource, true)[0]),
      },
      textColumn('with', 'With', (resource) => names(participants(resource, false))),
      textColumn('reason', 'Reason', ({ reasonCode }) => conceptsText(reasonCode)),
      extra(numberColumn('minutes', 'Minutes', ({ minutesDuration }) => minutesDuration)),
      extra(textColumn('comment', 'Comment', ({ comment }) => textOf(comment))),
    ],
    when: ({ start, created }) => textOf(start) ?? textOf(created),
    headline: appointmentText,
  },
  DocumentReference: {
    columns: [
      dateColumn('date', 'Date', dateOf),
      textColumn('what', 'Document', documentText),
      textColumn('category', 'Category', (resource) => conceptsText(resource['category'])),
      status,
      textColumn('author', 'Author', ({ author }) => names(author)),
      textColumn('format', 'Format', (resource) => contentText(resource, 'contentType')),
      patient,
      extra(textColumn('docStatus', 'State', ({ docStatus }) => textOf(docStatus))),
      extra(textColumn('title', 'Title', (resource) => contentText(resource, 'title'))),
      extra(referenceColumn('encounter', 'Encounter', ({ context }) => at(context, 'encounter'))),
      extra(identifier),
    ],
    when: dateOf,
    headline: documentText,
  },
  Coverage: {
    columns: [
      type('Coverage'),
      status,
      textColumn('payor', 'Payor', ({ payor }) => names(payor)),
      textColumn('subscriber', 'Subscriber id', ({ subscriberId }) => textOf(subscriberId)),
      textColumn('relationship', 'Relationship', ({ relationship }) => conceptText(relationship)),
      dateColumn('start', 'Start', ({ period }) => at(period, 'start')),
      dateColumn('end', 'End', ({ period }) => at(period, 'end')),
      patient,
      extra(
        textColumn('plan', 'Plan', (resource) =>
          joined(objectsOf(resource['class']).map((one) => textOf(one['name']) ?? textOf(one['value']))),
        ),
      ),
      extra(identifier),
    ],
    when: ({ period }) => textOf(at(period, 'start')),
    headline: (resource) => joined([conceptsText(resource['type']), names(resource['payor'])], ': '),
  },
  ExplanationOfBenefit: {
    columns: [
      dateColumn('created', 'Created', ({ created }) => created),
      type('Benefit'),
      status,
      textColumn('outcome', 'Outcome', ({ outcome }) => textOf(outcome)),
      numberColumn('submitted', 'Submitted', (resource) => total(resource, 'submitted'), quantityText),
      numberColumn('paid', 'Paid', ({ payment }) => at(payment, 'amount'), quantityText),
      dateColumn('serviced', 'Serviced from', ({ billablePeriod }) => at(billablePeriod, 'start')),
      patient,
      referenceColumn('insurer', 'Insurer', ({ insurer }) => insurer),
      referenceColumn('provider', 'Provider', ({ provider }) => provider),
      extra(textColumn('use', 'Use', ({ use }) => textOf(use))),
      extra(
        textColumn('items', 'Items', ({ item }) =>
          joined(objectsOf(item).map(({ productOrService }) => conceptText(productOrService))),
        ),
      ),
      extra(identifier),
    ],
    when: (resource) => textOf(at(resource['billablePeriod'], 'start')) ?? textOf(resource['created']),
    headline: (resource) => joined([conceptsText(resource['type']), textOf(resource['outcome'])], ': '),
  },
};
