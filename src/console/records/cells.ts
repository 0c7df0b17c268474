import { dateOrder } from './dates.ts';
import { choiceDate, choiceOf, choiceText, dateSaid, numberOf, referenceText, textOf } from './datatypes.ts';
import { asObject, type Exact, type ExactObject } from './exactJson.ts';

/** Tables as data: what columns a type has, and how a cell is made of a resource. */

export type Tone = 'normal' | 'abnormal' | 'critical';

export interface Cell {
  readonly text: string;
  /** Cells sort by it; those without one by their text, behind the others. */
  readonly order?: number;
  /** What a clinician looks for; in words beside the text (`note`), since a colour alone says nothing to some. */
  readonly tone?: Tone;
  readonly note?: string;
  /** The text of a Reference, to be followed where its target is at hand. */
  readonly reference?: string;
}

const EMPTY: Cell = { text: '' };

export interface Column {
  /** In addresses. */
  readonly key: string;
  readonly title: string;
  /** Not shown unless chosen. */
  readonly isExtra?: true;
  /** Numbers stand at the right. */
  readonly isNumber?: true;
  /** Dates do not break. */
  readonly isDate?: true;
  readonly cell: (resource: ExactObject) => Cell;
}

export interface Table {
  readonly columns: readonly Column[];
  /** The date by which a resource stands on a patient's timeline. */
  readonly when: (resource: ExactObject) => string | undefined;
  /** What a resource is, in a line. */
  readonly headline: (resource: ExactObject) => string | undefined;
}

function cell(text: string | undefined): Cell {
  return text === undefined ? EMPTY : { text };
}

export function textColumn(
  key: string,
  title: string,
  read: (resource: ExactObject) => string | undefined,
): Column {
  return { key, title, cell: (resource) => cell(read(resource)) };
}

export function dateColumn(
  key: string,
  title: string,
  read: (resource: ExactObject) => Exact | undefined,
): Column {
  return { key, title, isDate: true, cell: (resource) => dateCell(read(resource)) };
}

function dateCell(value: Exact | undefined): Cell {
  const order = dateOrder(textOf(value));
  return { text: dateSaid(value) ?? '', ...(order === undefined ? {} : { order }) };
}

/** A choice such as onset[x]: as it is said, and by its date where it has one. */
export function choiceColumn(key: string, title: string, name = key): Column {
  return {
    key,
    title,
    cell: (resource) => {
      const choice = choiceOf(resource, name);
      const order = dateOrder(choiceDate(choice)) ?? undefined;
      return { text: choiceText(choice) ?? '', ...(order === undefined ? {} : { order }) };
    },
  };
}

export function referenceColumn(
  key: string,
  title: string,
  read: (resource: ExactObject) => Exact | undefined,
): Column {
  return { key, title, cell: (resource) => referenceCell(read(resource)) };
}

export function referenceCell(value: Exact | undefined): Cell {
  const text = referenceText(value);
  const reference = textOf(asObject(value)?.['reference']);
  return { text: text ?? '', ...(reference === undefined ? {} : { reference }) };
}

export function numberColumn(
  key: string,
  title: string,
  read: (resource: ExactObject) => Exact | undefined,
  say: (value: Exact | undefined) => string | undefined = textOf,
): Column {
  return {
    key,
    title,
    isNumber: true,
    cell: (resource) => {
      const value = read(resource);
      const order = numberOf(asObject(value)?.['value'] ?? value);
      return { text: say(value) ?? '', ...(order === undefined ? {} : { order }) };
    },
  };
}

export function extra(column: Column): Column {
  return { ...column, isExtra: true };
}
