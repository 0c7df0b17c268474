import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RoundsError } from '../../src/errors.ts';
import type { Clock } from '../../src/system/clock.ts';
import type { Log, LogFields } from '../../src/system/logger.ts';

/** A clock that moves only when it is told to, or slept on. */
export interface TestClock extends Clock {
  advance(ms: number): void;
  readonly sleeps: readonly number[];
}

export const START_MS = Date.UTC(2026, 10, 22, 2);

export function createTestClock(startMs: number = START_MS): TestClock {
  let elapsed = 0;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => startMs + elapsed,
    monotonicMs: () => elapsed,
    advance: (ms) => {
      elapsed += ms;
    },
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
      elapsed += ms;
    },
  };
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

export type TestLog = Log & { readonly lines: readonly LogLine[] };

export function createTestLog(): TestLog {
  const lines: LogLine[] = [];
  const write =
    (level: string) =>
    (event: string, fields: LogFields = {}): void => {
      lines.push({ level, event, fields });
    };
  const log = {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return log;
}

export interface TokenRequest {
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

export type Answer = (response: ServerResponse, request: TokenRequest) => void;

export interface TokenServer {
  readonly origin: string;
  readonly tokenEndpoint: string;
  readonly requests: readonly TokenRequest[];
  /** Answers for the next requests, in turn; afterwards a token each. */
  readonly next: Answer[];
  close(): Promise<void>;
}

export const answerJson =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };

/**
 * A token endpoint that verifies every assertion with node:crypto alone. It answers invalid_client to one that is
 * not signed by `key`, and otherwise what the test asked for.
 */
export async function startTokenServer(key: KeyObject, expiresIn = 3600): Promise<TokenServer> {
  const requests: TokenRequest[] = [];
  const next: Answer[] = [];
  let issued = 0;
  const server = createServer((incoming, response) => {
    // The test's clock is not this machine's: only a Date that a test gives may count as the server's.
    response.sendDate = false;
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
      const assertion = verifyAssertion(form.get('client_assertion') ?? '', key);
      if (assertion === undefined) return answerJson(400, { error: 'invalid_client' })(response, undefined!);
      const request = { headers: incoming.headers, form, ...assertion };
      requests.push(request);
      const answer =
        next.shift() ??
        answerJson(200, {
          access_token: `token-${++issued}`,
          token_type: 'bearer',
          expires_in: expiresIn,
          scope: form.get('scope') ?? 'system/*.read',
        });
      answer(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    tokenEndpoint: `${origin}/oauth2/token`,
    requests,
    next,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

const HASHES: Readonly<Record<string, string>> = {
  RS256: 'sha256',
  RS384: 'sha384',
  RS512: 'sha512',
  ES256: 'sha256',
  ES384: 'sha384',
};

/** A compact JWS's header and claims, or undefined when `key` did not sign it. */
export function verifyAssertion(
  jws: string,
  key: KeyObject,
): Pick<TokenRequest, 'header' | 'claims'> | undefined {
  const [head = '', body = '', signature = ''] = jws.split('.');
  const header = parsePart(head);
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const good = verify(
    HASHES[String(header['alg'])] ?? 'none',
    Buffer.from(`${head}.${body}`),
    { key: publicKey, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  return good ? { header, claims: parsePart(body) } : undefined;
}

const parsePart = (part: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;

/** The RoundsError that a promise rejects with; anything else fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<RoundsError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome && outcome.error instanceof RoundsError) return outcome.error;
  throw new Error(`expected a RoundsError, got ${JSON.stringify(outcome)}`);
}

export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-auth-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
