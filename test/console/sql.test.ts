import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/cli.ts';
import { openConsole, startConsole } from '../support/consoleClient.ts';
import { makeSite, textsBelow, type Site } from '../support/site.ts';

const DUCKDB = process.env['FHIR_ROUNDS_DUCKDB'];

/** Command lines of processes that work below a site's folder (Linux alone says; elsewhere none). */
async function processesOf(site: Site): Promise<readonly string[]> {
  const pids = await readdir('/proc').catch(() => []);
  const environments = await Promise.all(
    pids
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')),
  );
  return environments.filter((environment) => environment.includes(`HOME=${site.stateFolder}`));
}

/** Cells of the result table, a row each. */
function rowsOf(page: string): readonly (readonly string[])[] {
  const [, result = ''] = page.split('aria-label="Result"');
  const [, body = ''] = /<tbody>([\s\S]*?)<\/tbody>/.exec(result) ?? [];
  return [...body.matchAll(/<tr>([\s\S]*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<td>([\s\S]*?)<\/td>/g)].map(([, cell]) => cell!.replace(/<[^>]*>/g, '').trim()),
  );
}

describe('SQL without DuckDB', () => {
  it('says what is missing and what to do, and works otherwise', async () => {
    const site = await makeSite({ mail: false });
    try {
      expect((await site.run(['run'])).code).toBe(0);
      await site.configure({ 'console.duckdb_folder': site.path('nowhere') });
      const { client } = await openConsole(site);
      const { headers } = await client.get('/sql');
      const page = await client.get(headers['location'] as string);
      expect(page.status).toBe(200);
      expect(page.text).toContain('npm install --no-save @duckdb/node-api');
      expect(page.text).toContain('Patient_json');
    } finally {
      await site.close();
    }
  });
});

