import { describe, expect, it } from 'vitest';
import type { LineKey } from '../../src/ndjson/lineKey.ts';
import { LineScan } from '../../src/ndjson/lineScan.ts';
import { MAX_JSON_DEPTH } from '../../src/fhir/jsonBytes.ts';
import { thrown } from '../support/rejection.ts';

interface Scanned {
  readonly stored: string;
  readonly keys: readonly (string | undefined)[];
}

/** Any type will do. */
const ANY = '';

function scan(
  content: string | Buffer,
  resourceType: string | undefined = 'Patient',
  size = 1 << 16,
): Scanned {
  const bytes = Buffer.from(content);
  const keys: (LineKey | undefined)[] = [];
  const lines = new LineScan({
    resourceType: resourceType === ANY ? undefined : resourceType,
    line: (key) => keys.push(key),
  });
  const stored: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) stored.push(...lines.push(bytes.subarray(at, at + size)));
  stored.push(lines.end());
  expect(lines.lines).toBe(keys.length);
  return { stored: Buffer.concat(stored).toString('utf8'), keys: keys.map((key) => key?.join()) };
}

const wrong = (content: string | Buffer, resourceType?: string, size?: number): string => {
  const error = thrown(() => scan(content, resourceType, size));
  expect(error.code).toBe('BULK_FILE_MALFORMED');
  return error.message;
};

const patient = (id: string): string => `{"resourceType":"Patient","id":"${id}"}`;
const keyOf = (line: string): string | undefined => scan(line, ANY).keys[0];

describe('what is stored', () => {
  it('is the chunk itself, in the ordinary case', () => {
    const chunk = Buffer.from(`${patient('a')}\n${patient('b')}\n`);
    const lines = new LineScan({ resourceType: 'Patient', line: () => undefined });
    expect(lines.push(chunk)[0]).toBe(chunk);
    expect(lines.end()).toHaveLength(0);
    expect(lines.lines).toBe(2);
  });

  const [a, b] = [patient('a'), patient('b')];
  it.each([
    ['a byte order mark', `\uFEFF${a}\n${b}\n`, `${a}\n${b}\n`],
    ['CR before LF', `${a}\r\n${b}\r\n`, `${a}\n${b}\n`],
    ['CR without a last LF', `${a}\r\n${b}\r`, `${a}\n${b}\n`],
    ['blank lines', `\n\r\n${a}\n\n \t\n${b}\n\n`, `${a}\n${b}\n`],
    ['white space around an object', ` ${a} \t\n\t${b} `, `${a}\n${b}\n`],
    ['no line feed at the end', `${a}\n${b}`, `${a}\n${b}\n`],
    ['white space within an object', `{ "resourceType"\t:\r"Patient" , "x":[ ] }\n`, undefined],
    ['nothing', '', undefined],
    ['a byte order mark alone', '\uFEFF', ''],
    ['only blank lines', '\r\n\n', ''],
    [
      'U+2028, U+0085 and U+FEFF in a string',
      `{"resourceType":"Patient","x":"\u2028\u0085\uFEFF😀"}\n`,
      undefined,
    ],
    ['numbers as they are written', '{"resourceType":"Patient","x":[1.50,-0,1E+2,10e-07,0.10]}\n', undefined],
  ])('of %s', (_, content, stored = content) => {
    for (const size of [1, 2, 3, 7, 1 << 16]) expect(scan(content, 'Patient', size).stored).toBe(stored);
  });

  it('is a line of many MB, too, in whatever chunks', () => {
    const long = `{"resourceType":"Patient","id":"x","data":"${'QUJD\\n é'.repeat(500_000)}"}\n`;
    expect(scan(long).stored).toBe(long);
    expect(scan(long, 'Patient', 1013).keys).toEqual([keyOf(patient('x'))]);
  });
});

