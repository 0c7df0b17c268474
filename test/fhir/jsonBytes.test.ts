import { describe, expect, it } from 'vitest';
import { parseJson } from '../../src/fhir/jsonBytes.ts';
import { codeOf, NOT_JSON } from './notJson.ts';

describe('parseJson', () => {
  it.each(NOT_JSON)('says FHIR_NOT_JSON of %s', (_what, body) => {
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
