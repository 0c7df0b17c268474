import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FaultAction, FaultMatch, FaultWhen } from '../../src/sandbox/faults.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import {
  assertionFor,
  codesOf,
  getFhir,
  nextOf,
  postToken,
  rawAnswer,
  resourceTexts,
  rsaKey,
  tokenFor,
  type RawAnswer,
} from './support/client.ts';

const key = rsaKey();
/** A patient whose first page of conditions is not an empty one. */
const PLAIN = 4;
let sandbox: Sandbox;
let token: string;
const patient = (ordinal: number) => sandbox.patientIdAt(ordinal) ?? '';
const conditions = () => `Condition?patient=${patient(PLAIN)}`;
const labs = () => `Observation?patient=${patient(3)}&category=laboratory&_count=20`;

beforeAll(async () => {
  sandbox = await startSandbox({ smtp: false });
  token = await tokenFor(sandbox, key);
});
afterEach(() => sandbox.setFaults([]));
afterAll(() => sandbox.close());

const fault = (then: FaultAction, match: FaultMatch = { endpoint: 'search' }, when?: FaultWhen) =>
  sandbox.setFaults([{ match, then, ...(when ? { when } : {}) }]);
const get = (path: string) => getFhir(sandbox, token, path);

const getRaw = (path: string, headers: Record<string, string> = {}, abandonMs?: number): Promise<RawAnswer> =>
  rawAnswer(`${sandbox.fhirBase}/${path}`, { authorization: `Bearer ${token}`, ...headers }, abandonMs);

const lastStatus = () => sandbox.requests.at(-1)?.status;

