import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import {
  compactJson,
  cursorOf,
  endOfString,
  parseJson,
  skipValue,
  stringAt,
} from '../../src/fhir/jsonBytes.ts';
import { randomFrom, randomSearchset, readByOracle } from './oracle.ts';

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof RoundsError ? error.code : String(error);
  }
  return 'nothing thrown';
};

describe('compactJson', () => {
  it('leaves every byte of every token as it is', () => {
    const text =
      ' { "a b" : [ 1.50 , -0 , 1E+2 , 12345678901234567890 , "x\\" y\\\\" , null ] ,\r\n\t"\u2028" : "\\/" } \n';
    const expected = '{"a b":[1.50,-0,1E+2,12345678901234567890,"x\\" y\\\\",null],"\u2028":"\\/"}';
    expect(compactJson(Buffer.from(text)).toString()).toBe(expected);
  });

  it('agrees with a plain tokenizer on random texts', () => {
    const random = randomFrom(7);
    for (let n = 0; n < 300; n++) {
      const text = randomSearchset(random);
      expect(compactJson(Buffer.from(text)).toString()).toBe(readByOracle(text).compact);
    }
  });

  it('is its own inverse of nothing: compact text stays the same, in memory of its own', () => {
    const compact = Buffer.from('{"a":[1,2,{"b":"c d"}]}');
    const again = compactJson(compact);
    expect(again.equals(compact)).toBe(true);
    compact.fill(0);
    expect(again.toString()).toBe('{"a":[1,2,{"b":"c d"}]}');
  });

  it('drops a byte order mark', () => {
    expect(compactJson(Buffer.from('\ufeff{ "a":1}')).toString()).toBe('{"a":1}');
  });
});

describe('endOfString', () => {
  it('finds the end whatever the length and the escapes before the quote', () => {
    for (let length = 0; length < 80; length++) {
      for (let slashes = 0; slashes < 6; slashes++) {
        const inner = 'x'.repeat(length) + '\\\\'.repeat(slashes);
        for (const string of [`"${inner}"`, `"${inner}\\""`, `"\\"${inner}"`]) {
          expect(endOfString(Buffer.from(`${string}:"rest"`), 0)).toBe(string.length);
        }
      }
    }
  });

  it('takes linear time on a string of backslashes', () => {
    const string = `"${'\\\\'.repeat(2_000_000)}\\""`;
    expect(endOfString(Buffer.from(string + ','), 0)).toBe(string.length);
  });

  it('fails where there is no end', () => {
    expect(codeOf(() => endOfString(Buffer.from('"abc'), 0))).toBe('FHIR_MALFORMED');
  });
});

describe('skipValue', () => {
  it.each([
    ['1.50,', 4],
    ['true}', 4],
    ['null ]', 4],
    ['"a\\"b",', 6],
    ['{"a":[{}]},', 10],
    ['[[],[{}]] ', 9],
  ])('stops behind the value of %s', (text, end) => {
    const cursor = cursorOf(Buffer.from(text));
    skipValue(cursor, 0);
    expect(cursor.at).toBe(end);
  });

  it('refuses nesting over 200, however deep, without recursion', () => {
    const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
    expect(codeOf(() => skipValue(cursorOf(nested(200)), 0))).toBe('nothing thrown');
    expect(codeOf(() => skipValue(cursorOf(nested(200)), 1))).toBe('FHIR_MALFORMED');
    expect(codeOf(() => skipValue(cursorOf(nested(1_000_000)), 0))).toBe('FHIR_MALFORMED');
  });
});

describe('parseJson', () => {
  it.each([
    ['an empty body', Buffer.alloc(0)],
    ['only a byte order mark', Buffer.from('\ufeff')],
    ['HTML', Buffer.from('<!doctype html><title>Sign in</title>')],
    ['text', Buffer.from('Service Unavailable')],
    ['JSON that is cut', Buffer.from('{"resourceType":"Bundle","entry":[')],
    ['a newline inside a string', Buffer.from('{"a":"b\nc"}')],
    ['a carriage return inside a string', Buffer.from('{"a":"b\rc"}')],
    ['a trailing comma', Buffer.from('{"a":1,}')],
    ['a second value', Buffer.from('{}{}')],
    ['Latin-1', Buffer.from('{"a":"\u00fc"}', 'latin1')],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le')],
    ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a raw surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ])('says FHIR_NOT_JSON of %s', (_what, body) => {
    expect(codeOf(() => parseJson(body))).toBe('FHIR_NOT_JSON');
  });

  it('quotes nothing of the text, which may be PHI', () => {
    try {
      parseJson(Buffer.from('{"family": Lopez}'));
      expect.unreachable();
    } catch (error) {
      expect(String((error as Error).stack)).not.toContain('Lopez');
      expect((error as Error).cause).toBeUndefined();
    }
  });

  it('reads over a byte order mark', () => {
    expect(parseJson(Buffer.from('\ufeff{"a":1}'))).toEqual({ a: 1 });
  });
});

it('stringAt decodes escapes', () => {
  const bytes = Buffer.from('"r\\u0065source", "plain"');
  expect(stringAt(bytes, 0, 15)).toBe('resource');
  expect(stringAt(bytes, 17, 24)).toBe('plain');
});
