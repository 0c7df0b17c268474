import { createHash, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';
import { request, type IncomingHttpHeaders } from 'node:http';
import type { Sandbox } from '../../../src/sandbox/startSandbox.ts';

/** A plain HTTP client for the sandbox, made of node:crypto and fetch alone: none of the project's own code. */

export interface TestKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly kid: string;
  readonly alg: string;
  readonly jwk: object;
}

export function rsaKey(kid = 'test-key', bits = 2048, alg = 'RS384'): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return {
    privateKey,
    publicKey,
    kid,
    alg,
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' },
  };
}

export function ecKey(kid = 'ec-key', namedCurve = 'P-384', alg = 'ES384'): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  return {
    privateKey,
    publicKey,
    kid,
    alg,
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' },
  };
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export interface AssertionChanges {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
}

/** A client assertion; changes replace members, `undefined` takes them out. */
export function assertionFor(sandbox: Sandbox, key: TestKey, changes: AssertionChanges = {}): string {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: key.alg, typ: 'JWT', kid: key.kid, ...changes.header };
  const claims = {
    iss: 'client-1',
    sub: 'client-1',
    aud: sandbox.tokenEndpoint,
    iat: now - 10,
    exp: now + 240,
    jti: randomUUID(),
    ...changes.claims,
  };
  const data = `${part(header)}.${part(claims)}`;
  const hash = `sha${String(header.alg).slice(2)}`;
  const signature = sign(hash, Buffer.from(data), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${data}.${signature.toString('base64url')}`;
}

export function postToken(
  sandbox: Sandbox,
  assertion: string,
  more: Record<string, string> = {},
): Promise<Response> {
  return fetch(sandbox.tokenEndpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      ...more,
    }),
  });
}

/** Registers client-1 with the key and fetches a token. */
export async function tokenFor(sandbox: Sandbox, key: TestKey, scopes?: string): Promise<string> {
  sandbox.registerClient({
    clientId: 'client-1',
    jwks: { keys: [key.jwk] },
    ...(scopes === undefined ? {} : { scopes }),
  });
  const answer = await postToken(sandbox, assertionFor(sandbox, key));
  return ((await answer.json()) as { access_token: string }).access_token;
}

/** Parsed JSON, whose shape the tests know. */
export type Parsed = ReturnType<typeof JSON.parse>;

export interface Fetched {
  readonly status: number;
  readonly text: string;
  readonly json: Parsed;
  readonly headers: Headers;
}

/** GET under the FHIR base, or of a whole URL. */
export async function getFhir(
  sandbox: Sandbox,
  token: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Fetched> {
  const url = path.startsWith('http') ? path : `${sandbox.fhirBase}/${path}`;
  const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}`, ...headers } });
  const text = await answer.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: answer.status, text, json, headers: answer.headers };
}

/** The Epic codes of an OperationOutcome. */
export function codesOf(outcome: Parsed): string[] {
  return (outcome?.issue ?? []).map((issue: Parsed) => issue.details.coding[0].code);
}

export const nextOf = (bundle: Parsed): string | undefined =>
  bundle.link.find((link: Parsed) => link.relation === 'next')?.url;

/** White space between tokens taken out, by a way of its own: token by token with a regular expression. */
export function compacted(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|[ \t\r\n]+/gs, (_all, string: string | undefined) => string ?? '');
}

/** The raw compact text of each entry's resource, found by bracket counting in the compact Bundle. */
export function resourceTexts(bundleText: string): string[] {
  const text = compacted(bundleText);
  const texts: string[] = [];
  let depth = 0;
  let start = -1;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (inString) {
      if (char === '\\') index += 1;
      else if (char === '"') inString = false;
      continue;
    }
    if (char === '"') {
      // Bundle is depth 1, entry list 2, entry 3: a key `resource` at depth 3 opens a resource.
      if (depth === 3 && text.startsWith('"resource":{', index)) {
        start = index + '"resource":'.length;
        index = start - 1;
        continue;
      }
      inString = true;
    } else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') {
      depth -= 1;
      if (start >= 0 && depth === 3) {
        texts.push(text.slice(start, index + 1));
        start = -1;
      }
    }
  }
  return texts;
}

export const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');

/** All items of an async iteration (Array.fromAsync is not in Node 20). */
export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body ended as its headers promised. */
  readonly complete: boolean;
}

/** Without fetch's kindness: what came over the wire, however it ended. Rejects when nothing came. */
export function rawAnswer(
  url: string,
  headers: Readonly<Record<string, string>>,
  abandonMs?: number,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => {});
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          complete: response.complete,
        }),
      );
    });
    sent.on('error', reject);
    if (abandonMs !== undefined) setTimeout(() => sent.destroy(new Error('abandoned')), abandonMs);
    sent.end();
  });
}
