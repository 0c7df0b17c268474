import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { referenceReader } from '../../src/fhir/references.ts';
import { readResource, readSearchset } from '../../src/fhir/searchset.ts';
import { compactOf } from '../fhir/compactOf.ts';

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
        const cut = compactOf(Buffer.from(around + loose + around)).toString('utf8');
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
        const { entries: found } = readSearchset(Buffer.from(page));
        expect(found.map(({ bytes }) => bytes.toString('utf8'))).toEqual(list.map(({ compact }) => compact));
        expect(found.map(({ resourceId }) => resourceId)).toEqual(list.map((_, n) => `r${n}`));
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
        expect(() => readResource(cut)).toThrow(/JSON|UTF-8|empty/);
      }),
    );
  });

  it('are taken exactly where JSON.parse takes them, whatever was done to the text', () => {
    const damage = fc.tuple(
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.constantFrom(
        '',
        ',',
        ':',
        '"',
        '\\',
        '{',
        '}',
        '[',
        ']',
        '0',
        '-',
        '.',
        'e',
        't',
        ' ',
        '\n',
        '\u0001',
        'é',
      ),
      fc.nat(2),
    );
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(value, fc.array(damage, { minLength: 1, maxLength: 3 }), ({ loose }, damages) => {
        let text = loose;
        for (const [at, put, out] of damages) {
          const from = Math.floor(at * text.length);
          text = text.slice(0, from) + put + text.slice(from + out);
        }
        // Half a surrogate pair is no text that can be sent.
        if (text === '' || Buffer.from(text).toString() !== text) return;
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        let error: unknown;
        try {
          compactOf(Buffer.from(text));
        } catch (thrown) {
          error = thrown;
        }
        if (isJson) {
          taken++;
          expect(error).toBeUndefined();
        } else {
          refused++;
          expect(error instanceof RoundsError && error.code).toBe('FHIR_NOT_JSON');
        }
      }),
      { numRuns: 5_000 },
    );
    expect(taken).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(1_000);
  });
});

/** By objects, as against by bytes: every `reference` member's string, wherever it is. */
function referencesByObjects(node: unknown): readonly string[] {
  if (Array.isArray(node)) return node.flatMap(referencesByObjects);
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, item]) => [
    ...(key === 'reference' && typeof item === 'string' ? [item] : []),
    ...referencesByObjects(item),
  ]);
}

describe('the records that a resource names', () => {
  it('are those that a walk over its objects finds', () => {
    const target = fc.constantFrom(
      'Patient/p',
      'Practitioner/d',
      '#c',
      'urn:uuid:x',
      'Practitioner?a=b',
      'Location/l.1',
    );
    const tree = fc.letrec<{ node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(1.5, null, true, 'text'),
        fc.record({ reference: fc.oneof(target, tie('node')), display: fc.string() }),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('subject', 'a', 'url', 'participant', 'actor', 'x"y'), tie('node'), {
          maxKeys: 3,
        }),
      ),
    })).node;
    fc.assert(
      fc.property(tree, fc.constantFrom(undefined, 1, '\t'), (node, indent) => {
        const resource = { resourceType: 'Basic', id: 'b', x: node };
        const read = readResource(Buffer.from(JSON.stringify(resource, undefined, indent)));
        const { patients, others } = referenceReader('https://fhir.example')(read);
        const named = referencesByObjects(resource).filter((text) => /^[A-Z][a-z]+\/[a-z]/.test(text));
        expect([...patients, ...others.map((one) => `${one.resourceType}/${one.resourceId}`)].length).toBe(
          new Set(named.filter((text) => text.startsWith('Patient/'))).size +
            named.filter((text) => !text.startsWith('Patient/')).length,
        );
      }),
    );
  });
});
