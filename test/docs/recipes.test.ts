import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newestRun } from '../support/publishedRun.ts';
import { makeSite, type Site } from '../support/site.ts';
import { readDocument, section } from './markdown.ts';

/** A folder in which @duckdb/node-api is installed: it is no dependency of ours. */
const DUCKDB = process.env['FHIR_ROUNDS_DUCKDB'];
/** The first of the machine's Pythons that can do it; Debian's knows Debian's packages. */
const pythonWith = (program: string): string | undefined =>
  ['python3', '/usr/bin/python3'].find((python) => spawnSync(python, ['-c', program]).status === 0);
const PYTHON = pythonWith('');
const PANDAS = pythonWith('import pandas');

/** The README's recipe under a name. */
function recipe(name: string): string {
  const body = section(readDocument('README.md'), 'Reading the folders');
  const from = body.indexOf(`**${name}**`);
  expect(from).toBeGreaterThanOrEqual(0);
  return /```[a-z]+\n([^]*?)```/.exec(body.slice(from))![1]!;
}

describe('the README’s recipes read a published folder', () => {
  let site: Site;
  let conditions: number;
  beforeAll(async () => {
    site = await makeSite({ sandbox: { patients: 3, smtp: false }, mail: false });
    expect((await site.run(['run'])).code).toBe(0);
    const { folder } = await newestRun(site);
    conditions = (await readFile(path.join(folder, 'Condition.ndjson'), 'utf8')).trimEnd().split('\n').length;
  });
  afterAll(() => site.close());

  const printed = (python: string, program: string): string => {
    const { stdout, stderr } = spawnSync(python, ['-c', program], { cwd: site.folder, encoding: 'utf8' });
    return stdout + stderr;
  };

  it.skipIf(PYTHON === undefined)('with Python', () => {
    expect(printed(PYTHON!, recipe('Python'))).toBe(`${conditions}\n`);
  });

  it.skipIf(PANDAS === undefined)('with pandas', () => {
    expect(printed(PANDAS!, recipe('pandas'))).toBe(`${conditions}\n`);
  });

  it.runIf(DUCKDB !== undefined)('with DuckDB', async () => {
    const file = createRequire(path.join(DUCKDB!, 'package.json')).resolve('@duckdb/node-api');
    const { DuckDBInstance } = await import(pathToFileURL(file).href);
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const sql = recipe('DuckDB').replace(
      'exports/default/current',
      path.join(site.exportFolder, 'default/current'),
    );
    const reader = await connection.runAndReadAll(sql.replace('LIMIT 10', ''));
    const rows = reader.getRowObjects() as { condition: string; records: bigint }[];
    expect(rows.reduce((sum, { records }) => sum + Number(records), 0)).toBe(conditions);
    expect(rows.every(({ condition }) => condition !== '')).toBe(true);
  });
});
