import { dateOrder, msOfOrder } from './dates.ts';
import { codesOf, conceptText, numberOf, textOf, unitOf } from './datatypes.ts';
import { asObject, type ExactObject } from './exactJson.ts';
import { bloodPressure, judged, normalRanges, valueCell, type Bounds, type Judged } from './observation.ts';
import { tableOf } from './tables.ts';

/** Observations of one code over time, as a chart shows them. */
export interface Series {
  readonly title: string;
  readonly unit: string;
  readonly kind: 'vital' | 'lab' | 'other';
  /** The oldest first. */
  readonly points: readonly Point[];
}

export interface Point {
  readonly ms: number;
  /** As the resource has it. */
  readonly date: string;
  /** One number, or of a blood pressure the systolic and the diastolic. */
  readonly values: readonly (number | undefined)[];
  /** The range of each that is normal, where the resource names exactly one. */
  readonly ranges: readonly (Bounds | undefined)[];
  /** `120/80 mmHg` */
  readonly text: string;
  readonly judged: Judged | undefined;
}

/** Those with a number and a date, by what was measured and its unit; the most often measured first. */
export function seriesOf(observations: readonly ExactObject[]): readonly Series[] {
  const found = new Map<string, { readonly series: Series; readonly points: Point[] }>();
  for (const observation of observations) {
    const measured = measuredIn(observation);
    const point = measured && pointOf(observation, measured);
    if (measured === undefined || point === undefined) continue;
    const title = conceptText(observation['code']) ?? 'Observation';
    const unit = unitOf(measured.find((quantity) => quantity !== undefined) ?? {});
    const key = JSON.stringify([codesOf(observation['code'])[0] ?? title, unit, measured.length]);
    let one = found.get(key);
    if (one === undefined) {
      const points: Point[] = [];
      one = { points, series: { title, unit, kind: kindOf(observation), points } };
      found.set(key, one);
    }
    one.points.push(point);
  }
  for (const { points } of found.values()) points.sort((a, b) => a.ms - b.ms);
  return [...found.values()]
    .map(({ series }) => series)
    .toSorted((a, b) => b.points.length - a.points.length);
}

type Quantities = readonly (ExactObject | undefined)[];

function measuredIn(observation: ExactObject): Quantities | undefined {
  const pressure = bloodPressure(observation);
  if (pressure !== undefined) {
    return [pressure.systolic, pressure.diastolic].map((part) => asObject(part?.['valueQuantity']));
  }
  const quantity = asObject(observation['valueQuantity']);
  return quantity && [quantity];
}

function pointOf(observation: ExactObject, quantities: Quantities): Point | undefined {
  const date = tableOf('Observation').when(observation);
  const order = dateOrder(date);
  const values = quantities.map((quantity) => numberOf(quantity?.['value']));
  if (order === undefined || values.every((value) => value === undefined)) return undefined;
  const pressure = bloodPressure(observation);
  const observed = pressure === undefined ? [observation] : [pressure.systolic, pressure.diastolic];
  const { text, tone, note } = valueCell(observation);
  return {
    ms: msOfOrder(order),
    date: textOf(date)!,
    values,
    ranges: quantities.map((quantity, at) => {
      const ranges = quantity && observed[at] ? normalRanges(observed[at], quantity) : [];
      return ranges.length === 1 ? ranges[0] : undefined;
    }),
    text,
    judged: tone === undefined ? judged(observation) : { tone, note: note ?? '' },
  };
}

function kindOf(observation: ExactObject): Series['kind'] {
  const categories = codesOf(observation['category']);
  if (categories.includes('vital-signs')) return 'vital';
  return categories.includes('laboratory') ? 'lab' : 'other';
}
