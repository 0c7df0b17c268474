import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  startSandbox,
  type FaultAction,
  type FaultRule,
  type Sandbox,
} from '../../src/sandbox/startSandbox.ts';
import {
  getFile,
  getJson,
  kickoff,
  manifestAt,
  rawFile,
  send,
  statusUrlOf,
  tokenAt,
} from './support/bulk.ts';
import { codesOf, rsaKey, type Parsed } from './support/client.ts';

const clock = { nowMs: Date.parse('2026-06-01T00:00:00Z') };
let sandbox: Sandbox;
let token: string;

beforeAll(async () => {
  sandbox = await startSandbox({
    smtp: false,
    dialect: 'us-core',
    patients: 3,
    now: () => clock.nowMs,
    tokenLifeSeconds: 1e9,
    bulk: { otherOrigin: true, resourcesPerFile: 20 },
  });
  token = await tokenAt(sandbox, rsaKey(), clock.nowMs);
});
afterEach(() => sandbox.setFaults([]));
afterAll(() => sandbox.close());

const PATH = 'Patient/$export?_type=Patient,Observation';
const once = (endpoint: FaultRule['match']['endpoint'], then: FaultAction) =>
  sandbox.setFaults([{ match: { endpoint: endpoint ?? 'file' }, when: { first: 1 }, then }]);
const begin = async () => statusUrlOf(await kickoff(sandbox, token, PATH));
const manifest = async (): Promise<Parsed> => (await manifestAt(token, await begin())).json;
const otherHost = () => new URL(sandbox.bulk.otherOrigin ?? '').host;

describe('a kick-off may', () => {
  it.each([429, 500, 503])('be refused with %i, and the next one counts', async (status) => {
    once('kickoff', { status, outcome: '59177', retryAfter: 3 });
    const refused = await kickoff(sandbox, token, PATH);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([status, '3']);
    expect((await kickoff(sandbox, token, PATH)).status).toBe(202);
  });

  it('give a status URL of another origin, where it is served', async () => {
    once('kickoff', { toOtherOrigin: true });
    const url = await begin();
    expect(new URL(url).host).toBe(otherHost());
    const done = await manifestAt(token, url);
    expect(done.json.output.length).toBeGreaterThan(1);
    const there = sandbox.requests.filter(({ headers }) => headers['host'] === otherHost());
    expect(there.some(({ endpoint, authorized }) => endpoint === 'status' && authorized)).toBe(true);
  });

  it('be found by its query', async () => {
    const match = { endpoint: 'kickoff', query: '_type=Patient,Obs' } as const;
    sandbox.setFaults([{ match, then: { status: 500 } }]);
    expect((await kickoff(sandbox, token, PATH)).status).toBe(500);
    expect((await kickoff(sandbox, token, 'Patient/$export')).status).toBe(202);
  });
});

describe('a status request may', () => {
  it('fail for a while, with a transient outcome', async () => {
    const url = await begin();
    once('status', { status: 503, outcome: '59177', issueCode: 'transient' });
    const failed = await getJson(token, url);
    expect([failed.status, failed.json.issue[0].code]).toEqual([503, 'transient']);
    expect((await manifestAt(token, url)).status).toBe(200);
  });

  it('tell of seconds since 1970, or of what is no time', async () => {
    const url = await begin();
    once('status', { status: 202, retryAfter: { epochInSeconds: 30 } });
    expect(Number((await getJson(token, url)).headers.get('retry-after'))).toBe(clock.nowMs / 1000 + 30);
    once('status', { addHeaders: { 'Retry-After': 'soon' } });
    expect((await getJson(token, url)).headers.get('retry-after')).toBe('soon');
    expect((await getJson(token, url)).status).toBe(200);
  });

  it('be answered 200 with an OperationOutcome', async () => {
    const url = await begin();
    once('status', { onlyOutcome: true });
    const odd = await getJson(token, url);
    expect([odd.status, odd.json.resourceType]).toEqual([200, 'OperationOutcome']);
    expect((await manifestAt(token, url)).json.output.length).toBeGreaterThan(1);
  });

  it('say that the export failed for good', async () => {
    const url = await begin();
    once('status', { exportFails: '59136' });
    for (let times = 0; times < 3; times += 1) {
      const failed = await getJson(token, url);
      expect([failed.status, codesOf(failed.json)]).toEqual([500, ['59136']]);
    }
  });
});

