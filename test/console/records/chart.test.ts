import { expect, test } from 'vitest';
import { chart } from '../../../src/console/records/chart.ts';
import { readExact } from '../../../src/console/records/exactJson.ts';
import { seriesOf } from '../../../src/console/records/series.ts';

const LOINC = 'http://loinc.org';

function observation(given: object): NonNullable<ReturnType<typeof readExact>> {
  return readExact(Buffer.from(JSON.stringify({ resourceType: 'Observation', ...given })))!;
}

function lab(code: string, value: number, date: string, unit = 'mmol/L', high = 5) {
  return observation({
    code: { text: code, coding: [{ system: LOINC, code }] },
    category: [{ coding: [{ code: 'laboratory' }] }],
    effectiveDateTime: date,
    valueQuantity: { value, unit },
    referenceRange: [{ low: { value: 3, unit }, high: { value: high, unit } }],
  });
}

function pressure(systolic: number, diastolic: number, date: string) {
  const part = (code: string, value: number) => ({
    code: { coding: [{ system: LOINC, code }] },
    valueQuantity: { value, unit: 'mm[Hg]' },
    referenceRange: [{ high: { value: code === '8480-6' ? 140 : 90, unit: 'mm[Hg]' } }],
  });
  return observation({
    code: { text: 'Blood pressure', coding: [{ system: LOINC, code: '85354-9' }] },
    category: [{ coding: [{ code: 'vital-signs' }] }],
    effectiveDateTime: date,
    component: [part('8480-6', systolic), part('8462-4', diastolic)],
  });
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

test('a series is of one code and one unit, the oldest first; what has no number or no date is in none', () => {
  const series = seriesOf([
    lab('2823-3', 4.1, '2020-03'),
    lab('2823-3', 4.4, '2019-01-01T10:00:00Z'),
    lab('2823-3', 70, '2020-01-01', 'mg/dL'),
    lab('2951-2', 140, '2020-01-01'),
    observation({ code: { text: 'x' }, effectiveDateTime: '2020', valueString: 'turbid' }),
    observation({ code: { text: 'x' }, valueQuantity: { value: 1 } }),
  ]);
  expect(series.map(({ title, unit, points }) => [title, unit, points.map(({ text }) => text)])).toEqual([
    ['2823-3', 'mmol/L', ['4.4 mmol/L', '4.1 mmol/L']],
    ['2823-3', 'mg/dL', ['70 mg/dL']],
    ['2951-2', 'mmol/L', ['140 mmol/L']],
  ]);
});

test('a chart marks what is not normal by shape and word, and tells everything as text', () => {
  const [series] = seriesOf([
    lab('K', 4, '2020-01-01'),
    lab('K', 6, '2020-02-01'),
    lab('K', 3.5, '2020-03-01'),
  ]);
  const svg = chart(series!, 1).toString();
  expect(svg).toContain(
    '3 values from 2020-01-01 to 2020-03-01; the last is 3.5 mmol/L (normal); 1 not normal.',
  );
  expect(count(svg, /<circle/g)).toBe(2);
  expect(svg).toMatch(
    /<path\s+class="mark abnormal"[^>]*>\s*<title>\s*2020-02-01: 6 mmol\/L \(high\)\s*<\/title>/,
  );
  expect(count(svg, /class="band"/g)).toBe(1);
  expect(count(svg, /<th scope="row">/g)).toBe(3);
  expect(svg).toContain('3 – 5');
});

test('where the reference range changes, so does the band', () => {
  const [series] = seriesOf([lab('K', 4, '2020-01-01'), lab('K', 4, '2020-02-01', 'mmol/L', 6)]);
  expect(count(chart(series!, 1).toString(), /class="band"/g)).toBe(2);
});

test('a blood pressure has two lines, each with its own band', () => {
  const [series] = seriesOf([pressure(120, 80, '2020-01-01'), pressure(150, 95, '2020-02-01')]);
  const svg = chart(series!, 1).toString();
  expect(series).toMatchObject({ kind: 'vital', unit: 'mmHg' });
  expect(count(svg, /<polyline/g)).toBe(2);
  expect(count(svg, /class="band"/g)).toBe(2);
  expect(svg).toContain('150/95 mmHg');
  expect(svg).toContain('Systolic ≤ 140');
});