describe('a line that is refused', () => {
  it.each([
    ['not an object', '["x"]\n', 'line 1 of the file is not a JSON object'],
    ['text', `${patient('a')}\n\n<html>\n`, 'line 3 of the file is not a JSON object'],
    ['cut within a string', `${patient('a')}\n{"resourceType":"Pat\n`, 'line 2 of the file is cut off'],
    ['cut between tokens', '{"resourceType":"Patient",\n', 'line 1 of the file is cut off'],
    ['cut within a word', '{"resourceType":"Patient","x":tru\n', 'line 1 of the file is cut off'],
    ['cut within an escape', '{"resourceType":"Patient","x":"\\u00\n', 'line 1 of the file is cut off'],
    ['cut within a number', '{"resourceType":"Patient","x":1.\n', 'line 1 of the file is cut off'],
    ['cut by the end', `${patient('a')}\n{"resourceType":"Patient"`, 'line 2 of the file is cut off'],
    ['two objects', `${patient('a')}${patient('b')}\n`, 'line 1 of the file holds more than one JSON object'],
    [
      'two objects and a CR',
      `${patient('a')}\r${patient('b')}\n`,
      'line 1 of the file holds more than one JSON object',
    ],
    [
      'a second byte order mark',
      `${patient('a')}\n\uFEFF${patient('b')}\n`,
      'line 2 of the file is not a JSON object',
    ],
    ['no type', '{"id":"a"}\n', 'line 1 of the file has no resourceType'],
    ['a type that is no text', '{"resourceType":["Patient"]}\n', 'line 1 of the file has no resourceType'],
    ['another type', '{"resourceType":"Basic"}\n', 'line 1 of the file is a Basic, not what was asked for'],
    [
      'the last of two types',
      '{"resourceType":"Patient","resourceType":"Basic"}',
      'line 1 of the file is a Basic, not what was asked for',
    ],
    [
      'a type nobody knows',
      '{"resourceType":"CANARY"}\n',
      'line 1 of the file is of another type, not what was asked for',
    ],
    [
      'a type too long',
      `{"resourceType":"${'P'.repeat(5000)}"}\n`,
      'line 1 of the file is of another type, not what was asked for',
    ],
  ])('for being %s', (_, content, message) => {
    for (const size of [1, 5, 1 << 16]) expect(wrong(content, 'Patient', size)).toBe(message);
  });

  it('for not being UTF-8, and an earlier line before it', () => {
    for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98], [0xe2, 0x82]]) {
      const line = Buffer.concat([
        Buffer.from('{"resourceType":"Patient","x":"'),
        Buffer.from(bad),
        Buffer.from('"}\n'),
      ]);
      const content = Buffer.concat([
        Buffer.from(`${patient('a')}\n`),
        line,
        Buffer.from(`${patient('b')}\n`),
      ]);
      for (const size of [1, 2, 5, 1 << 16]) {
        expect(wrong(content, 'Patient', size)).toBe('line 2 of the file is not UTF-8');
        expect(wrong(Buffer.concat([Buffer.from('{}\n'), line]), 'Patient', size)).toMatch('line 1');
        expect(wrong(line.subarray(0, -3), 'Patient', size)).toMatch(/is not UTF-8|is cut off/);
      }
    }
  });

  it('for being nested too deep, and none that is nested as deep as allowed', () => {
    const nested = (depth: number) =>
      `{"resourceType":"Patient","x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}\n`;
    expect(scan(nested(MAX_JSON_DEPTH)).keys).toHaveLength(1);
    expect(wrong(nested(MAX_JSON_DEPTH + 1))).toMatch('nested deeper');
    expect(wrong(`{"resourceType":"Patient","x":${'{"a":'.repeat(100_000)}`)).toMatch('nested deeper');
  });

  it('is told of without a word of its own', () => {
    for (const content of [
      'CANARY',
      '{"resourceType":"CANARY"}',
      '{"CANARY":CANARY}',
      '{"CANARY"',
      '{"a":"CANARY\u0001"}',
    ]) {
      expect(wrong(content)).not.toContain('CANARY');
    }
  });
});

describe('a key', () => {
  it('is that of type and id alone, wherever and however they are written', () => {
    const key = keyOf(patient('a1'));
    expect(key).toBeDefined();
    for (const line of [
      '{"id":"a1","resourceType":"Patient"}',
      '{"x":{"id":"b"},"id":"a1","contained":[{"resourceType":"Basic","id":"c"}],"resourceType":"Patient","y":"z"}',
      '{"resourceType":"Patient","id":"b","id":"a1"}',
      '{"resourceType":"Patient","id":7,"id":"a1"}',
      '{"resource\\u0054ype":"P\\u0061tient","\\u0069d":"\\u0061\\u0031"}',
    ]) {
      for (const size of [1, 3, 1 << 16]) expect(scan(line, 'Patient', size).keys).toEqual([key]);
      expect(keyOf(line)).toBe(key);
    }
    expect(keyOf(patient('a2'))).not.toBe(key);
    expect(keyOf('{"resourceType":"Basic","id":"a1"}')).not.toBe(key);
  });

  it('is none where there is no id', () => {
    for (const line of [
      '{"resourceType":"Patient"}',
      '{"resourceType":"Patient","id":7}',
      '{"resourceType":"Patient","id":{"id":"a"}}',
      '{"resourceType":"Patient","id":"a","id":null}',
      '{"resourceType":"Patient","contained":[{"id":"a"}]}',
    ]) {
      expect(scan(line).keys).toEqual([undefined]);
    }
  });

  it('is there for the longest id, and any type where none is asked for', () => {
    const long = patient('a'.repeat(100_000));
    const [key] = scan(long, ANY, 100).keys;
    expect(key).toBe(keyOf(long));
    expect(key).toBeDefined();
    expect(scan(`{"resourceType":"${'T'.repeat(2000)}","id":"a"}`, ANY).keys).toHaveLength(1);
  });

  it('is another one for almost every id', () => {
    const content = Array.from({ length: 50_000 }, (_, n) => patient(n.toString(36))).join('\n');
    expect(new Set(scan(content).keys).size).toBe(50_000);
    const halves = scan(content).keys.map((key) => key!.split(','));
    for (const half of [0, 1]) {
      const low = new Set(halves.map((key) => Number(key[half]) % 16_384));
      // Of 16,384 boxes, 50,000 balls leave a twentieth empty.
      expect(low.size).toBeGreaterThan(15_400);
    }
  });
});

describe('a string', () => {
  /** Every byte that may stand in one as it is, and those that may not. */
  const bytes = Array.from({ length: 128 }, (_, byte) => byte);
  const isPlain = (byte: number): boolean => byte >= 0x20 && byte !== 0x22 && byte !== 0x5c;

  it('may hold what JSON lets it hold, at whatever place of the eight that are looked at together', () => {
    for (const byte of bytes) {
      for (let before = 0; before < 9; before++) {
        for (const neighbour of ['x', ' ', '!', '#', '\u00e9', '\u{1f600}']) {
          const inner = `${neighbour.repeat(before)}${String.fromCharCode(byte)}${neighbour.repeat(9)}`;
          const line = `{"resourceType":"Patient","text":"${inner}"}\n`;
          if (isPlain(byte)) expect(scan(line).stored).toBe(line);
          else wrong(line);
        }
      }
    }
  });
});