describe.skipIf(DUCKDB === undefined)('SQL over a run', () => {
  let site: Site;
  let runId: string;
  beforeAll(async () => {
    site = await makeSite({
      ...{ mail: false, sandbox: { patients: 12 }, resources: ['Patient', 'Observation', 'Condition'] },
      settings: { 'console.duckdb_folder': DUCKDB! },
    });
    expect((await site.run(['run'])).code).toBe(0);
    const current = await readFile(path.join(site.exportFolder, 'default', 'current.json'), 'utf8');
    runId = (JSON.parse(current) as { runId: string }).runId;
  });
  afterAll(() => site.close());

  it('counts, joins, and shows the exact text of a number', async () => {
    const { client } = await openConsole(site);
    const query = async (sql: string) => rowsOf((await client.post(`/sql/${runId}`, { sql })).text);
    expect(await query('SELECT count(*) FROM Patient')).toEqual([['12']]);
    const joined = await query(
      `SELECT count(DISTINCT p.id) FROM Patient p JOIN Condition_json c ON c.json ->> '$.subject.reference' = 'Patient/' || p.id;`,
    );
    expect(Number(joined[0]?.[0])).toBeGreaterThan(5);
    const file = path.join(site.exportFolder, 'default', runId, 'Observation.ndjson');
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    const text = lines.find((line) => /"value":\d+\.\d0\b/.test(line))!;
    const { id } = JSON.parse(text) as { id: string };
    const [row] = await query(
      `SELECT json -> '$.valueQuantity.value' FROM Observation_json WHERE json ->> '$.id' = '${id}'`,
    );
    expect(text).toContain(`"value":${row?.[0]}`);
  });

  it('says how many records DuckDB cannot read', async () => {
    const { client } = await openConsole(site);
    const { text } = await client.post(`/sql/${runId}`, { sql: 'SELECT count(*) FROM Observation' });
    const file = path.join(site.exportFolder, 'default', runId, 'Observation.ndjson');
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    const halved = lines.filter((line) =>
      /\\ud8[0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]/i.test(line),
    );
    expect(halved.length).toBeGreaterThan(0);
    expect(text).toMatch(new RegExp(`${halved.length} records?\\s+of these tables cannot be read`));
  });

  it('reads nothing but the run’s folder, and changes nothing', async () => {
    const { client } = await openConsole(site);
    const secret = site.path('secret.csv');
    await writeFile(secret, 'a\nhidden-word\n');
    const before = await textsBelow(site.exportFolder);
    for (const sql of [
      `SELECT * FROM read_csv('${secret}')`,
      `SELECT * FROM read_text('${site.path('private-key.pem')}')`,
      `SELECT * FROM '${secret}'`,
      `SELECT * FROM glob('${site.folder}/*')`,
      `SELECT * FROM read_csv('${site.exportFolder}/default/${runId}/../../../secret.csv')`,
      `COPY (SELECT 1) TO '${site.path('out.csv')}'`,
      `SELECT 1) TO '${site.path('out.csv')}' --`,
      `ATTACH '${site.path('new.db')}'`,
      `SET enable_external_access = true`,
      `INSTALL httpfs`,
      `LOAD '${secret}'`,
      `SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')`,
      `CREATE TABLE t AS SELECT 1`,
      `DROP VIEW Patient`,
      `SELECT 1; SELECT 2`,
      `EXPLAIN ANALYZE COPY (SELECT 1) TO '${site.exportFolder}/default/${runId}/Patient.ndjson' (FORMAT csv)`,
      `SELECT * FROM enable_logging('QueryLog', storage = 'file', storage_path = '${site.exportFolder}/default/${runId}/l')`,
      `SELECT (SELECT count(*) FROM system.main.Enable_Profiling(save_location = '${site.exportFolder}/default/${runId}/p.txt'))`,
      `SELECT * FROM query('SELECT * FROM checkpoint()')`,
      `EXPORT DATABASE '${site.path('all')}'`,
      ``,
    ]) {
      const reply = await client.post(`/sql/${runId}`, { sql });
      expect.soft(reply.status, sql).toBe(400);
      expect.soft(reply.text, sql).toContain('It did not work');
      expect.soft(reply.text, sql).not.toContain('hidden-word');
    }
    expect(await textsBelow(site.exportFolder)).toEqual(before);
    for (const name of ['out.csv', 'new.db', 'all'])
      expect.soft(existsSync(site.path(name)), name).toBe(false);
    expect((await site.run(['verify', 'latest'])).code).toBe(0);
  });

  it('shows of what is large a beginning, and gives all of it as a file', async () => {
    const { client } = await openConsole(site);
    const sql = `SELECT repeat('x', 30000) AS long FROM range(900)`;
    const { status, text } = await client.post(`/sql/${runId}`, { sql });
    expect(status).toBe(200);
    expect(/The first \d{3} rows/.exec(text)).not.toBeNull();
    expect(text.length).toBeLessThan(6_000_000);
    expect((await client.post(`/sql/${runId}/csv`, { sql })).text.length).toBeGreaterThan(27_000_000);
  });

  it('gives CSV that no spreadsheet takes for formulas, and Parquet', async () => {
    const { client } = await openConsole(site);
    const sql = `SELECT '=1+1' AS "=a", '-5' AS b, 'x"y' AS c, '@z' AS d, 'é' AS e, NULL AS f`;
    const csv = await client.post(`/sql/${runId}/csv`, { sql });
    expect(csv.headers['content-disposition']).toBe(`attachment; filename="${runId}.csv"`);
    expect(csv.text).toBe(`\uFEFF'=a,b,c,d,e,f\r\n'=1+1,-5,"x""y",'@z,é,\r\n`);
    const parquet = await client.post(`/sql/${runId}/parquet`, { sql: 'SELECT id FROM Patient -- all' });
    expect(parquet.headers['content-type']).toBe('application/vnd.apache.parquet');
    expect([parquet.text.slice(0, 4), parquet.text.slice(-4)]).toEqual(['PAR1', 'PAR1']);
    expect(await readdir(site.path('state', 'console', 'queries'))).toEqual([]);
  });

  it('ends a query with its asker, and what a crash left is gone at the next start', async () => {
    const first = await openConsole(site);
    const endless = `SELECT count(*) FROM range(1000000000000) a, range(1000000) b`;
    const asked = first.client.post(`/sql/${runId}`, { sql: endless }).catch(() => undefined);
    const left = () => readdir(site.path('state', 'console', 'queries')).catch(() => []);
    while ((await left()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    first.child.kill('SIGKILL');
    await Promise.all([first.ended, asked]);
    expect(await left()).toHaveLength(1);
    await until('the end of the query', async () => (await processesOf(site)).length === 0);
    await startConsole(site);
    expect(await left()).toEqual([]);
  });

  it('keeps queries by name, and forgets them', async () => {
    const { client } = await openConsole(site);
    const sql = `SELECT '<script>alert(1)</script>'`;
    const { headers } = await client.post(`/sql/${runId}/save`, { name: '<b>mine</b>', sql });
    const page = await client.get(headers['location'] as string);
    expect(page.text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page.text).not.toContain('<b>mine');
    expect(page.text).not.toContain('<script>alert');
    await client.post(`/sql/${runId}/save`, { name: '<b>mine</b>', sql: '' });
    expect((await client.get(`/sql/${runId}`)).text).not.toContain('mine');
    expect((await client.post(`/sql/${runId}/save`, { name: ' ', sql })).status).toBe(400);
  });
});
