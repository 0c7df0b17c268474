import { describe, expect, it } from 'vitest';
import { endOfString, endOfValue, scanOf, stringAt } from '../../src/fhir/jsonScan.ts';
import { compactOf } from './compactOf.ts';
import { codeOf, NOT_JSON } from './notJson.ts';
import { randomFrom, randomSearchset, readByOracle } from './oracle.ts';

describe('copyCompact', () => {
  it('leaves every byte of every token as it is', () => {
    const text =
      ' { "a b" : [ 1.50 , -0 , 1E+2 , 12345678901234567890 , "x\\" y\\\\" , null ] ,\r\n\t"\u2028" : "\\/" } \n';
    const expected = '{"a b":[1.50,-0,1E+2,12345678901234567890,"x\\" y\\\\",null],"\u2028":"\\/"}';
    expect(compactOf(Buffer.from(text)).toString()).toBe(expected);
  });

  it('agrees with a plain tokenizer on random texts', () => {
    const random = randomFrom(7);
    for (let n = 0; n < 300; n++) {
      const text = randomSearchset(random);
      expect(compactOf(Buffer.from(text)).toString()).toBe(readByOracle(text).compact);
    }
  });

  it('drops a byte order mark', () => {
    expect(compactOf(Buffer.from('\ufeff{ "a":1}')).toString()).toBe('{"a":1}');
  });
});

describe('endOfString', () => {
  it('finds the end whatever the length and the escapes before the quote', () => {
    for (let length = 0; length < 80; length++) {
      for (let slashes = 0; slashes < 6; slashes++) {
        const inner = 'x'.repeat(length) + '\\\\'.repeat(slashes);
        for (const string of [`"${inner}"`, `"${inner}\\""`, `"\\"${inner}"`]) {
          expect(endOfString(scanOf(Buffer.from(`${string}:"rest"`)), 0)).toBe(string.length);
        }
      }
    }
  });

  it('takes linear time on a string of backslashes', () => {
    const string = `"${'\\\\'.repeat(2_000_000)}\\""`;
    expect(endOfString(scanOf(Buffer.from(string + ',')), 0)).toBe(string.length);
  });

  it('fails where there is no end', () => {
    expect(codeOf(() => endOfString(scanOf(Buffer.from('"abc')), 0))).toBe('FHIR_NOT_JSON');
  });
});

describe('endOfValue', () => {
  it.each([
    ['1.50,', 4],
    ['true}', 4],
    ['null ]', 4],
    ['"a\\"b",', 6],
    ['{"a":[{}]},', 10],
    ['[[],[{}]] ', 9],
  ])('stops behind the value of %s', (text, end) => {
    expect(endOfValue(scanOf(Buffer.from(text)), 0, 0)).toBe(end);
  });

  it('refuses nesting over 200, however deep', () => {
    const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
    expect(codeOf(() => endOfValue(scanOf(nested(200)), 0, 0))).toBe('nothing thrown');
    expect(codeOf(() => endOfValue(scanOf(nested(200)), 0, 1))).toBe('FHIR_MALFORMED');
    expect(codeOf(() => endOfValue(scanOf(nested(1_000_000)), 0, 0))).toBe('FHIR_MALFORMED');
  });
});

describe('a walk over a whole text', () => {
  it.each(NOT_JSON)('says FHIR_NOT_JSON of %s', (_what, body) => {
    expect(codeOf(() => compactOf(body))).toBe('FHIR_NOT_JSON');
  });

  it.each(['0', '-1.5e+7', 'true', '"a"', ' [] ', '{}', '\n{"a":[null,false,{}]}\t'])('takes %s', (text) => {
    expect(compactOf(Buffer.from(text)).toString()).toBe(text.trim());
  });
});

it('stringAt decodes escapes, and takes nothing but strings', () => {
  const scan = scanOf(Buffer.from('"r\\u0065source", "plain", 12'));
  expect(stringAt(scan, 0, 15)).toBe('resource');
  expect(stringAt(scan, 17, 24)).toBe('plain');
  expect(stringAt(scan, 26, 28)).toBeUndefined();
});
