import { readdirSync } from 'node:fs';
import { copyFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { LEDGER_FILE } from '../../src/run/ledger.ts';
import { LEDGER_VERSION } from '../../src/run/ledgerSchema.ts';
import { replay } from '../../src/run/replay.ts';
import { START_MS } from '../support/fakeClock.ts';
import { beginTestRun, testLedger } from '../support/ledger.ts';
import { settingsOf } from '../support/settings.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const FIXTURES = path.join(import.meta.dirname, '../fixtures');
const versions = readdirSync(FIXTURES).flatMap((name) => {
  const [, version] = /^ledger-v(\d+)\.sqlite$/.exec(name) ?? [];
  return version === undefined ? [] : [Number(version)];
});

it('has a ledger of every release', () => {
  expect(versions.toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: LEDGER_VERSION }, (_, at) => at + 1),
  );
});

describe.each(versions)('a ledger of version %i', (version) => {
  it('is opened with all that it holds, and goes on', async () => {
    const folder = await temporaryFolder();
    await copyFile(path.join(FIXTURES, `ledger-v${version}.sqlite`), path.join(folder, LEDGER_FILE));
    const ledger = await testLedger(folder);
    const backups = (await readdir(folder)).filter((name) => name.endsWith('.backup'));
    expect(backups).toEqual(version < LEDGER_VERSION ? [`${LEDGER_FILE}.v${version}.backup`] : []);

    expect(ledger.runs().map(({ runId, status, state }) => [runId, status, state])).toEqual([
      ['20261122T020000Z-0003', undefined, 'open'],
      ['20261121T020000Z-0002', 'failed', 'closed'],
      ['20261120T020000Z-0001', 'partial', 'closed'],
    ]);
    const base = ledger.lastPublished('default')!;
    expect(base.summary?.searches).toEqual({ planned: 6, ok: 3, empty: 1, gap: 1, failed: 1 });
    expect(replay(ledger, base, settingsOf()).tally.totals).toEqual(base.summary?.searches);

    const open = ledger.openRunOf('default')!;
    const { tally, position } = replay(ledger, open, settingsOf());
    expect(open.baseRunId).toBe(base.runId);
    expect(tally.totals).toEqual({ planned: 6, ok: 3, empty: 1, gap: 1, failed: 0 });
    expect(tally.files.get('Practitioner 1')).toMatchObject({ bytes: 120, count: 1 });
    expect(ledger.pulls.sharedRow(open.runNo, 'Practitioner', 'pr-1')?.contentCrc).toBe(305419896);
    expect(ledger.pulls.sharedRow(open.runNo, 'Attachment', 'Binary/b-1')?.content?.bytes).toBe(
      version >= 4 ? 12 : undefined,
    );
    expect(ledger.pulls.identityOf(open.runNo, 0)).toBe('survivor');
    expect(ledger.pulls.commit(open.runNo, position, { ...emptied(), searches: [[3, 0]] }, []).commitNo).toBe(
      4,
    );

    expect(ledger.outbox.waiting()).toEqual({ mails: 1, held: 0, lastCode: 'MAIL_UNREACHABLE' });
    expect(ledger.outbox.dueMails(START_MS + 120_000, 5)).toMatchObject([{ runId: base.runId, attempts: 1 }]);
    expect(ledger.audit.has('run.begun', open.runId)).toBe(version >= 2);
    expect(ledger.schedules.served('default')?.slotMs).toBe(version >= 3 ? START_MS : undefined);
    expect(ledger.notices.open('default').map(({ kind }) => kind)).toEqual(version >= 3 ? ['refused'] : []);
    expect(ledger.holders.find('job default')).toMatchObject({ pid: 4242, runId: open.runId });
  });
});

function emptied() {
  return {
    files: [],
    searches: [],
    references: [],
    wanted: [],
    duplicates: [0, 0] as const,
    warnings: {},
    http: { requests: 0, retries: 0, waitedMs: 0 },
    sharedRows: 2,
  };
}

it('makes a ledger whose making was cut short', async () => {
  const folder = await temporaryFolder();
  await writeFile(path.join(folder, LEDGER_FILE), '');
  const ledger = await testLedger(folder);
  expect(beginTestRun(ledger).runNo).toBe(1);
});
