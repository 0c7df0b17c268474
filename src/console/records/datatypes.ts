import { dateText } from './dates.ts';
import { asObject, isList, NumberText, type Exact, type ExactObject } from './exactJson.ts';

/** FHIR's datatypes as a person reads them. Each takes what stands there, which may be anything, and says nothing for what it cannot read. */

type Said = string | undefined;
const NONE: readonly never[] = [];

export function textOf(value: Exact | undefined): Said {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value;
  if (value instanceof NumberText) return value.text;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return undefined;
}

/** The items of a list; something alone is a list of one, and nothing is none. */
export function itemsOf(value: Exact | undefined): readonly Exact[] {
  if (value === undefined || value === null) return NONE;
  return isList(value) ? value : [value];
}

export function objectsOf(value: Exact | undefined): readonly ExactObject[] {
  if (value === undefined || value === null) return NONE;
  return itemsOf(value)
    .map(asObject)
    .filter((item) => item !== undefined);
}

/** `resource.period.start`, of lists the first item. */
export function at(value: Exact | undefined, ...path: readonly string[]): Exact | undefined {
  let found = value;
  for (const name of path) found = objectsOf(found)[0]?.[name];
  return found;
}

export function joined(texts: readonly Said[], by = ', '): Said {
  const said = texts.filter((text) => text !== undefined && text !== '');
  return said.length === 0 ? undefined : said.join(by);
}

/** A CodeableConcept (its text, else a coding), a Coding (its display, else its code), or a plain code. */
export function conceptText(value: Exact | undefined): Said {
  const concept = asObject(value);
  if (concept === undefined) return textOf(value);
  const codings = objectsOf(concept['coding']);
  return (
    textOf(concept['text']) ??
    first(codings, (coding) => textOf(coding['display'])) ??
    textOf(concept['display']) ??
    first(codings, (coding) => textOf(coding['code'])) ??
    textOf(concept['code'])
  );
}

export function conceptsText(value: Exact | undefined): Said {
  return joined([...new Set(itemsOf(value).map(conceptText))]);
}

/** The codes of CodeableConcepts or Codings, whatever their system. */
export function codesOf(value: Exact | undefined): readonly string[] {
  const codes: string[] = [];
  for (const concept of objectsOf(value)) {
    if (typeof concept['code'] === 'string') codes.push(concept['code']);
    for (const { code } of objectsOf(concept['coding'])) if (typeof code === 'string') codes.push(code);
  }
  return codes;
}

