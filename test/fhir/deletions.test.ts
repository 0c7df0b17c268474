import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { deletionsIn } from '../../src/fhir/deletions.ts';
import { thrown } from '../support/rejection.ts';

const line = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const request = (url: unknown, method: unknown = 'DELETE') => ({ request: { method, url } });
const bundle = (...entry: unknown[]) => ({ resourceType: 'Bundle', type: 'transaction', entry });
const LONG_ID = `e${'x.y_z-'.repeat(20)}3`;

describe('deletionsIn', () => {
  it('names the records of the standard’s own example, and of several entries in order', () => {
    const example = {
      resourceType: 'Bundle',
      id: 'bundle-transaction',
      meta: { lastUpdated: '2020-04-27T02:56:00Z' },
      type: 'transaction',
      entry: [{ request: { method: 'DELETE', url: 'Patient/123' } }],
    };
    expect(deletionsIn(line(example))).toEqual([{ resourceType: 'Patient', resourceId: '123' }]);
    const several = bundle(request(`Observation/${LONG_ID}`), { fullUrl: 'urn:x', ...request('Patient/1') });
    expect(deletionsIn(line(several))).toEqual([
      { resourceType: 'Observation', resourceId: LONG_ID },
      { resourceType: 'Patient', resourceId: '1' },
    ]);
    expect(deletionsIn(line({ ...several, entry: undefined }))).toEqual([]);
    expect(deletionsIn(line({ ...several, entry: [] }))).toEqual([]);
  });

  it.each([
    ['', '{', 'null', '[]', '1', '<Bundle/>'],
    [
      ...[
        {},
        { resourceType: 'Patient', id: '1' },
        { ...bundle(), type: 'batch' },
        { ...bundle(), type: ['transaction'] },
      ],
      ...[
        { ...bundle(), entry: {} },
        { ...bundle(), entry: 'x' },
      ],
    ].map((value) => JSON.stringify(value)),
    [
      ...[null, 1, [], {}, { request: null }, { request: [] }, { method: 'DELETE', url: 'Patient/1' }],
      ...[request('Patient/1', 'PUT'), request('Patient/1', 'delete'), request('Patient/1', ['DELETE'])],
    ].map((entry) => JSON.stringify(bundle(request('Patient/1'), entry))),
    [
      ...[
        '',
        'Patient',
        'Patient/',
        '/Patient/1',
        'Patient/..',
        'Patient/.',
        'Patient/1/_history/2',
        'patient/1',
      ],
      ...[
        'Patient?identifier=1',
        'https://x.example/Patient/1',
        'Patient/1/../2',
        'Patient/a b',
        'Patient/1\n',
        1,
        null,
      ],
      `Patient/${'1'.repeat(256)}`,
    ].map((url) => JSON.stringify(bundle(request(url)))),
  ])('refuses anything else: %.30j ...', (...lines) => {
    for (const text of lines)
      expect(thrown(() => deletionsIn(Buffer.from(text))).code, text).toBe('BULK_FILE_MALFORMED');
  });

  it('either names records by type and id, or refuses without a word of the line’s', () => {
    const odd = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('DELETE', 'Patient/secret-1', 'secret/../2', 'Bundle'),
    );
    const keys = fc.constantFrom('request', 'method', 'url', '__proto__', 'constructor');
    const entry = fc.oneof(
      fc.dictionary(keys, fc.oneof(odd, fc.dictionary(keys, odd))),
      fc.record({ request: fc.record({ method: fc.constantFrom('DELETE', 'GET'), url: odd }) }),
      odd,
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 3 }), (entries) => {
        try {
          const names = deletionsIn(line(bundle(...entries)));
          expect(names.length).toBe(entries.length);
          for (const { resourceType, resourceId } of names) {
            expect(`${resourceType}/${resourceId}`).toMatch(/^[A-Z][A-Za-z]*\/[A-Za-z0-9._-]+$/);
          }
        } catch (error) {
          if (!(error instanceof RoundsError)) throw error;
          expect(error.code).toBe('BULK_FILE_MALFORMED');
          expect(error.message).not.toContain('secret');
        }
      }),
      { numRuns: 500 },
    );
  });
});
