import { describe, expect, it } from 'vitest';
import { EPIC_CODES } from '../../src/fhir/epicCodes.ts';
import {
  classifyIssues,
  failureOf,
  failureOfIssues,
  issuesInBody,
  issuesOf,
  saysTooRecently,
  saysTransient,
  type OperationOutcomeIssue,
} from '../../src/fhir/outcome.ts';

const SECRET = 'Camila Lopez 203713';
const issue = (severity: string, issueType: string, ...codes: string[]): OperationOutcomeIssue[] => [
  ...issuesOf({
    resourceType: 'OperationOutcome',
    issue: [
      {
        severity,
        code: issueType,
        details: {
          coding: codes.map((code) => ({ system: 'urn:oid:1.2.840.114350.1.13', code })),
          text: SECRET,
        },
        diagnostics: SECRET,
      },
    ],
  }),
];
const body = (severity: string, issueType: string, ...codes: string[]): Buffer =>
  Buffer.from(
    JSON.stringify({
      resourceType: 'OperationOutcome',
      issue: [
        { severity, code: issueType, details: { coding: codes.map((code) => ({ code })), text: SECRET } },
      ],
    }),
  );
const fail = (status: number, content?: Buffer, headers: Record<string, string> = {}) =>
  failureOf(status, content, headers, Date.UTC(2026, 10, 22));

describe('saysTransient', () => {
  it.each(['transient', 'lock-error', 'no-store', 'exception', 'timeout', 'incomplete', 'throttled'])(
    'takes %s for what passes',
    (type) => {
      expect(saysTransient(issue('error', type))).toBe(true);
      expect(saysTransient(issue('fatal', type))).toBe(true);
      expect(saysTransient([...issue('error', type), ...issue('warning', 'processing')])).toBe(true);
      expect(saysTransient([...issue('error', type), ...issue('fatal', 'processing')])).toBe(false);
      expect(saysTransient(issue('warning', type))).toBe(false);
    },
  );

  it('goes by the issue type alone, and by nothing that is not there', () => {
    expect(saysTransient(issue('fatal', 'processing', '40000'))).toBe(false);
    expect(saysTransient([])).toBe(false);
  });
});

