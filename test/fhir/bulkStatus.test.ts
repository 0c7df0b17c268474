import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { kickoffRequest, type ExportRequest } from '../../src/fhir/bulkKickoff.ts';
import { kickoffAnswer, readStatus, type ExportStatus } from '../../src/fhir/bulkStatus.ts';
import type { HttpResponse } from '../../src/system/http.ts';
import {
  startSandbox,
  type BulkOptions,
  type FaultAction,
  type Sandbox,
} from '../../src/sandbox/startSandbox.ts';
import { GROUP, send, tokenAt } from '../sandbox/support/bulk.ts';
import { rsaKey, type Fetched } from '../sandbox/support/client.ts';
import { exportRequest } from './exportRequest.ts';

const NOW = Date.parse('2026-11-22T02:00:00Z');
const TOO_RECENT = 'Request not allowed: The Client requested this Group too recently.';
const SECRET = 'Camila Lopez 203713 erXuFYUfucBZaryVksYEcMg3';

const answer = (status: number, body: unknown = '', headers: Record<string, string> = {}): HttpResponse => ({
  status,
  headers,
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
});
const outcome = (code: string, text = SECRET, more: object = {}) => ({
  resourceType: 'OperationOutcome',
  issue: [{ severity: 'error', code, diagnostics: text, ...more }],
});
const MANIFEST = {
  transactionTime: '2026-11-22T00:00:00Z',
  requiresAccessToken: true,
  output: [],
  error: [],
};
const status = (...of: Parameters<typeof answer>): ExportStatus => readStatus(answer(...of), NOW);
const errorOf = (read: object): RoundsError => {
  if ('error' in read && read.error instanceof RoundsError) return read.error;
  throw new Error('there is no error');
};

describe('a running export', () => {
  it('says how far it is, and when to ask again', () => {
    expect(status(202, '', { 'x-progress': '50% complete', 'retry-after': '120' })).toEqual({
      kind: 'running',
      progress: '50% complete',
      retryAfterMs: 120_000,
      partial: undefined,
    });
    expect(status(202)).toEqual({
      kind: 'running',
      progress: undefined,
      retryAfterMs: undefined,
      partial: undefined,
    });
  });

  it.each([
    ['"50% complete"', '50% complete'],
    ['Exported Camila Lopez, 3 of 10 patients', 'Exported …, 3 of 10 patients'],
    [SECRET, undefined],
    ['  ', undefined],
  ])('has the progress %j, shown as %j', (text, progress) => {
    expect(status(202, '', { 'x-progress': text })).toMatchObject({ kind: 'running', progress });
  });

  it.each([
    ['Sun, 22 Nov 2026 03:00:00 GMT', 3_600_000],
    ['3600', 3_600_000],
    ['999999999', 24 * 3_600_000],
    ['soon', undefined],
  ])('is asked again after %j: %j ms', (text, retryAfterMs) => {
    expect(status(202, '', { 'retry-after': text })).toMatchObject({ kind: 'running', retryAfterMs });
  });

  it('may bring a manifest of what is ready, and nothing else counts as one', () => {
    const partial = answer(202, MANIFEST);
    expect(readStatus(partial, NOW)).toMatchObject({ kind: 'running', partial: partial.body });
    const text = outcome('informational');
    for (const body of [
      '{',
      '[]',
      'in progress',
      {},
      text,
      { ...text, ...MANIFEST, resourceType: text.resourceType },
    ]) {
      expect(status(202, body)).toMatchObject({ kind: 'running', partial: undefined });
    }
  });
});

