import { copyFile, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LEDGER_FILE, openLedger, openLedgerForReading } from '../../src/run/ledger.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { checkShape } from '../../src/run/ledgerHealth.ts';
import { LEDGER_VERSION, migrate } from '../../src/run/ledgerSchema.ts';
import { isWindows } from '../../src/system/files.ts';
import { summaryOf } from '../report/sampleSummary.ts';
import { commitOf, searched } from '../support/commits.ts';
import { START_MS } from '../support/fakeClock.ts';
import {
  beginTestRun,
  commitAll,
  CONTEXT,
  RUN_ID,
  sharedRow,
  tamper,
  testLedger,
} from '../support/ledger.ts';
import { rejection, thrown } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const mail = { subject: 'a report', text: 'text', html: '<p>text</p>' };

describe('opening the ledger', () => {
  it('makes it with the newest version, and opens it again as it was', async () => {
    const folder = path.join(await temporaryFolder(), 'state');
    const first = await openLedger(folder);
    beginTestRun(first);
    first.close();
    const again = await testLedger(folder);
    expect(again.findRun(RUN_ID)).toMatchObject({ jobName: 'default', state: 'open', context: CONTEXT });
  });

  it.runIf(!isWindows)('lets the owner alone read it, its journal too', async () => {
    const folder = await temporaryFolder();
    const ledger = await testLedger(folder);
    beginTestRun(ledger);
    for (const name of [LEDGER_FILE, `${LEDGER_FILE}-wal`]) {
      expect([name, (await stat(path.join(folder, name))).mode & 0o777]).toEqual([name, 0o600]);
    }
  });

  it('refuses one of a newer program, and leaves it alone', async () => {
    const folder = await temporaryFolder();
    (await openLedger(folder)).close();
    tamper(folder, `PRAGMA user_version = ${LEDGER_VERSION + 1}`);
    const before = await readFile(path.join(folder, LEDGER_FILE));
    expect(await rejection(openLedger(folder))).toMatchObject({ code: 'LEDGER_NEWER', failure: 'config' });
    expect(thrown(() => openLedgerForReading(folder)).code).toBe('LEDGER_NEWER');
    expect(await readFile(path.join(folder, LEDGER_FILE))).toEqual(before);
  });

  it.each([
    ['text', 'no database at all '.repeat(200)],
    ['a word', 'short'],
    ['a damaged header', 'SQLite format 3\0'.padEnd(5_000, 'x')],
  ])('says that a file of %s is damaged', async (_, content) => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, LEDGER_FILE), content);
    expect((await rejection(openLedger(folder))).code).toBe('LEDGER_DAMAGED');
    expect(thrown(() => openLedgerForReading(folder)).code).toBe('LEDGER_DAMAGED');
  });

  it('says that a ledger is damaged where only a later page is', async () => {
    const folder = await temporaryFolder();
    const first = await openLedger(folder);
    const run = beginTestRun(first);
    const searches = Array.from({ length: 2_000 }, (_, no) =>
      searched(no, 'gap', { code: 'TIMEOUT', rosterLine: no }),
    );
    commitAll(first, run, [[commitOf({ searches })], [commitOf({ searches })]]);
    first.close();
    const file = path.join(folder, LEDGER_FILE);
    const bytes = await readFile(file);
    bytes.fill(0xa5, 20 * 4096, bytes.length - 4096);
    await writeFile(file, bytes);
    expect((await rejection(openLedger(folder))).code).toBe('LEDGER_DAMAGED');
    // Who only reads is spared the check of all pages, and meets the damage where it is.
    const ledger = openLedgerForReading(folder)!;
    onTestFinished(() => ledger.close());
    expect(thrown(() => [...ledger.pulls.commits(run.runNo)]).code).toBe('LEDGER_DAMAGED');
  });

  it('sees a ledger that is made meanwhile before or after, and never half of it', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, LEDGER_FILE);
    const maker = openDatabase(file);
    const reader = openDatabase(file, { readOnly: true });
    onTestFinished(() => {
      maker.close();
      reader.close();
    });
    maker.exec('PRAGMA journal_mode = WAL');
    // Between two of the reader's questions the other process commits.
    const interrupted = new Proxy(reader, {
      get: (db, name) => {
        if (name === 'prepare') {
          return (sql: string) => {
            if (sql === 'PRAGMA application_id') migrate(maker);
            return db.prepare(sql);
          };
        }
        const member: unknown = Reflect.get(db, name, db);
        return typeof member === 'function' ? (member.bind(db) as unknown) : member;
      },
    });
    expect(checkShape(interrupted, file)).toBe(0);
    expect(checkShape(reader, file)).toBe(LEDGER_VERSION);
  });

  it('says that a folder cannot be made where a file stands', async () => {
    const file = path.join(await temporaryFolder(), 'state');
    await writeFile(file, '');
    expect((await rejection(openLedger(file))).code).toBe('PATH_UNUSABLE');
  });

  it('has nothing to read before the first run', async () => {
    expect(openLedgerForReading(await temporaryFolder())).toBeUndefined();
  });
});