describe('classifyIssues', () => {
  it.each([
    ['4101', { empty: true, merged: false, warnings: [] }],
    ['4107', { empty: false, merged: true, warnings: [] }],
    ['4119', { empty: false, merged: false, warnings: ['4119'] }],
    ['4122', { empty: false, merged: false, warnings: ['4122'] }],
    ['59109', { empty: false, merged: false, warnings: ['59109'] }],
  ])('takes %s for no failure, even when marked fatal', (code, expected) => {
    expect(classifyIssues(issue('warning', 'suppressed', code))).toEqual(expected);
    expect(classifyIssues(issue('fatal', 'processing', code))).toEqual(expected);
  });

  it.each([
    ['59204', 'FHIR_DATA_WITHHELD'],
    ['59205', 'FHIR_DATA_WITHHELD'],
    ['4118', 'FHIR_ACCESS_DENIED'],
    ['4134', 'FHIR_ACCESS_DENIED'],
    ['59108', 'FHIR_PARAMETER_REFUSED'],
    ['4103', 'FHIR_DELETED'],
    ['4127', 'FHIR_OUTCOME'],
  ])('makes a gap of %s, as a warning too', (code, expected) => {
    for (const severity of ['fatal', 'error', 'warning']) {
      const verdict = classifyIssues(issue(severity, 'processing', code));
      expect(verdict.gap).toEqual({ code: expected, epicCode: code });
      expect(verdict.transient).toBeUndefined();
    }
  });

  it('leaves what a used-up document quota (4135) withholds to be asked again', () => {
    const verdict = classifyIssues(issue('error', 'processing', '4135'));
    expect(verdict.transient).toMatchObject({ code: 'FHIR_DOCUMENT_QUOTA', failure: 'transient' });
    expect(verdict.gap).toBeUndefined();
  });

  it('counts withheld data however it is marked, and takes other refusals marked as information for remarks', () => {
    expect(classifyIssues(issue('information', 'informational', '59204')).gap?.code).toBe(
      'FHIR_DATA_WITHHELD',
    );
    expect(classifyIssues(issue('information', 'informational', '4130')).gap?.code).toBe(
      'FHIR_ACCESS_DENIED',
    );
    expect(classifyIssues(issue('information', 'informational', '59102'))).toEqual({
      empty: false,
      merged: false,
      warnings: ['59102'],
    });
  });

  it.each([
    ['4113', 'FHIR_PAGING_EXPIRED'],
    ['59177', 'HTTP_SERVER'],
    ['40000', 'HTTP_SERVER'],
  ])('asks again after %s', (code, expected) => {
    expect(classifyIssues(issue('fatal', 'processing', code)).transient).toMatchObject({
      code: expected,
      failure: 'transient',
      epicCode: code,
    });
  });

  it('decides unknown codes by severity and issue type', () => {
    expect(classifyIssues(issue('error', 'processing', '99999')).gap).toEqual({
      code: 'FHIR_OUTCOME',
      epicCode: '99999',
    });
    expect(classifyIssues(issue('fatal', 'invalid')).gap).toEqual({ code: 'FHIR_OUTCOME' });
    expect(classifyIssues(issue('error', 'forbidden')).gap?.code).toBe('FHIR_ACCESS_DENIED');
    expect(classifyIssues(issue('error', 'deleted')).gap?.code).toBe('FHIR_DELETED');
    expect(classifyIssues(issue('error', 'throttled')).transient?.code).toBe('HTTP_TOO_MANY');
    for (const type of ['transient', 'lock-error', 'no-store', 'exception', 'timeout', 'incomplete']) {
      expect(classifyIssues(issue('error', type)).transient?.code).toBe('HTTP_SERVER');
      expect(classifyIssues(issue('warning', type))).toEqual({
        empty: false,
        merged: false,
        warnings: [type],
      });
    }
    expect(classifyIssues(issue('warning', 'suppressed', '99999')).gap?.code).toBe('FHIR_DATA_WITHHELD');
    expect(classifyIssues(issue('information', 'informational', '99999')).warnings).toEqual(['99999']);
  });

  it('finds the known code among several codings, whatever the system', () => {
    const verdict = classifyIssues(issue('error', 'invalid', 'MSG_PARAM_INVALID', '4111'));
    expect(verdict.gap).toEqual({ code: 'FHIR_PARAMETER_REFUSED', epicCode: '4111' });
  });

  it('sees every issue', () => {
    const verdict = classifyIssues([
      ...issue('warning', 'suppressed', '4119'),
      ...issue('warning', 'processing', '4101'),
      ...issue('warning', 'suppressed', '59205'),
      ...issue('error', 'timeout'),
    ]);
    expect(verdict.empty).toBe(true);
    expect(verdict.gap?.epicCode).toBe('59205');
    expect(verdict.transient?.code).toBe('HTTP_SERVER');
    expect(verdict.warnings).toEqual(['4119']);
  });

  it('takes an unknown severity for an error', () => {
    expect(classifyIssues(issue('dreadful', 'processing')).gap?.code).toBe('FHIR_OUTCOME');
  });

  it('says nothing of no issues', () => {
    expect(classifyIssues([])).toEqual({ empty: false, merged: false, warnings: [] });
  });
});