describe('a complete export', () => {
  it('has its manifest, and the time when its files go', () => {
    const expires = 'Sun, 06 Dec 2026 02:00:00 GMT';
    const response = answer(200, MANIFEST, { expires });
    expect(readStatus(response, NOW)).toEqual({
      kind: 'complete',
      expiresAtMs: Date.parse(expires),
      manifest: response.body,
    });
  });

  it.each([undefined, '0', '-1', 'Thu, 01 Jan 1970 00:00:00 GMT', 'tomorrow'])(
    'with Expires %j says nothing of its files’ end',
    (expires) => {
      const read = status(200, MANIFEST, expires === undefined ? {} : { expires });
      expect(read).toMatchObject({ kind: 'complete', expiresAtMs: undefined });
    },
  );

  it.each(['', '{', '<html>Sign in</html>', '[]', 'null', '"x"', '{"a":1}{"b":2}'])(
    'whose body is %j is asked for again',
    (body) => {
      const error = errorOf(status(200, body));
      expect([error.code, error.failure]).toEqual(['FHIR_NOT_JSON', 'transient']);
      expect(status(200, body).kind).toBe('again');
    },
  );

  it.each([201, 204, 206])('is no %d', (code) => {
    expect(status(code, MANIFEST).kind).toBe('again');
  });

  it('is none with an OperationOutcome, which passes or does not', () => {
    expect(status(200, outcome('transient')).kind).toBe('again');
    const throttled = errorOf(status(200, outcome('throttled'), { 'retry-after': '7' }));
    expect(throttled).toMatchObject({ code: 'HTTP_TOO_MANY', retryAfterMs: 7_000, failure: 'transient' });
    const coded = { details: { coding: [{ code: '40000' }] } };
    expect(status(200, outcome('processing', SECRET, coded)).kind).toBe('again');
    expect(status(200, outcome('processing')).kind).toBe('failed');
    expect(status(200, { resourceType: 'OperationOutcome' }).kind).toBe('failed');
    const both = outcome('transient');
    expect(status(200, { ...both, issue: [...both.issue, ...outcome('processing').issue] }).kind).toBe(
      'failed',
    );
  });
});

describe('a status request that fails', () => {
  it.each([408, 429, 500, 501, 502, 503, 504])('by %d without an OperationOutcome is repeated', (code) => {
    for (const body of ['', '<html>Bad gateway</html>', '{}', { resourceType: 'OperationOutcome' }]) {
      const read = status(code, body, { 'retry-after': '7' });
      expect(read.kind).toBe('again');
      expect(errorOf(read)).toMatchObject({ failure: 'transient', status: code, retryAfterMs: 7_000 });
    }
  });

  it('is repeated with an error that says what it was', () => {
    expect([429, 408, 500].map((code) => errorOf(status(code)).code)).toEqual([
      'HTTP_TOO_MANY',
      'TIMEOUT',
      'HTTP_SERVER',
    ]);
    expect(errorOf(status(429, '', { ratelimit: '"default";r=0;t=20' })).retryAfterMs).toBe(20_000);
    expect(errorOf(status(503)).retryAfterMs).toBeUndefined();
  });

  it.each([400, 404, 409, 410, 423, 500])('by %d with a transient issue is repeated', (code) => {
    for (const type of [
      'transient',
      'lock-error',
      'no-store',
      'exception',
      'timeout',
      'incomplete',
      'throttled',
    ]) {
      expect(status(code, outcome(type)).kind).toBe('again');
    }
  });

  it.each([408, 429, 503])('by %d is repeated whatever else it says', (code) => {
    expect(status(code, outcome('processing')).kind).toBe('again');
  });

  it.each([404, 410])('by %d says that the export is gone', (code) => {
    for (const body of ['', outcome('not-found'), outcome('processing')]) {
      expect(status(code, body).kind).toBe('gone');
      expect(errorOf(status(code, body))).toMatchObject({ code: 'BULK_EXPORT_GONE', status: code });
    }
  });

  it.each([400, 403, 500, 502, 301])(
    'by %d for good says that the export failed, in words of ours',
    (code) => {
      const coded = { details: { coding: [{ code: '203713' }, { code: '59136' }] } };
      const read = status(code, outcome('processing', `The export of ${SECRET} failed.`, coded));
      expect(read.kind).toBe('failed');
      const error = errorOf(read);
      expect(error).toMatchObject({ code: 'BULK_EXPORT_FAILED', status: code, epicCode: '59136' });
      expect(error.message).toBe(`the export failed (${code}, 59136): The export of … failed.`);
      expect(errorOf(status(403, '')).message).toBe('the export failed (403)');
      expect(errorOf(status(403, outcome('processing'))).message).toBe('the export failed (403)');
    },
  );
});

describe('X-Export-Status', () => {
  const own = (text: string) => ({ 'x-export-status': text });

  it('stands for the export, while the HTTP status is the request’s', () => {
    expect(status(200, '', { ...own('202 Accepted'), 'x-progress': 'in progress' })).toMatchObject({
      kind: 'running',
      progress: 'in progress',
    });
    expect(status(200, MANIFEST, own('202 Accepted'))).toMatchObject({ kind: 'running' });
    expect(status(200, MANIFEST, own('200 OK')).kind).toBe('complete');
    expect(status(200, outcome('processing'), own('500 Internal Server Error')).kind).toBe('failed');
    expect(status(200, outcome('transient'), own('500 Internal Server Error')).kind).toBe('again');
    expect(status(200, '', own('410 Gone')).kind).toBe('gone');
    expect(errorOf(status(200, outcome('processing'), own('422'))).status).toBe(422);
  });

  it.each([500, 429, 404])('does not excuse a request that failed by %d', (code) => {
    expect(status(code, '', own('202 Accepted')).kind).toBe(code === 404 ? 'gone' : 'again');
  });

  it.each(['', 'done', '2020', '99 x', '102', '600', '200OK'])('is passed over when it is %j', (text) => {
    expect(status(200, MANIFEST, own(text)).kind).toBe('complete');
    expect(status(202, '', own(text)).kind).toBe('running');
  });
});

