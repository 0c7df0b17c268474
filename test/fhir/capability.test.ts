import { describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { readCapability } from '../../src/fhir/capability.ts';

const statement = (more: object): Buffer =>
  Buffer.from(JSON.stringify({ resourceType: 'CapabilityStatement', fhirVersion: '4.0.1', ...more }));
const codeOf = (body: Buffer): string => {
  try {
    readCapability(body);
  } catch (error) {
    return error instanceof RoundsError ? error.code : String(error);
  }
  return 'nothing thrown';
};

describe('readCapability', () => {
  it('reads what decides a pull', () => {
    const capability = readCapability(
      statement({
        software: { name: 'Epic', version: 'May 2026' },
        rest: [
          { mode: 'client', resource: [{ type: 'Basic' }] },
          {
            mode: 'server',
            resource: [
              {
                type: 'Observation',
                interaction: [{ code: 'read' }, { code: 'search-type' }],
                searchParam: [{ name: 'patient' }, { name: 'category' }, {}],
                searchInclude: ['Observation:patient'],
                searchRevInclude: ['Provenance:target'],
              },
              { type: 'Provenance', interaction: [{ code: 'read' }] },
              { type: 'Silent' },
              { interaction: [] },
            ],
          },
        ],
      }),
    );
    expect(capability.software).toEqual({ name: 'Epic', version: 'May 2026' });
    expect([...capability.types.keys()]).toEqual(['Observation', 'Provenance', 'Silent']);
    expect(capability.types.get('Observation')).toEqual({
      read: true,
      search: true,
      searchParams: new Set(['patient', 'category']),
      includes: new Set(['Observation:patient']),
      revIncludes: new Set(['Provenance:target']),
    });
    expect(capability.types.get('Provenance')).toMatchObject({ read: true, search: false });
    expect(capability.types.get('Silent')).toMatchObject({ read: true, search: true });
  });

  it('joins what is said twice of one type', () => {
    const part = (code: string, name: string) => ({
      type: 'Condition',
      interaction: [{ code }],
      searchParam: [{ name }],
    });
    const rest = [
      { mode: 'server', resource: [part('read', 'patient'), part('search-type', 'category')] },
      { mode: 'server', resource: [part('vread', '_id')] },
    ];
    expect(readCapability(statement({ rest })).types.get('Condition')).toMatchObject({
      read: true,
      search: true,
      searchParams: new Set(['patient', 'category', '_id']),
    });
  });

  it.each(['4.0.1', '4.0.0', '4.0'])('takes version %s', (fhirVersion) => {
    expect(readCapability(statement({ fhirVersion })).fhirVersion).toBe(fhirVersion);
  });

  it.each(['1.0.2', '3.0.2', '4.1.0', '4.3.0', '5.0.0', '4.01', '', undefined, 4])(
    'refuses version %s',
    (fhirVersion) => {
      expect(codeOf(statement({ fhirVersion }))).toBe('FHIR_NOT_R4');
    },
  );

  it('tells what is no CapabilityStatement', () => {
    expect(codeOf(Buffer.from('{"resourceType":"Conformance","fhirVersion":"1.0.2"}'))).toBe('FHIR_NOT_R4');
    expect(codeOf(Buffer.from('{"resourceType":"OperationOutcome"}'))).toBe('FHIR_MALFORMED');
    expect(codeOf(Buffer.from('[]'))).toBe('FHIR_MALFORMED');
    expect(codeOf(Buffer.from('<html></html>'))).toBe('FHIR_NOT_JSON');
  });
});
