import { describe, expect, it, onTestFinished } from 'vitest';
import { referenceReader } from '../../src/fhir/references.ts';
import { FhirClient } from '../../src/fhir/client.ts';
import { ServerGate } from '../../src/fhir/serverGate.ts';
import { createUrlPolicy } from '../../src/fhir/urlPolicy.ts';
import { pullSearch } from '../../src/pull/crawl.ts';
import type { FinishedSearch } from '../../src/pull/finished.ts';
import { PatientIdentity } from '../../src/pull/identity.ts';
import { snapshotFolder, writeRosterSnapshot } from '../../src/run/snapshot.ts';
import type { SearchedType } from '../../src/run/plan.ts';
import { createHttp } from '../../src/system/http.ts';
import { silentLog } from '../../src/system/logger.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { json, startServer, type Answer } from '../support/httpServer.ts';
import { beginTestRun, testLedger } from '../support/ledger.ts';
import { PLAN, searchedType, settingsOf } from '../support/settings.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

type Entry = readonly [resource: object, mode?: 'match' | 'include'];

const bundle = (entries: readonly Entry[], next?: string): unknown => ({
  resourceType: 'Bundle',
  type: 'searchset',
  link: next === undefined ? [] : [{ relation: 'next', url: next }],
  entry: entries.map(([resource, mode = 'match']) => ({ resource, search: { mode } })),
});
const observation = (id: string, patient = 'p', performer?: string): object => ({
  resourceType: 'Observation',
  id,
  subject: { reference: `Patient/${patient}` },
  ...(performer ? { performer: [{ reference: `Practitioner/${performer}` }] } : {}),
});

interface Given {
  readonly type?: SearchedType;
  readonly others?: readonly SearchedType[];
  readonly mrn?: string;
}

/** Pulls one search of the patient `p` from a server that answers as told. */
async function pull(answer: Answer, { type = searchedType('Observation'), others = [], mrn }: Given = {}) {
  const server = await startServer(answer);
  const folder = await temporaryFolder();
  const ledger = await testLedger(folder);
  const run = beginTestRun(ledger);
  const clock = createFakeClock({ auto: true });
  const { signal } = new AbortController();
  const around = { clock, log: silentLog, random: () => 0, signal };
  const http = createHttp();
  onTestFinished(() => http.close());
  const fhirBase = `${server.origin}/R4`;
  const gate = new ServerGate({
    ...around,
    emit: () => undefined,
    limits: () => ({ concurrency: 64, requestsPerSecond: 0 }),
    maxOutageMs: 1,
    afterOutage: 'SERVER_AWAY',
    failuresBeforeProbing: 100,
    probe: () => Promise.resolve(true),
  });
  const client = new FhirClient({
    ...around,
    http,
    gate,
    urlPolicy: createUrlPolicy({ fhirBase }),
    fhirBase,
    clientId: 'c',
    getAccessToken: () => Promise.resolve('t'),
    invalidateToken: () => undefined,
    maxAttempts: 2,
    searchMethod: 'get',
  });
  const settings = settingsOf({ plan: { ...PLAN, searched: [type, ...others] } });
  const snapshot = { folder: snapshotFolder(folder, run.runId), settings };
  const patient = { patientNo: 0, line: 2, patientId: mrn === undefined ? 'p' : undefined, mrn };
  async function* roster() {
    yield patient;
  }
  await writeRosterSnapshot(snapshot.folder, roster());
  const finished = await pullSearch(
    { searchNo: 0, type, identity: new PatientIdentity(patient, { ledger, run, client, snapshot }) },
    {
      client,
      settings,
      readReferences: referenceReader(fhirBase),
      spoolFolder: folder,
      budget: { used: 0, limit: 1e9 },
      isReferenced: (resourceType) => resourceType === 'Practitioner',
    },
  );
  return { finished, server };
}

