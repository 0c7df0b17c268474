import { afterEach, describe, expect, it } from 'vitest';
import { startSandbox, type BulkOptions, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import {
  exported,
  getFile,
  getJson,
  keysOf,
  kickoff,
  manifestAt,
  oracleKeys,
  send,
  statusUrlOf,
  tokenAt,
} from './support/bulk.ts';
import { rsaKey, type Parsed } from './support/client.ts';

const key = rsaKey();
const clock = { nowMs: Date.parse('2026-06-01T00:00:00Z') };
let sandbox: Sandbox;
let token: string;
afterEach(() => sandbox.close());

async function start(bulk: BulkOptions = {}, special = false): Promise<void> {
  sandbox = await startSandbox({
    smtp: false,
    dialect: 'us-core',
    patients: 3,
    special,
    now: () => clock.nowMs,
    tokenLifeSeconds: 1e9,
    bulk,
  });
  token = await tokenAt(sandbox, key, clock.nowMs);
}
const PATH = 'Patient/$export?_type=Patient,Condition';
const begin = async (path = PATH, headers: Record<string, string> = {}) => {
  const begun = await kickoff(sandbox, token, path, { headers });
  expect(begun.status).toBe(202);
  return statusUrlOf(begun);
};
const poll = (url: string) => getJson(token, url);

describe('the status of an export', () => {
  it('is 202 for so many polls, with progress and Retry-After', async () => {
    await start({
      polls: 3,
      progress: ['waiting', 'still writing “files”'.replace(/[“”]/g, '')],
      retryAfter: 7,
    });
    const url = await begin();
    const answers = [await poll(url), await poll(url), await poll(url), await poll(url)];
    expect(answers.map((answer) => answer.status)).toEqual([202, 202, 202, 200]);
    expect(answers.map((answer) => answer.headers.get('x-progress'))).toEqual([
      'waiting',
      'still writing files',
      'still writing files',
      null,
    ]);
    expect(answers.map((answer) => answer.headers.get('retry-after'))).toEqual(['7', '7', '7', null]);
  });

  it('is 202 for so many seconds, with a date that says when to come again', async () => {
    await start({ polls: 0, seconds: 3600, retryAfter: { httpDateInSeconds: 120 } });
    const url = await begin();
    clock.nowMs += 1_800_000;
    const waiting = await poll(url);
    expect(waiting.status).toBe(202);
    expect(waiting.headers.get('x-progress')).toBe('50% complete');
    expect(Date.parse(waiting.headers.get('retry-after') ?? '')).toBe(clock.nowMs + 120_000);
    clock.nowMs += 1_800_000;
    expect((await poll(url)).status).toBe(200);
  });

  it('is 429 when it is asked for too soon', async () => {
    await start({ polls: 2, minPollSeconds: 30 });
    const url = await begin();
    expect((await poll(url)).status).toBe(202);
    clock.nowMs += 10_000;
    const early = await poll(url);
    expect(early.status).toBe(429);
    expect(early.headers.get('retry-after')).toBe('20');
    expect(early.json.resourceType).toBe('OperationOutcome');
    clock.nowMs += 20_000;
    expect((await poll(url)).status).toBe(202);
    clock.nowMs += 30_000;
    expect((await poll(url)).status).toBe(200);
  });

  it('stands in a header of its own where the client prefers that', async () => {
    await start({ polls: 1 });
    const preference = { Prefer: 'respond-async, separate-export-status' };
    const begun = await kickoff(sandbox, token, PATH, { headers: preference });
    expect(begun.headers.get('preference-applied')).toBe('respond-async, separate-export-status');
    const url = statusUrlOf(begun);
    const waiting = await poll(url);
    expect([waiting.status, waiting.headers.get('x-export-status')]).toEqual([200, '202 Accepted']);
    expect(waiting.text).toBe('');
    const done = await poll(url);
    expect([done.status, done.headers.get('x-export-status')]).toEqual([200, '200 OK']);
    expect(done.json.output.length).toBe(2);

    sandbox.setFaults([{ match: { endpoint: 'status' }, then: { exportFails: '40000' } }]);
    const failing = await begin(PATH, preference);
    for (let times = 0; times < 2; times += 1) {
      const failed = await poll(failing);
      expect([failed.status, failed.headers.get('x-export-status')]).toEqual([
        200,
        '500 Internal Server Error',
      ]);
      expect(failed.json.resourceType).toBe('OperationOutcome');
    }
    expect((await poll(await begin())).status).toBe(500);
  });

  it('is gone after a DELETE, and the files with it; a running export can be deleted', async () => {
    await start({ polls: 1 });
    const url = await begin();
    const { json } = await manifestAt(token, url);
    const remove = (at: string) => send(at, 'DELETE', { Authorization: `Bearer ${token}` });
    expect((await send(url, 'DELETE', {})).status).toBe(401);
    expect((await remove(url)).status).toBe(202);
    for (const [at, ask] of [
      [url, getJson],
      [json.output[0].url, getFile],
    ] as const) {
      const gone = await ask(token, at);
      expect(gone.status).toBe(404);
      expect(gone.json.resourceType).toBe('OperationOutcome');
    }
    expect((await remove(url)).status).toBe(404);
    const running = await begin();
    expect((await remove(running)).status).toBe(202);
    expect((await poll(running)).status).toBe(404);
  });

  it('ends with its files’ life, which Expires says', async () => {
    await start({ fileLifeSeconds: 3600 });
    const url = await begin();
    const done = await manifestAt(token, url);
    expect(Date.parse(done.headers.get('expires') ?? '')).toBe(clock.nowMs + 3_600_000);
    clock.nowMs += 3_599_000;
    expect((await getFile(token, done.json.output[0].url)).status).toBe(200);
    clock.nowMs += 1_000;
    expect((await poll(url)).status).toBe(404);
  });

  it('of one export too many is a 429', async () => {
    await start({ maxRunning: 1 });
    const url = await begin();
    const more = await kickoff(sandbox, token, PATH);
    expect(more.status).toBe(429);
    expect(Number(more.headers.get('retry-after'))).toBeGreaterThan(0);
    await manifestAt(token, url);
    await begin();
  });
});

describe('the manifest', () => {
  it('is told in pages that differ in output, deleted and link alone', async () => {
    await start({ polls: 0, resourcesPerFile: 5, filesPerManifest: 2 }, true);
    const pages: Parsed[] = [];
    for (let url: string | undefined = await begin(); url !== undefined;) {
      const page: Parsed = (await poll(url)).json;
      pages.push(page);
      expect(page.link ?? []).toHaveLength(page.link ? 1 : 0);
      url = page.link?.find((link: Parsed) => link.relation === 'next')?.url;
    }
    expect(pages.length).toBeGreaterThan(2);
    const rest = ({ output: _o, deleted: _d, link: _l, ...others }: Parsed) => others;
    for (const page of pages) {
      expect(page.output.length + page.deleted.length).toBeLessThanOrEqual(2);
      expect(rest(page)).toEqual(rest(pages[0]));
    }
    const urls = pages.flatMap((page) => page.output.map((file: Parsed) => file.url));
    expect(new Set(urls).size).toBe(urls.length);
    const lines = [];
    for (const url of urls) {
      const file = await getFile(token, url);
      lines.push(
        ...file.text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      );
    }
    expect(lines.map((line) => `${line.resourceType}/${line.id}`).sort()).toEqual(
      oracleKeys(sandbox, PATH).map((name) => name.replace(/ .*/, '')),
    );
    // Whose data is withheld stands in the error files.
    expect(pages[0].error).toHaveLength(1);
    const errors = (await getFile(token, pages[0].error[0].url)).text.trim().split('\n');
    expect(errors.map((line) => JSON.parse(line).issue[0].details.coding[0].code)).toEqual(['4134', '59204']);
  });

  it('comes in parts while the export runs, for a client that allows it', async () => {
    await start({ polls: 4, resourcesPerFile: 3, filesPerManifest: 1 });
    const url = await begin(`${PATH}&allowPartialManifests=true`);
    const first = await poll(url);
    expect(first.status).toBe(202);
    const seen: Parsed[] = [];
    let last = first;
    while (last.status === 202) {
      if (last.json) seen.push(last.json);
      last = await poll(url);
    }
    expect(seen.length).toBeGreaterThan(1);
    expect(last.status).toBe(200);
    // What was once said stays; a link comes to it at most.
    const { link: _, ...firstSeen } = seen[0];
    for (const manifest of [...seen, last.json]) expect(manifest).toMatchObject(firstSeen);
    expect(last.json.link[0].relation).toBe('next');
    expect((await getFile(token, seen[0].output[0].url)).status).toBe(200);
    expect((await poll(`${url}/manifest/99`)).status).toBe(404);
    // A client that does not allow it gets none.
    expect((await poll(await begin())).text).toBe('');
  });

  it('says what the options say: relative URLs, no counts, no arrays, another token flag', async () => {
    await start({
      urls: 'relative',
      counts: false,
      manifestWithout: ['deleted', 'error'],
      requiresAccessToken: 'false',
    });
    const { json } = await manifestAt(token, await begin());
    expect(Object.keys(json).sort()).toEqual(['output', 'request', 'requiresAccessToken', 'transactionTime']);
    expect(json.requiresAccessToken).toBe('false');
    expect(Object.keys(json.output[0]).sort()).toEqual(['type', 'url']);
    const { url } = json.output[0];
    expect(url).toMatch(/^\/interconnect/);
    expect((await getFile(undefined, `${sandbox.origin}${url}`)).status).toBe(200);
    // A token has no business there.
    expect((await getFile(token, `${sandbox.origin}${url}`)).status).toBe(400);
  });

  it('of an export by patient says where a block goes on, with its header again', async () => {
    await start({ polls: 0, resourcesPerFile: 30 });
    const path = 'Patient/$export?_type=Patient,Observation&organizeOutputBy=Patient';
    const { manifest, lines } = await exported(sandbox, token, path);
    expect(manifest.outputOrganizedBy).toBe('Patient');
    const going = manifest.output.filter((file: Parsed) => file.continuesInFile !== undefined);
    expect(going.length).toBeGreaterThan(0);
    for (const file of going) {
      const at = manifest.output.findIndex((other: Parsed) => other.url === file.continuesInFile);
      expect(at).toBe(manifest.output.indexOf(file) + 1);
      const [before, after] = [
        await getFile(token, file.url),
        await getFile(token, file.continuesInFile),
      ].map((answer) => answer.text.trim().split('\n'));
      const headers = before?.filter((line) => JSON.parse(line).resourceType === 'Parameters') ?? [];
      expect(after?.[0]).toBe(headers.at(-1));
    }
    const resources = lines.filter((line) => line.type !== 'Parameters');
    expect(keysOf(resources)).toEqual(oracleKeys(sandbox, path));
  });

  it('may call its error files outcomes', async () => {
    await start({ outcomesIn: 'outcome' }, true);
    const { json } = await manifestAt(token, await begin());
    expect(json.error).toBeUndefined();
    expect(json.outcome).toHaveLength(1);
  });

  it('tells of deleted patients since then, with their records', async () => {
    await start({ polls: 0 }, true);
    const { deleted, lines } = await exported(sandbox, token, `${PATH}&_since=2024-12-31T00:00:00Z`);
    const gone = sandbox.patientIdAt(4) ?? '';
    const named = deleted.flatMap((bundle) => bundle.entry.map((entry: Parsed) => entry.request.url));
    expect(named).toContain(`Patient/${gone}`);
    expect(named.some((name) => name.startsWith('Condition/'))).toBe(true);
    const both = lines.filter((line) => named.includes(`${line.type}/${line.id}`));
    expect(both).toEqual([]);
  });
});