it('is whole in its one file once it is closed', async () => {
  const folder = await temporaryFolder();
  const ledger = await openLedger(folder);
  beginTestRun(ledger);
  ledger.close();
  const copied = await temporaryFolder();
  await copyFile(path.join(folder, LEDGER_FILE), path.join(copied, LEDGER_FILE));
  expect((await testLedger(copied)).findRun(RUN_ID)).toBeDefined();
});

describe('two handles', () => {
  it('reads what is committed while another writes, and blocks it not', async () => {
    const folder = await temporaryFolder();
    const writer = await testLedger(folder);
    const run = beginTestRun(writer);
    const reader = openLedgerForReading(folder)!;
    const position = commitAll(writer, run, [[commitOf({ searches: [searched(0, 'ok')] })]]);
    const reading = reader.pulls.commits(run.runNo);
    expect(reading.next().value).toMatchObject({ position });
    const next = writer.pulls.commit(run.runNo, position, commitOf({ searches: [searched(1, 'ok')] }), []);
    // A reader sees one instant as long as it reads; afterwards the newest.
    expect(reading.next().done).toBe(true);
    expect([...reader.pulls.commits(run.runNo)].at(-1)?.position).toEqual(next);
    expect(() => beginTestRun(reader, { runId: '20261122T030000Z-0000' })).toThrow();
    reader.close();
  });

  it('lets a reading that was given up stand in nobody’s way', async () => {
    const folder = await temporaryFolder();
    const ledger = await testLedger(folder);
    const run = beginTestRun(ledger);
    const position = commitAll(ledger, run, [[commitOf()], [commitOf()]]);
    for (const { position: first } of ledger.pulls.commits(run.runNo)) {
      expect(first.commitNo).toBe(1);
      break;
    }
    ledger.pulls.commit(run.runNo, position, commitOf(), []);
    expect([...ledger.pulls.commits(run.runNo)]).toHaveLength(3);
  });
});

