import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { verifyFolder } from '../../src/publish/verify.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { tamper } from '../support/ledger.ts';
import { currentOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest, type Site } from '../support/site.ts';
import { historyOf, ledgerFile, movedAside, statusOf } from './support.ts';

const TYPES = ['Patient', 'Observation', 'Encounter', 'Practitioner'];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 3 });
});
afterAll(() => sandbox.close());

const site = (mail = false): Promise<Site> => siteForTest({ sandbox, resources: TYPES, mail });
const oracle = () => sandbox.oracle(oracleRows(TYPES));

/** A run killed half way, with commits in the ledger. */
async function interrupted(one: Site): Promise<void> {
  sandbox.setFaults([{ match: { type: 'Encounter' }, then: { hang: true } }]);
  await one.stopWhen(() => commitsIn(one) > 0, 'SIGKILL', ['run']).finally(() => sandbox.setFaults([]));
}

function commitsIn(one: Site): number {
  if (!existsSync(ledgerFile(one))) return 0;
  const db = openDatabase(ledgerFile(one), { readOnly: true, busyTimeoutMs: 1_000 });
  try {
    return (db.prepare('SELECT count(*) AS n FROM commits').get() as { n: number }).n;
  } catch {
    // Its tables are being made.
    return 0;
  } finally {
    db.close();
  }
}

async function flipBytes(file: string, from: number, to: number): Promise<void> {
  const bytes = await readFile(file);
  for (let at = from; at < Math.min(to, bytes.length); at++) bytes[at]! ^= 0x5a;
  await writeFile(file, bytes);
}

const checkpointed = (one: Site): void => tamper(one.stateFolder, 'PRAGMA wal_checkpoint(TRUNCATE)');

/** What a person is told, what stands in the report, and what is left. */
async function expectReplaced(one: Site, stderr: string): Promise<void> {
  expect(stderr).toMatch(/warning: The ledger was damaged \(.*moved aside to ledger\.sqlite\.damaged-/);
  expect(await movedAside(one)).toHaveLength(1);
  const published = await newestRun(one);
  await expectExactly(published, oracle());
  expect(await published.text('report.txt')).toContain('The ledger was damaged');
  expect(await currentOf(one)).toBe(published.runId);
  const log = await readFile(path.join(one.logFolder, 'fhir-rounds.log'), 'utf8').catch(() => '');
  expect(log).toMatch(/"level":"error","event":"ledger.replaced"/);
  expect((await verifyFolder(published.folder)).damage).toEqual([]);
}

/** Once for all kinds of damage: what the commands say of a rebuilt history, and that the next run finds nothing to say. */
async function expectForgotten(one: Site, first: string): Promise<void> {
  expect((await one.run(['show', first])).code).toBe(0);
  expect(await statusOf(one)).toMatchObject({ code: 0, jobs: [{ verdict: 'healthy', warnings: [] }] });
  const third = await one.run(['run']);
  expect(third.code).toBe(0);
  expect(third.stderr).not.toContain('warning');
  expect(await (await newestRun(one)).text('report.txt')).not.toContain('damaged');
}

describe('a damaged ledger with history', () => {
  it.each<{ readonly how: string; readonly damage: (one: Site) => Promise<void> | void }>([
    {
      how: 'text in its place',
      damage: (one) => writeFile(ledgerFile(one), 'nothing of a database '.repeat(400)),
    },
    { how: 'its header', damage: (one) => flipBytes(ledgerFile(one), 0, 60) },
    { how: 'its later pages', damage: (one) => flipBytes(ledgerFile(one), 4096 * 3, 4096 * 20) },
    {
      how: 'torn in two',
      damage: async (one) => truncate(ledgerFile(one), Math.floor((await stat(ledgerFile(one))).size / 2)),
    },
    {
      how: 'a database of another program',
      damage: async (one) => {
        await rm(ledgerFile(one));
        tamper(one.stateFolder, 'CREATE TABLE bookmarks (url TEXT); PRAGMA application_id = 271828');
      },
    },
    { how: 'a table missing', damage: (one) => tamper(one.stateFolder, 'DROP TABLE holders') },
    { how: 'a row of history', damage: (one) => tamper(one.stateFolder, `UPDATE runs SET summary = 'x'`) },
  ])('($how) is moved aside, and its history rebuilt', async ({ how, damage }) => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    const [first] = await runsOf(one);
    checkpointed(one);
    await damage(one);
    const before = await readFile(ledgerFile(one));

    // Who only looks changes nothing, and says what it is.
    const status = await one.run(['status']);
    expect(status.code).toBe(2);
    expect(status.stderr).toContain('LEDGER_DAMAGED');
    expect(await readFile(ledgerFile(one))).toEqual(before);

    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    await expectReplaced(one, stderr);
    const [aside] = await movedAside(one);
    const kept = await readFile(path.join(one.stateFolder, aside!));
    // A run has to begin with it before a row of history is found to be none.
    if (how !== 'a row of history') expect(kept.equals(before)).toBe(true);
    expect(stderr).toContain('1 published run.');
    expect(historyOf(one)).toEqual(['complete', 'complete']);
    if (how === 'its header') await expectForgotten(one, first!);
  });

  it('keeps the mails that waited, and mails what happened', async () => {
    const one = await site(true);
    const { smtp } = sandbox;
    const from = smtp!.mails.length;
    expect((await one.run(['run', '--no-mail'])).code).toBe(0);
    tamper(one.stateFolder, 'DROP TABLE holders');
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('The mail that waited was kept.');
    const runs = await runsOf(one);
    const mails = smtp!.mails.slice(from).map(({ raw }) => raw.toString());
    expect(mails).toHaveLength(2);
    expect(mails.map((raw, at) => raw.includes(`[${runs[at]}]`))).toEqual([true, true]);
    expect(mails[1]!.replace(/=\r?\n/g, '').replace(/\s+/g, ' ')).toContain('The ledger was damaged');
  });

  it('warns in `status` until a run is complete', async () => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    await writeFile(ledgerFile(one), 'not a ledger at all, but something else');
    sandbox.setFaults([{ match: { endpoint: 'search', type: 'Encounter' }, then: { status: 500 } }]);
    await one.configure({ 'api_settings.max_attempts': 1 });
    const partial = await one.run(['run']).finally(() => sandbox.setFaults([]));
    expect(partial.code, partial.stderr).toBe(3);
    const warned = await statusOf(one);
    expect(warned.code).toBe(1);
    expect(warned.jobs[0]!.warnings[0]).toContain('The ledger was damaged');
    expect((await one.run(['run'])).code).toBe(0);
    expect((await statusOf(one)).code).toBe(0);
  });
});

