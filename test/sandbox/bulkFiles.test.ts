import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startSandbox, type BulkOptions, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { getFile, getJson, kickoff, manifestAt, rawFile, statusUrlOf, tokenAt } from './support/bulk.ts';
import { rsaKey, sha256 } from './support/client.ts';

const key = rsaKey();
const clock = { nowMs: Date.parse('2026-06-01T00:00:00Z') };
let sandbox: Sandbox;
let token: string;
afterEach(() => sandbox.close());

interface Begun {
  readonly statusUrl: string;
  readonly fileUrl: string;
}

async function start(bulk: BulkOptions = {}, patients = 3): Promise<Begun> {
  sandbox = await startSandbox({
    smtp: false,
    dialect: 'us-core',
    patients,
    now: () => clock.nowMs,
    tokenLifeSeconds: 1e9,
    bulk: { polls: 0, ...bulk },
  });
  token = await tokenAt(sandbox, key, clock.nowMs);
  const statusUrl = statusUrlOf(await kickoff(sandbox, token, 'Patient/$export?_type=Observation'));
  const { json } = await manifestAt(token, statusUrl);
  return { statusUrl, fileUrl: json.output[0].url };
}

const getRaw = (url: string, headers: Record<string, string>) => rawFile(token, url, headers);

describe('a file', () => {
  it.each([
    ['small', 3, 0, 256 * 1024],
    ['streamed', 12, 256 * 1024, Infinity],
  ])('is NDJSON with the oracle’s bytes, plain or gzipped: %s', async (_size, patients, above, upTo) => {
    const { fileUrl } = await start({}, patients);
    const plain = await getFile(token, fileUrl);
    expect(plain.text.length).toBeGreaterThan(above);
    expect(plain.text.length).toBeLessThanOrEqual(upTo);
    expect(plain.headers.get('content-type')).toBe('application/fhir+ndjson');
    expect(Number(plain.headers.get('content-length'))).toBe(Buffer.byteLength(plain.text));
    expect(plain.text.endsWith('}\n')).toBe(true);
    const hashes = plain.text.trimEnd().split('\n').map(sha256);
    const oracle = [...sandbox.bulk.oracle({ url: 'Patient/$export?_type=Observation' }).resources];
    expect(hashes).toEqual(oracle.map((line) => line.sha256));

    const zipped = await getRaw(fileUrl, { 'Accept-Encoding': 'gzip' });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(zipped.body).toString('utf8')).toBe(plain.text);
    expect(zipped.headers.etag).not.toBe(plain.headers.get('etag'));
    const refused = await getRaw(fileUrl, { 'Accept-Encoding': 'gzip;q=0' });
    expect(refused.headers['content-encoding']).toBeUndefined();
    expect((await getFile(token, fileUrl, { Accept: 'application/json' })).status).toBe(406);
  });

  it.each([3, 12])('is given in parts, as long as it is the same file (%i patients)', async (patients) => {
    const { fileUrl } = await start({}, patients);
    const whole = await getFile(token, fileUrl);
    const length = Buffer.byteLength(whole.text);
    const etag = whole.headers.get('etag') ?? '';
    const part = (range: string, more: Record<string, string> = {}) =>
      getFile(token, fileUrl, { Range: range, ...more });
    const rest = await getRaw(fileUrl, { Range: 'bytes=1000-', 'If-Range': etag, 'Accept-Encoding': 'gzip' });
    expect([rest.status, rest.headers['content-encoding']]).toEqual([206, undefined]);
    expect(rest.body.equals(Buffer.from(whole.text).subarray(1000))).toBe(true);
    const middle = await part('bytes=10-19');
    expect(middle.headers.get('content-range')).toBe(`bytes 10-19/${length}`);
    expect(middle.headers.get('content-length')).toBe('10');
    expect((await part('bytes=-5')).headers.get('content-range')).toBe(
      `bytes ${length - 5}-${length - 1}/${length}`,
    );
    expect((await part(`bytes=5-${length + 100}`)).headers.get('content-range')).toBe(
      `bytes 5-${length - 1}/${length}`,
    );
    const beyond = await part(`bytes=${length}-`);
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${length}`]);
    // Another ETag (the gzip form's, too), several ranges, no range: the whole.
    for (const [range, more] of [
      ['bytes=10-19', { 'If-Range': '"other"' }],
      ['bytes=10-19', { 'If-Range': etag.replace(/"$/, '-gzip"') }],
      ['bytes=0-1,5-6', {}],
      ['bytes=-', {}],
      ['lines=1-2', {}],
    ] as const) {
      const answer = await part(range, more);
      expect([answer.status, answer.text.length], range).toEqual([200, whole.text.length]);
    }
  });

  it('has a URL that expires; the manifest, fetched again, has a fresh one', async () => {
    const { statusUrl, fileUrl } = await start({ urlLifeSeconds: 600 });
    expect((await getFile(token, fileUrl)).status).toBe(200);
    const again = await getJson(token, statusUrl);
    expect(again.json.output[0].url).toBe(fileUrl);
    expect(Date.parse(again.headers.get('expires') ?? '')).toBe(clock.nowMs + 600_000);
    clock.nowMs += 600_000;
    const gone = await getFile(token, fileUrl);
    expect(gone.status).toBe(410);
    expect(gone.json.issue[0].code).toBe('expired');
    const { json } = await getJson(token, statusUrl);
    expect(json.output[0].url).not.toBe(fileUrl);
    expect((await getFile(token, json.output[0].url)).status).toBe(200);
    expect((await getFile(token, fileUrl.replace(/files\/[0-9a-f]+/, 'files/0123'))).status).toBe(404);
  });

  it('may lie at another origin, where there is nothing else', async () => {
    const { fileUrl } = await start({ filesOnOtherOrigin: true });
    const other = sandbox.bulk.otherOrigin ?? '';
    expect(other).not.toBe(sandbox.origin);
    expect(fileUrl.startsWith(`${other}/`)).toBe(true);
    expect((await getFile(undefined, fileUrl)).status).toBe(401);
    expect((await getFile(token, fileUrl)).status).toBe(200);
    expect((await getJson(token, `${fileUrl.slice(0, fileUrl.indexOf('/R4/'))}/R4/metadata`)).status).toBe(
      404,
    );
    const host = new URL(other).host;
    const told = () =>
      sandbox.requests
        .filter((recorded) => recorded.headers['host'] === host)
        .map((recorded) => [recorded.endpoint, recorded.authorized, recorded.status].join(' '));
    // A request is recorded once its answer is over, which may be after the client has it.
    await vi.waitFor(() =>
      expect(told().sort()).toEqual(['file false 401', 'file true 200', 'other true 404']),
    );
  });

  it('needs no token where the manifest says so', async () => {
    const { fileUrl } = await start({ requiresAccessToken: false, filesOnOtherOrigin: true });
    expect((await getFile(undefined, fileUrl)).status).toBe(200);
    expect((await getFile(token, fileUrl)).status).toBe(400);
  });
});