function first<T, R>(items: readonly T[], read: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = read(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

const NAME_USES = ['usual', 'official', undefined, 'temp', 'nickname', 'anonymous', 'maiden', 'old'];

/** Of several HumanNames the one in use: `Fay398, Napoleon578`. */
export function nameText(value: Exact | undefined): Said {
  const names = objectsOf(value);
  if (names.length === 0) return textOf(isList(value) ? value[0] : value);
  const rank = ({ use }: ExactObject): number => {
    const place = NAME_USES.indexOf(typeof use === 'string' ? use : undefined);
    return place < 0 ? NAME_USES.length : place;
  };
  const [name] = names.toSorted((a, b) => rank(a) - rank(b));
  return (
    joined([textOf(name!['family']), joined(itemsOf(name!['given']).map(textOf), ' ')]) ??
    textOf(name!['text'])
  );
}

/** How UCUM's codes, where nothing else is said, are written by people. Source: ucum.org, table of units. */
const UNITS: ReadonlyMap<string, string> = new Map([
  ['mm[Hg]', 'mmHg'],
  ['Cel', '°C'],
  ['[degF]', '°F'],
  ['/min', '/min'],
  ['{beats}/min', '/min'],
  ['[in_i]', 'in'],
  ['[lb_av]', 'lb'],
  ['1', ''],
  ['{score}', ''],
]);

export function unitOf(quantity: ExactObject): string {
  const unit = textOf(quantity['unit']) ?? textOf(quantity['code']) ?? textOf(quantity['currency']) ?? '';
  return UNITS.get(unit) ?? unit;
}

/** Quantity, Age, Duration, Money ...: `< 1.50 mmol/L`, the value as it was written. */
export function quantityText(value: Exact | undefined): Said {
  const quantity = asObject(value);
  if (quantity === undefined) return undefined;
  const number = textOf(quantity['value']);
  if (number === undefined) return undefined;
  return joined([textOf(quantity['comparator']), number, unitOf(quantity)], ' ');
}

export function numberOf(value: Exact | undefined): number | undefined {
  const number = value instanceof NumberText ? Number(value.text) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** `3.5 – 5.1 mmol/L`, `≥ 60 mL/min`. */
export function rangeText(value: Exact | undefined): Said {
  const range = asObject(value);
  const [low, high] = [asObject(range?.['low']), asObject(range?.['high'])];
  const [from, to] = [textOf(low?.['value']), textOf(high?.['value'])];
  const unit = (high && unitOf(high)) || (low && unitOf(low)) || '';
  if (from !== undefined && to !== undefined) return joined([`${from} – ${to}`, unit], ' ');
  if (from !== undefined) return joined([`≥ ${from}`, unit], ' ');
  return to === undefined ? undefined : joined([`≤ ${to}`, unit], ' ');
}

function ratioText(value: Exact | undefined): Said {
  const ratio = asObject(value);
  return joined([quantityText(ratio?.['numerator']), quantityText(ratio?.['denominator'])], ' / ');
}

export function dateSaid(value: Exact | undefined): Said {
  const text = textOf(value);
  return text === undefined ? undefined : dateText(text);
}

export function periodText(value: Exact | undefined): Said {
  const period = asObject(value);
  const [start, end] = [dateSaid(period?.['start']), dateSaid(period?.['end'])];
  if (start === undefined) return end === undefined ? undefined : `until ${end}`;
  return end === undefined ? `since ${start}` : start === end ? start : `${start} – ${end}`;
}

/** What a Reference says for people: its display, else its text. */
export function referenceText(value: Exact | undefined): Said {
  const reference = asObject(value);
  if (reference === undefined) return undefined;
  return (
    textOf(reference['display']) ??
    textOf(reference['reference']) ??
    textOf(at(reference['identifier'], 'value')) ??
    textOf(reference['type'])
  );
}

export function identifiersText(value: Exact | undefined): Said {
  return joined(objectsOf(value).map((identifier) => textOf(identifier['value'])));
}

export function addressText(value: Exact | undefined): Said {
  const [address] = objectsOf(value).toSorted(
    (a, b) => Number(a['use'] === 'old') - Number(b['use'] === 'old'),
  );
  if (address === undefined) return undefined;
  const { line, postalCode, city, state, country } = address;
  const parts = [joined(itemsOf(line).map(textOf)), joined([textOf(postalCode), textOf(city)], ' ')];
  return joined([...parts, textOf(state), textOf(country)]) ?? textOf(address['text']);
}

/** ContactPoints of a system: `phone`, `email`. */
export function contactText(value: Exact | undefined, system: string): Said {
  const points = objectsOf(value).filter((point) => point['system'] === system && point['use'] !== 'old');
  return textOf(points[0]?.['value']);
}

function timingText(value: Exact | undefined): Said {
  const repeat = asObject(at(value, 'repeat'));
  const often = joined([textOf(repeat?.['frequency']), textOf(repeat?.['period'])], ' × per ');
  return conceptText(at(value, 'code')) ?? joined([often, textOf(repeat?.['periodUnit'])], ' ');
}

/** By the type in the name of value[x]; what is not in here is shown as text. */
const BY_TYPE: Readonly<Record<string, (value: Exact | undefined) => Said>> = {
  CodeableConcept: conceptText,
  Coding: conceptText,
  Quantity: quantityText,
  Age: quantityText,
  Duration: quantityText,
  Money: quantityText,
  Range: rangeText,
  Ratio: ratioText,
  Period: periodText,
  DateTime: dateSaid,
  Date: dateSaid,
  Instant: dateSaid,
  Reference: referenceText,
  Timing: timingText,
  SampledData: (value) => joined(['sampled', textOf(at(value, 'dimensions')), 'dimensions'], ' '),
  Attachment: (value) => textOf(at(value, 'title')) ?? textOf(at(value, 'contentType')),
  Identifier: (value) => identifiersText(value),
};

export interface Choice {
  /** `Quantity` of `valueQuantity`. */
  readonly type: string;
  readonly value: Exact;
}

/** What stands in `name`[x]. */
export function choiceOf(resource: ExactObject, name: string): Choice | undefined {
  for (const key in resource) {
    if (key.length === name.length || !key.startsWith(name) || !/[A-Z]/.test(key[name.length]!)) continue;
    const value = resource[key];
    if (value !== undefined && value !== null) return { type: key.slice(name.length), value };
  }
  return undefined;
}

export function choiceText(choice: Choice | undefined): Said {
  if (choice === undefined) return undefined;
  return Object.hasOwn(BY_TYPE, choice.type) ? BY_TYPE[choice.type]!(choice.value) : textOf(choice.value);
}

/** The date in a choice that may be a dateTime, a date or a Period: where it begins, else ends. */
export function choiceDate(choice: Choice | undefined): Said {
  if (choice === undefined) return undefined;
  return textOf(choice.value) ?? textOf(at(choice.value, 'start')) ?? textOf(at(choice.value, 'end'));
}