describe('runs', () => {
  it('closes a run and queues its mail in one step', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    const summary = summaryOf({ runId: RUN_ID, status: 'partial', finishedAtMs: START_MS + 5_000 });
    ledger.closeRun(run.runNo, summary, mail);
    expect(ledger.findRun(RUN_ID)).toMatchObject({
      state: 'closed',
      status: 'partial',
      folder: summary.folder,
    });
    expect(ledger.findRun(RUN_ID)?.summary).toEqual(JSON.parse(JSON.stringify(summary)));
    expect(ledger.openRunOf('default')).toBeUndefined();
    expect(ledger.outbox.dueMails(START_MS + 5_000, 10)).toMatchObject([
      { runId: RUN_ID, ...mail, attempts: 0 },
    ]);
  });

  it('does neither when one of both is not possible', async () => {
    const folder = await temporaryFolder();
    const ledger = await testLedger(folder);
    const run = beginTestRun(ledger);
    tamper(folder, 'DROP TABLE outbox');
    expect(() => ledger.closeRun(run.runNo, summaryOf({ runId: RUN_ID }), mail)).toThrow();
    expect(ledger.findRun(RUN_ID)?.state).toBe('open');
  });

  it('closes a run once: a second close queues no second mail', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    ledger.closeRun(run.runNo, summaryOf({ runId: RUN_ID }), mail);
    ledger.closeRun(run.runNo, summaryOf({ runId: RUN_ID, status: 'partial' }), mail);
    expect(ledger.findRun(RUN_ID)?.status).toBe('complete');
    expect(ledger.outbox.waiting().mails).toBe(1);
  });

  it('lists them by job, newest first, and finds the last that was published', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const statuses = ['complete', 'partial', 'failed', 'abandoned'] as const;
    for (const [hour, status] of statuses.entries()) {
      const runId = `20261122T0${hour}0000Z-0000`;
      const run = beginTestRun(ledger, { runId });
      ledger.closeRun(run.runNo, summaryOf({ runId, status }), undefined);
    }
    ledger.beginRun({
      runId: '20261122T090000Z-0000',
      jobName: 'other',
      context: CONTEXT,
      startedAtMs: START_MS,
    });
    expect(ledger.runs({ jobName: 'default' }).map((run) => run.status)).toEqual([...statuses].toReversed());
    expect(ledger.runs({ limit: 1 }).map((run) => run.jobName)).toEqual(['other']);
    expect(ledger.lastPublished('default')?.status).toBe('partial');
    expect(ledger.lastPublished('other')).toBeUndefined();
    expect(ledger.openRunOf('other')?.state).toBe('open');
  });

  it('counts attempts and work, and forgets a run that never began to pull', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    ledger.markResumed(run.runNo);
    ledger.addWorked(run.runNo, 1_234.6);
    ledger.addWorked(run.runNo, 1);
    expect(ledger.findRun(RUN_ID)).toMatchObject({ resumed: 1, workedMs: 1_236 });
    ledger.discardRun(run.runNo);
    expect(ledger.findRun(RUN_ID)).toBeUndefined();
  });

  it('never forgets a closed run as if it had not been', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    ledger.closeRun(run.runNo, summaryOf({ runId: RUN_ID }), undefined);
    ledger.discardRun(run.runNo);
    expect(ledger.findRun(RUN_ID)).toBeDefined();
  });

  it('takes history from a manifest, but not over what it knows', async () => {
    const ledger = await testLedger(await temporaryFolder());
    ledger.adoptRun(summaryOf({ runId: RUN_ID, records: 7 }), CONTEXT);
    ledger.adoptRun(summaryOf({ runId: RUN_ID, records: 8 }), CONTEXT);
    expect(ledger.lastPublished('default')?.summary?.records).toBe(7);
  });

  it('drops a run’s searches and keeps its totals', async () => {
    const ledger = await testLedger(await temporaryFolder());
    const run = beginTestRun(ledger);
    const other = beginTestRun(ledger, { runId: '20261123T020000Z-0000' });
    for (const one of [run, other]) {
      commitAll(ledger, one, [
        [commitOf({ searches: [searched(0, 'ok')], sharedRows: 1 }), [sharedRow('a', 1, 5)]],
      ]);
      ledger.pulls.claimIdentity(one.runNo, 0, 'x');
    }
    ledger.closeRun(run.runNo, summaryOf({ runId: RUN_ID }), undefined);
    ledger.forgetSearches(run.runNo);
    expect([...ledger.pulls.commits(run.runNo)]).toEqual([]);
    expect(ledger.pulls.sharedRow(run.runNo, 'Practitioner', 'a')).toBeUndefined();
    expect(ledger.pulls.hasIdentities(run.runNo)).toBe(false);
    expect(ledger.findRun(RUN_ID)).toMatchObject({
      folder: undefined,
      summary: { records: summaryOf().records },
    });
    expect([...ledger.pulls.commits(other.runNo)]).toHaveLength(1);
    ledger.pulls.verifyRows(other.runNo, 1);
  });
});
