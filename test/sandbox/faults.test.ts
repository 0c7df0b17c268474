import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  parseFaults,
  readFaults,
  type FaultAction,
  type FaultMatch,
  type FaultWhen,
} from '../../src/sandbox/faults.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { getFhir, nextOf, rsaKey, tokenFor } from './support/client.ts';

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

const fault = (then: FaultAction, match: FaultMatch, when?: FaultWhen) =>
  sandbox.setFaults([{ match, then, ...(when ? { when } : {}) }]);
const get = (path: string) => getFhir(sandbox, token, path);

describe('which requests a rule strikes', () => {
  const statuses = async (count: number, path = conditions()) => {
    const seen: number[] = [];
    for (let n = 0; n < count; n += 1) seen.push((await get(path)).status);
    return seen;
  };
  const down: FaultAction = { status: 503 };

  it.each([
    [{ nth: [1, 3] }, [503, 200, 503, 200]],
    [{ every: 2 }, [200, 503, 200, 503]],
    [{ first: 2 }, [503, 503, 200, 200]],
    [{ after: 2 }, [200, 200, 503, 503]],
    [{ after: 1, first: 3 }, [200, 503, 503, 200]],
    [{ probability: 0 }, [200, 200, 200, 200]],
    [{ probability: 1 }, [503, 503, 503, 503]],
  ] satisfies [FaultWhen, number[]][])('%j', async (when, expected) => {
    fault(down, {}, when);
    expect(await statuses(4)).toEqual(expected);
  });

  it('draws a probability from the seed: the same again', async () => {
    fault(down, {}, { probability: 0.5 });
    const first = await statuses(20);
    fault(down, {}, { probability: 0.5 });
    expect(await statuses(20)).toEqual(first);
    expect(new Set(first)).toEqual(new Set([200, 503]));
  });

  it('counts each URL by itself when told', async () => {
    fault(down, {}, { first: 1, perUrl: true });
    expect(await statuses(2)).toEqual([503, 200]);
    expect(await statuses(2, `Encounter?patient=${patient(0)}`)).toEqual([503, 200]);
  });

  it('by endpoint, type, patient, query and page', async () => {
    fault(down, { endpoint: 'read' });
    expect([(await get(conditions())).status, (await get(`Patient/${patient(0)}`)).status]).toEqual([
      200, 503,
    ]);
    fault(down, { endpoint: 'read', id: patient(1) });
    expect([
      (await get(`Patient/${patient(0)}`)).status,
      (await get(`Patient/${patient(1)}`)).status,
    ]).toEqual([200, 503]);
    fault(down, { type: 'Condition', patient: PLAIN });
    expect([(await get(conditions())).status, (await get(`Condition?patient=${patient(2)}`)).status]).toEqual(
      [503, 200],
    );
    fault(down, { patient: patient(2) });
    expect([(await get(conditions())).status, (await get(`Patient/${patient(2)}`)).status]).toEqual([
      200, 503,
    ]);
    fault(down, { query: 'category=laboratory' });
    expect([(await get(conditions())).status, (await get(labs())).status]).toEqual([200, 503]);
    fault(down, { endpoint: 'page', page: 3, patient: 3 });
    const second = await get(nextOf((await get(labs())).json) ?? '');
    expect([second.status, (await get(nextOf(second.json) ?? '')).status]).toEqual([200, 503]);
    fault(down, { endpoint: 'metadata' });
    expect((await get('metadata')).status).toBe(503);
    fault(down, { endpoint: 'smart' });
    expect((await get('.well-known/smart-configuration')).status).toBe(503);
  });
});