describe('issuesOf', () => {
  it('keeps what an issue is about, by expression and location, strings alone', () => {
    const places = { expression: ['Patient.name', 1, null], location: ['http._since', {}] };
    expect(issuesOf({ issue: [{ code: 'value', ...places }] })[0]?.places).toEqual([
      'Patient.name',
      'http._since',
    ]);
    expect(issuesOf({ issue: [{ code: 'value', expression: 'x' }] })[0]?.places).toEqual([]);
  });

  it('drops codes that are not safe to print', () => {
    expect(issue('error', 'x', 'Lopez, Camila', 'a'.repeat(41), '4101')[0]?.codes).toEqual(['4101']);
    expect(issue('error', 'Camila Lopez')[0]?.issueType).toBe('unknown-type');
  });

  it.each([{}, { issue: null }, { issue: [null, 1, 'x'] }, { issue: {} }])(
    'takes %j for no issues',
    (outcome) => {
      expect(issuesOf(outcome)).toEqual([]);
    },
  );

  it('reads bodies that are OperationOutcomes, and nothing from others', () => {
    expect(issuesInBody(body('fatal', 'login', '4118'))).toHaveLength(1);
    expect(issuesInBody(Buffer.from('<html>'))).toEqual([]);
    expect(issuesInBody(Buffer.from('{"resourceType":"Patient"}'))).toEqual([]);
  });
});

describe('failureOf', () => {
  it.each([
    [301, 'URL_REFUSED', 'permanent'],
    [307, 'URL_REFUSED', 'permanent'],
    [400, 'HTTP_BAD_REQUEST', 'permanent'],
    [401, 'HTTP_UNAUTHORIZED', 'transient'],
    [403, 'HTTP_FORBIDDEN', 'denied'],
    [404, 'HTTP_NOT_FOUND', 'permanent'],
    [405, 'HTTP_UNEXPECTED', 'permanent'],
    [408, 'TIMEOUT', 'transient'],
    [410, 'HTTP_GONE', 'permanent'],
    [422, 'HTTP_BAD_REQUEST', 'permanent'],
    [429, 'HTTP_TOO_MANY', 'transient'],
    [500, 'HTTP_SERVER', 'transient'],
    [501, 'HTTP_UNEXPECTED', 'permanent'],
    [502, 'HTTP_SERVER', 'transient'],
    [503, 'HTTP_SERVER', 'transient'],
    [504, 'HTTP_SERVER', 'transient'],
    [204, 'HTTP_UNEXPECTED', 'permanent'],
  ])('says of %i: %s, %s', (status, code, failure) => {
    expect(fail(status)).toMatchObject({ code, failure, status, epicCode: undefined });
  });

  it.each([
    [400, '59108', 'FHIR_PARAMETER_REFUSED'],
    [400, '4113', 'FHIR_PAGING_EXPIRED'],
    [400, '4118', 'FHIR_ACCESS_DENIED'],
    [400, '40000', 'HTTP_SERVER'],
    [400, '12345', 'HTTP_BAD_REQUEST'],
    [400, '4101', 'HTTP_BAD_REQUEST'],
    [401, '4118', 'HTTP_UNAUTHORIZED'],
    [403, '4130', 'FHIR_ACCESS_DENIED'],
    [403, '4135', 'FHIR_DOCUMENT_QUOTA'],
    [403, '12345', 'HTTP_FORBIDDEN'],
    [404, '4103', 'FHIR_DELETED'],
    [404, '4107', 'HTTP_GONE'],
    [410, '4103', 'FHIR_DELETED'],
    [410, '4113', 'FHIR_PAGING_EXPIRED'],
    [429, '4135', 'FHIR_DOCUMENT_QUOTA'],
    [429, '4100', 'HTTP_TOO_MANY'],
    [500, '4103', 'HTTP_SERVER'],
    [500, '59177', 'HTTP_SERVER'],
  ])('reads Epic’s code: %i with %s is %s', (status, epicCode, code) => {
    expect(fail(status, body('fatal', 'processing', epicCode))).toMatchObject({ code, status, epicCode });
  });

  it('looks past ignorable codes for the one that refuses', () => {
    const both = Buffer.from(
      JSON.stringify({
        resourceType: 'OperationOutcome',
        issue: ['4122', '59108'].map((code) => ({
          severity: 'fatal',
          code: 'x',
          details: { coding: [{ code }] },
        })),
      }),
    );
    expect(fail(400, both)).toMatchObject({ code: 'FHIR_PARAMETER_REFUSED', epicCode: '59108' });
  });

  it('carries how long the server asks to wait, for what is transient', () => {
    expect(fail(429, undefined, { 'retry-after': '7' }).retryAfterMs).toBe(7000);
    expect(fail(503, undefined, { 'retry-after': 'Sun, 22 Nov 2026 00:00:20 GMT' }).retryAfterMs).toBe(
      20_000,
    );
    expect(fail(429, undefined, { ratelimit: 'limit=10;r=0;t=3' }).retryAfterMs).toBe(3000);
    expect(fail(503).retryAfterMs).toBeUndefined();
    expect(fail(404, undefined, { 'retry-after': '7' }).retryAfterMs).toBeUndefined();
  });

  it('quotes nothing of the server’s texts', () => {
    for (const status of [400, 401, 403, 404, 410, 429, 500]) {
      for (const code of ['59108', '4118', '77777']) {
        const error = fail(status, body('fatal', 'processing', code));
        expect(error.message + error.hint + String(error.stack)).not.toContain('Lopez');
      }
    }
    expect(fail(400, body('fatal', 'x', '59108')).message).toBe(
      'the server answered 400 (59108: a filter such as category or code is missing)',
    );
  });
});