describe('a manifest may', () => {
  it('lack members, count wrongly, list files twice or at another origin, be cut', async () => {
    const whole = await manifest();
    const spoiled = async (then: FaultAction) => {
      once('manifest', then);
      return manifestAt(token, await begin());
    };
    const bare = (await spoiled({ manifestWithout: ['error', 'deleted', 'transactionTime'] })).json;
    expect(Object.keys(bare)).toEqual(['request', 'requiresAccessToken', 'output']);
    const counts = (of: Parsed) => of.output.map((file: Parsed) => file.count);
    expect(counts((await spoiled({ wrongCountBy: -1 })).json)).toEqual(
      counts(whole).map((count: number) => count - 1),
    );
    const twice = (await spoiled({ listedTwice: true })).json.output;
    expect(twice.length).toBe(2 * whole.output.length);
    expect(twice[0]).toEqual(twice[1]);
    const elsewhere = (await spoiled({ toOtherOrigin: true })).json.output[0].url;
    expect(new URL(elsewhere).host).toBe(otherHost());
    const cut = await spoiled({ badJson: true });
    expect([cut.status, cut.json]).toEqual([200, undefined]);
  });
});

describe('a file may', () => {
  /** The first Observation file, whole and as the fault leaves it. */
  async function pair(then: FaultAction, headers: Record<string, string> = {}) {
    const { output } = await manifest();
    const { url, count } = output.find((file: Parsed) => file.type === 'Observation');
    const whole = await rawFile(token, url, { 'Accept-Encoding': 'identity' });
    once('file', then);
    const spoiled = await rawFile(token, url, { 'Accept-Encoding': 'identity', ...headers });
    const again = await rawFile(token, url, { 'Accept-Encoding': 'identity' });
    expect(again.body.equals(whole.body)).toBe(true);
    return { url, count, whole, spoiled, lines: spoiled.body.toString('utf8').split('\n') };
  }

  it('be cut on the way, and go on by Range', async () => {
    const { url, whole, spoiled } = await pair({ cutBodyAt: 0.5 });
    expect(spoiled.complete).toBe(false);
    expect(whole.body.subarray(0, spoiled.body.length).equals(spoiled.body)).toBe(true);
    const rest = await rawFile(token, url, {
      Range: `bytes=${spoiled.body.length}-`,
      'If-Range': String(spoiled.headers.etag),
    });
    expect(rest.status).toBe(206);
    expect(Buffer.concat([spoiled.body, rest.body]).equals(whole.body)).toBe(true);
  });

  it('end early with a length that agrees, by bytes or by whole lines', async () => {
    const early = await pair({ badJson: true });
    expect(early.spoiled.complete).toBe(true);
    expect(early.spoiled.body.length).toBeLessThan(early.whole.body.length);
    const { spoiled, lines, count } = await pair({ dropLines: 3 });
    expect(spoiled.complete).toBe(true);
    expect(lines.length - 1).toBe(count - 3);
    expect(() => lines.slice(0, -1).forEach((line) => JSON.parse(line))).not.toThrow();
  });

  it('be cut within its gzip form', async () => {
    const { spoiled } = await pair({ gzipCut: true }, { 'Accept-Encoding': 'gzip' });
    expect(spoiled.headers['content-encoding']).toBe('gzip');
    expect(() => gunzipSync(spoiled.body)).toThrow(/unexpected end/);
  });

  it.each([
    ['blank', (line: string) => line === ''],
    ['not-json', (line: string) => line.startsWith('<')],
    ['cut-json', (line: string) => line.startsWith('{') && !line.endsWith('}')],
    ['list', (line: string) => Array.isArray(JSON.parse(line))],
    ['other-type', (line: string) => JSON.parse(line).resourceType === 'Basic'],
  ] as const)('have one more line: %s', async (insertLine, is) => {
    const { lines, count } = await pair({ insertLine });
    expect(lines.length - 1).toBe(count + 1);
    expect(lines.slice(0, -1).filter(is)).toHaveLength(1);
  });

  it('hold a resource of another file again, the same or differing', async () => {
    const { output } = await manifest();
    const [first, second] = output.filter((file: Parsed) => file.type === 'Observation');
    const [expected = ''] = (await getFile(token, first.url)).text.split('\n');
    for (const [insertLine, isSame] of [
      ['duplicate', true],
      ['duplicate-differing', false],
    ] as const) {
      once('file', { insertLine });
      const lines = (await getFile(token, second.url)).text.trimEnd().split('\n');
      const { id } = JSON.parse(expected);
      const copies = lines.filter((line) => JSON.parse(line).id === id);
      expect(copies).toHaveLength(1);
      expect(copies[0] === expected).toBe(isSame);
    }
  });

  it('have other line ends, none at its end, or a byte order mark', async () => {
    const crlf = await pair({ lineForm: 'crlf' });
    expect(crlf.lines.slice(0, -1).every((line) => line.endsWith('}\r'))).toBe(true);
    const open = await pair({ lineForm: 'no-final-newline' });
    expect(open.spoiled.body.equals(open.whole.body.subarray(0, -1))).toBe(true);
    const marked = await pair({ lineForm: 'bom' });
    expect(marked.spoiled.body.subarray(3).equals(marked.whole.body)).toBe(true);
  });

  it('not keep to Range', async () => {
    const range = { Range: 'bytes=100-199' };
    const ignored = await pair({ range: 'ignored' }, range);
    expect([ignored.spoiled.status, ignored.spoiled.body.length]).toEqual([200, ignored.whole.body.length]);
    const refused = await pair({ range: 'refused' }, range);
    expect(refused.spoiled.status).toBe(416);
    const wrong = await pair({ range: 'wrong' }, range);
    expect(wrong.spoiled.headers['content-range']).toMatch(/^bytes 110-199\//);
    const anew = await pair({ etagChanged: true }, { ...range, 'If-Range': '"old"' });
    expect(anew.spoiled.status).toBe(200);
    expect(anew.spoiled.headers.etag).not.toBe(anew.whole.headers.etag);
  });

  it.each([401, 403, 404, 410, 429, 500, 503])('be answered %i once', async (status) => {
    expect((await pair({ status, outcome: '59177' })).spoiled.status).toBe(status);
  });

  it('be redirected to the other origin, which has it', async () => {
    const { spoiled, whole } = await pair({ toOtherOrigin: true });
    expect(spoiled.status).toBe(302);
    const location = String(spoiled.headers.location);
    expect(new URL(location).host).toBe(otherHost());
    expect((await rawFile(token, location)).body.equals(whole.body)).toBe(true);
  });

  it('be found by its type and its number', async () => {
    const { output } = await manifest();
    for (const match of [{ type: 'Patient' }, { page: 1 }]) {
      sandbox.setFaults([{ match: { endpoint: 'file', ...match }, then: { status: 404 } }]);
      const statuses = await Promise.all(
        output.map(async (file: Parsed) => [file.type, (await getFile(token, file.url)).status]),
      );
      const hit = statuses.filter(([, status]) => status === 404).map(([type]) => type);
      expect(hit).toEqual(['Patient']);
    }
  });
});

describe('a DELETE may', () => {
  it('fail, and be repeated', async () => {
    const url = await begin();
    once('cancel', { status: 500, outcome: '40000' });
    const remove = () => send(url, 'DELETE', { Authorization: `Bearer ${token}` });
    expect((await remove()).status).toBe(500);
    expect((await getJson(token, url)).status).toBe(202);
    expect((await remove()).status).toBe(202);
  });
});

describe('the admin pages', () => {
  it('tell what an export holds', async () => {
    const url = encodeURIComponent(`${sandbox.fhirBase}/Patient/$export?_type=Patient`);
    const answer = await fetch(`${sandbox.origin}/__oracle?export=${url}`);
    const lines = (await answer.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => line.id).sort()).toEqual(
      [0, 1, 2].map((ordinal) => sandbox.patientIdAt(ordinal)).sort(),
    );
    const refused = await fetch(`${sandbox.origin}/__oracle?export=${encodeURIComponent('$export?x=y')}`);
    expect(refused.status).toBe(400);
    expect((await refused.json()) as object).toEqual({
      problem: expect.stringMatching(/unknown parameter x/),
    });
  });

  it('refuse a fault script that names no known action', () => {
    const wrong = { match: { endpoint: 'file' }, then: { insertLine: 'poem' } } as unknown as FaultRule;
    expect(() => sandbox.setFaults([wrong])).toThrow(/insertLine has a value that is not allowed/);
  });
});
