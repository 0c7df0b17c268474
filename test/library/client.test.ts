import { createHash, createPrivateKey } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createClient,
  loadConfig,
  startSandbox,
  type Client,
  type ClientOptions,
  type Sandbox,
} from '../../src/index.ts';
import type { SandboxOptions } from '../../src/sandbox/startSandbox.ts';
import { RoundsError } from '../../src/errors.ts';
import { locksFolder } from '../../src/run/ledgerGate.ts';
import { rejection } from '../support/rejection.ts';
import { CLIENT_ID, siteForTest, siteKey } from '../support/site.ts';

interface Setting {
  readonly sandbox: Sandbox;
  readonly client: Client;
  readonly patientId: string;
}

async function setUp(
  sandboxOptions: SandboxOptions = {},
  given: Partial<ClientOptions> = {},
): Promise<Setting> {
  const { jwks, pem } = siteKey();
  const clients = [{ clientId: CLIENT_ID, jwks }];
  const sandbox = await startSandbox({ smtp: false, ...sandboxOptions, clients });
  onTestFinished(() => sandbox.close());
  const options = { endpoint: sandbox.fhirBase, clientId: CLIENT_ID, keyId: 'e2e-key', privateKey: pem };
  const client = await createClient({ ...options, ...given });
  onTestFinished(() => client.close());
  return { sandbox, client, patientId: sandbox.patientIdAt(0)! };
}

/** By type and id the sha256 of what is to come, for one patient. */
async function expected(
  sandbox: Sandbox,
  patientId: string,
  row: { readonly resource: string; readonly query?: string },
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for await (const { type, id, sha256 } of sandbox.oracle([row], [patientId]))
    found.set(`${type}/${id}`, sha256);
  return found;
}

/** What came, and what ended it. A resource that comes twice fails the test. */
async function drained(found: AsyncIterable<{ type: string; id: string; bytes: Buffer }>) {
  const came = new Map<string, string>();
  let error: RoundsError | undefined;
  try {
    for await (const { type, id, bytes } of found) {
      expect(came.has(`${type}/${id}`)).toBe(false);
      came.set(`${type}/${id}`, createHash('sha256').update(bytes).digest('hex'));
    }
  } catch (thrown) {
    if (!(thrown instanceof RoundsError)) throw thrown;
    error = thrown;
  }
  return { came, error };
}

describe('a client', () => {
  it('is made from Node’s key object as well, and of a job of a configuration', async () => {
    const { pem } = siteKey();
    const { client, patientId } = await setUp({}, { privateKey: createPrivateKey(pem) });
    expect((await client.read('Patient', patientId)).id).toBe(patientId);

    const site = await siteForTest({ mail: false });
    const config = await loadConfig(site.configFile, { env: {} });
    const ofJob = await createClient(config);
    onTestFinished(() => ofJob.close());
    expect((await ofJob.read('Patient', patientId)).type).toBe('Patient');
    expect(await rejection(createClient(config, 'weekly'))).toMatchObject({ code: 'USAGE' });
  });

  it('of a configuration leaves word for its runs when the server asks for a pause', async () => {
    const site = await siteForTest({ mail: false });
    const locks = locksFolder(site.stateFolder);
    await mkdir(locks, { recursive: true });
    const client = await createClient(await loadConfig(site.configFile, { env: {} }));
    onTestFinished(() => client.close());
    const once = {
      match: { endpoint: 'read' },
      when: { first: 1 },
      then: { status: 429, retryAfter: 1 },
    } as const;
    site.sandbox.setFaults([once]);
    await client.read('Patient', site.sandbox.patientIdAt(0)!);
    expect(site.sandbox.faultsStruck()).toEqual([1]);
    await expect.poll(() => readdir(locks)).toEqual([expect.stringMatching(/\.pause$/)]);
  });

  it('says all that is wrong in its options at once, by their own names, and no secret', async () => {
    const wrong = {
      endpoint: 'ftp://host',
      concurrency: 0,
      algoritm: 'RS384',
      privateKey: 'SECRET',
    } as never;
    const error = await rejection(createClient(wrong));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.problems.map(({ where }) => where).toSorted()).toEqual([
      'algoritm',
      'clientId',
      'concurrency',
      'endpoint',
    ]);
    expect(error.message).toContain('did you mean algorithm');
    expect(error.message).not.toContain('SECRET');
  });

  it('asks for nothing before it is asked, then for one token, however many ask', async () => {
    const { sandbox, client } = await setUp();
    const { fhirBase: endpoint, tokenEndpoint } = sandbox;
    const { pem: privateKey } = siteKey();
    const before = sandbox.counts().total;
    const other = await createClient({
      endpoint,
      tokenEndpoint,
      clientId: CLIENT_ID,
      privateKey,
      keyId: 'e2e-key',
    });
    onTestFinished(() => other.close());
    expect(sandbox.counts().total).toBe(before);
    const tokens = await Promise.all([1, 2, 3].map(() => other.getAccessToken()));
    expect(new Set(tokens).size).toBe(1);
    expect(sandbox.counts().total).toBe(before + 1);
    expect(await client.getAccessToken()).not.toBe(tokens[0]);
  });

  it('reads the server’s bytes', async () => {
    const { sandbox, client, patientId } = await setUp();
    const patient = await client.read('Patient', patientId);
    const sha256 = createHash('sha256').update(patient.bytes).digest('hex');
    expect((await expected(sandbox, patientId, { resource: 'Patient' })).get(`Patient/${patientId}`)).toBe(
      sha256,
    );
    expect(patient.text).toBe(patient.bytes.toString());
    expect(patient.json()).toEqual(JSON.parse(patient.text));
    expect(await rejection(client.read('Patient', '..'))).toMatchObject({ code: 'URL_REFUSED' });
    expect(await rejection(client.read('Patient/x', 'y'))).toMatchObject({ code: 'USAGE' });
  });

  it('asks a server again that was given up', async () => {
    const { sandbox, client, patientId } = await setUp(
      {},
      { maxOutageMinutes: 0, concurrency: 1, maxAttempts: 20 },
    );
    sandbox.setFaults([
      { match: { endpoint: 'read' }, then: { status: 503 } },
      { match: { endpoint: 'metadata' }, then: { status: 503 } },
    ]);
    expect(await rejection(client.read('Patient', patientId))).toMatchObject({ code: 'SERVER_AWAY' });
    sandbox.setFaults([]);
    expect((await client.read('Patient', patientId)).id).toBe(patientId);
  });

  it('ends what is under way when it is closed', async () => {
    const { sandbox, client, patientId } = await setUp();
    sandbox.setFaults([{ match: { endpoint: 'read' }, then: { hang: true } }]);
    const reading = rejection(client.read('Patient', patientId));
    await client.close();
    expect(await reading).toMatchObject({ code: 'INTERRUPTED' });
    expect(await rejection(client.getAccessToken())).toMatchObject({ code: 'INTERRUPTED' });
  });
});

