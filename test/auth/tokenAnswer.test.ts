import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerJson, rejection, type TestClock, type TestLog, type TokenServer } from './support.ts';
import { openTokenBench, type TokenBench } from './tokenBench.ts';

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

describe('other answers', () => {
  it.each<[string, number, unknown, string, RegExp]>([
    ['invalid_scope', 400, { error: 'invalid_scope' }, 'TOKEN_REFUSED', /400: invalid_scope$/],
    ['unauthorized_client', 401, { error: 'unauthorized_client' }, 'TOKEN_REFUSED', /unauthorized_client/],
    ['a foreign error code', 400, { error: 'JANE DOE' }, 'TOKEN_REFUSED', /not registered/],
    ['HTML for 404', 404, '<html>JANE DOE', 'TOKEN_MALFORMED', /answered 404/],
    ['HTML for 200', 200, '<html>JANE DOE', 'TOKEN_MALFORMED', /JSON object/],
    ['no token', 200, { token_type: 'bearer' }, 'TOKEN_MALFORMED', /access_token/],
    [
      'a token that is no header value',
      200,
      { token_type: 'bearer', access_token: 'a\r\nb' },
      'TOKEN_MALFORMED',
      /access_token/,
    ],
    ['a MAC token', 200, { token_type: 'mac', access_token: 'a' }, 'TOKEN_MALFORMED', /bearer/],
    [
      'an ended token',
      200,
      { token_type: 'bearer', access_token: 'a', expires_in: 0 },
      'TOKEN_MALFORMED',
      /expires_in/,
    ],
  ])('%s', async (_name, status, body, code, message) => {
    server.next.push(answerJson(status, body));
    const error = await rejection(source().getAccessToken());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(JSON.stringify([error.message, error.hint, log.lines])).not.toContain('JANE');
    expect(server.requests).toHaveLength(1);
  });

  it('a redirect is refused and not followed', async () => {
    server.next.push(answerJson(307, '', { location: `${server.origin}/elsewhere` }));
    expect((await rejection(source().getAccessToken())).code).toBe('URL_REFUSED');
    expect(server.requests).toHaveLength(1);
  });

  it('a huge answer is TOKEN_MALFORMED', async () => {
    server.next.push(answerJson(200, 'x'.repeat(2_000_000)));
    expect((await rejection(source().getAccessToken())).code).toBe('TOKEN_MALFORMED');
  });

  it('what is no OAuth after a success counts as passing', async () => {
    const tokens = source({ maxAttempts: 2 });
    tokens.invalidate(await tokens.getAccessToken());
    server.next.push(answerJson(200, '<html>'), answerJson(200, '<html>'));
    expect(await rejection(tokens.getAccessToken())).toMatchObject({
      code: 'TOKEN_MALFORMED',
      failure: 'transient',
    });
    expect(await tokens.getAccessToken()).toBe('token-2');
  });
});

describe('scopes', () => {
  const grant = (scope?: string) =>
    answerJson(200, {
      access_token: 'a',
      token_type: 'bearer',
      expires_in: 60,
      ...(scope === undefined ? {} : { scope }),
    });

  it('narrower than asked for are a warning that names ours, once', async () => {
    server.next.push(grant('system/Patient.read'), grant('system/Patient.read'));
    const tokens = source({ scope: 'system/Patient.read system/Observation.read' });
    await tokens.getAccessToken();
    clock.advance(60_000);
    await tokens.getAccessToken();
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([
      { level: 'warn', event: 'auth.scope_narrowed', fields: { missing: 'system/Observation.read' } },
    ]);
    expect(tokens.grantedScopes).toEqual(['system/Patient.read']);
    expect(tokens.requestedScopes).toEqual(['system/Patient.read', 'system/Observation.read']);
    expect(tokens.scopesCover('Patient')).toBe(true);
    expect(tokens.scopesCover('Observation')).toBe(false);
  });

  it('that the answer does not name are unknown, and said so', async () => {
    server.next.push(grant());
    const tokens = source();
    await tokens.getAccessToken();
    expect(events('warn')).toEqual(['auth.scope_unknown']);
    expect(tokens.grantedScopes).toBeUndefined();
    expect(tokens.scopesCover('Observation')).toBe(true);
  });
});

describe('its end', () => {
  it('close ends a request under way and every later call', async () => {
    server.next.push(() => undefined);
    const tokens = source();
    const pending = rejection(tokens.getAccessToken());
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await tokens.close();
    expect((await pending).code).toBe('INTERRUPTED');
    expect((await rejection(tokens.getAccessToken())).code).toBe('INTERRUPTED');
    expect(tokens.remainingSeconds).toBe(0);
  });

  it('the signal’s reason is what everyone gets', async () => {
    const stop = new AbortController();
    const tokens = source({ signal: stop.signal });
    await tokens.getAccessToken();
    const reason = new Error('stopped by the test');
    stop.abort(reason);
    await expect(tokens.getAccessToken()).rejects.toBe(reason);
    await expect(source({ signal: stop.signal }).getAccessToken()).rejects.toBe(reason);
  });

  it('no token and no assertion was ever logged', async () => {
    const tokens = source();
    const token = await tokens.getAccessToken();
    const logged = JSON.stringify(log.lines);
    expect(events('info')).toEqual(['auth.token_received']);
    expect(logged).not.toContain(token);
    expect(logged).not.toContain(server.requests[0]!.form.get('client_assertion'));
  });
});
