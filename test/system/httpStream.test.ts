import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { createHttp, type HttpRequest, type HttpStream } from '../../src/system/http.ts';
import { until } from '../support/fakeClock.ts';
import { startServer, type Answer } from '../support/httpServer.ts';
import { rejection } from '../support/rejection.ts';

async function openAt(answer: Answer, given: Partial<HttpRequest> = {}): Promise<HttpStream> {
  const { origin } = await startServer(answer);
  const http = createHttp();
  onTestFinished(() => http.close());
  return http.open({ method: 'GET', url: `${origin}/x`, ...given });
}

async function read({ body }: HttpStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const send =
  (body: Buffer | string, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) =>
    void response.writeHead(200, headers).end(body);

/** Writes as long as the reader takes, and counts. */
function endless(written: { bytes: number }): Answer {
  return (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(16_384))) written.bytes += 16_384;
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
}

const text = '{"resourceType":"Patient"}\n'.repeat(40_000);

describe('a stream', () => {
  it('gives status and headers before its body is there', async () => {
    let finish = (): void => undefined;
    const stream = await openAt((response) => {
      response.writeHead(206, { ETag: '"a"', 'content-range': 'bytes 0-1/2' });
      response.write('a');
      finish = () => void response.end('b');
    });
    expect([stream.status, stream.headers['etag']]).toEqual([206, '"a"']);
    finish();
    expect((await read(stream)).toString()).toBe('ab');
  });

  it('follows no redirect and takes any status', async () => {
    const stream = await openAt((response) => void response.writeHead(302, { location: 'http://x/' }).end());
    expect([stream.status, stream.headers['location']]).toEqual([302, 'http://x/']);
    stream.close();
    expect((await openAt((response) => void response.writeHead(503).end())).status).toBe(503);
  });

  it.each([
    ['identity', (body: string) => Buffer.from(body)],
    ['gzip', gzipSync],
    ['X-GZIP', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('undoes %s', async (coding, encode) => {
    const stream = await openAt(send(encode(text), { 'content-encoding': coding }));
    expect((await read(stream)).equals(Buffer.from(text))).toBe(true);
  });

  it('takes an empty body, also one that says it is compressed', async () => {
    expect(await read(await openAt(send('')))).toHaveLength(0);
    expect(await read(await openAt(send('', { 'content-encoding': 'gzip' })))).toHaveLength(0);
    expect(await read(await openAt(send(gzipSync(''), { 'content-encoding': 'gzip' })))).toHaveLength(0);
  });

  it.each<readonly [string, Answer]>([
    [
      'shorter than announced',
      (response) => response.writeHead(200, { 'content-length': 99 }).write('{', () => response.destroy()),
    ],
    ['ended within a chunk', (response) => response.write('{"a":', () => response.socket?.end())],
    ['reset', (response) => response.write('{"a":', () => response.socket?.resetAndDestroy())],
    ['cut in its gzip form', send(gzipSync(text).subarray(0, -20), { 'content-encoding': 'gzip' })],
    ['cut in its br form', send(brotliCompressSync(text).subarray(0, -5), { 'content-encoding': 'br' })],
    ['not gzip, as it says', send('plain', { 'content-encoding': 'gzip' })],
    ['encoded as nobody asked', send('x', { 'content-encoding': 'zstd-17' })],
  ])('that is %s ends in BODY_CUT', async (_, answer) => {
    expect((await rejection(read(await openAt(answer)))).code).toBe('BODY_CUT');
  });

  it('is not bounded in its size', async () => {
    const stream = await openAt(send(gzipSync(Buffer.alloc(70 << 20)), { 'content-encoding': 'gzip' }));
    let bytes = 0;
    for await (const chunk of stream.body) bytes += chunk.length;
    expect(bytes).toBe(70 << 20);
  });

  it.each(['identity', 'gzip'])('of %s is not fetched ahead of its reader', async (coding) => {
    const written = { bytes: 0 };
    const whole = gzipSync(Buffer.alloc(30 << 20), { level: 0 });
    const answer: Answer = (response) => {
      response.writeHead(200, { 'content-encoding': coding });
      if (coding === 'identity') return endless(written)(response, {} as never);
      let at = 0;
      const more = (): void => {
        while (at < whole.length && response.write(whole.subarray(at, at + 16_384))) at += 16_384;
        written.bytes = at;
        if (at < whole.length) response.once('drain', more);
      };
      more();
    };
    const stream = await openAt(answer);
    const chunks = stream.body[Symbol.asyncIterator]();
    await chunks.next();
    let before = -1;
    while (before !== written.bytes) {
      before = written.bytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // What the kernel's socket buffers of both ends may take.
    expect(written.bytes).toBeLessThan(16 << 20);
    stream.close();
  });
});

describe('a stream that nobody reads to its end', () => {
  it('is let go with its connection, when closed or left', async () => {
    for (const leave of [
      async (stream: HttpStream) => stream.close(),
      async (stream: HttpStream) => {
        for await (const chunk of stream.body) if (chunk.length > 0) break;
      },
    ]) {
      let gone = false;
      const { signal } = new AbortController();
      const stream = await openAt(
        (response, request) => {
          response.on('close', () => (gone = true));
          endless({ bytes: 0 })(response, request);
        },
        { signal },
      );
      await leave(stream);
      await until(() => gone);
      stream.close();
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    }
  });

  it('and is compressed is let go in the middle, too', async () => {
    const noise = gzipSync(Buffer.alloc(20 << 20), { level: 0 });
    const stream = await openAt(send(noise, { 'content-encoding': 'gzip' }));
    for await (const chunk of stream.body) if (chunk.length > 0) break;
    expect(await read(stream)).toHaveLength(0);
  });
});

describe('time', () => {
  it('is bounded until the head', async () => {
    expect((await rejection(openAt(() => undefined, { timeoutMs: 100 }))).code).toBe('TIMEOUT');
  });

  it('is bounded for each wait of the body', async () => {
    const stream = await openAt((response) => void response.write('a'), { timeoutMs: 100 });
    expect((await rejection(read(stream))).code).toBe('TIMEOUT');
  });

  it('is not bounded for the whole, nor for what the reader does', async () => {
    const stream = await openAt(
      (response) => {
        let left = 12;
        const timer = setInterval(() => {
          response.write('.');
          if (--left === 0) {
            clearInterval(timer);
            response.end();
          }
        }, 50);
      },
      { timeoutMs: 400 },
    );
    let received = '';
    for await (const chunk of stream.body) {
      if (received === '') await new Promise((resolve) => setTimeout(resolve, 500));
      received += chunk.toString();
    }
    expect(received).toBe('.'.repeat(12));
  });
});

describe('an abort', () => {
  const reason = new RoundsError('INTERRUPTED', 'stop');

  it('ends a stream with the reason given, and leaves nothing on the signal', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const stream = await openAt((response) => void response.write('a'), { signal });
    const reading = rejection(read(stream));
    controller.abort(reason);
    expect(await reading).toBe(reason);
    expect(await rejection(openAt(send(''), { signal }))).toBe(reason);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('ends one that is decompressed, with any reason', async () => {
    const controller = new AbortController();
    const whole = gzipSync(text);
    const stream = await openAt(
      (response) =>
        void response.writeHead(200, { 'content-encoding': 'gzip' }).write(whole.subarray(0, 500)),
      { signal: controller.signal },
    );
    const reading = read(stream).catch((error: unknown) => error);
    controller.abort('enough');
    expect(await reading).toBe('enough');
  });

  it('after the end leaves nothing on the signal', async () => {
    const { signal } = new AbortController();
    for (let times = 0; times < 5; times++) await read(await openAt(send('x'), { signal }));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('an error of a stream', () => {
  it('holds neither URL nor header nor body, however it is printed', async () => {
    const troubles: readonly Answer[] = [
      (response) =>
        response.writeHead(200, { 'content-length': 99 }).write('CANARY', () => response.destroy()),
      send('CANARY', { 'content-encoding': 'gzip' }),
      (response) => void response.write('CANARY'),
      () => undefined,
    ];
    for (const trouble of troubles) {
      const { origin } = await startServer(trouble);
      const http = createHttp();
      const request = {
        method: 'GET',
        url: `${origin}/CANARY?x=CANARY`,
        headers: { authorization: 'Bearer CANARY' },
        timeoutMs: 100,
      } as const;
      const error = await rejection(http.open(request).then(read));
      expect([error.stack, JSON.stringify(error), inspect(error, { depth: 20 })].join()).not.toContain(
        'CANARY',
      );
      await http.close();
    }
  });
});
