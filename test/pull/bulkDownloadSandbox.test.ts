import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startSandbox, type FaultAction, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { kickoff, manifestAt, rawFile, statusUrlOf, tokenAt } from '../sandbox/support/bulk.ts';
import { rsaKey, type Parsed } from '../sandbox/support/client.ts';
import { rejection } from '../support/rejection.ts';
import { openAt, prepare, served } from './downloading.ts';

let sandbox: Sandbox;
let token: string;
/** The first Observation file: its URL, its lines as the manifest counts them, and its bytes by plain HTTP. */
let file: { readonly url: string; readonly count: number; readonly body: Buffer };

beforeAll(async () => {
  sandbox = await startSandbox({ smtp: false, dialect: 'us-core', patients: 3, tokenLifeSeconds: 1e9 });
  token = await tokenAt(sandbox, rsaKey(), Date.now());
  const begun = await kickoff(sandbox, token, 'Patient/$export?_type=Observation');
  const { json } = await manifestAt(token, statusUrlOf(begun));
  const { url, count } = json.output.find(({ type }: Parsed) => type === 'Observation');
  file = { url, count, body: (await rawFile(token, url, { 'Accept-Encoding': 'identity' })).body };
});
beforeEach(() => sandbox.setFaults([]));
afterAll(() => sandbox.close());

async function prepareHere() {
  const open = openAt(file.url, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/fhir+ndjson' },
  });
  return prepare(served({ content: Buffer.alloc(0) }), {
    open,
    resourceType: 'Observation',
    expectedCount: file.count,
  });
}

/** A fault for each request, in turn. */
const setFaults = (...actions: readonly FaultAction[]): void =>
  sandbox.setFaults(
    actions.map((then, n) => ({ match: { endpoint: 'file' }, when: { nth: [n + 1] }, then }) as const),
  );

it.each<readonly [string, readonly FaultAction[]]>([
  ['nothing', []],
  ['a cut', [{ cutBodyAt: 0.5 }]],
  ['a cut of the gzip form', [{ gzipCut: true }]],
  ['a server that ignores ranges', [{ cutBodyAt: 0.5 }, { range: 'ignored' }]],
  ['a server that refuses ranges', [{ cutBodyAt: 0.5 }, { range: 'refused' }]],
  ['a server that gives another range', [{ cutBodyAt: 0.5 }, { range: 'wrong' }]],
  ['another ETag', [{ cutBodyAt: 0.5 }, { etagChanged: true }]],
  ['lines that end in CR LF', [{ lineForm: 'crlf' }]],
  ['no line feed at the end', [{ lineForm: 'no-final-newline' }]],
  ['a byte order mark', [{ lineForm: 'bom' }]],
  ['a blank line', [{ insertLine: 'blank' }]],
  ['text in a line', [{ insertLine: 'not-json' }]],
  ['a line that is cut', [{ insertLine: 'cut-json' }]],
  ['a list in a line', [{ insertLine: 'list' }]],
  ['another type in a line', [{ insertLine: 'other-type' }]],
  ['a line too many', [{ insertLine: 'duplicate' }]],
  ['an early end', [{ badJson: true }]],
  ['lines that are missing', [{ dropLines: 3 }]],
])('the file comes whole through %s', async (_, actions) => {
  setFaults(...actions);
  const at = await prepareHere();
  const done = await at.run();
  expect((await readFile(at.options.file)).equals(file.body)).toBe(true);
  expect(done).toMatchObject({
    bytes: file.body.length,
    count: file.count,
    sha256: createHash('sha256').update(file.body).digest('hex'),
  });
});

it.each<readonly [FaultAction, string]>([
  [{ insertLine: 'other-type' }, 'BULK_FILE_MALFORMED'],
  [{ dropLines: 3 }, 'BULK_COUNT_DIFFERS'],
  [{ status: 410 }, 'HTTP_GONE'],
])('what stays wrong (%j) is said: %s', async (then, code) => {
  sandbox.setFaults([{ match: { endpoint: 'file' }, then }]);
  expect((await rejection((await prepareHere()).run())).code).toBe(code);
});
