import { expect, test } from 'vitest';
import { readExact, type ExactObject } from '../../../src/console/records/exactJson.ts';
import { referenceRangeText, valueCell } from '../../../src/console/records/observation.ts';

/** As it stands in a file: numbers are what they are written as. */
function observation(text: string): ExactObject {
  return readExact(Buffer.from(`{"resourceType":"Observation",${text}}`))!;
}

const range = (low: string, high: string, more = '') =>
  `"referenceRange":[{"low":{"value":${low},"unit":"mmol/L"},"high":{"value":${high},"unit":"mmol/L"}${more}}]`;
const potassium = (value: string, more = '') =>
  observation(`"valueQuantity":{"value":${value},"unit":"mmol/L"${more}},${range('3.50', '5.10')}`);

const code = (loinc: string) => `"code":{"coding":[{"system":"http://loinc.org","code":"${loinc}"}]}`;
const pressure = (loinc: string, value: string, more = '') =>
  `{${code(loinc)},"valueQuantity":{"value":${value},"unit":"mm[Hg]","code":"mm[Hg]"}${more}}`;

test('a value stands as it was written, with its unit, and is judged by its own reference range', () => {
  expect(valueCell(potassium('4.10'))).toEqual({
    text: '4.10 mmol/L',
    order: 4.1,
    tone: 'normal',
    note: 'normal',
  });
  expect(valueCell(potassium('5.20'))).toMatchObject({ tone: 'abnormal', note: 'high' });
  expect(valueCell(potassium('3.49'))).toMatchObject({ tone: 'abnormal', note: 'low' });
  expect(valueCell(potassium('5.10'))).toMatchObject({ tone: 'normal' });
});

test('a comparator is shown, and judged only where it decides', () => {
  expect(valueCell(potassium('2', ',"comparator":"<"'))).toMatchObject({ text: '< 2 mmol/L', note: 'low' });
  expect(valueCell(potassium('9', ',"comparator":">"'))).toMatchObject({ text: '> 9 mmol/L', note: 'high' });
  expect(valueCell(potassium('4', ',"comparator":"<"')).tone).toBeUndefined();
});

test('its interpretation goes before the range; the gravest of several counts', () => {
  const judged = (codes: string) =>
    valueCell(
      observation(
        `"valueQuantity":{"value":4,"unit":"mmol/L"},${range('3', '5')},"interpretation":[{"coding":[${codes}]}]`,
      ),
    );
  expect(judged('{"code":"H"}')).toMatchObject({ tone: 'abnormal', note: 'high' });
  expect(judged('{"code":"N"},{"code":"LL"}')).toMatchObject({ tone: 'critical', note: 'critically low' });
  // What says nothing of normal or not leaves it to the range.
  expect(judged('{"code":"POS"}')).toMatchObject({ tone: 'normal' });
});

test('a range of another unit or kind, and ranges that disagree, judge nothing', () => {
  const of = (ranges: string) =>
    valueCell(observation(`"valueQuantity":{"value":9,"unit":"mmol/L"},${ranges}`)).tone;
  expect(of('"referenceRange":[{"high":{"value":5,"unit":"mg/dL"}}]')).toBeUndefined();
  expect(of(range('3', '5', ',"type":{"coding":[{"code":"treatment"}]}'))).toBeUndefined();
  expect(of(range('3', '5', ',"type":{"coding":[{"code":"normal"}]}'))).toBe('abnormal');
  expect(of('"referenceRange":[{"high":{"value":5}},{"high":{"value":12}}]')).toBeUndefined();
  expect(of('"referenceRange":[{"high":{"value":5}},{"high":{"value":8}}]')).toBe('abnormal');
});

test('a blood pressure is one value, and as grave as the graver of its two', () => {
  const high = ',"referenceRange":[{"high":{"value":90,"code":"mm[Hg]"}}]';
  const both = observation(
    `${code('85354-9')},"component":[${pressure('8462-4', '95', high)},${pressure('8480-6', '120')}]`,
  );
  expect(valueCell(both)).toEqual({ text: '120/95 mmHg', order: 120, tone: 'abnormal', note: 'high' });
  const one = observation(`${code('85354-9')},"component":[${pressure('8480-6', '120.0')}]`);
  expect(valueCell(one).text).toBe('120.0/– mmHg');
  expect(referenceRangeText(both)).toBe('≤ 90 mmHg');
});

test('why there is no value is said', () => {
  const absent = '"dataAbsentReason":{"coding":[{"code":"not-performed","display":"Not Performed"}]}';
  expect(valueCell(observation(absent)).text).toBe('no value: Not Performed');
  const pressures = `{${code('8480-6')},${absent}},{${code('8462-4')},${absent}}`;
  expect(valueCell(observation(`${code('85354-9')},"component":[${pressures}]`)).text).toBe(
    'no value: Not Performed',
  );
});

test('value[x] of every kind is read, and other components stand by name', () => {
  const text = (member: string) => valueCell(observation(member)).text;
  expect(text('"valueCodeableConcept":{"text":"Never smoker","coding":[{"display":"x"}]}')).toBe(
    'Never smoker',
  );
  expect(text('"valueString":"turbid"')).toBe('turbid');
  expect(text('"valueBoolean":false')).toBe('no');
  expect(text('"valueInteger":7')).toBe('7');
  expect(text('"valueRange":{"low":{"value":1.0,"unit":"g"},"high":{"value":2.50,"unit":"g"}}')).toBe(
    '1.0 – 2.50 g',
  );
  expect(text('"valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}')).toBe('1 / 128');
  expect(text('"valueDateTime":"2020-05"')).toBe('2020-05');
  expect(text('"valuePeriod":{"start":"2020-01-01"}')).toBe('since 2020-01-01');
  expect(
    text('"component":[{"code":{"text":"A"},"valueString":"x"},{"code":{"text":"B"},"valueInteger":2}]'),
  ).toBe('A: x; B: 2');
});
