import { getEventListeners } from 'node:events';
import { gzipSync } from 'node:zlib';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { createHttp, type Http, type HttpOptions } from '../../src/system/http.ts';
import { startServer, type Answer } from '../support/httpServer.ts';
import { rejection } from '../support/rejection.ts';

function open(options: HttpOptions = {}): Http {
  const http = createHttp(options);
  onTestFinished(() => http.close());
  return http;
}

/** What the client makes of one answer. */
async function get(answer: Answer, given: { readonly timeoutMs?: number; readonly maxBytes?: number } = {}) {
  const { origin } = await startServer(answer);
  return open().request({ method: 'GET', url: `${origin}/x`, ...given });
}

const send =
  (body: Buffer | string, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) => {
    response.writeHead(200, headers).end(body);
  };

describe('an exchange', () => {
  it('gives back status, headers and the exact bytes', async () => {
    const bytes = Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x00, 0xff, 0x7d]);
    const answer = await get((response) => {
      response.writeHead(418, { 'X-Upper': 'A', 'set-cookie': ['a=1', 'b=2'] }).end(bytes);
    });
    expect(answer.status).toBe(418);
    expect(answer.headers).toMatchObject({ 'x-upper': 'A', 'set-cookie': 'a=1, b=2' });
    expect(answer.body).toEqual(bytes);
  });

  it('sends method, headers and body as they are', async () => {
    const server = await startServer(send('{"n":1.50}'));
    const answer = await open().request({
      method: 'POST',
      url: `${server.origin}/a%2Fb?q=1,2|3&r=%41`,
      headers: { 'x-one': '1', authorization: 'Bearer t' },
      body: 'grant=é&x=1',
    });
    expect(answer.body.toString()).toBe('{"n":1.50}');
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      url: '/a%2Fb?q=1,2|3&r=%41',
      headers: { 'x-one': '1', authorization: 'Bearer t' },
      body: 'grant=é&x=1',
    });
  });

  it('takes an empty body, and one without a length', async () => {
    expect((await get((response) => void response.writeHead(204).end())).body).toHaveLength(0);
    const chunked = await get((response) => {
      response.write('a'.repeat(100_000));
      setImmediate(() => response.end('b'));
    });
    expect(chunked.body.toString()).toBe(`${'a'.repeat(100_000)}b`);
  });

  it('takes no informational answer for the answer', async () => {
    const answer = await get((response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.writeProcessing();
      response.writeHead(201).end('made');
    });
    expect([answer.status, answer.headers['link'], answer.body.toString()]).toEqual([201, undefined, 'made']);
  });

  it('follows no redirect', async () => {
    const target = await startServer(send('no'));
    const answer = await get((response) => {
      response.writeHead(307, { location: `${target.origin}/` }).end();
    });
    expect([answer.status, answer.headers['location']]).toEqual([307, `${target.origin}/`]);
    expect(target.requests).toEqual([]);
  });
});

describe('compression', () => {
  const text = '{"resourceType":"Bundle"}'.repeat(1_000);

  it('is undone', async () => {
    expect((await get(send(gzipSync(text), { 'content-encoding': 'GZIP' }))).body.toString()).toBe(text);
  });

  it('that is cut short is an error, never a short body', async () => {
    const cut = gzipSync(text).subarray(0, -20);
    expect((await rejection(get(send(cut, { 'content-encoding': 'gzip' })))).code).toBe('BODY_CUT');
    expect((await rejection(get(send('plain', { 'content-encoding': 'gzip' })))).code).toBe('BODY_CUT');
    expect((await rejection(get(send('x', { 'content-encoding': 'zstd-17' })))).code).toBe('BODY_CUT');
  });

  it('of a bomb is stopped at the bound', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024));
    const refusal = await rejection(get(send(bomb, { 'content-encoding': 'gzip' }), { maxBytes: 100_000 }));
    expect(refusal.code).toBe('BODY_TOO_LARGE');
  });
});

