import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine } from '../../../src/console/csv.ts';
import { dateOrder, dateText, msOfOrder } from '../../../src/console/records/dates.ts';
import {
  conceptText,
  contactText,
  nameText,
  periodText,
  quantityText,
} from '../../../src/console/records/datatypes.ts';
import {
  asObject,
  isList,
  NumberText,
  readExact,
  type Exact,
} from '../../../src/console/records/exactJson.ts';
import { fold } from '../../../src/console/records/fold.ts';
import { thrown } from '../../support/rejection.ts';

/** What JSON.parse would have made of it. */
function plain(value: Exact | undefined): unknown {
  if (value instanceof NumberText) return Number(value.text);
  if (isList(value)) return value.map(plain);
  const object = asObject(value);
  if (object === undefined) return value;
  return Object.fromEntries(Object.entries(object).map(([key, inner]) => [key, plain(inner)]));
}

test('JSON is read as JSON.parse reads it, but for numbers, which stay as they are written', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()),
      fc.nat(3),
      (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        expect(plain(readExact(Buffer.from(text)))).toEqual(JSON.parse(text));
      },
    ),
  );
  const exact = readExact(Buffer.from('{"a":[1.50,-0,1E+2,12345678901234567890.10]}'))!;
  expect((exact['a'] as readonly NumberText[]).map(({ text }) => text)).toEqual([
    ...['1.50', '-0', '1E+2', '12345678901234567890.10'],
  ]);
  expect(readExact(Buffer.from('{"a":"\\"\\\\","b":"x\\u0041"}'))).toEqual({ a: '"\\', b: 'xA' });
});

test('a member called __proto__ is a member like any other', () => {
  const object = readExact(Buffer.from('{"__proto__":{"status":"evil"},"a":1}'))!;
  expect(object['status']).toBeUndefined();
  expect(Object.keys(object)).toEqual(['__proto__', 'a']);
});

test('what is no JSON object is refused', () => {
  expect(readExact(Buffer.from('[1]'))).toBeUndefined();
  for (const text of ['{"a":}', '{"a":1}x', '{"a":01}', '']) {
    expect(thrown(() => readExact(Buffer.from(text))).code).toBe('FHIR_NOT_JSON');
  }
  const deep = `{"a":${'['.repeat(300)}${']'.repeat(300)}}`;
  expect(thrown(() => readExact(Buffer.from(deep))).code).toBe('FHIR_MALFORMED');
});

test('dates sort by when they begin, whatever their zone and precision', () => {
  const sorted = [
    '0033',
    '1999-12-31T23:59:59Z',
    '2000',
    '2000-01',
    '2000-01-01',
    '2000-01-01T00:00:00Z',
    '2000-01-01T05:00:00+05:00',
    '2000-01-01T00:30:00+00:00',
    '2000-01-01T00:00:00-01:00',
    '2000-01-01T01:00:00.250Z',
    '2000-02',
  ];
  const shuffled = sorted.toReversed();
  expect(shuffled.toSorted((a, b) => dateOrder(a)! - dateOrder(b)!).map(dateOrder)).toEqual(
    sorted.map(dateOrder),
  );
  expect(msOfOrder(dateOrder('2000-01-01T05:00:00+05:00')!)).toBe(Date.UTC(2000, 0, 1));
  expect([dateOrder('soon'), dateOrder(''), dateOrder(undefined)]).toEqual([undefined, undefined, undefined]);
  expect(
    ['2011', '2011-12-31', '2011-12-31T09:07:50-05:00', '2011-12-31T09:07:50.123Z'].map(dateText),
  ).toEqual([...['2011', '2011-12-31', '2011-12-31 09:07 -05:00', '2011-12-31 09:07 UTC']]);
});

test('texts are found in any case and script, however their letters are composed', () => {
  expect(fold('ÄRGER')).toBe(fold('a\u0308rger'));
  expect(fold('STRASSE')).toBe(fold('straße'));
  expect(fold('ΟΔΟΣ')).toBe(fold('οδος'));
  expect(fold('ДИАГНОЗ')).toBe(fold('диагноз'));
  expect(fold('one\ntwo\u2028three')).toBe('one two three');
});

test('datatypes are read as people read them', () => {
  const exact = (text: string) => readExact(Buffer.from(`{"x":${text}}`))!['x'];
  expect(conceptText(exact('{"coding":[{"code":"1"},{"code":"2","display":"Two"}]}'))).toBe('Two');
  expect(conceptText(exact('{"coding":[{"code":"1"}]}'))).toBe('1');
  const names =
    '[{"use":"old","family":"Old"},{"use":"maiden","family":"M"},{"use":"usual","family":"Doe","given":["Jo","B"]}]';
  expect(nameText(exact(names))).toBe('Doe, Jo B');
  expect(nameText(exact('[{"text":"Dr. Jo Doe"}]'))).toBe('Dr. Jo Doe');
  expect(quantityText(exact('{"value":1.50,"comparator":"<","code":"Cel"}'))).toBe('< 1.50 °C');
  expect(periodText(exact('{"end":"2020"}'))).toBe('until 2020');
  expect(
    contactText(
      exact('[{"system":"phone","value":"1","use":"old"},{"system":"phone","value":"2"}]'),
      'phone',
    ),
  ).toBe('2');
  // Whatever stands where something else was expected.
  for (const odd of ['null', '7', '"x"', '[]', '[null]', '{}', '{"coding":7}', '{"value":{}}']) {
    for (const say of [conceptText, nameText, quantityText, periodText])
      expect(() => say(exact(odd))).not.toThrow();
  }
});

test('CSV is what RFC 4180 says, and no spreadsheet takes a cell for a formula', () => {
  expect(csvLine(['a,b', 'say "x"', 'two\r\nlines', '', 'ü'])).toBe(
    '"a,b","say ""x""","two\r\nlines",,ü\r\n',
  );
  const formulas = ['=1+1', '+cmd', '-2+3', '@SUM(A1)', '\t=1', '\r=1'];
  expect(formulas.map((text) => csvLine([text]).replace(/^"/, '')[0])).toEqual(formulas.map(() => "'"));
  expect(csvLine(['-1.50', '+2', '-1e-7'])).toBe('-1.50,+2,-1e-7\r\n');
});