describe('a rule of an hour', () => {
  it('strikes from its first second to its last, by the server’s clock, since the script was set', async () => {
    let nowMs = Date.now();
    const timed = await startSandbox({ smtp: false, now: () => nowMs });
    try {
      const timedToken = await tokenFor(timed, key);
      const statusAfter = async (seconds: number): Promise<number> => {
        nowMs += seconds * 1000;
        return (await getFhir(timed, timedToken, `Condition?patient=${timed.patientIdAt(PLAIN)}`)).status;
      };
      const set = (when: FaultWhen) => timed.setFaults([{ match: {}, when, then: { status: 503 } }]);
      set({ fromSeconds: 10, forSeconds: 60 });
      // At 0, 9.5, 10, 69.5 and 70 s.
      expect(await statusAfter(0)).toBe(200);
      expect(await statusAfter(9.5)).toBe(200);
      expect(await statusAfter(0.5)).toBe(503);
      expect(await statusAfter(59.5)).toBe(503);
      expect(await statusAfter(0.5)).toBe(200);
      set({ fromSeconds: 5 });
      expect([await statusAfter(4), await statusAfter(1), await statusAfter(3600 * 0.5)]).toEqual([
        200, 503, 503,
      ]);
      set({ forSeconds: 5 });
      expect([await statusAfter(0), await statusAfter(5)]).toEqual([503, 200]);
      // Counting goes on while it does not strike.
      set({ fromSeconds: 5, nth: [2] });
      expect([await statusAfter(0), await statusAfter(5), await statusAfter(1)]).toEqual([200, 503, 200]);
    } finally {
      await timed.close();
    }
  });
});

describe('faultsStruck', () => {
  it('counts for each rule how often it decided, and begins again with a new script', async () => {
    sandbox.setFaults([
      { match: { endpoint: 'search' }, when: { first: 1 }, then: { status: 503 } },
      { match: { type: 'Condition' }, when: { first: 3 }, then: { status: 500 } },
      { match: { endpoint: 'read' }, then: { status: 418 } },
      { match: { endpoint: 'smtp' }, then: { smtpNoStarttls: true } },
    ]);
    expect(sandbox.faultsStruck()).toEqual([0, 0, 0, 0]);
    const statuses: number[] = [];
    for (let n = 0; n < 4; n += 1) statuses.push((await get(conditions())).status);
    // The second rule saw the first request too, which the first rule decided.
    expect(statuses).toEqual([503, 500, 500, 200]);
    expect(sandbox.faultsStruck()).toEqual([1, 2, 0, 0]);
    await get(`Patient/${patient(0)}`);
    expect(sandbox.faultsStruck()).toEqual([1, 2, 1, 0]);
    sandbox.setFaults([{ match: {}, then: { status: 503 } }]);
    expect(sandbox.faultsStruck()).toEqual([0]);
  });
});

describe('a fault script', () => {
  it('is checked whole, with every problem named', async () => {
    const wrong = [
      { match: { endpoint: 'nowhere' }, then: { status: 503 } },
      { match: {}, when: { often: 1 }, then: { reset: true } },
      { match: {}, then: { explode: true } },
      { match: {}, then: { status: 503, reset: true } },
      { match: { endpoint: 'smtp' }, when: { every: 2 }, then: { smtp: { stage: 'auth', code: 454 } } },
    ];
    let problems: readonly { where: string }[] = [];
    try {
      parseFaults(wrong);
    } catch (error) {
      problems = (error as { problems: typeof problems }).problems;
    }
    expect(problems.map((problem) => problem.where.replace(/ (match|when|then)$/, ''))).toEqual([
      'fault rule 1',
      'fault rule 2',
      'fault rule 3',
      'fault rule 4',
      'fault rule 5',
    ]);
    expect(() => parseFaults({})).toThrow('must be a list');
    const folder = await mkdtemp(join(tmpdir(), 'sandbox-faults-'));
    try {
      const rules = [{ match: { type: 'List' }, then: { html: true } }];
      await writeFile(join(folder, 'faults.json'), JSON.stringify(rules));
      expect(await readFaults(join(folder, 'faults.json'))).toEqual(rules);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('can be read and replaced over HTTP', async () => {
    const rules = [{ match: { endpoint: 'search' }, then: { status: 418 } }];
    const put = (body: unknown) =>
      fetch(`${sandbox.origin}/__faults`, { method: 'PUT', body: JSON.stringify(body) });
    expect((await put(rules)).status).toBe(200);
    expect(await (await fetch(`${sandbox.origin}/__faults`)).json()).toEqual(rules);
    expect((await get(conditions())).status).toBe(418);
    expect((await put([{ then: {} }])).status).toBe(400);
    expect((await put([])).status).toBe(200);
    expect((await get(conditions())).status).toBe(200);
  });
});