describe('a damaged ledger with a run half way', () => {
  it.each<{ readonly how: string; readonly sql: string }>([
    { how: 'a flipped integer of the chain', sql: 'UPDATE commits SET crc = crc + 1 WHERE commit_no = 1' },
    { how: 'a commit changed', sql: `UPDATE commits SET body = replace(body, '0', '1') WHERE commit_no = 1` },
    { how: 'the first commit gone', sql: 'UPDATE commits SET commit_no = commit_no + 1' },
    { how: 'the chain’s seed', sql: 'UPDATE runs SET chain_seed = chain_seed + 1' },
    {
      how: 'a shared row changed',
      sql: `UPDATE shared SET state = 1 - state WHERE resource_id = (SELECT max(resource_id) FROM shared)`,
    },
  ])('($how, which SQLite’s own check does not see) begins anew', async ({ sql }) => {
    const one = await site();
    await interrupted(one);
    tamper(one.stateFolder, sql);
    const db = openDatabase(ledgerFile(one), { readOnly: true });
    expect(db.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    db.close();

    const { code, stderr, stdout } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    await expectReplaced(one, stderr);
    expect(stderr).toContain('half finished was discarded');
    expect(stdout).not.toContain('picked up again');
    expect(await runsOf(one)).toHaveLength(1);
    expect(historyOf(one)).toEqual(['complete']);
    expect(await readdir(path.join(one.exportFolder, 'default', '.staging'))).toEqual([]);
    expect(await readdir(path.join(one.stateFolder, 'runs'))).toEqual([]);
  });
});

describe('a ledger that is gone', () => {
  it.each(['removed', 'cut to nothing'])('(%s) is said to be, and is no silent fresh start', async (how) => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    checkpointed(one);
    if (how === 'removed')
      for (const end of ['', '-wal', '-shm']) await rm(`${ledgerFile(one)}${end}`, { force: true });
    else await truncate(ledgerFile(one), 0);
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/warning: The ledger was missing\. .*1 published run\./);
    expect(await (await newestRun(one)).text('report.txt')).toContain('The ledger was missing');
    expect(historyOf(one)).toEqual(['complete', 'complete']);
    expect(await movedAside(one)).toEqual([]);
  });

  it('is no matter for a word where there was none before', async () => {
    const one = await site();
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain('ledger');
  });
});

describe('a ledger that is not damaged', () => {
  it('but kept locked, is left alone', async () => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    const db = openDatabase(ledgerFile(one));
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
    try {
      const { code, stderr } = await one.run(['run']);
      expect(code, stderr).toBe(5);
      expect(stderr).toContain('LOCK_HELD');
    } finally {
      db.close();
    }
    expect(await movedAside(one)).toEqual([]);
    expect((await one.run(['run'])).code).toBe(0);
    expect(historyOf(one)).toEqual(['complete', 'complete']);
  });

  it('but cannot be opened, is left alone', async () => {
    const one = await site();
    await mkdir(one.stateFolder, { mode: 0o700 });
    await mkdir(ledgerFile(one), { mode: 0o700 });
    const { code, stderr } = await one.run(['run']);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain('PATH_UNUSABLE');
    expect(await readdir(one.stateFolder)).not.toContainEqual(expect.stringContaining('damaged'));
  });

  it('but of a newer program, is left alone', async () => {
    const one = await site();
    expect((await one.run(['run'])).code).toBe(0);
    tamper(one.stateFolder, 'PRAGMA user_version = 99');
    const copy = one.path('copy');
    checkpointed(one);
    await copyFile(ledgerFile(one), copy);
    const { code, stderr } = await one.run(['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('LEDGER_NEWER');
    expect(await readFile(ledgerFile(one))).toEqual(await readFile(copy));
  });
});
