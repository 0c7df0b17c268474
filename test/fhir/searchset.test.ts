import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { isResourceId, readResource, readSearchset } from '../../src/fhir/searchset.ts';
import { randomFrom, randomSearchset, readByOracle } from './oracle.ts';
import { sampleFolder, sampleSearchsets } from './sampleData.ts';

const bundle = (entries: string, more = ''): Buffer =>
  Buffer.from(`{"resourceType":"Bundle","type":"searchset"${more},"entry":[${entries}]}`);
const patient = '{"resourceType":"Patient","id":"p1"}';
const linesOf = (body: Buffer): string[] =>
  readSearchset(body).entries.map((entry) => entry.bytes.toString());
const errorOf = (act: () => unknown): RoundsError => {
  try {
    act();
  } catch (error) {
    if (error instanceof RoundsError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('exact bytes', () => {
  it('keeps what JSON.parse would change', () => {
    const resource =
      '{"resourceType":"Observation","id":"o1","2":0,"1":1.50,"v":[-0,1E+2,12345678901234567890,"\\/","\\u00fc","\u2028"]}';
    expect(linesOf(bundle(`{"resource":${resource}}`))).toEqual([resource]);
  });

  it('takes white space between tokens away and leaves it inside strings', () => {
    const page = bundle(
      '\n { "resource" :\n {\n "resourceType": "Patient",\r\n\t"id": "p1", "name": "A  B" } }\n',
    );
    expect(linesOf(page)).toEqual(['{"resourceType":"Patient","id":"p1","name":"A  B"}']);
  });

  it('sees white space however deep it is', () => {
    const deep = '{"resourceType":"Patient","id":"p1","name":[{"given":["A" ]}]}';
    expect(linesOf(bundle(`{"resource":${deep}}`))).toEqual([deep.replace('"A" ', '"A"')]);
  });

  it('is not confused by entries inside strings, contained resources and extensions', () => {
    const decoy = '"entry":[{"resource":{"resourceType":"Patient","id":"decoy"}}]';
    const inString = JSON.stringify(`{${decoy}}`);
    const resource = `{"resourceType":"Observation","text":${inString},"contained":[{${decoy}}],"id":"o1","extension":{${decoy}}}`;
    const page = Buffer.from(
      `{"meta":{${decoy}},"link":[],"resourceType":"Bundle","type":"searchset","entry":[{"extension":[{${decoy}}],"resource":${resource},"response":{${decoy}}}],"x":{${decoy}}}`,
    );
    expect(linesOf(page)).toEqual([resource]);
  });

  it('takes the last of equal keys, as JSON.parse does, and decodes escaped keys', () => {
    const page = Buffer.from(
      `{"entry":[{"resource":{}}],"resourceType":"Bundle","type":"searchset","\\u0065ntry":[{"resource":7,"resourc\\u0065":{"id":"x","\\u0069d":"p1","resourceType":"No","resourceType":"Patient"}}]}`,
    );
    const [entry] = readSearchset(page).entries;
    expect(entry).toMatchObject({ resourceType: 'Patient', resourceId: 'p1', mode: 'match' });
    expect(entry?.bytes.toString()).toBe(
      '{"id":"x","\\u0069d":"p1","resourceType":"No","resourceType":"Patient"}',
    );
  });

  it('keeps a page in memory for its resources alone', () => {
    const padded = (padding: number): Buffer =>
      Buffer.from(`{"x":"${'x'.repeat(padding)}",${bundle(`{"resource":${patient}}`).toString().slice(1)}`);
    const [ofLarge] = readSearchset(padded(1_000_000)).entries;
    expect(ofLarge?.bytes.toString()).toBe(patient);
    expect(ofLarge?.bytes.buffer.byteLength).toBeLessThan(100_000);
    const long = `{"resourceType":"Patient","id":"p1","x":"${'x'.repeat(1_000_000)}"}`;
    const page = bundle(`{"resource":${long}},{"resource":${long}}`);
    expect(readSearchset(page).entries.map(({ bytes }) => bytes.toString())).toEqual([long, long]);
    expect(readSearchset(page).entries[1]?.bytes.buffer).toBe(page.buffer);
  });

  it('agrees with a plain tokenizer on random searchsets', () => {
    const random = randomFrom(20_261_122);
    let resources = 0;
    for (let n = 0; n < 600; n++) {
      const text = randomSearchset(random);
      const expected = readByOracle(text).resources;
      const { entries } = readSearchset(Buffer.from(text));
      expect(entries.map((entry) => entry.bytes.toString())).toEqual(expected);
      entries.forEach((entry) => {
        const { resourceType, id } = JSON.parse(entry.bytes.toString()) as Record<string, string>;
        expect([entry.resourceType, entry.resourceId]).toEqual([resourceType, id]);
        expect(entry.bytes.includes(0x0a)).toBe(false);
      });
      resources += entries.length;
    }
    expect(resources).toBeGreaterThan(1000);
  });

  describe.runIf(sampleFolder !== undefined)('of the sample patients', () => {
    it('are those that a plain tokenizer finds', () => {
      let resources = 0;
      for (const text of sampleSearchsets(sampleFolder!)) {
        const expected = readByOracle(text).resources;
        const found = linesOf(Buffer.from(text));
        // Compared one by one: a diff of megabytes helps nobody.
        expect(found.length).toBe(expected.length);
        expect(found.findIndex((line, index) => line !== expected[index])).toBe(-1);
        resources += found.length;
      }
      expect(resources).toBeGreaterThan(8_000);
    });
  });
});

describe('readSearchset', () => {
  it('reads modes, next, total and outcomes', () => {
    const outcome =
      '{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"suppressed","details":{"coding":[{"system":"urn:oid:1.2.3","code":"4119"}]},"diagnostics":"x"}]}';
    const page = readSearchset(
      bundle(
        `{"resource":${patient},"search":{"mode":"match"}},{"resource":{"resourceType":"Practitioner","id":"d"},"search":{"mode":"include"}},{"resource":${outcome},"search":{"mode":"outcome"}},{"resource":${outcome}}`,
        ',"total":2,"link":[{"relation":"self","url":"s"},{"relation":"next","url":"https://h/R4?sessionID=1%2B2"}]',
      ),
    );
    expect(page.entries.map((entry) => [entry.mode, entry.resourceType, entry.resourceId])).toEqual([
      ['match', 'Patient', 'p1'],
      ['include', 'Practitioner', 'd'],
    ]);
    expect(page.next).toBe('https://h/R4?sessionID=1%2B2');
    expect(page.total).toBe(2);
    expect(page.outcomes.map((issue) => issue.codes)).toEqual([['4119'], ['4119']]);
  });

  it('takes a page without entries, links and total', () => {
    const page = readSearchset(Buffer.from('\ufeff{"resourceType":"Bundle","type":"searchset"}'));
    expect(page).toEqual({ entries: [], next: undefined, total: undefined, outcomes: [] });
  });

  it('takes ids over 64 characters', () => {
    const long = 'e'.repeat(255);
    expect(
      readSearchset(bundle(`{"resource":{"resourceType":"Patient","id":"${long}"}}`)).entries[0]?.resourceId,
    ).toBe(long);
    expect(isResourceId('e'.repeat(256))).toBe(false);
  });

  it.each([
    ['an array', '[]'],
    ['a string', '"Bundle"'],
    ['null', 'null'],
    ['a resource', patient],
    ['a batch-response', '{"resourceType":"Bundle","type":"batch-response","entry":[]}'],
    ['a Bundle without type', '{"resourceType":"Bundle","entry":[]}'],
    ['entry null', '{"resourceType":"Bundle","type":"searchset","entry":null}'],
    ['entry an object', '{"resourceType":"Bundle","type":"searchset","entry":{}}'],
    ['links an object', '{"resourceType":"Bundle","type":"searchset","link":{}}'],
    ['next without URL', '{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next"}]}'],
    [
      'next that is empty',
      '{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":""}]}',
    ],
    [
      'two next links',
      '{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"a"},{"relation":"next","url":"b"}]}',
    ],
    ['an entry null', bundle('null').toString()],
    ['an entry without resource', bundle('{"fullUrl":"x"}').toString()],
    ['a resource null', bundle('{"resource":null}').toString()],
    ['a resource array', bundle('{"resource":[]}').toString()],
    ['a resource without type', bundle('{"resource":{"id":"1"}}').toString()],
    ['a type with a slash', bundle('{"resource":{"resourceType":"../X","id":"1"}}').toString()],
    ['a resource without id', bundle('{"resource":{"resourceType":"Patient"}}').toString()],
    ['a number for id', bundle('{"resource":{"resourceType":"Patient","id":1}}').toString()],
    ['an id with a slash', bundle('{"resource":{"resourceType":"Patient","id":"a/b"}}').toString()],
    ['an id with a newline', bundle('{"resource":{"resourceType":"Patient","id":"a\\n"}}').toString()],
    ['an empty id', bundle('{"resource":{"resourceType":"Patient","id":""}}').toString()],
    ['an unknown mode', bundle(`{"resource":${patient},"search":{"mode":"maybe"}}`).toString()],
    ['a patient marked as outcome', bundle(`{"resource":${patient},"search":{"mode":"outcome"}}`).toString()],
    [
      'nesting over 200',
      bundle(
        `{"resource":{"resourceType":"Patient","id":"1","x":${'['.repeat(197)}${']'.repeat(197)}}}`,
      ).toString(),
    ],
    ['nesting of a million', bundle(`{"x":${'['.repeat(1e6)}${']'.repeat(1e6)}}`).toString()],
  ])('says FHIR_MALFORMED of %s', (_what, text) => {
    expect(errorOf(() => readSearchset(Buffer.from(text))).code).toBe('FHIR_MALFORMED');
  });

  it('takes nesting of 200', () => {
    const nested = `{"resource":{"resourceType":"Patient","id":"1","x":${'['.repeat(196)}${']'.repeat(196)}}}`;
    expect(readSearchset(bundle(nested)).entries).toHaveLength(1);
  });

  it('throws what a lone OperationOutcome stands for, but takes "none found" for an empty page', () => {
    const lone = (severity: string, code: string): Buffer =>
      Buffer.from(
        `{"resourceType":"OperationOutcome","issue":[{"severity":"${severity}","code":"processing","details":{"coding":[{"code":"${code}"}]}}]}`,
      );
    expect(readSearchset(lone('warning', '4101'))).toMatchObject({ entries: [], next: undefined, total: 0 });
    expect(errorOf(() => readSearchset(lone('fatal', '59108')))).toMatchObject({
      code: 'FHIR_PARAMETER_REFUSED',
      epicCode: '59108',
    });
    expect(errorOf(() => readSearchset(lone('fatal', '4113'))).code).toBe('FHIR_PAGING_EXPIRED');
    expect(errorOf(() => readSearchset(lone('information', '1'))).code).toBe('FHIR_OUTCOME');
    expect(errorOf(() => readResource(lone('fatal', '4118'))).code).toBe('FHIR_ACCESS_DENIED');
  });
});

describe('readResource', () => {
  it('reads a single resource exactly', () => {
    const body = Buffer.from('\ufeff { "id" : "b1" ,\n"resourceType" : "Binary", "x": 1.50 }\n');
    expect(readResource(body)).toMatchObject({ resourceType: 'Binary', resourceId: 'b1' });
    expect(readResource(body).bytes.toString()).toBe('{"id":"b1","resourceType":"Binary","x":1.50}');
  });

  it('takes a resource that has entries of its own', () => {
    const list = '{"entry":[{"item":{"reference":"Condition/c"}}],"resourceType":"List","id":"l"}';
    expect(readResource(Buffer.from(list)).named).toEqual([{ text: 'Condition/c', as: 'reference' }]);
  });

  it.each([
    ['an array', '[]', 'FHIR_MALFORMED'],
    ['a searchset', bundle('').toString(), 'FHIR_MALFORMED'],
    ['a resource without id', '{"resourceType":"Patient"}', 'FHIR_MALFORMED'],
    ['something behind it', `${patient} {}`, 'FHIR_NOT_JSON'],
    ['a cut one', patient.slice(0, -1), 'FHIR_NOT_JSON'],
    ['an outcome without issues', '{"resourceType":"OperationOutcome"}', 'FHIR_OUTCOME'],
  ])('of %s says so', (_what, text, code) => {
    expect(errorOf(() => readResource(Buffer.from(text))).code).toBe(code);
  });
});