describe('what a rule does', () => {
  it('a status with an outcome, headers, and Retry-After in its forms', async () => {
    fault({ status: 429, outcome: '59133', headers: { 'X-Trace': '1' }, retryAfter: 7 });
    const answer = await get(conditions());
    expect([answer.status, ...codesOf(answer.json)]).toEqual([429, '59133']);
    expect([answer.headers.get('retry-after'), answer.headers.get('x-trace')]).toEqual(['7', '1']);
    fault({ status: 503, body: 'down', retryAfter: { httpDateInSeconds: 60 } });
    const dated = await get(conditions());
    expect(dated.text).toBe('down');
    const ahead = Date.parse(dated.headers.get('retry-after') ?? '') - Date.now();
    expect(ahead).toBeGreaterThan(50_000);
    expect(ahead).toBeLessThan(61_000);
    fault({ status: 503, retryAfter: 'soon' });
    expect((await get(conditions())).headers.get('retry-after')).toBe('soon');
  });

  it('a reset, and a request that is never answered', async () => {
    fault({ reset: true });
    await expect(getRaw(conditions())).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect.poll(lastStatus).toBe(0);
    fault({ hang: true });
    await expect(getRaw(conditions(), {}, 150)).rejects.toThrow('abandoned');
  });

  it('a body that drips, whole in the end', async () => {
    const whole = await getRaw(`Patient/${patient(0)}`);
    fault({ dripBytesPerSecond: 20_000 }, { endpoint: 'read' });
    const dripped = await getRaw(`Patient/${patient(0)}`);
    expect([dripped.complete, dripped.body.equals(whole.body)]).toEqual([true, true]);
  });

  it.each([0.5, 100])('a body cut at %d', async (cutBodyAt) => {
    fault({ cutBodyAt });
    const cut = await getRaw(conditions());
    const promised = Number(cut.headers['content-length']);
    expect([cut.status, cut.complete]).toEqual([200, false]);
    expect(cut.body.length).toBe(cutBodyAt === 0.5 ? Math.floor(promised / 2) : 100);
  });

  it('bad JSON of the right length, a web page, an empty body, another type', async () => {
    fault({ badJson: true });
    const bad = await getRaw(conditions());
    expect([bad.complete, bad.body.length]).toEqual([true, Number(bad.headers['content-length'])]);
    expect(() => JSON.parse(bad.body.toString())).toThrow();
    fault({ html: true });
    const html = await get(conditions());
    expect([html.status, html.headers.get('content-type'), html.text.slice(0, 9)]).toEqual([
      200,
      'text/html; charset=utf-8',
      '<!DOCTYPE',
    ]);
    fault({ emptyBody: true });
    expect((await getRaw(conditions())).body.length).toBe(0);
    fault({ contentType: 'text/plain' });
    const other = await get(conditions());
    expect([other.headers.get('content-type'), other.json.resourceType]).toEqual(['text/plain', 'Bundle']);
  });

  it('gzip that ends early, and gzip that grows', async () => {
    fault({ gzipCut: true });
    const cut = await getRaw(conditions(), { 'accept-encoding': 'gzip' });
    expect([cut.headers['content-encoding'], cut.complete]).toEqual(['gzip', true]);
    expect(() => gunzipSync(cut.body)).toThrow();
    fault({ gzipBombMegabytes: 5 });
    const bomb = await getRaw(conditions(), { 'accept-encoding': 'gzip' });
    expect(bomb.body.length).toBeLessThan(100_000);
    expect(gunzipSync(bomb.body).length).toBe(5 * 1024 * 1024);
  });

  it('an entry twice: alike or differing', async () => {
    const plain = resourceTexts((await get(conditions())).text);
    fault({ duplicateEntry: true });
    expect(resourceTexts((await get(conditions())).text)).toEqual([...plain, plain[0]]);
    fault({ duplicateEntry: 'differing' });
    const texts = resourceTexts((await get(conditions())).text);
    const [first, last] = [JSON.parse(texts[0] ?? ''), JSON.parse(texts.at(-1) ?? '')];
    expect([texts.length, last.id]).toEqual([plain.length + 1, first.id]);
    expect(texts.at(-1)).not.toBe(texts[0]);
  });

  it.each(['earlier', 'earlier-differing'] as const)(
    'the search’s first entry once more on a later page (%s)',
    async (duplicateEntry) => {
      const first = await get(labs());
      const [original] = resourceTexts(first.text);
      const plain = resourceTexts((await get(nextOf(first.json) ?? '')).text);
      fault({ duplicateEntry }, { endpoint: 'page' });
      const untouched = await get(labs());
      expect(resourceTexts(untouched.text)).toEqual(resourceTexts(first.text));
      const later = resourceTexts((await get(nextOf(untouched.json) ?? '')).text);
      expect(later.length).toBe(plain.length + 1);
      const again = later.find((text) => !plain.includes(text))!;
      expect(JSON.parse(again).id).toBe(JSON.parse(original!).id);
      expect(again === original).toBe(duplicateEntry === 'earlier');
    },
  );

  it('the right answer with further headers', async () => {
    const right = await getRaw(conditions());
    fault({ addHeaders: { RateLimit: '"default";r=0;t=20', 'Retry-After': '3' } });
    const { status, headers, body, complete } = await getRaw(conditions());
    expect({ status, complete, same: body.equals(right.body) }).toEqual({
      status: 200,
      complete: true,
      same: true,
    });
    expect(headers).toMatchObject({ ratelimit: '"default";r=0;t=20', 'retry-after': '3' });
    expect(headers['content-type']).toBe(right.headers['content-type']);
  });

  it('an entry of another patient, of another type, or an outcome', async () => {
    const extra = async () => (await get(conditions())).json.entry.at(-1);
    fault({ foreignEntry: 'patient' });
    const foreign = (await extra()).resource;
    expect(foreign.resourceType).toBe('Condition');
    expect(foreign.subject.reference).not.toBe(`Patient/${patient(PLAIN)}`);
    fault({ foreignEntry: 'type' });
    const { resourceType, subject } = (await extra()).resource;
    expect([resourceType, subject.reference]).toEqual(['Encounter', `Patient/${patient(PLAIN)}`]);
    fault({ outcomeEntry: '59204' });
    const entry = await extra();
    expect([entry.search.mode, ...codesOf(entry.resource)]).toEqual(['outcome', '59204']);
    fault({ onlyOutcome: true });
    const only = await get(conditions());
    expect([only.status, only.json.resourceType]).toEqual([200, 'OperationOutcome']);
  });

  it('a next link to itself, in a circle, elsewhere, or to nowhere', async () => {
    const anywhere: FaultMatch = { type: 'Observation' };
    fault({ next: 'self' }, anywhere);
    expect(nextOf((await get(labs())).json)).toBe(`${sandbox.fhirBase}/${labs()}`);
    fault({ next: 'cycle', cycleLength: 3 }, anywhere);
    const seen: string[] = [];
    let next = nextOf((await get(labs())).json);
    for (let n = 0; n < 6; n += 1) {
      seen.push(next?.replace(/.*&page=/, '') ?? '');
      next = nextOf((await get(next ?? '')).json);
    }
    expect(seen).toEqual(['2', '3', '1', '2', '3', '1']);
    fault({ next: 'foreign', origin: 'http://127.0.0.1:9' }, anywhere);
    expect(nextOf((await get(labs())).json)).toMatch(/^http:\/\/127\.0\.0\.1:9\/interconnect/);
    fault({ next: 'expired' }, { endpoint: 'search' });
    const expired = await get(nextOf((await get(labs())).json) ?? '');
    expect([expired.status, ...codesOf(expired.json)]).toEqual([400, '4113']);
  });

  it('a redirect', async () => {
    fault({ redirectTo: 'http://127.0.0.1:9/elsewhere' });
    const answer = await getRaw(conditions());
    expect([answer.status, answer.headers.location]).toEqual([302, 'http://127.0.0.1:9/elsewhere']);
  });

  it('tokens of a short life or without a scope, and a token endpoint that fails', async () => {
    const ask = async () => await (await postToken(sandbox, assertionFor(sandbox, key))).json();
    fault({ tokenLifeSeconds: 0 }, { endpoint: 'token' });
    const short = await ask();
    expect(short.expires_in).toBe(0);
    expect((await getFhir(sandbox, short.access_token, conditions())).status).toBe(401);
    sandbox.registerClient({
      clientId: 'client-1',
      jwks: { keys: [key.jwk] },
      scopes: 'system/Patient.read system/List.read',
    });
    fault({ dropScope: 'system/List.read' }, { endpoint: 'token' });
    expect((await ask()).scope).toBe('system/Patient.read');
    fault(
      { status: 400, body: '{"error":"invalid_client","error_description":null}' },
      { endpoint: 'token' },
      { first: 1 },
    );
    expect([(await ask()).error, (await ask()).error]).toEqual(['invalid_client', undefined]);
  });
});
