import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import {
  exported,
  getJson,
  GROUP,
  keysOf,
  kickoff,
  manifestAt,
  oracleKeys,
  send,
  statusUrlOf,
  tokenAt,
} from './support/bulk.ts';
import { codesOf, rsaKey, type Parsed } from './support/client.ts';

const key = rsaKey();
const TOO_RECENT = 'Request not allowed: The Client requested this Group too recently.';
const diagnosticsOf = (outcome: Parsed) => outcome.issue.map((issue: Parsed) => issue.diagnostics);
let sandbox: Sandbox;
let token: string;
let nowMs = Date.now();

beforeAll(async () => {
  sandbox = await startSandbox({
    smtp: false,
    patients: 5,
    now: () => nowMs,
    tokenLifeSeconds: 1e9,
    bulk: { resourcesPerFile: 40 },
  });
  token = await tokenAt(sandbox, key, nowMs);
});
afterAll(() => sandbox.close());

const later = (hours: number) => (nowMs += hours * 3_600_000);
/** A kick-off of a day of its own. */
const nextDay = (path: string, headers: Record<string, string | undefined> = {}) => {
  later(25);
  return kickoff(sandbox, token, path, { headers });
};

describe('an export in the epic dialect', () => {
  it('has its status URL outside the FHIR base, and a token flag that is a string', async () => {
    const begun = await nextDay(`Group/${GROUP}/$export?_type=Patient,Observation`);
    expect(begun.status).toBe(202);
    const url = statusUrlOf(begun);
    expect(url).toMatch(
      new RegExp(`^${sandbox.origin}/interconnect-fhir-oauth/api/FHIR/BulkRequest/[0-9A-F]{32}$`),
    );
    const waiting = await getJson(token, url);
    expect(waiting.status).toBe(202);
    expect(waiting.text).toBe('');
    expect(waiting.headers.get('x-progress')).toMatch(/complete/);
    const done = await getJson(token, url);
    expect(done.status).toBe(200);
    expect(done.headers.get('content-type')).toMatch(/^application\/json/);
    expect(Date.parse(done.headers.get('expires') ?? '') - nowMs).toBeGreaterThan(13.9 * 86_400_000);
    expect(done.json.requiresAccessToken).toBe('true');
    expect(done.json.request).toBe(`${sandbox.fhirBase}/Group/${GROUP}/$export?_type=Patient,Observation`);
    expect(Date.parse(done.json.transactionTime)).toBe(nowMs);
  });

  it('gives what the REST side has, byte for byte, in files of at most so many lines', async () => {
    later(25);
    const path = `Group/${GROUP}/$export?_type=Patient,Observation,Practitioner,Binary`;
    const { manifest, lines } = await exported(sandbox, token, path);
    expect(keysOf(lines)).toEqual(oracleKeys(sandbox, path));
    const observations = manifest.output.filter((file: Parsed) => file.type === 'Observation');
    expect(observations.length).toBeGreaterThan(1);
    expect(Math.max(...manifest.output.map((file: Parsed) => file.count))).toBe(40);
    expect(lines.length).toBe(
      manifest.output.reduce((sum: number, file: Parsed) => sum + Number(file.count), 0),
    );

    // Held against the oracle of crawls, which the exact-bytes tests hold against REST answers.
    const crawled = new Map<string, string>();
    for await (const line of sandbox.oracle([
      { resource: 'Patient' },
      { resource: 'Observation' },
      { resource: 'Practitioner' },
    ])) {
      crawled.set(`${line.type}/${line.id}`, line.sha256);
    }
    const bulk = new Map(lines.map((line) => [`${line.type}/${line.id}`, line.sha256]));
    for (const [name, hash] of crawled) expect(bulk.get(name), name).toBe(hash);
    expect(new Set(lines.map((line) => line.type))).toEqual(
      new Set(['Patient', 'Observation', 'Practitioner', 'Binary']),
    );
    expect(bulk.size).toBe(lines.length);
  });

  it('leaves Binary out unless _type names it', async () => {
    later(25);
    const { lines } = await exported(sandbox, token, `Group/${GROUP}/$export`);
    const types = new Set(lines.map((line) => line.type));
    expect(types.has('Binary')).toBe(false);
    expect(types.has('DocumentReference')).toBe(true);
    expect(types.size).toBeGreaterThan(20);
  });

  it('is for groups alone, by GET alone, without _since and what else Epic does not know', async () => {
    for (const [path, status] of [
      ['$export', 404],
      ['Patient/$export', 404],
      ['Group/unknown/$export', 404],
      [`Group/${GROUP}/$export?_since=2025-01-01T00:00:00Z`, 400],
      [`Group/${GROUP}/$export?_elements=id`, 400],
      [`Group/${GROUP}/$export?allowPartialManifests=true`, 400],
      [`Group/${GROUP}/$export?_type=Patient&_type2=x`, 400],
      [`Group/${GROUP}/$export?_typeFilter=Observation%3Fstatus%3Dfinal`, 400],
    ] as const) {
      const answer = await nextDay(path);
      expect(answer.status, path).toBe(status);
      expect(answer.json.resourceType, path).toBe('OperationOutcome');
    }
    const posted = await kickoff(sandbox, token, `Group/${GROUP}/$export`, { parameters: [] });
    expect(posted.status).toBe(405);
  });

  it('demands token, Prefer and Accept', async () => {
    const path = `Group/${GROUP}/$export?_type=Patient`;
    for (const [headers, status] of [
      [{ Authorization: undefined }, 401],
      [{ Authorization: 'Bearer wrong' }, 401],
      [{ Prefer: undefined }, 400],
      [{ Prefer: 'handling=lenient' }, 400],
      [{ Accept: undefined }, 406],
      [{ Accept: 'application/json' }, 406],
      [{ Accept: 'application/fhir+ndjson' }, 406],
    ] as const) {
      const answer = await nextDay(path, headers);
      expect([headers, answer.status]).toEqual([headers, status]);
    }
    const narrow = await tokenAt(sandbox, key, nowMs, { scopes: 'system/Patient.read' });
    const refused = await kickoff(sandbox, narrow, `Group/${GROUP}/$export?_type=Patient,Observation`);
    expect(refused.status).toBe(403);
    expect(codesOf(refused.json)).toEqual(['4118']);
    token = await tokenAt(sandbox, key, nowMs, { scopes: 'system/*.read' });
  });

  it('is refused a second time within 24 hours, deleted exports aside', async () => {
    const path = `Group/${GROUP}/$export?_type=Patient`;
    const first = await nextDay(path);
    expect(first.status).toBe(202);
    const early = await kickoff(sandbox, token, path);
    expect(early.status).toBe(403);
    expect(diagnosticsOf(early.json)).toEqual([TOO_RECENT]);

    // Deleted before it was complete: it does not count.
    const remove = (url: string) => send(url, 'DELETE', { Authorization: `Bearer ${token}` });
    expect((await remove(statusUrlOf(first))).status).toBe(202);
    expect((await getJson(token, statusUrlOf(first))).status).toBe(404);
    expect((await remove(statusUrlOf(first))).status).toBe(404);
    const second = await kickoff(sandbox, token, path);
    expect(second.status).toBe(202);
    const done = await manifestAt(token, statusUrlOf(second));
    expect(done.status).toBe(200);
    // Complete: it counts, deleted or not.
    expect((await remove(statusUrlOf(second))).status).toBe(202);
    expect((await getJson(token, done.json.output[0].url)).status).toBe(404);
    expect((await kickoff(sandbox, token, path)).status).toBe(403);
    later(24);
    expect((await kickoff(sandbox, token, path)).status).toBe(202);
  });

  it('splits _typeFilter at commas: those within a query are encoded twice', async () => {
    later(25);
    const query = (codes: string) => `Observation?category=${encodeURIComponent(codes)}`;
    const both = `${query('laboratory,vital-signs')},Condition?clinical-status=active`;
    const path = `Group/${GROUP}/$export?_type=Observation,Condition&_typeFilter=${encodeURIComponent(both)}`;
    const { lines } = await exported(sandbox, token, path);
    const wanted = new Set<string>();
    for await (const line of sandbox.oracle([
      { resource: 'Observation', query: 'category=laboratory' },
      { resource: 'Observation', query: 'category=vital-signs' },
      { resource: 'Condition', query: 'clinical-status=active' },
    ])) {
      wanted.add(`${line.type}/${line.id} ${line.sha256}`);
    }
    expect(wanted.size).toBeGreaterThan(20);
    expect(keysOf(lines)).toEqual([...wanted].sort());

    const once = encodeURIComponent('Observation?category=laboratory,vital-signs');
    const refused = await nextDay(`Group/${GROUP}/$export?_type=Observation&_typeFilter=${once}`);
    expect(refused.status).toBe(400);
    expect(diagnosticsOf(refused.json).join()).toMatch(/not of the form/);
  });

  it('shows an export to the client that began it, and to no other', async () => {
    const begun = await nextDay(`Group/${GROUP}/$export?_type=Patient`);
    const { json } = await manifestAt(token, statusUrlOf(begun));
    const foreign = await tokenAt(sandbox, rsaKey('other'), nowMs, { clientId: 'client-2' });
    expect((await getJson(foreign, statusUrlOf(begun))).status).toBe(404);
    expect((await send(json.output[0].url, 'GET', { Authorization: `Bearer ${foreign}` })).status).toBe(403);
    expect((await send(json.output[0].url, 'GET', {})).status).toBe(401);
  });
});
