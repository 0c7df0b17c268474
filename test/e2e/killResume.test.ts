import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type RecordedRequest, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import type { SnapshotSettings } from '../../src/run/snapshot.ts';
import { LEDGER_FILE } from '../../src/run/ledger.ts';
import type { Commit } from '../../src/run/tally.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, rosterOf, siteForTest, type Site } from '../support/site.ts';

/** Practitioner and Medication come by reference, Appointment is shared by two patients. */
const TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Appointment',
  'MedicationRequest',
  'Medication',
  'Practitioner',
  'Procedure',
  'DiagnosticReport',
];
const PATIENTS = 8;
/** Requests of a whole run, about: 8 patients x (1 read + 7 types, Observation with 6 filters), and the references. */
const REQUESTS = 115;

let sandbox: Sandbox;
beforeAll(async () => {
  // Slow enough for a run to last through several group commits.
  sandbox = await startSandbox({ patients: PATIENTS, latencyMs: 60, smtp: false });
});
afterAll(() => sandbox.close());

const site = (): Promise<Site> => siteForTest({ sandbox, resources: TYPES, mail: false });

/** True once the sandbox has answered so many more requests. */
function afterRequests(count: number): () => boolean {
  const from = sandbox.counts().total;
  return () => sandbox.counts().total - from >= count;
}

/** `Type patientId` of the searches that the ledger of an interrupted run holds as done. */
async function committedSearches({ stateFolder }: Site): Promise<ReadonlySet<string>> {
  const [runId] = await readdir(path.join(stateFolder, 'runs'));
  const folder = path.join(stateFolder, 'runs', runId!);
  const { plan } = JSON.parse(await readFile(path.join(folder, 'settings.json'), 'utf8')) as SnapshotSettings;
  const roster = (await readFile(path.join(folder, 'roster.ndjson'), 'utf8')).trimEnd().split('\n');
  const db = openDatabase(path.join(stateFolder, LEDGER_FILE), { readOnly: true });
  try {
    const rows = db.prepare('SELECT body FROM commits').all() as unknown as { readonly body: string }[];
    const searchNos = rows.flatMap(({ body }) =>
      (JSON.parse(body) as Commit).searches.map(([searchNo]) => searchNo),
    );
    return new Set(
      searchNos.map((searchNo) => {
        const [, patientId] = JSON.parse(roster[Math.floor(searchNo / plan.searched.length)]!) as [
          number,
          string,
        ];
        return `${plan.searched[searchNo % plan.searched.length]!.resourceType} ${patientId}`;
      }),
    );
  } finally {
    db.close();
  }
}

/** `Type patientId` of each patient's search that was asked for. */
function searchesIn(requests: readonly RecordedRequest[]): string[] {
  return requests.flatMap(({ endpoint, type, path: url, query }) => {
    if (endpoint === 'read' && type === 'Patient')
      return [`Patient ${decodeURIComponent(url.split('/').at(-1)!)}`];
    const patientId = new URLSearchParams(query).get('patient');
    return endpoint === 'search' && patientId !== null ? [`${type} ${patientId}`] : [];
  });
}

describe('a run killed with SIGKILL', () => {
  it.each([
    { when: 'early', share: 0.15 },
    { when: 'half way', share: 0.5 },
    { when: 'among the references', share: 0.97 },
  ])('$when goes on where it stopped, and the result is exact', async ({ share }) => {
    const one = await site();
    const killed = await one.stopWhen(afterRequests(Math.floor(REQUESTS * share)), 'SIGKILL', ['run']);
    expect(killed.signal).toBe('SIGKILL');
    expect(await runsOf(one)).toEqual([]);
    const done = await committedSearches(one);
    const asked = sandbox.requests.length;

    const { code, stdout, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    const again = searchesIn(sandbox.requests.slice(asked)).filter((search) => done.has(search));
    expect(again).toEqual([]);
    if (share > 0.9) expect(done.size).toBeGreaterThan(10);

    const published = await newestRun(one);
    await expectExactly(published, sandbox.oracle(oracleRows(TYPES)));
    expect(await runsOf(one)).toHaveLength(1);
    expect(await currentOf(one)).toBe(published.runId);
    expect((await one.run(['verify', published.folder])).code).toBe(0);
    expect(stdout).toContain('picked up again once');
    expect(await published.text('report.txt')).toContain('picked up again once');
  });

  it('twice is still exact', async () => {
    const one = await site();
    for (const share of [0.4, 0.3]) {
      await one.stopWhen(afterRequests(Math.floor(REQUESTS * share)), 'SIGKILL', ['run']);
    }
    const done = await committedSearches(one);
    const asked = sandbox.requests.length;
    const { code, stderr } = await one.run(['run', '--json']);
    expect(code, stderr).toBe(0);
    expect(searchesIn(sandbox.requests.slice(asked)).filter((search) => done.has(search))).toEqual([]);
    const published = await newestRun(one);
    await expectExactly(published, sandbox.oracle(oracleRows(TYPES)));
    expect((await one.run(['verify', published.folder])).code).toBe(0);
    const shown = await one.run(['show', published.runId, '--json']);
    expect(JSON.parse(shown.stdout)).toMatchObject({ status: 'complete', summary: { resumed: 2 } });
  });

  it('keeps to its own roster: a new one waits for the next run', async () => {
    const one = await site();
    const ids = (ordinals: readonly number[]) => ordinals.map((ordinal) => sandbox.patientIdAt(ordinal)!);
    const before = [0, 1, 2, 3, 4];
    await writeFile(one.rosterFile, rosterOf(sandbox, before));
    await one.stopWhen(afterRequests(40), 'SIGKILL', ['run']);
    const after = [4, 5, 6, 7, 0];
    await writeFile(one.rosterFile, rosterOf(sandbox, after));
    expect((await one.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(TYPES), ids(before)));
    expect((await one.run(['run'])).code).toBe(0);
    await expectExactly(await newestRun(one), sandbox.oracle(oracleRows(TYPES), ids(after)));
  });

  it('is closed as abandoned by --fresh, and by nothing else when the server in the INI is another', async () => {
    const one = await site();
    await one.stopWhen(afterRequests(40), 'SIGKILL', ['run']);
    const [open] = await readdir(path.join(one.stateFolder, 'runs'));
    await one.configure({
      'epic_settings.epic_endpoint': `${sandbox.origin.replace('127.0.0.1', 'localhost')}/R4`,
    });
    const asked = sandbox.counts().total;
    const refused = await one.run(['run']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/RUN_NOT_RESUMABLE.*another/);
    expect(refused.stderr).toContain('--fresh');
    expect(sandbox.counts().total).toBe(asked);

    await one.configure({});
    const { code, stderr } = await one.run(['run', '--fresh']);
    expect(code, stderr).toBe(0);
    const published = await newestRun(one);
    expect(published.runId).not.toBe(open);
    await expectExactly(published, sandbox.oracle(oracleRows(TYPES)));
    expect(await readdir(path.join(one.exportFolder, 'default', '.staging'))).toEqual([]);
    const runs = JSON.parse((await one.run(['runs', '--json'])).stdout) as {
      runId: string;
      status: string;
    }[];
    expect(runs.map(({ runId, status }) => [runId, status])).toEqual([
      [published.runId, 'complete'],
      [open, 'abandoned'],
    ]);
  });
});