describe('a call’s signal', () => {
  it('ends the request, and no other of the client', async () => {
    const { sandbox, client, patientId } = await setUp();
    sandbox.setFaults([{ match: { endpoint: 'read', type: 'Patient' }, then: { hang: true } }]);
    const ended = new AbortController();
    await client.getAccessToken();
    const reading = client.read('Patient', patientId, { signal: ended.signal });
    await expect.poll(() => sandbox.counts().inFlight).toBe(1);
    ended.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    await expect.poll(() => sandbox.counts().inFlight).toBe(0);
    expect((await drained(client.search('Condition', { patient: patientId }))).error).toBeUndefined();
  });

  it('ends a call that waits for its turn, which is then never sent', async () => {
    const { sandbox, client, patientId } = await setUp({}, { concurrency: 1 });
    sandbox.setFaults([{ match: { endpoint: 'read' }, then: { hang: true } }]);
    const first = new AbortController();
    const second = new AbortController();
    await client.getAccessToken();
    const reading = client.read('Patient', patientId, { signal: first.signal });
    await expect.poll(() => sandbox.counts().inFlight).toBe(1);
    const waiting = client.read('Patient', patientId, { signal: second.signal });
    second.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    first.abort(new Error('enough too'));
    await expect(reading).rejects.toThrow('enough too');
    await expect.poll(() => sandbox.counts().inFlight).toBe(0);
    const reads = () => sandbox.requests.filter(({ path }) => path.includes('/Patient/')).length;
    await expect.poll(reads).toBe(1);
  });

  it('ends a search between its pages', async () => {
    const { client, patientId } = await setUp({}, { pageSize: 1 });
    const ended = new AbortController();
    let came = 0;
    const searching = (async () => {
      for await (const _ of client.search('Encounter', { patient: patientId }, { signal: ended.signal })) {
        came++;
        ended.abort(new Error('enough'));
      }
    })();
    await expect(searching).rejects.toThrow('enough');
    expect(came).toBe(1);
  });
});

