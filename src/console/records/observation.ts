import {
  choiceOf,
  choiceText,
  codesOf,
  conceptText,
  itemsOf,
  joined,
  numberOf,
  objectsOf,
  rangeText,
  textOf,
  unitOf,
} from './datatypes.ts';
import type { Cell, Tone } from './cells.ts';
import { asObject, type ExactObject } from './exactJson.ts';

/** Observations as a clinician reads them. */

export interface Judged {
  readonly tone: Tone;
  /** `high`, `critically low` ... */
  readonly note: string;
}

/** Source: http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation */
const INTERPRETATIONS: ReadonlyMap<string, Judged> = new Map([
  ['N', { tone: 'normal', note: 'normal' }],
  ['A', { tone: 'abnormal', note: 'abnormal' }],
  ['AA', { tone: 'critical', note: 'critically abnormal' }],
  ['H', { tone: 'abnormal', note: 'high' }],
  ['HU', { tone: 'abnormal', note: 'significantly high' }],
  ['HX', { tone: 'abnormal', note: 'above the high threshold' }],
  ['HH', { tone: 'critical', note: 'critically high' }],
  ['L', { tone: 'abnormal', note: 'low' }],
  ['LU', { tone: 'abnormal', note: 'significantly low' }],
  ['LX', { tone: 'abnormal', note: 'below the low threshold' }],
  ['LL', { tone: 'critical', note: 'critically low' }],
]);
const GRAVITY: readonly Tone[] = ['normal', 'abnormal', 'critical'];

const SYSTOLIC = '8480-6';
const DIASTOLIC = '8462-4';
const BLOOD_PRESSURES: readonly string[] = ['85354-9', '55284-4', '35094-2'];

/** The graver of two; of equals the first. */
function graver(a: Judged | undefined, b: Judged | undefined): Judged | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return GRAVITY.indexOf(b.tone) > GRAVITY.indexOf(a.tone) ? b : a;
}

/**
 * Whether an Observation, or a component of one, is normal: as it interprets itself, else by its own reference ranges.
 * undefined where it says neither, and where they do not decide.
 */
export function judged(observed: ExactObject): Judged | undefined {
  const said = itemsOf(observed['interpretation'])
    .flatMap((concept) => codesOf(concept))
    .map((code) => INTERPRETATIONS.get(code))
    .reduce(graver, undefined);
  if (said !== undefined) return said;
  const quantity = asObject(observed['valueQuantity']);
  if (quantity === undefined) return undefined;
  const sides = normalRanges(observed, quantity).map((range) => sideOf(quantity, range));
  const [side] = sides;
  if (side === undefined || sides.some((other) => other !== side)) return undefined;
  return side === 'within' ? { tone: 'normal', note: 'normal' } : { tone: 'abnormal', note: side };
}

export interface Bounds {
  readonly low: number | undefined;
  readonly high: number | undefined;
}

/** The reference ranges for what is normal (not for treatment and the like), in the unit of the value. */
export function normalRanges(observed: ExactObject, quantity: ExactObject): readonly Bounds[] {
  return objectsOf(observed['referenceRange']).flatMap((range) => {
    const kinds = codesOf(range['type']);
    if (kinds.length > 0 && !kinds.includes('normal')) return [];
    const [low, high] = [asObject(range['low']), asObject(range['high'])];
    if (![low, high].every((bound) => bound === undefined || isSameUnit(bound, quantity))) return [];
    const bounds = { low: numberOf(low?.['value']), high: numberOf(high?.['value']) };
    return bounds.low === undefined && bounds.high === undefined ? [] : [bounds];
  });
}

function isSameUnit(bound: ExactObject, quantity: ExactObject): boolean {
  const { code } = bound;
  if (code !== undefined && code === quantity['code']) return true;
  const unit = unitOf(bound);
  return unit === '' || unit === unitOf(quantity);
}

