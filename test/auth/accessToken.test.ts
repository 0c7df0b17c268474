import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  answerJson,
  rejection,
  START_MS,
  type TestClock,
  type TestLog,
  type TokenServer,
} from './support.ts';
import { openTokenBench, signingKeyOf, type TokenBench } from './tokenBench.ts';

let server: TokenServer;
let clock: TestClock;
let log: TestLog;
let source: TokenBench['source'];
let bench: TokenBench;

beforeEach(async () => {
  bench = await openTokenBench();
  ({ server, clock, log, source } = bench);
});
afterEach(() => bench.close());

const events = (level: string) => log.lines.filter((line) => line.level === level).map((line) => line.event);
const invalidClient = answerJson(400, { error: 'invalid_client', error_description: null });

describe('the request', () => {
  it('is Epic’s form with a signed assertion, and names the client', async () => {
    await source({ keyId: 'k1' }).getAccessToken();
    const [request] = server.requests;
    expect(Object.fromEntries(request!.form)).toMatchObject({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      scope: 'system/*.read',
    });
    expect(request!.headers).toMatchObject({
      'content-type': 'application/x-www-form-urlencoded',
      'epic-client-id': 'client-1',
    });
    expect(request!.header).toEqual({ alg: 'ES384', typ: 'JWT', kid: 'k1' });
    expect(request!.claims).toMatchObject({ iss: 'client-1', sub: 'client-1', aud: server.tokenEndpoint });
  });

  it('has no scope where none is configured', async () => {
    await source({ scope: undefined }).getAccessToken();
    expect(server.requests[0]!.form.has('scope')).toBe(false);
  });
});

describe('the cache', () => {
  it('serves one request’s token to everyone, until 80 % of its life', async () => {
    const tokens = source();
    const got = await Promise.all(Array.from({ length: 50 }, () => tokens.getAccessToken()));
    expect(new Set(got)).toEqual(new Set(['token-1']));
    clock.advance(0.8 * 3_600_000 - 1);
    expect(await tokens.getAccessToken()).toBe('token-1');
    expect(server.requests).toHaveLength(1);
    clock.advance(1);
    const renewed = await Promise.all([tokens.getAccessToken(), tokens.getAccessToken()]);
    expect(renewed).toEqual(['token-2', 'token-2']);
    expect(server.requests).toHaveLength(2);
  });

  it('takes 300 s where expires_in is missing, and a number written as text', async () => {
    server.next.push(answerJson(200, { access_token: 'a', token_type: 'Bearer' }));
    server.next.push(answerJson(200, { access_token: 'b', token_type: 'BEARER', expires_in: '1000' }));
    const tokens = source();
    await tokens.getAccessToken();
    expect(tokens.remainingSeconds).toBe(300);
    clock.advance(240_000);
    expect(await tokens.getAccessToken()).toBe('b');
    expect(tokens.remainingSeconds).toBe(1000);
  });

  it('many 401s to one token cause one renewal; a late 401 to the old one causes none', async () => {
    const tokens = source();
    const old = await tokens.getAccessToken();
    const renew = async () => {
      tokens.invalidate(old);
      return tokens.getAccessToken();
    };
    const renewed = await Promise.all(Array.from({ length: 20 }, renew));
    expect(new Set(renewed)).toEqual(new Set(['token-2']));
    tokens.invalidate(old);
    expect(await tokens.getAccessToken()).toBe('token-2');
    expect(server.requests).toHaveLength(2);
  });

  it('hands long opaque tokens on unchanged', async () => {
    const long = `${'eyJ.-_~+/='.repeat(2000)}end`;
    server.next.push(answerJson(200, { access_token: long, token_type: 'bearer', expires_in: 60 }));
    expect(await source().getAccessToken()).toBe(long);
  });
});

