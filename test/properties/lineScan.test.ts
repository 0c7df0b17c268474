import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import type { LineKey } from '../../src/ndjson/lineKey.ts';
import { LineScan } from '../../src/ndjson/lineScan.ts';

interface Judged {
  readonly stored: string;
  readonly keys: readonly (LineKey | undefined)[];
  readonly wrong: string | undefined;
}

/** Scans `bytes` in chunks of the sizes given, over and over. */
function judge(bytes: Buffer, sizes: readonly number[], resourceType?: string): Judged {
  const keys: (LineKey | undefined)[] = [];
  const stored: Buffer[] = [];
  const scan = new LineScan({ resourceType, line: (key) => keys.push(key) });
  let wrong: string | undefined;
  try {
    for (let at = 0, n = 0; at < bytes.length; n++) {
      const size = sizes[n % sizes.length]!;
      // Memory that is used again after the call, as a reader of sockets may do.
      const chunk = Buffer.from(bytes.subarray(at, at + size));
      stored.push(...scan.push(chunk).map((span) => Buffer.from(span)));
      chunk.fill(0);
      at += size;
    }
    stored.push(scan.end());
  } catch (error) {
    if (!(error instanceof RoundsError)) throw error;
    wrong = error.message;
  }
  return { stored: wrong ? '' : Buffer.concat(stored).toString('latin1'), keys, wrong };
}

/** What JSON.parse says of one line. */
function isResource(bytes: Buffer): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as { resourceType?: unknown } | null;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    return typeof value.resourceType === 'string' && value.resourceType !== '';
  } catch {
    return false;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
const space = fc.string({ unit: fc.constantFrom(' ', '\r', '\t'), maxLength: 2 });
const json = fc
  .oneof(fc.json({ stringUnit: 'grapheme' }), fc.json({ stringUnit: 'binary' }), fc.json({ maxDepth: 6 }))
  .map((text) => text.replaceAll(/[\n]/g, ''));
const names = fc.constantFrom(
  'resourceType',
  'id',
  'resource\\u0054ype',
  '\\u0069d',
  'x',
  'identifier',
  'meta',
);
const leaf = fc.oneof(
  json,
  fc.constantFrom(
    '"Patient"',
    '"Basic"',
    '"Pat\\u0069ent"',
    '"a"',
    '1',
    '-0.5e+10',
    'true',
    'null',
    '{}',
    '[]',
    '""',
  ),
);
const object = fc
  .array(fc.tuple(space, names, space, space, leaf, space), { maxLength: 6 })
  .map(
    (members) =>
      `{${members.map(([a, name, b, c, value, d]) => `${a}"${name}"${b}:${c}${value}${d}`).join(',')}}`,
  );
const line = fc.oneof({ weight: 4, arbitrary: object }, json);

const runs = { numRuns: 1000 };

describe('a scan of lines', () => {
  it('accepts an object exactly when JSON.parse does and it has a type', () => {
    fc.assert(
      fc.property(line, sizes, (text, chunks) => {
        const bytes = Buffer.from(text);
        fc.pre(bytes.toString('utf8').trim() !== '');
        expect(judge(bytes, chunks).wrong === undefined).toBe(isResource(bytes));
      }),
      runs,
    );
  });

  it('judges bytes that were changed as JSON.parse judges them', () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('replace', 'insert', 'remove'),
      byte: fc.oneof(
        fc.integer({ min: 0, max: 255 }),
        fc.constantFrom(...Buffer.from('"\\{}[],:0-+.eEtnu \t\r/')),
      ),
    });
    fc.assert(
      fc.property(
        object,
        fc.array(change, { minLength: 1, maxLength: 3 }),
        sizes,
        (text, changes, chunks) => {
          const bytes = [...Buffer.from(text)];
          for (const { at, kind, byte } of changes) {
            const added = kind === 'remove' || byte === 10 ? [] : [byte];
            bytes.splice(at % (bytes.length + 1), kind === 'insert' ? 0 : 1, ...added);
          }
          const mutated = Buffer.from(bytes);
          // Blank ones are no lines, and the mark is for files.
          fc.pre(mutated.toString('latin1').trim() !== '' && mutated[0] !== 0xef);
          expect(judge(mutated, chunks).wrong === undefined, mutated.toString('latin1')).toBe(
            isResource(mutated),
          );
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('is the same whatever the chunks are', () => {
    const anyBytes = fc.array(
      fc.oneof(
        { weight: 5, arbitrary: object.map((text) => Buffer.from(text)) },
        {
          weight: 1,
          arbitrary: fc.constantFrom('', '\r', ' ', '{', '\uFEFF', '"').map((text) => Buffer.from(text)),
        },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)) },
      ),
      { maxLength: 8 },
    );
    const ends = fc.constantFrom('\n', '\r\n', '\n\n', '');
    fc.assert(
      fc.property(anyBytes, ends, sizes, sizes, fc.boolean(), (lines, end, one, other, wanted) => {
        const bytes = Buffer.concat(lines.flatMap((text) => [text, Buffer.from(end)]));
        const type = wanted ? 'Patient' : undefined;
        const [first, second] = [judge(bytes, one, type), judge(bytes, other, type)];
        expect({ ...first, wrong: first.wrong?.split(' of ')[0] }).toEqual({
          ...second,
          wrong: second.wrong?.split(' of ')[0],
        });
      }),
      runs,
    );
  });

  it('stores every line, each as it was', () => {
    const resource = object.map((text) => text.replace('{', '{"resourceType":"Patient",').replace(',}', '}'));
    fc.assert(
      fc.property(
        fc.array(resource),
        fc.constantFrom('\n', '\r\n', '\n \r\n'),
        sizes,
        (lines, end, chunks) => {
          const judged = judge(Buffer.from(lines.map((text) => text + end).join('')), chunks);
          // A later member may take the type away again.
          fc.pre(judged.wrong === undefined);
          expect(judged.stored).toBe(
            Buffer.from(lines.map((text) => `${text}\n`).join('')).toString('latin1'),
          );
          expect(judged.keys).toHaveLength(lines.length);
        },
      ),
      runs,
    );
  });

  it('gives equal keys to equal ids and types, as JSON.parse reads them', () => {
    const id = fc.string({ unit: fc.constantFrom('a', 'b', '\\u0061', 'é', '\\u00e9', '\\n'), maxLength: 4 });
    const type = fc.constantFrom('Patient', 'P\\u0061tient', 'Basic');
    const text = fc.tuple(type, id).map(([t, i]) => `{"resourceType":"${t}","id":"${i}"}`);
    fc.assert(
      fc.property(text, text, sizes, sizes, (a, b, one, other) => {
        const same = JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b));
        const [[first], [second]] = [judge(Buffer.from(a), one).keys, judge(Buffer.from(b), other).keys];
        expect(String(first) === String(second)).toBe(same);
      }),
      runs,
    );
  });
});