describe('a search', () => {
  it('brings all pages, exactly, and may be iterated again', async () => {
    const { sandbox, client, patientId } = await setUp({}, { pageSize: 1 });
    const all = await expected(sandbox, patientId, { resource: 'Encounter' });
    expect(all.size).toBeGreaterThan(1);
    const found = client.search('Encounter', { patient: patientId });
    for (let times = 0; times < 2; times++) {
      const { came, error } = await drained(found);
      expect(error).toBeUndefined();
      expect(came).toEqual(all);
    }
  });

  it('goes by POST where it is told, so that no id stands in a URL', async () => {
    const { sandbox, client, patientId } = await setUp({}, { searchMethod: 'post' });
    const { came } = await drained(client.search('Condition', new URLSearchParams({ patient: patientId })));
    expect(came).toEqual(await expected(sandbox, patientId, { resource: 'Condition' }));
    expect(sandbox.requests.some(({ path }) => path.includes(patientId))).toBe(false);
  });

  it('hands out what came, and then throws that a part was withheld', async () => {
    const { sandbox, client, patientId } = await setUp({}, { pageSize: 2 });
    const first = { endpoint: 'search', type: 'Encounter' } as const;
    sandbox.setFaults([{ match: first, then: { outcomeEntry: '59204' } }]);
    const { came, error } = await drained(client.search('Encounter', { patient: patientId }));
    expect(came).toEqual(await expected(sandbox, patientId, { resource: 'Encounter' }));
    expect(error).toMatchObject({ code: 'FHIR_DATA_WITHHELD', epicCode: '59204' });
  });

  it('tells what the server only remarked', async () => {
    const { sandbox, client, patientId } = await setUp();
    sandbox.setFaults([{ match: { endpoint: 'search' }, then: { outcomeEntry: '4119' } }]);
    const found = client.search('Condition', { patient: patientId });
    expect((await drained(found)).error).toBeUndefined();
    expect(found.warnings).toEqual(['4119']);
  });

  it('begins again when its paging session ran out, and brings nothing twice', async () => {
    const { sandbox, client, patientId } = await setUp({}, { pageSize: 1 });
    const expired = {
      match: { endpoint: 'page' },
      when: { nth: [1] },
      then: { status: 400, outcome: '4113' },
    } as const;
    sandbox.setFaults([expired]);
    const { came, error } = await drained(client.search('Encounter', { patient: patientId }));
    expect(sandbox.faultsStruck()).toEqual([1]);
    expect(error).toBeUndefined();
    expect(came).toEqual(await expected(sandbox, patientId, { resource: 'Encounter' }));
  });

  it.each([
    ['patient', 'FHIR_FOREIGN_PATIENT'],
    ['type', 'FHIR_FOREIGN_TYPE'],
  ] as const)('throws for an entry of another %s, and hands out nothing of its page', async (what, code) => {
    const { sandbox, client, patientId } = await setUp();
    sandbox.setFaults([{ match: { endpoint: 'search' }, then: { foreignEntry: what } }]);
    const { came, error } = await drained(client.search('Condition', { patient: patientId }));
    expect(error?.code).toBe(code);
    expect(came.size).toBe(0);
  });

  it('says that one id came with two contents', async () => {
    const { sandbox, client, patientId } = await setUp();
    sandbox.setFaults([{ match: { endpoint: 'search' }, then: { duplicateEntry: 'differing' } }]);
    const found = client.search('Condition', { patient: patientId });
    await drained(found);
    expect(found.warnings).toEqual(['copies-differ']);
  });

  it('brings what comes along only where that was asked for', async () => {
    const { client, patientId } = await setUp();
    const modes = new Set<string>();
    const query = { patient: patientId, _revinclude: 'Provenance:target' };
    for await (const { type, mode } of client.search('Condition', query)) modes.add(`${type} ${mode}`);
    expect(modes).toEqual(new Set(['Condition match', 'Provenance include']));
  });

  it('throws a refusal at once, and refuses names that are none', async () => {
    const { client, patientId } = await setUp();
    const { came, error } = await drained(client.search('Observation', { patient: patientId }));
    expect([came.size, error?.code, error?.epicCode]).toEqual([0, 'FHIR_PARAMETER_REFUSED', '59108']);
    expect(() => client.search('Observation', { 'a&b': 'c' })).toThrow(RoundsError);
  });
});

describe('observations', () => {
  it('are those of all categories that work at Epic, each once', async () => {
    const { sandbox, client, patientId } = await setUp();
    const { came, error } = await drained(client.observations(patientId));
    expect(error).toBeUndefined();
    expect(came).toEqual(await expected(sandbox, patientId, { resource: 'Observation' }));
    const searches = sandbox.requests.filter(({ path }) => path.includes('/Observation'));
    expect(searches.length).toBe(6);
  });

  it('are one search at a server that asks for no category', async () => {
    const { sandbox, client, patientId } = await setUp({ dialect: 'us-core' });
    const { came } = await drained(client.observations(patientId));
    expect(came).toEqual(await expected(sandbox, patientId, { resource: 'Observation' }));
    expect(sandbox.requests.filter(({ path }) => path.includes('/Observation')).length).toBe(1);
  });

  it('are of the categories named, and a refused one is thrown when the others are through', async () => {
    const { sandbox, client, patientId } = await setUp();
    const laboratory = { resource: 'Observation', query: 'category=laboratory' };
    const ofLaboratory = await expected(sandbox, patientId, laboratory);
    expect((await drained(client.observations(patientId, 'laboratory'))).came).toEqual(ofLaboratory);
    const { came, error } = await drained(client.observations(patientId, ['procedure', 'laboratory']));
    expect(error?.code).toBe('FHIR_PARAMETER_REFUSED');
    expect(came).toEqual(ofLaboratory);
  });

  it('lack nothing where a site does not know a category that nobody named', async () => {
    const { sandbox, client, patientId } = await setUp();
    sandbox.setFaults([
      { match: { endpoint: 'search', query: 'category=exam' }, then: { status: 400, outcome: '59108' } },
    ]);
    const found = client.observations(patientId);
    expect((await drained(found)).error).toBeUndefined();
    expect(found.warnings).toEqual(['filter-refused']);
    sandbox.setFaults([{ match: { endpoint: 'search' }, then: { status: 400, outcome: '59108' } }]);
    expect((await drained(found)).error?.code).toBe('FHIR_PARAMETER_REFUSED');
  });
});