describe('passing failures', () => {
  it('are retried with a new assertion each, not before Retry-After', async () => {
    server.next.push(
      answerJson(503, '<html>', { 'retry-after': '7' }),
      answerJson(429, '', { 'retry-after': new Date(START_MS + 60_000).toUTCString() }),
      (response) => response.destroy(),
      answerJson(400, { error: 'temporarily_unavailable' }),
    );
    expect(await source().getAccessToken()).toBe('token-1');
    const ids = server.requests.map(({ claims }) => claims['jti']);
    expect(new Set(ids).size).toBe(5);
    // Half of the backoff's bound, since random() is 0.5: 0.5, 1, 2, 4 s; the server's word where it is longer.
    expect(clock.sleeps).toEqual([7000, 53_000, 2000, 4000]);
    const issued = server.requests.map(({ claims }) => Number(claims['iat']) + 10 - START_MS / 1000);
    expect(issued).toEqual([0, 7, 60, 62, 66]);
  });

  it('end after maxAttempts with the last cause', async () => {
    for (let i = 0; i < 3; i++) server.next.push(answerJson(500, ''));
    const error = await rejection(source({ maxAttempts: 3 }).getAccessToken());
    expect(error).toMatchObject({ code: 'HTTP_SERVER', failure: 'transient', status: 500 });
    expect(server.requests).toHaveLength(3);
  });

  it('of an early renewal are put off while the old token is good', async () => {
    const tokens = source();
    await tokens.getAccessToken();
    clock.advance(0.8 * 3_600_000);
    server.next.push(answerJson(503, ''), answerJson(503, ''));
    expect(await tokens.getAccessToken()).toBe('token-1');
    expect(await tokens.getAccessToken()).toBe('token-1');
    expect(server.requests).toHaveLength(2);
    expect(clock.sleeps).toEqual([]);
    clock.advance(500);
    expect(await tokens.getAccessToken()).toBe('token-1');
    clock.advance(1000);
    expect(await tokens.getAccessToken()).toBe('token-2');
    expect(events('warn')).toEqual(['auth.renewal_put_off', 'auth.renewal_put_off']);
  });

  it('are waited for once the old token has ended', async () => {
    const tokens = source();
    await tokens.getAccessToken();
    clock.advance(3_600_000);
    server.next.push(answerJson(503, ''));
    expect(await tokens.getAccessToken()).toBe('token-2');
    expect(clock.sleeps).toEqual([500]);
  });
});

describe('invalid_client', () => {
  it('is final on the first authentication, and not asked for again at once', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const tokens = source({ key: signingKeyOf(privateKey) });
    const error = await rejection(tokens.getAccessToken());
    expect(error).toMatchObject({ code: 'TOKEN_INVALID_CLIENT', failure: 'denied', status: 400 });
    expect(error.hint).toMatch(/^Epic does not say which: \(1\)/);
    expect(clock.sleeps).toEqual([]);
  });

  it('is repeated to a pool of workers without a new request, for half a minute', async () => {
    server.next.push(invalidClient, invalidClient);
    const tokens = source();
    await rejection(tokens.getAccessToken());
    expect((await rejection(tokens.getAccessToken())).code).toBe('TOKEN_INVALID_CLIENT');
    expect(server.requests).toHaveLength(1);
    clock.advance(30_000);
    await rejection(tokens.getAccessToken());
    expect(server.requests).toHaveLength(2);
    clock.advance(30_000);
    expect(await tokens.getAccessToken()).toBe('token-1');
  });

  it.each([
    ['invalid_client', invalidClient],
    ['a bare 400', answerJson(400, '')],
    ['a page of HTML', answerJson(400, '<html>')],
  ])('or %s on a re-authentication is retried', async (_name, answer) => {
    const tokens = source();
    await tokens.getAccessToken();
    clock.advance(3_600_000);
    server.next.push(answer, answer);
    expect(await tokens.getAccessToken()).toBe('token-2');
    expect(events('warn')).toEqual(['auth.retry', 'auth.retry']);
  });

  it('is believed after three retries', async () => {
    const tokens = source({ maxAttempts: 10 });
    tokens.invalidate(await tokens.getAccessToken());
    for (let i = 0; i < 9; i++) server.next.push(invalidClient);
    expect((await rejection(tokens.getAccessToken())).failure).toBe('denied');
    expect(server.requests).toHaveLength(1 + 4);
  });

  it('a bare 400 at first means the same', async () => {
    server.next.push(answerJson(400, ''));
    expect((await rejection(source().getAccessToken())).code).toBe('TOKEN_INVALID_CLIENT');
  });

  it.each([
    [120, /^This clock is 1\d\d s behind the server’s/],
    [-120, /^This clock is 1\d\d s ahead of the server’s/],
    [5, /^Epic does not say which/],
  ])('with the server %d s ahead begins with the clock where that matters', async (aheadSeconds, hint) => {
    const date = new Date(START_MS + aheadSeconds * 1000).toUTCString();
    server.next.push(answerJson(400, { error: 'invalid_client' }, { date }));
    const tokens = source();
    expect((await rejection(tokens.getAccessToken())).hint).toMatch(hint);
    expect(tokens.clockSkewMs).toBe(aheadSeconds * 1000 + 500);
  });
});
