import { describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { FhirClient, type FhirClientOptions } from '../../src/fhir/client.ts';
import { ServerGate } from '../../src/fhir/serverGate.ts';
import { createUrlPolicy } from '../../src/fhir/urlPolicy.ts';
import { createHttp } from '../../src/system/http.ts';
import { silentLog } from '../../src/system/logger.ts';
import { createFakeClock, START_MS } from '../support/fakeClock.ts';
import { inTurn, json, startServer, type Answer } from '../support/httpServer.ts';
import { rejection } from '../support/rejection.ts';

const patient = { resourceType: 'Patient', id: 'p' };
const page = (next?: string): unknown => ({
  resourceType: 'Bundle',
  type: 'searchset',
  link: next === undefined ? [] : [{ relation: 'next', url: next }],
  entry: [{ resource: patient, search: { mode: 'match' } }],
});
const outcome = (code: string, severity = 'error'): unknown => ({
  resourceType: 'OperationOutcome',
  issue: [{ severity, code: 'processing', details: { coding: [{ code }] }, diagnostics: 'CANARY' }],
});
const reset: Answer = (response) => response.socket?.destroy();
const found = json(200, patient);

interface Given extends Partial<FhirClientOptions> {
  readonly probe?: () => Promise<boolean>;
  readonly failuresBeforeProbing?: number;
}

async function setUp(answer: Answer, given: Given = {}) {
  const server = await startServer(answer);
  const clock = createFakeClock({ auto: true });
  const http = createHttp();
  onTestFinished(() => http.close());
  const controller = new AbortController();
  const { signal } = controller;
  const { probe = () => Promise.resolve(true), failuresBeforeProbing = 100, ...rest } = given;
  const fhirBase = `${server.origin}/api/FHIR/R4`;
  const gate = new ServerGate({
    clock,
    log: silentLog,
    emit: () => undefined,
    random: () => 1,
    signal,
    limits: () => ({ concurrency: 64, requestsPerSecond: 0 }),
    maxOutageMs: 60_000,
    afterOutage: 'SERVER_AWAY',
    failuresBeforeProbing,
    probe,
  });
  let issued = 1;
  const invalidated: string[] = [];
  const client = new FhirClient({
    http,
    clock,
    gate,
    urlPolicy: createUrlPolicy({ fhirBase }),
    random: () => 1,
    signal,
    fhirBase,
    clientId: 'the-client',
    getAccessToken: async () => `token-${issued}`,
    invalidateToken: (token) => {
      invalidated.push(token);
      issued++;
    },
    maxAttempts: 3,
    searchMethod: 'get',
    ...rest,
  });
  return { server, clock, controller, client, gate, http, invalidated, fhirBase };
}

describe('what is sent', () => {
  it('is the search with its parameters encoded, the token and the client id', async () => {
    const { client, server } = await setUp(json(200, page()));
    const fetched = await client.search('Observation', [
      ['patient', 'a.b-C'],
      ['category', 'http://x|laboratory'],
      ['date', 'ge2026-01-01T00:00:00+01:00'],
    ]);
    expect(fetched.page.entries.map(({ resourceId }) => resourceId)).toEqual(['p']);
    expect(server.requests[0]).toMatchObject({
      method: 'GET',
      url: '/api/FHIR/R4/Observation?patient=a.b-C&category=http%3A%2F%2Fx%7Claboratory&date=ge2026-01-01T00%3A00%3A00%2B01%3A00',
      headers: {
        authorization: 'Bearer token-1',
        'epic-client-id': 'the-client',
        accept: 'application/fhir+json',
      },
    });
  });

  it('keeps parameters out of the URL where searches are posted', async () => {
    const { client, server } = await setUp(json(200, page()), { searchMethod: 'post' });
    await client.search('Patient', [['identifier', 'urn:oid:1|77 8']]);
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      url: '/api/FHIR/R4/Patient/_search',
      body: 'identifier=urn%3Aoid%3A1%7C77%208',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  });

  it('follows a next link verbatim, and none that leads elsewhere', async () => {
    const { client, server, fhirBase } = await setUp(json(200, page()));
    const next = `${fhirBase}/Patient?sessionID=5-A%2fB&x=,|`;
    await client.nextPage(next, `${fhirBase}/Patient`);
    expect(server.requests[0]?.url).toBe('/api/FHIR/R4/Patient?sessionID=5-A%2fB&x=,|');
    for (const elsewhere of [
      'https://evil.example/api/FHIR/R4/Patient',
      `${server.origin}/other`,
      '//evil.example/x',
    ]) {
      expect((await rejection(client.nextPage(elsewhere, `${fhirBase}/Patient`))).code).toBe('URL_REFUSED');
    }
    expect(server.requests).toHaveLength(1);
  });

  it('is no token to /metadata', async () => {
    const statement = { resourceType: 'CapabilityStatement', fhirVersion: '4.0.1', rest: [] };
    const { client, server } = await setUp(json(200, statement), {
      getAccessToken: () => Promise.reject(new RoundsError('INTERNAL', 'not to be asked')),
    });
    expect((await client.capability()).fhirVersion).toBe('4.0.1');
    expect(server.requests[0]?.url).toBe('/api/FHIR/R4/metadata');
    expect(server.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('goes nowhere a redirect points', async () => {
    const target = await startServer(found);
    const { client } = await setUp((response) => {
      response.writeHead(302, { location: `${target.origin}/api/FHIR/R4/Patient/p` }).end();
    });
    expect((await rejection(client.read('Patient', 'p'))).code).toBe('URL_REFUSED');
    expect(target.requests).toEqual([]);
  });
});

describe('what is asked again', () => {
  it.each([
    ['408', json(408, '')],
    ['429', json(429, '')],
    ['500', json(500, 'CANARY')],
    ['503', json(503, '')],
    ['a reset', reset],
    [
      'a body that is cut',
      (response) =>
        response.writeHead(200, { 'content-length': 50 }).write('{"res', () => response.destroy()),
    ],
    ['a page of a proxy', json(200, '<html>CANARY</html>')],
    ['a Bundle in place of a resource', json(200, page())],
    ['an error that passes', json(200, outcome('59177'))],
  ])('%s, until it is answered', async (_, trouble) => {
    const { client, server } = await setUp(inTurn(trouble, trouble, found));
    expect((await client.read('Patient', 'p')).resourceId).toBe('p');
    expect(server.requests).toHaveLength(3);
    expect(client.cost).toMatchObject({ requests: 3, retries: 2 });
  });

  it('is given up after max_attempts, with the last failure', async () => {
    const { client, server, clock } = await setUp(inTurn(reset, reset, json(503, 'CANARY')));
    const failure = await rejection(client.read('Patient', 'p'));
    expect(failure).toMatchObject({ code: 'HTTP_SERVER', status: 503, failure: 'transient' });
    expect(failure.message).not.toContain('CANARY');
    expect(server.requests).toHaveLength(3);
    expect(clock.sleeps).toEqual([500, 1_000]);
  });

  it.each([
    [400, 'HTTP_BAD_REQUEST'],
    [403, 'HTTP_FORBIDDEN'],
    [404, 'HTTP_NOT_FOUND'],
    [410, 'HTTP_GONE'],
    [501, 'HTTP_UNEXPECTED'],
  ])('is nothing that a repetition cannot mend: %i', async (status, code) => {
    const { client, server } = await setUp(json(status, ''));
    expect(await rejection(client.read('Patient', 'p'))).toMatchObject({ code, status });
    expect(server.requests).toHaveLength(1);
  });

  it('is no page of a session that expired: its search has to begin again', async () => {
    const { client, server, fhirBase } = await setUp(json(400, outcome('4113')));
    const refusal = await rejection(client.nextPage(`${fhirBase}/Patient?page=2`, fhirBase));
    expect(refusal).toMatchObject({ code: 'FHIR_PAGING_EXPIRED', epicCode: '4113', failure: 'transient' });
    expect(server.requests).toHaveLength(1);
  });

  it('is nothing any more after an abort', async () => {
    const { client, server, controller } = await setUp((response) => {
      response.writeHead(500).end();
      controller.abort(new RoundsError('INTERRUPTED', 'stop'));
    });
    expect((await rejection(client.read('Patient', 'p'))).code).toBe('INTERRUPTED');
    expect(server.requests).toHaveLength(1);
  });
});

describe('waiting', () => {
  it('is as long as the server asks for, for everybody', async () => {
    const inHalfAMinute = new Date(START_MS + 40_500).toUTCString();
    const { client, clock } = await setUp(
      inTurn(json(429, '', { 'retry-after': '10' }), json(503, '', { 'retry-after': inHalfAMinute }), found),
    );
    await client.read('Patient', 'p');
    // 10 s from the first answer, which the backoff of 0.5 s is a part of; then up to the instant named.
    expect(clock.monotonicMs()).toBe(40_000);
  });

  it('heeds a rate limit that is used up, also with an answer that is good', async () => {
    const { client, clock } = await setUp(inTurn(json(200, patient, { ratelimit: '"d";r=0;t=20' }), found));
    await client.read('Patient', 'p');
    await client.read('Patient', 'p');
    expect(clock.monotonicMs()).toBe(20_000);
  });
});

describe('the token', () => {
  it('is renewed once when it is refused, without waiting', async () => {
    const { client, server, clock, invalidated } = await setUp(inTurn(json(401, ''), found));
    await client.read('Patient', 'p');
    expect(invalidated).toEqual(['token-1']);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer token-1',
      'Bearer token-2',
    ]);
    expect(clock.sleeps).toEqual([]);
  });

  it('that is refused twice right after it was granted stops everybody, with that cause', async () => {
    const { client, server, invalidated, clock } = await setUp(json(401, ''));
    for (let times = 0; times < 3; times++) {
      expect(await rejection(client.read('Patient', 'p'))).toMatchObject({
        code: 'TOKEN_NOT_ACCEPTED',
        failure: 'denied',
        status: 401,
      });
    }
    expect(invalidated).toEqual(['token-1']);
    expect(server.requests).toHaveLength(3);
    // A pause before the last question: a cluster may need a moment to know a new token.
    expect(clock.sleeps).toEqual([500]);
  });

  it('that one question alone is refused is good for the others', async () => {
    const { client, server, invalidated } = await setUp((response, request) => {
      (request.url.endsWith('/Patient/q') ? json(401, '') : found)(response, request);
    });
    await client.read('Patient', 'p');
    for (let times = 0; times < 2; times++) {
      expect((await rejection(client.read('Patient', 'q'))).code).toBe('HTTP_UNAUTHORIZED');
    }
    await client.read('Patient', 'p');
    // The second question's token was proven by its first: one probe is enough for a token.
    expect(invalidated).toEqual(['token-1', 'token-2']);
    const asked = server.requests.map(({ url }) => url.slice(-1)).join('');
    expect(asked).toBe('pqqqpqqqqpqp');
  });

  it('that was good and is so no more, as its successor is not, stops everybody', async () => {
    let isActive = true;
    const { client, server } = await setUp((response, request) =>
      (isActive ? found : json(401, ''))(response, request),
    );
    await client.read('Patient', 'p');
    isActive = false;
    expect((await rejection(client.read('Patient', 'q'))).code).toBe('TOKEN_NOT_ACCEPTED');
    expect((await rejection(client.read('Patient', 'p'))).code).toBe('TOKEN_NOT_ACCEPTED');
    expect(server.requests.map(({ url }) => url.slice(-1)).join('')).toBe('pqqqp');
  });

  it('that is refused for good stops everybody', async () => {
    let asked = 0;
    const { client, server } = await setUp(found, {
      getAccessToken: () => {
        asked++;
        return Promise.reject(new RoundsError('TOKEN_INVALID_CLIENT', 'refused'));
      },
    });
    for (let times = 0; times < 3; times++) {
      expect((await rejection(client.read('Patient', 'p'))).code).toBe('TOKEN_INVALID_CLIENT');
    }
    expect(asked).toBe(1);
    expect(server.requests).toEqual([]);
  });
});

describe('an outage', () => {
  it('spends no attempts: the question is asked until the server is back', async () => {
    let probes = 0;
    const { client, server } = await setUp(inTurn(...Array<Answer>(6).fill(json(503, '')), found), {
      maxAttempts: 5,
      failuresBeforeProbing: 2,
      probe: async () => ++probes % 4 === 0,
    });
    expect((await client.read('Patient', 'p')).resourceId).toBe('p');
    expect(server.requests).toHaveLength(7);
    expect(probes).toBe(12);
  });

  it('that lasts too long fails with SERVER_AWAY, and so does all that comes after', async () => {
    const { client, server, clock } = await setUp(json(503, ''), {
      maxAttempts: 5,
      failuresBeforeProbing: 2,
      probe: () => Promise.resolve(false),
    });
    expect((await rejection(client.read('Patient', 'p'))).code).toBe('SERVER_AWAY');
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(60_000);
    expect((await rejection(client.read('Patient', 'q'))).code).toBe('SERVER_AWAY');
    expect(server.requests).toHaveLength(2);
  });

  it('is no outage when one question alone cannot be answered', async () => {
    const { client, server } = await setUp(
      (response, request) => (request.url.endsWith('/bad') ? json(500, '') : found)(response, request),
      { failuresBeforeProbing: 4 },
    );
    expect((await rejection(client.read('Patient', 'bad'))).code).toBe('HTTP_SERVER');
    for (const id of ['p', 'p']) expect((await client.read('Patient', id)).resourceId).toBe('p');
    expect((await rejection(client.read('Patient', 'bad'))).code).toBe('HTTP_SERVER');
    expect(server.requests).toHaveLength(8);
  });
});
