import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import { Judge } from '../../src/ndjson/judge.ts';
import { downloadFile, type DownloadOptions, type DownloadedFile } from '../../src/pull/bulkDownload.ts';
import { PRIVATE_MODES } from '../../src/system/files.ts';
import { createHttp } from '../../src/system/http.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { startServer, type Answer, type ReceivedRequest, type TestServer } from '../support/httpServer.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** Lines of Patients, about `bytes` of them. */
export function patients(bytes: number, seed = ''): Buffer {
  const lines: string[] = [];
  for (let size = 0, n = 0; size < bytes; n++) {
    const line = `{"resourceType":"Patient","id":"${seed}${n}","text":"${'é'.repeat(n % 700)}"}\n`;
    lines.push(line);
    size += Buffer.byteLength(line);
  }
  return Buffer.from(lines.join(''));
}

export const linesIn = (content: Buffer): number => content.toString('latin1').split('\n').length - 1;
export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

export interface ServedFile {
  readonly content: Buffer;
  readonly etag?: string;
  /** Ends the connection behind so many bytes of the body. */
  readonly cutAt?: number;
}

/** A file as a good server has it: Range, If-Range, gzip where it is taken. Maybe cut. */
export function served({ content, etag, cutAt }: ServedFile): Answer {
  return (response, request) => {
    const { range, 'if-range': condition, 'accept-encoding': encoding } = request.headers;
    const [, first] = /^bytes=(\d+)-$/.exec(range ?? '') ?? [];
    const from =
      first === undefined || (condition !== undefined && condition !== etag) ? undefined : Number(first);
    if (from !== undefined && from >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
      return;
    }
    const isGzip = from === undefined && encoding === 'gzip' && etag === undefined;
    const whole = isGzip ? gzipSync(content) : content;
    const body = whole.subarray(from ?? 0);
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': body.length,
      ...(isGzip ? { 'content-encoding': 'gzip' } : {}),
      ...(etag === undefined ? {} : { etag }),
      ...(from === undefined
        ? {}
        : { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    if (cutAt === undefined) response.end(body);
    else writeAndCut(response, body.subarray(0, cutAt));
  };
}

/** The rest of the body is lost with the connection; what was written has reached the reader. */
export function writeAndCut(response: ServerResponse, body: Buffer): void {
  response.write(body, () => response.socket?.end());
}

export interface Downloading {
  readonly server: TestServer;
  readonly options: DownloadOptions;
  readonly checkpoints: { readonly bytes: number; readonly count: number; readonly etag?: string }[];
  readonly ranges: () => readonly (string | undefined)[];
  readonly run: (changes?: Partial<DownloadOptions>) => Promise<DownloadedFile>;
}

export async function prepare(answer: Answer, changes: Partial<DownloadOptions> = {}): Promise<Downloading> {
  const server = await startServer(answer);
  const folder = await temporaryFolder();
  const checkpoints: { bytes: number; count: number; etag?: string }[] = [];
  const judge = Judge.start();
  onTestFinished(() => judge.close());
  const options: DownloadOptions = {
    judge,
    open: openAt(`${server.origin}/file`),
    file: path.join(folder, 'Patient.ndjson'),
    keysFile: path.join(folder, 'Patient.keys'),
    modes: PRIVATE_MODES,
    resourceType: 'Patient',
    expectedCount: undefined,
    from: undefined,
    checkpointBytes: 64 << 20,
    checkpoint: async (at) => void checkpoints.push(at),
    maxAttempts: 3,
    clock: createFakeClock({ auto: true }),
    random: () => 0.5,
    signal: new AbortController().signal,
    ...changes,
  };
  return {
    server,
    options,
    checkpoints,
    ranges: () => server.requests.map((request: ReceivedRequest) => request.headers.range),
    run: async (more = {}) => {
      const done = await downloadFile({ ...options, ...more });
      onTestFinished(() => done.close());
      return done;
    },
  };
}

/** Asks for a file as the orchestration does. */
export function openAt(
  url: string,
  more: {
    readonly headers?: Record<string, string>;
    readonly signal?: AbortSignal;
    readonly timeoutMs?: number;
  } = {},
): DownloadOptions['open'] {
  const http = createHttp();
  onTestFinished(() => http.close());
  return async (headers) => {
    const stream = await http.open({ method: 'GET', url, ...more, headers: { ...more.headers, ...headers } });
    if ([200, 206, 416].includes(stream.status)) return stream;
    stream.close();
    throw new RoundsError('HTTP_GONE', `HTTP ${stream.status}`);
  };
}
