import { dateColumn, extra, referenceColumn, textColumn, type Table } from './cells.ts';
import {
  at,
  choiceDate,
  choiceOf,
  conceptsText,
  conceptText,
  identifiersText,
  nameText,
  textOf,
} from './datatypes.ts';
import type { Exact, ExactObject } from './exactJson.ts';

/** A table for types without one of their own, of what most of FHIR's resources have. */

const DATES = [
  'date',
  'authoredOn',
  'authored',
  'created',
  'issued',
  'recorded',
  'sent',
  'dateTime',
] as const;
const CHOICES = ['effective', 'occurrence', 'performed', 'onset', 'identified', 'start', 'timing'] as const;
const PERIODS = ['period', 'billablePeriod', 'validityPeriod', 'whenHandedOver', 'whenPrepared'] as const;

export function dateOf(resource: ExactObject): string | undefined {
  for (const name of DATES) {
    const text = textOf(resource[name]);
    if (text !== undefined) return text;
  }
  for (const name of CHOICES) {
    const text = choiceDate(choiceOf(resource, name));
    if (text !== undefined) return text;
  }
  for (const name of PERIODS) {
    const text = textOf(at(resource[name], 'start')) ?? textOf(resource[name]);
    if (text !== undefined) return text;
  }
  return undefined;
}

export function subjectOf(resource: ExactObject): Exact | undefined {
  return resource['subject'] ?? resource['patient'] ?? resource['beneficiary'] ?? resource['for'];
}

function whatOf(resource: ExactObject): string | undefined {
  return (
    textOf(resource['title']) ??
    nameText(resource['name']) ??
    conceptsText(resource['code']) ??
    conceptText(choiceOf(resource, 'medication')?.value) ??
    conceptText(choiceOf(resource, 'item')?.value) ??
    textOf(resource['description']) ??
    conceptText(resource['description']) ??
    conceptsText(resource['type'])
  );
}

export const GENERIC_TABLE: Table = {
  columns: [
    textColumn('what', 'What', whatOf),
    textColumn('kind', 'Kind', ({ category, type }) => conceptsText(category) ?? conceptsText(type)),
    textColumn('status', 'Status', ({ status, active }) => conceptText(status) ?? textOf(active)),
    referenceColumn('subject', 'Subject', subjectOf),
    dateColumn('date', 'Date', dateOf),
    extra(textColumn('identifier', 'Identifier', ({ identifier }) => identifiersText(identifier))),
  ],
  when: dateOf,
  headline: whatOf,
};
