import { describe, expect, it } from 'vitest';
import { compactJson, styledJson } from '../../src/sandbox/jsonText.ts';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import {
  collected,
  compacted,
  getFhir,
  nextOf,
  resourceTexts,
  rsaKey,
  sha256,
  tokenFor,
} from './support/client.ts';

describe('JSON as text', () => {
  const hard =
    '{"a":[],"b":{},"n":[1.50,-0,1E+2,12345678901234567890],"s":"\\"}{,: \\\\","t":"a\\u2028 \u2028\\/","10":1,"9":{"x":[{}]}}';

  it('loses no byte between pretty and compact', () => {
    for (const style of ['pretty', 'odd', 'compact'] as const) {
      const styled = styledJson(Buffer.from(hard), style);
      expect(JSON.parse(styled.toString())).toEqual(JSON.parse(hard));
      expect(compactJson(styled).toString()).toBe(hard);
    }
    expect(styledJson(Buffer.from(hard), 'odd').toString()).toMatch(/^\n/);
  });
});

describe('what the server sends', () => {
  const everything = async (path: string, seed = 1) => {
    const sandbox = await startSandbox({ smtp: false, seed });
    try {
      const token = await tokenFor(sandbox, rsaKey());
      const texts: string[] = [];
      for (let ordinal = 0; ordinal < 7; ordinal += 1) {
        let next: string | undefined = `${path}&patient=${sandbox.patientIdAt(ordinal) ?? ''}`;
        while (next !== undefined) {
          const page = await getFhir(sandbox, token, next);
          texts.push(...resourceTexts(page.text));
          next = nextOf(page.json);
        }
      }
      return {
        texts,
        oracle: await collected(sandbox.oracle([{ resource: 'Observation', query: 'category=laboratory' }])),
      };
    } finally {
      await sandbox.close();
    }
  };

  it('is the same text whatever the page layout, as the oracle hashes it, on every start', async () => {
    const first = await everything('Observation?category=laboratory&_count=9');
    const second = await everything('Observation?category=laboratory&_count=100');
    expect(second.texts).toEqual(first.texts);
    const served = first.texts.map((text) => `${sha256(text)} ${Buffer.byteLength(text)}`).sort();
    expect(first.oracle.map((line) => `${line.sha256} ${line.bytes}`).sort()).toEqual(served);
    expect(second.oracle).toEqual(first.oracle);

    const all = first.texts.join('\n');
    for (const trap of [
      '1.50',
      '1E+2',
      '-0,',
      '12345678901234567890',
      '"10":"ten","9":"nine"',
      '\\/',
      '\u2028',
      '\\u2028',
      '\u{1F600}',
      '\\"resource\\":{',
      '\\\\"',
      '"contained":[',
    ]) {
      expect(all, trap).toContain(trap);
    }
    // Some texts come back different from a parser: that is what makes them worth serving.
    const changed = first.texts.filter((text) => JSON.stringify(JSON.parse(text)) !== text);
    expect(changed.length).toBeGreaterThan(first.texts.length / 4);
    const other = await everything('Observation?category=laboratory&_count=100', 2);
    expect(other.texts).not.toEqual(first.texts);
  });

  it('reads one resource with the same bytes as a search', async () => {
    const sandbox = await startSandbox({ smtp: false });
    try {
      const token = await tokenFor(sandbox, rsaKey());
      const page = await getFhir(sandbox, token, `Condition?patient=${sandbox.patientIdAt(1) ?? ''}`);
      const texts = resourceTexts(page.text);
      expect(texts.length).toBeGreaterThan(0);
      for (const text of texts) {
        const { id, resourceType } = JSON.parse(text) as { id?: string; resourceType: string };
        if (id === undefined) continue;
        const read = await getFhir(sandbox, token, `${resourceType}/${id}`);
        expect(compacted(read.text)).toBe(text);
      }
    } finally {
      await sandbox.close();
    }
  });
});
