import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compactJson } from '../../src/fhir/jsonBytes.ts';
import { readAnswer, readResource } from '../../src/fhir/searchset.ts';

/** JSON texts: every value with the freedom that the grammar leaves, and beside it its form without white space. */
interface Text {
  readonly loose: string;
  readonly compact: string;
}

const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t'), maxLength: 3 });
const character = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 1 })
      .map((c) => JSON.stringify(c).slice(1, -1)),
  },
  fc.constantFrom(
    '\\"',
    '\\\\',
    '\\/',
    '\\n',
    '\\u00e9',
    '\\uD83D\\uDE00',
    '\\ud800',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '\\u2028',
    '\u2028',
    '李',
    '😀',
  ),
);
const stringText = fc.array(character, { maxLength: 45 }).map((parts) => `"${parts.join('')}"`);
const numberText = fc.oneof(
  fc.constantFrom('1.50', '-0', '1E+2', '12345678901234567890', '0.10', '1e-7'),
  fc.integer().map(String),
);
const plain = (text: string): Text => ({ loose: text, compact: text });
const leaf = fc.oneof(stringText, numberText, fc.constantFrom('true', 'false', 'null')).map(plain);

function sequence(open: string, close: string, items: readonly (readonly [string, Text, string])[]): Text {
  return {
    loose: `${open}${items.map(([before, item, after]) => before + item.loose + after).join(',')}${close}`,
    compact: `${open}${items.map(([, item]) => item.compact).join(',')}${close}`,
  };
}

const value = fc.letrec<{ value: Text }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc
      .array(fc.tuple(space, tie('value'), space), { maxLength: 4 })
      .map((items) => sequence('[', ']', items)),
    fc
      .array(fc.tuple(space, stringText, space, space, tie('value'), space), { maxLength: 4 })
      .map((members) =>
        sequence(
          '{',
          '}',
          members.map(([before, key, afterKey, beforeValue, { loose, compact }, after]) => [
            before,
            { loose: `${key}${afterKey}:${beforeValue}${loose}`, compact: `${key}:${compact}` },
            after,
          ]),
        ),
      ),
  ),
})).value;

const resources = fc.array(fc.tuple(space, value, space), { maxLength: 6 }).map((values) =>
  values.map(([before, { loose, compact }, after], n) => ({
    loose: `${before}{${after}"resourceType":"Basic"${before},"id"${after}:"r${n}","x":${before}${loose}${after}}${before}`,
    compact: `{"resourceType":"Basic","id":"r${n}","x":${compact}}`,
  })),
);

describe('the bytes of resources', () => {
  it('lose the white space between tokens and nothing else', () => {
    fc.assert(
      fc.property(value, space, ({ loose, compact }, around) => {
        const cut = compactJson(Buffer.from(around + loose + around)).toString('utf8');
        expect(cut).toBe(compact);
        expect(JSON.parse(cut)).toEqual(JSON.parse(loose));
      }),
    );
  });

  it('are cut out of any page as they stand there, each as a plain parser finds it', () => {
    fc.assert(
      fc.property(resources, value, space, (list, noise, around) => {
        const entries = list.map(({ loose }) => `{"x":${noise.loose},"resource":${around}${loose}}`);
        const page = `${around}{"resourceType":"Bundle","type":"searchset",${around}"extra":${noise.loose},"entry":[${around}${entries.join(',')}]}`;
        const answer = readAnswer(Buffer.from(page));
        if (answer.kind !== 'searchset') throw new Error('no page');
        expect(answer.page.entries.map(({ bytes }) => bytes.toString('utf8'))).toEqual(
          list.map(({ compact }) => compact),
        );
        const oracle = JSON.parse(page) as { entry: { resource: unknown }[] };
        expect(answer.page.entries.map(({ resource }) => resource)).toEqual(
          oracle.entry.map(({ resource }) => resource),
        );
      }),
    );
  });

  it('are those of a read, too', () => {
    fc.assert(
      fc.property(resources, (list) => {
        for (const { loose, compact } of list) {
          expect(readResource(Buffer.from(loose)).bytes.toString('utf8')).toBe(compact);
        }
      }),
    );
  });

  it('of a body that was cut anywhere are never taken', () => {
    fc.assert(
      fc.property(value, fc.double({ min: 0, max: 1, noNaN: true }), ({ loose }, at) => {
        const whole = Buffer.from(`{"resourceType":"Basic","id":"r","x":${loose}}`);
        const cut = whole.subarray(0, Math.floor(at * (whole.length - 1)));
        expect(() => readAnswer(cut)).toThrow(/JSON|UTF-8|empty/);
      }),
    );
  });
});