/** undefined: a value with a comparator may lie on either side. */
function sideOf(quantity: ExactObject, { low, high }: Bounds): 'low' | 'high' | 'within' | undefined {
  const value = numberOf(quantity['value']);
  if (value === undefined) return undefined;
  const comparator = textOf(quantity['comparator']);
  if (comparator?.startsWith('<') === true) {
    if (low !== undefined) return value <= low ? 'low' : undefined;
    return value <= high! ? 'within' : undefined;
  }
  if (comparator?.startsWith('>') === true) {
    if (high !== undefined) return value >= high ? 'high' : undefined;
    return value >= low! ? 'within' : undefined;
  }
  if (low !== undefined && value < low) return 'low';
  return high !== undefined && value > high ? 'high' : 'within';
}

/** The two pressures of a blood pressure; undefined for any other Observation. */
export function bloodPressure(
  observation: ExactObject,
): { readonly systolic?: ExactObject; readonly diastolic?: ExactObject } | undefined {
  const components = objectsOf(observation['component']);
  const find = (code: string) => components.find((component) => codesOf(component['code']).includes(code));
  const [systolic, diastolic] = [find(SYSTOLIC), find(DIASTOLIC)];
  const isNamed = codesOf(observation['code']).some((code) => BLOOD_PRESSURES.includes(code));
  if (systolic === undefined && diastolic === undefined) return undefined;
  if (!isNamed && (systolic === undefined || diastolic === undefined)) return undefined;
  return { ...(systolic && { systolic }), ...(diastolic && { diastolic }) };
}

function absence(observed: ExactObject): string | undefined {
  const reason = conceptText(observed['dataAbsentReason']);
  return reason === undefined ? undefined : `no value: ${reason}`;
}

/** The value alone. */
function valueText(observed: ExactObject): string | undefined {
  return choiceText(choiceOf(observed, 'value')) ?? absence(observed);
}

/** What was observed, with unit and judgement: `1.50 mmol/L` (high), `120/80 mmHg`, `no value: not performed`. */
export function valueCell(observation: ExactObject): Cell {
  const pressure = bloodPressure(observation);
  if (pressure !== undefined) return pressureCell(observation, pressure);
  const value = valueText(observation);
  const components = objectsOf(observation['component']);
  const order = numberOf(asObject(observation['valueQuantity'])?.['value'] ?? observation['valueInteger']);
  const judgement = components.map(judged).reduce(graver, judged(observation));
  const parts = components.map((component) =>
    joined([conceptText(component['code']), valueText(component)], ': '),
  );
  const members = objectsOf(observation['hasMember']).length;
  const text =
    joined([components.length > 0 && observation['dataAbsentReason'] ? undefined : value, ...parts], '; ') ??
    (members > 0 ? `${members} results` : '');
  return { text, ...(order === undefined ? {} : { order }), ...judgement };
}

function pressureCell(
  observation: ExactObject,
  pressure: NonNullable<ReturnType<typeof bloodPressure>>,
): Cell {
  const { systolic, diastolic } = pressure;
  const [upper, lower] = [systolic, diastolic].map((part) => asObject(part?.['valueQuantity']));
  const [first, second] = [upper, lower].map((quantity) => textOf(quantity?.['value']) ?? '–');
  const judgement = [systolic, diastolic]
    .map((part) => part && judged(part))
    .reduce(graver, judged(observation));
  if (upper === undefined && lower === undefined) {
    const reason =
      absence(observation) ?? (systolic && absence(systolic)) ?? (diastolic && absence(diastolic));
    return { text: reason ?? '', ...judgement };
  }
  const order = numberOf(upper?.['value']);
  const unit = unitOf((upper ?? lower)!);
  return {
    text: joined([`${first}/${second}`, unit], ' ')!,
    ...(order === undefined ? {} : { order }),
    ...judgement,
  };
}

/** The reference range as it is printed beside a value: its text, else its bounds. */
export function referenceRangeText(observation: ExactObject): string | undefined {
  const say = (observed: ExactObject) =>
    objectsOf(observed['referenceRange']).map((range) => textOf(range['text']) ?? rangeText(range));
  return joined([...say(observation), ...objectsOf(observation['component']).flatMap(say)], '; ');
}