async function keptOf({ kept }: FinishedSearch): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const block of kept.blocks()) {
    for (const one of block) names.push(`${one.resourceType}/${one.resourceId} ${one.uniqueness}`);
  }
  return names;
}

describe('what is unique by its search', () => {
  it('is what names the searched patient alone, and not what comes along', async () => {
    const { finished } = await pull(
      json(200, bundle([[observation('o1')], [{ resourceType: 'Device', id: 'd' }, 'include']])),
      { type: searchedType('Observation', { includes: ['Device'] }) },
    );
    expect(finished.outcome).toBe('ok');
    expect(await keptOf(finished)).toEqual(['Observation/o1 search', 'Device/d run']);
  });

  it.each([['Observation'], ['*']])(
    'is no match that another search may bring as an include of %s',
    async (included) => {
      const report = searchedType('DiagnosticReport', { includes: [included] });
      const { finished } = await pull(json(200, bundle([[observation('o1')]])), { others: [report] });
      expect(await keptOf(finished)).toEqual(['Observation/o1 run']);
    },
  );
});

describe('a search that failed', () => {
  it('keeps nothing and wants nothing', async () => {
    const { finished, server } = await pull((response, request) => {
      const next = `${originOf(request.headers.host)}/R4/Observation?page=2`;
      const first = json(200, bundle([[observation('o1', 'p', 'pr')]], next));
      (request.url.includes('page=2') ? json(500, '') : first)(response, request);
    });
    expect(finished).toMatchObject({
      outcome: 'failed',
      cause: { code: 'HTTP_SERVER', httpStatus: 500, rosterLine: 2 },
    });
    expect([finished.kept.count, finished.wanted.size]).toEqual([0, 0]);
    expect(server.requests).toHaveLength(3);
  });

  it('is one that brings another patient’s resource, each time it is asked', async () => {
    const { finished } = await pull((response, request) => {
      const self = json(200, { resourceType: 'Patient', id: 'p' });
      const foreign = json(200, bundle([[observation('o1', 'other')]]));
      (request.url.includes('/Patient/') ? self : foreign)(response, request);
    });
    expect(finished).toMatchObject({
      outcome: 'failed',
      cause: { code: 'FHIR_FOREIGN_PATIENT', rosterLine: 2 },
    });
    expect(finished.kept.count).toBe(0);
  });
});

describe('a final answer', () => {
  it('leaves a gap with what came before it, and what that refers to', async () => {
    const { finished } = await pull(
      (response, request) => {
        const isSecond = request.url.includes('category=b');
        (isSecond ? json(403, '') : json(200, bundle([[observation('o1', 'p', 'pr')]])))(response, request);
      },
      { type: searchedType('Observation', { filters: ['category=a', 'category=b'] }) },
    );
    expect(finished).toMatchObject({
      outcome: 'gap',
      cause: { code: 'HTTP_FORBIDDEN', httpStatus: 403, rosterLine: 2 },
    });
    expect(await keptOf(finished)).toEqual(['Observation/o1 search']);
    expect([...finished.wanted.keys()]).toEqual(['Practitioner/pr']);
  });

  it('to who an MRN is leaves a gap too, not a failure that is asked for ever', async () => {
    const { finished, server } = await pull(json(403, ''), { mrn: '123' });
    expect(finished).toMatchObject({ outcome: 'gap', cause: { code: 'HTTP_FORBIDDEN', rosterLine: 2 } });
    expect(server.requests).toHaveLength(1);
  });

  it('to who a merged patient is now leaves a gap', async () => {
    const { finished } = await pull((response, request) => {
      const foreign = json(200, bundle([[observation('o1', 'survivor')]]));
      (request.url.includes('/Patient/') ? json(404, '') : foreign)(response, request);
    });
    expect(finished).toMatchObject({ outcome: 'gap', cause: { code: 'HTTP_NOT_FOUND', rosterLine: 2 } });
  });
});

const originOf = (host: string | undefined): string => `http://${host ?? ''}`;