describe('failureOfIssues', () => {
  it('names the first issue that is a failure', () => {
    const issues = [...issue('warning', 'suppressed', '4119'), ...issue('fatal', 'x', '4115')];
    expect(failureOfIssues(issues)).toMatchObject({ code: 'FHIR_PARAMETER_REFUSED', epicCode: '4115' });
  });

  it('says FHIR_OUTCOME where there is none', () => {
    expect(failureOfIssues([]).code).toBe('FHIR_OUTCOME');
    expect(failureOfIssues(issue('information', 'informational')).code).toBe('FHIR_OUTCOME');
  });
});

it('knows the refusal of a group that was exported too recently', () => {
  const [asked] = issue('error', 'business-rule', '59130');
  const text = 'Request not allowed: The Client requested this Group too recently.';
  expect(saysTooRecently([{ ...asked!, text }])).toBe(true);
  expect(saysTooRecently([asked!])).toBe(false);
});

it.each([
  ['empty', '4101'],
  ['noted', '4119'],
  ['ignorable', '4117 4122 59100 59101 59109'],
  ['withheld', '59204 59205'],
  ['badRequest', '4100 4102 4104 4110 4111 4112 4115 59102 59105 59108 59111 59159'],
  ['deleted', '4103 59144'],
  ['merged', '4107'],
  ['denied', '4118 4130 4131 4134'],
  ['sessionExpired', '4113'],
  ['limit', '4127 59133'],
  ['documentQuota', '4135'],
  ['server', '59177 40000'],
])('knows the codes of kind %s', (kind, codes) => {
  const known = [...EPIC_CODES].filter(([, entry]) => entry.kind === kind).map(([code]) => code);
  expect(known.sort()).toEqual(codes.split(' ').sort());
});

describe('a refusal whose reason did not come whole', () => {
  const json = { 'content-type': 'application/fhir+json; charset=utf-8' };
  const cut = body('fatal', 'processing', '4113').subarray(0, 60);

  it.each([400, 403, 404, 410, 422])('is no final answer with %i', (status) => {
    expect(fail(status, cut, json)).toMatchObject({ code: 'FHIR_NOT_JSON', failure: 'transient', status });
  });

  it('is what its status says where that is enough, or where it never was JSON', () => {
    expect(fail(429, cut, json).code).toBe('HTTP_TOO_MANY');
    expect(fail(401, cut, json).code).toBe('HTTP_UNAUTHORIZED');
    expect(fail(400, cut, { 'content-type': 'text/html' }).code).toBe('HTTP_BAD_REQUEST');
    expect(fail(400, Buffer.alloc(0), json).code).toBe('HTTP_BAD_REQUEST');
    expect(fail(400, Buffer.from('{}'), json).code).toBe('HTTP_BAD_REQUEST');
  });
});
