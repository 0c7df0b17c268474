import type { Sandbox } from '../../../src/sandbox/startSandbox.ts';
import {
  assertionFor,
  postToken,
  rawAnswer,
  sha256,
  type Fetched,
  type Parsed,
  type RawAnswer,
  type TestKey,
} from './client.ts';

/** Bulk Data by plain HTTP: none of the project's own code. */

export const GROUP = 'e3iabhmS8rsueyz7vaimuiaSmfGvi.QwjVXJANlPOgR83';

/** Registers a client and fetches a token by the server's clock. */
export async function tokenAt(
  sandbox: Sandbox,
  key: TestKey,
  nowMs: number,
  { clientId = 'client-1', scopes }: { readonly clientId?: string; readonly scopes?: string } = {},
): Promise<string> {
  sandbox.registerClient({
    clientId,
    jwks: { keys: [key.jwk] },
    ...(scopes === undefined ? {} : { scopes }),
  });
  const iat = Math.floor(nowMs / 1000) - 10;
  const claims = { iss: clientId, sub: clientId, iat, exp: iat + 240 };
  const answer = await postToken(sandbox, assertionFor(sandbox, key, { claims }));
  return ((await answer.json()) as { access_token: string }).access_token;
}

export interface KickoffChanges {
  readonly headers?: Record<string, string | undefined>;
  /** Parameters of a POST. */
  readonly parameters?: readonly object[];
  readonly body?: string;
}

/** A request that may leave headers out, which fetch alone does not allow for Accept: `undefined` sends none of ours. */
export async function send(
  url: string,
  method: string,
  headers: Record<string, string | undefined>,
  body?: string,
): Promise<Fetched> {
  const given = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as [string, string]],
  );
  const answer = await fetch(url, {
    method,
    headers: given,
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.text();
  let json: Parsed;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: answer.status, text, json, headers: answer.headers };
}

/** A kick-off; a path with `?` is relative to the FHIR base. */
export function kickoff(
  sandbox: Sandbox,
  token: string,
  path: string,
  changes: KickoffChanges = {},
): Promise<Fetched> {
  const isPost = changes.parameters !== undefined || changes.body !== undefined;
  const body =
    changes.body ?? JSON.stringify({ resourceType: 'Parameters', parameter: changes.parameters ?? [] });
  const headers = {
    Authorization: `Bearer ${token}`,
    Accept: 'application/fhir+json',
    Prefer: 'respond-async',
    ...(isPost ? { 'Content-Type': 'application/fhir+json' } : {}),
    ...changes.headers,
  };
  return send(`${sandbox.fhirBase}/${path}`, isPost ? 'POST' : 'GET', headers, isPost ? body : undefined);
}

export const statusUrlOf = (answer: Fetched): string => answer.headers.get('content-location') ?? '';

export const getJson = (token: string, url: string, headers: Record<string, string> = {}) =>
  send(url, 'GET', { Authorization: `Bearer ${token}`, Accept: 'application/json', ...headers });

export const getFile = (token: string | undefined, url: string, headers: Record<string, string> = {}) =>
  send(url, 'GET', {
    Accept: 'application/fhir+ndjson',
    'Accept-Encoding': 'identity',
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    ...headers,
  });

/** `rawAnswer` with a token, or without. */
export function rawFile(
  token: string | undefined,
  url: string,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  return rawAnswer(url, { ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...headers });
}

/** Polls until the answer is no longer 202; at most 50 times. */
export async function manifestAt(token: string, statusUrl: string): Promise<Fetched> {
  for (let polls = 0; polls < 50; polls += 1) {
    const answer = await getJson(token, statusUrl);
    if (answer.status !== 202) return answer;
  }
  throw new Error('the export does not end');
}

export interface ExportedLine {
  readonly type: string;
  readonly id: string;
  readonly sha256: string;
}

export interface Exported {
  readonly manifest: Parsed;
  readonly lines: readonly ExportedLine[];
  /** The lines of the `deleted` and `error` files. */
  readonly deleted: readonly Parsed[];
  readonly errors: readonly Parsed[];
}

const linesOf = (text: string) => text.split('\n').filter((line) => line !== '');

/** A whole export: kick-off, polls, manifest, files. Throws when one of them is not as it should be. */
export async function exported(
  sandbox: Sandbox,
  token: string,
  path: string,
  changes: KickoffChanges = {},
): Promise<Exported> {
  const begun = await kickoff(sandbox, token, path, changes);
  if (begun.status !== 202) throw new Error(`kick-off ${begun.status}: ${begun.text}`);
  const { json: manifest } = await manifestAt(token, statusUrlOf(begun));
  const texts = async (kind: string) => {
    const all: string[] = [];
    for (const { url } of manifest[kind]) {
      const file = await getFile(token, url);
      if (file.status !== 200) throw new Error(`file ${file.status}`);
      all.push(...linesOf(file.text));
    }
    return all;
  };
  const output = await texts('output');
  return {
    manifest,
    lines: output.map((line) => {
      const { resourceType, id } = JSON.parse(line);
      return { type: resourceType, id, sha256: sha256(line) };
    }),
    deleted: (await texts('deleted')).map((line) => JSON.parse(line)),
    errors: (await texts('error')).map((line) => JSON.parse(line)),
  };
}

/** Comparable whatever the order. */
export const keysOf = (lines: Iterable<ExportedLine>): string[] =>
  [...lines].map(({ type, id, sha256: hash }) => `${type}/${id} ${hash}`).sort();

/** The oracle's lines for a kick-off, comparable. */
export const oracleKeys = (sandbox: Sandbox, url: string, parameters?: readonly object[]): string[] =>
  keysOf(
    sandbox.bulk.oracle({
      url,
      ...(parameters ? { parameters: { resourceType: 'Parameters', parameter: parameters } } : {}),
    }).resources,
  );