describe('kickoffAnswer', () => {
  const REQUEST = exportRequest({ types: ['Patient'], since: '2026-01-01T00:00:00Z' });
  const read = (...of: Parameters<typeof answer>) => kickoffAnswer(answer(...of), NOW, REQUEST);
  const STATUS = 'https://fhir.example.org/bulk/1';

  it('is accepted with a place to ask for its status, and only by 202', () => {
    expect(read(202, outcome('informational'), { 'content-location': ` ${STATUS} ` })).toEqual({
      kind: 'accepted',
      location: STATUS,
    });
    for (const [code, headers] of [
      [202, {}],
      [202, { 'content-location': ' ' }],
      [200, { 'content-location': STATUS }],
      [204, {}],
      [303, {}],
    ] as const) {
      const refused = read(code, '', headers);
      expect(refused.kind).toBe('refused');
      expect(errorOf(refused)).toMatchObject({
        code: 'BULK_KICKOFF_REFUSED',
        failure: 'permanent',
        status: code,
      });
    }
  });

  it.each([200, 202, 400, 403, 429, 500])('is too recent at Epic, with the status %d', (code) => {
    expect(read(code, outcome('processing', TOO_RECENT))).toEqual({ kind: 'too-recent' });
  });

  it.each([408, 429, 500, 502, 503, 504])('is asked again after %d', (code) => {
    for (const body of ['', outcome('processing', '_since'), outcome('throttled')]) {
      const again = read(code, body, { 'retry-after': '3600' });
      expect(again.kind).toBe('again');
      expect(errorOf(again)).toMatchObject({ failure: 'transient', status: code, retryAfterMs: 3_600_000 });
    }
    expect(read(409, outcome('lock-error')).kind).toBe('again');
  });

  it('names the parameters of the request that a 4xx complains of', () => {
    const refused = read(400, outcome('not-supported', `_since and _until are not supported for ${SECRET}`));
    expect(refused).toMatchObject({ kind: 'parameters-refused', names: ['_since'] });
    expect(errorOf(refused)).toMatchObject({
      code: 'BULK_KICKOFF_REFUSED',
      message: 'the kick-off was refused (400): _since and _until are not supported for …',
    });
    expect(read(400, outcome('not-supported', '_elements')).kind).toBe('refused');
    expect(read(501, outcome('not-supported', '_since')).kind).toBe('refused');
  });

  it.each([400, 401, 403, 404, 422, 501, 505])('is refused by any other %d', (code) => {
    for (const body of ['', '<html>', outcome('forbidden')]) {
      const refused = read(code, body);
      expect(refused.kind).toBe('refused');
      expect(errorOf(refused)).toMatchObject({ code: 'BULK_KICKOFF_REFUSED', status: code });
    }
  });
});