describe('a body', () => {
  it('that exceeds the bound is not read to its end', async () => {
    let written = 0;
    const endless: Answer = (response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384))) written += 16_384;
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    };
    const refusal = await rejection(get(endless, { maxBytes: 100_000 }));
    expect(refusal.code).toBe('BODY_TOO_LARGE');
    expect(written).toBeLessThan(50_000_000);
  });

  it.each<readonly [string, Answer]>([
    [
      'shorter than announced',
      (response) => response.writeHead(200, { 'content-length': 99 }).write('{', () => response.destroy()),
    ],
    ['ended in the middle of a chunk', (response) => response.write('{"a":', () => response.socket?.end())],
    ['reset', (response) => response.write('{"a":', () => response.socket?.resetAndDestroy())],
  ])('%s is BODY_CUT', async (_, answer) => {
    expect((await rejection(get(answer))).code).toBe('BODY_CUT');
  });
});

describe('a server that does not do its part', () => {
  it.each<readonly [string, Answer]>([
    ['never answers', () => undefined],
    ['stops in its head', (response) => void response.socket?.write('HTTP/1.1 200 OK\r\n')],
    ['drips its body', (response) => drip(response.writeHead(200))],
  ])('and %s is a TIMEOUT', async (_, answer) => {
    expect((await rejection(get(answer, { timeoutMs: 300 }))).code).toBe('TIMEOUT');
  });

  it('resets, closes, or speaks another language: NETWORK', async () => {
    const troubles: readonly Answer[] = [
      (response) => response.socket?.resetAndDestroy(),
      (response) => response.socket?.end(),
      (response) => response.socket?.end('SSH-2.0-OpenSSH\r\n'),
    ];
    for (const trouble of troubles) expect((await rejection(get(trouble))).code).toBe('NETWORK');
  });

  it('is not there: NETWORK; or has no name: NAME_NOT_RESOLVED', async () => {
    const { origin, close } = await startServer(send(''));
    await close();
    expect((await rejection(open().request({ method: 'GET', url: origin }))).code).toBe('NETWORK');
    const nameless = open().request({ method: 'GET', url: 'http://fhir-rounds.invalid/' });
    expect((await rejection(nameless)).code).toBe('NAME_NOT_RESOLVED');
  });
});

function drip(response: Parameters<Answer>[0]): void {
  const timer = setInterval(() => response.write('.'), 20);
  response.on('close', () => clearInterval(timer));
}

describe('an abort', () => {
  const reason = new RoundsError('INTERRUPTED', 'stop');

  it('ends a request at once, with the reason given', async () => {
    const controller = new AbortController();
    const { origin } = await startServer(() => controller.abort(reason));
    const request = open().request({ method: 'GET', url: origin, signal: controller.signal });
    expect(await rejection(request)).toBe(reason);
  });

  it('before the request sends nothing', async () => {
    const server = await startServer(send(''));
    const signal = AbortSignal.abort(reason);
    expect(await rejection(open().request({ method: 'GET', url: server.origin, signal }))).toBe(reason);
    expect(server.requests).toEqual([]);
  });

  it('leaves nothing on the signal of requests that ended well', async () => {
    const { signal } = new AbortController();
    const { origin } = await startServer(send(''));
    const http = open();
    for (let times = 0; times < 20; times++) await http.request({ method: 'GET', url: origin, signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('an error', () => {
  it('holds neither URL nor header nor body, however it is printed', async () => {
    const troubles: readonly Answer[] = [
      (response) => response.socket?.resetAndDestroy(),
      (response) =>
        response.writeHead(200, { 'content-length': 99 }).write('CANARY', () => response.destroy()),
      send('CANARY', { 'content-encoding': 'gzip' }),
      () => undefined,
    ];
    for (const trouble of troubles) {
      const { origin } = await startServer(trouble);
      const error = await rejection(
        open().request({
          method: 'POST',
          url: `${origin}/CANARY?patient=CANARY`,
          headers: { authorization: 'Bearer CANARY' },
          body: 'CANARY',
          timeoutMs: 200,
        }),
      );
      expect(
        [error.message, error.stack, JSON.stringify(error), inspect(error, { depth: 20 })].join(),
      ).not.toContain('CANARY');
    }
  });
});
