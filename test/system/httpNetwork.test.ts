import { getEventListeners } from 'node:events';
import type { Socket } from 'node:net';
import { generate } from 'selfsigned';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { createHttp, type Http, type HttpOptions } from '../../src/system/http.ts';
import { startConnectProxy } from '../support/connectProxy.ts';
import { startServer } from '../support/httpServer.ts';
import { rejection } from '../support/rejection.ts';

/** A hospital's own authority, and a server's certificate by it. */
let ca: { readonly private: string; readonly cert: string };
let server: { readonly key: string; readonly cert: string };

beforeAll(async () => {
  ca = await generate([{ name: 'commonName', value: 'Test authority' }], {
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const issued = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    algorithm: 'sha256',
    ca: { key: ca.private, cert: ca.cert },
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  server = { key: issued.private, cert: issued.cert };
});

function open(options: HttpOptions = {}): Http {
  const http = createHttp(options);
  onTestFinished(() => http.close());
  return http;
}

function setEnvironment(name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  onTestFinished(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

/** A body of its own for each number, of up to 40 kB. */
const bodyOf = (no: number): string =>
  `{"no":${no},"x":"${String(no)
    .padStart(8, '0')
    .repeat((no * 37) % 5_000)}"}`;

const startTls = () => startServer((response) => void response.end('over TLS'), server);

describe('a body', () => {
  it.each(['http', 'https'])('by %s is not touched any more once it is there', async (protocol) => {
    const isSecure = protocol === 'https';
    const { origin } = await startServer(
      (response, { url }) => void response.end(bodyOf(Number(url.slice(1)))),
      isSecure ? server : undefined,
    );
    const http = open(isSecure ? { caPem: ca.cert } : {});
    const bodies: Buffer[] = [];
    let next = 0;
    const ask = async (): Promise<void> => {
      while (next < 1_000) {
        const no = next++;
        bodies[no] = (await http.request({ method: 'GET', url: `${origin}/${no}` })).body;
      }
    };
    await Promise.all(Array.from({ length: 8 }, ask));
    expect(bodies.findIndex((body, no) => body.toString() !== bodyOf(no))).toBe(-1);
    expect(bodies).toHaveLength(1_000);
  });
});

describe('connections', () => {
  it('are no more than they may be, and what comes beyond waits its turn', async () => {
    const sockets = new Set<unknown>();
    const { origin } = await startServer((response) => {
      sockets.add(response.socket);
      setTimeout(() => response.end('{}'), 5);
    });
    const http = open({ connections: 3 });
    const ask = () => http.request({ method: 'GET', url: origin });
    const answers = await Promise.all(Array.from({ length: 50 }, ask));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    expect(sockets.size).toBe(3);
  });

  it('that hang keep nobody from the others, and make room when their time is over', async () => {
    const { origin } = await startServer(
      (response, { url }) => void (url === '/hangs' || response.end('{}')),
    );
    const http = open({ connections: 3 });
    const ask = (path: string, timeoutMs = 60_000) =>
      http.request({ method: 'GET', url: `${origin}${path}`, timeoutMs });
    const hanging = [ask('/hangs', 1_000), ask('/hangs', 1_000)].map(rejection);
    for (let time = 0; time < 20; time++) expect((await ask('/')).status).toBe(200);
    expect((await Promise.all(hanging)).map((error) => error.code)).toEqual(['TIMEOUT', 'TIMEOUT']);
    const more = [ask('/hangs', 1_000), ask('/hangs', 1_000)].map(rejection);
    expect((await ask('/')).status).toBe(200);
    await Promise.all(more);
  });

  it('that cannot be made leave no request waiting', async () => {
    const { origin, close } = await startServer((response) => void response.end());
    await close();
    const http = open({ connections: 2 });
    const asked = Array.from({ length: 10 }, () => rejection(http.request({ method: 'GET', url: origin })));
    for (const error of await Promise.all(asked)) expect(error).toMatchObject({ code: 'NETWORK' });
  });
});

describe('TLS', () => {
  it('trusts a private authority that is given, beside the public ones', async () => {
    const { origin } = await startTls();
    const answer = await open({ caPem: ca.cert }).request({ method: 'GET', url: origin });
    expect(answer.body.toString()).toBe('over TLS');
  });

  it('is the same for an answer that is read while it comes', async () => {
    const { origin } = await startTls();
    const stream = await open({ caPem: ca.cert }).open({ method: 'GET', url: origin });
    const chunks: Buffer[] = [];
    for await (const chunk of stream.body) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('over TLS');
    expect((await rejection(open().open({ method: 'GET', url: origin }))).code).toBe('TLS_UNTRUSTED');
  });

  it('trusts nobody else', async () => {
    const { origin, requests } = await startTls();
    const refusal = await rejection(open().request({ method: 'GET', url: origin }));
    expect(refusal).toMatchObject({ code: 'TLS_UNTRUSTED', failure: 'config' });
    expect(requests).toEqual([]);
  });

  it('trusts a certificate for the host that it names, and no other', async () => {
    const { port } = await startTls();
    const request = open({ caPem: ca.cert }).request({ method: 'GET', url: `https://localhost:${port}/` });
    expect((await rejection(request)).code).toBe('TLS_UNTRUSTED');
  });
});

describe('a proxy', () => {
  it('is asked to connect, and the server’s certificate is checked through it', async () => {
    const { origin, port } = await startTls();
    const proxy = await startConnectProxy();
    const answer = await open({ proxy: proxy.url, caPem: ca.cert }).request({ method: 'GET', url: origin });
    expect(answer.body.toString()).toBe('over TLS');
    expect(proxy.targets).toEqual([`127.0.0.1:${port}`]);
    const untrusting = open({ proxy: proxy.url }).request({ method: 'GET', url: origin });
    expect((await rejection(untrusting)).code).toBe('TLS_UNTRUSTED');
  });

  it('is taken from HTTPS_PROXY, but not for hosts in NO_PROXY', async () => {
    const { origin, port } = await startTls();
    const proxy = await startConnectProxy();
    setEnvironment('HTTPS_PROXY', proxy.url);
    setEnvironment('NO_PROXY', '');
    await open({ caPem: ca.cert }).request({ method: 'GET', url: origin });
    expect(proxy.targets).toEqual([`127.0.0.1:${port}`]);
    setEnvironment('NO_PROXY', '127.0.0.1');
    await open({ caPem: ca.cert }).request({ method: 'GET', url: origin });
    expect(proxy.targets).toHaveLength(1);
  });

  it.each([
    ['refuses', (client: Socket) => void client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')],
    ['hangs up', (client: Socket) => void client.destroy()],
    ['ends the connection', (client: Socket) => void client.end()],
  ])('that %s is a passing trouble, and asked once', async (_, refusal) => {
    const { origin } = await startTls();
    const proxy = await startConnectProxy(refusal);
    const request = open({ proxy: proxy.url }).request({ method: 'GET', url: origin });
    expect(await rejection(request)).toMatchObject({ code: 'NETWORK', failure: 'transient' });
    expect(proxy.targets).toHaveLength(1);
  });

  it('that never answers holds up neither a time-out nor an abort', async () => {
    const { origin } = await startTls();
    const proxy = await startConnectProxy(() => undefined);
    const http = open({ proxy: proxy.url });
    const controller = new AbortController();
    const timed = http.request({ method: 'GET', url: origin, timeoutMs: 100, signal: controller.signal });
    expect((await rejection(timed)).code).toBe('TIMEOUT');
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    const aborted = http.request({ method: 'GET', url: origin, signal: controller.signal });
    const stream = http.open({ method: 'GET', url: origin, signal: controller.signal });
    controller.abort(new RoundsError('INTERRUPTED', 'stop'));
    expect((await rejection(aborted)).code).toBe('INTERRUPTED');
    expect((await rejection(stream)).code).toBe('INTERRUPTED');
  });
});