describe('whatever a server answers', () => {
  const body = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.constant(JSON.stringify(MANIFEST)),
    fc
      .array(
        fc.dictionary(
          fc.constantFrom('severity', 'code', 'details', 'diagnostics', 'expression', '__proto__'),
          fc.oneof(fc.jsonValue(), fc.constantFrom(SECRET, 'error', 'transient', 'processing', '_since')),
        ),
      )
      .map((issue) => JSON.stringify({ resourceType: 'OperationOutcome', issue })),
  );
  const names = ['x-progress', 'retry-after', 'expires', 'x-export-status', 'content-location', 'ratelimit'];
  const headers = fc.dictionary(
    fc.constantFrom(...names),
    fc.oneof(
      fc.string(),
      fc.constantFrom(SECRET, '202', '500 x', '-1', '1e9', 'Sun, 22 Nov 2026 03:00:00 GMT'),
    ),
  );

  it('it is one of these, and no message holds a word of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), body, headers, (code, text, given) => {
        const response = answer(code, text, given);
        const read = [readStatus(response, NOW), kickoffAnswer(response, NOW, exportRequest({ since: 'x' }))];
        for (const one of read) {
          if ('error' in one) {
            expect(one.error.message).not.toMatch(/Camila|Lopez|203713|erXuF/);
            expect(one.error.retryAfterMs ?? 0).toBeGreaterThanOrEqual(0);
            if (one.kind === 'again') expect(one.error.failure).toBe('transient');
          }
          if (one.kind === 'running') expect(one.progress ?? '').not.toMatch(/Camila|Lopez|203713|erXuF/);
          if (one.kind === 'complete') expect(one.expiresAtMs ?? Infinity).toBeGreaterThan(NOW);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the sandbox', () => {
  const key = rsaKey();
  let sandbox: Sandbox;
  let token: string;
  afterEach(() => sandbox.close());
  const start = async (dialect: 'epic' | 'us-core', bulk: BulkOptions) => {
    sandbox = await startSandbox({ smtp: false, patients: 2, dialect, bulk });
    token = await tokenAt(sandbox, key, Date.now());
  };
  const responseOf = ({ status: code, text, headers }: Fetched): HttpResponse =>
    answer(code, text, Object.fromEntries(headers));
  const begin = async (members: Partial<ExportRequest> = {}) => {
    const request = exportRequest({ level: 'group', groupId: GROUP, types: ['Patient'], ...members });
    const sent = kickoffRequest(sandbox.fhirBase, request, 'epic');
    const begun = await send(sent.url, sent.method, { authorization: `Bearer ${token}`, ...sent.headers });
    return kickoffAnswer(responseOf(begun), Date.now(), request);
  };
  const begunAt = async (members: Partial<ExportRequest> = {}): Promise<string> => {
    const begun = await begin(members);
    if (begun.kind !== 'accepted') throw new Error(begun.kind);
    return begun.location;
  };
  const poll = async (url: string) =>
    readStatus(
      responseOf(await send(url, 'GET', { authorization: `Bearer ${token}`, accept: 'application/json' })),
      Date.now(),
    );
  const spoil = (then: FaultAction) => sandbox.setFaults([{ match: { endpoint: 'status' }, then }]);

  it('runs, completes and knows the export no more; the next one is too recent', async () => {
    await start('epic', { polls: 1 });
    const url = await begunAt();
    expect(await poll(url)).toMatchObject({ kind: 'running', retryAfterMs: 1_000 });
    const done = await poll(url);
    expect(done.kind === 'complete' && (done.expiresAtMs ?? 0) > Date.now() + 13 * 86_400_000).toBe(true);
    expect(await begin()).toEqual({ kind: 'too-recent' });
    expect((await begin({ since: '2026-01-01T00:00:00Z' })).kind).toBe('parameters-refused');
    expect((await begin({ groupId: 'nobody' })).kind).toBe('refused');
    await send(url, 'DELETE', { authorization: `Bearer ${token}` });
    expect((await poll(url)).kind).toBe('gone');
  });

  it.each([false, true])(
    'with the export’s status apart: %j, survives what passes, and not what does not',
    async (apart) => {
      await start('us-core', { polls: 1, minPollSeconds: 600 });
      const url = await begunAt({ separateExportStatus: apart });
      spoil({ onlyOutcome: true });
      expect((await poll(url)).kind).toBe('again');
      sandbox.setFaults([]);
      expect((await poll(url)).kind).toBe('running');
      expect((await poll(await begunAt({ separateExportStatus: apart }))).kind).toBe('running');
      for (const code of ['40000', '59136']) {
        spoil({ exportFails: code });
        const failing = await poll(await begunAt({ separateExportStatus: apart }));
        expect(failing.kind).toBe('failed');
        expect(errorOf(failing).epicCode).toBe(code);
      }
    },
  );

  it('answers 429 with the time to wait when it is asked too often', async () => {
    await start('us-core', { polls: 5, minPollSeconds: 600 });
    const url = await begunAt();
    expect((await poll(url)).kind).toBe('running');
    const early = await poll(url);
    expect(early.kind).toBe('again');
    expect(errorOf(early).retryAfterMs).toBeGreaterThan(500_000);
  });

  it('brings partial manifests', async () => {
    await start('us-core', { polls: 3, resourcesPerFile: 1, filesPerManifest: 1 });
    const url = await begunAt({ allowPartialManifests: true, types: ['Patient', 'Observation'] });
    const answers = [await poll(url), await poll(url), await poll(url)];
    expect(answers.every(({ kind }) => kind === 'running')).toBe(true);
    expect(answers.some((one) => one.kind === 'running' && one.partial !== undefined)).toBe(true);
  });
});
