import { describe, expect, it } from 'vitest';
import { summaryOf } from '../report/sampleSummary.ts';
import { START_MS } from '../support/fakeClock.ts';
import { beginTestRun, testLedger } from '../support/ledger.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const RUN_IDS = ['20261122T020000Z-0001', '20261122T030000Z-0002', '20261122T040000Z-0003'] as const;

/** A ledger with a mail for each of three runs, queued a second apart. */
async function withMails() {
  const ledger = await testLedger(await temporaryFolder());
  for (const [at, runId] of RUN_IDS.entries()) {
    const run = beginTestRun(ledger, { runId });
    const mail = { subject: `report ${at}`, text: 'text', html: '<p>html</p>' };
    ledger.closeRun(run.runNo, summaryOf({ runId, finishedAtMs: START_MS + at * 1_000 }), mail);
  }
  return ledger;
}

describe('OutboxTable', () => {
  it('gives what is due, oldest first, at most as many as asked for', async () => {
    const { outbox } = await withMails();
    expect(outbox.dueMails(START_MS + 1_000, 10).map((mail) => mail.runId)).toEqual(RUN_IDS.slice(0, 2));
    expect(outbox.dueMails(START_MS + 9_000, 1).map((mail) => mail.subject)).toEqual(['report 0']);
    expect(outbox.dueMails(START_MS - 1, 10)).toEqual([]);
  });

  it('never gives again what was sent', async () => {
    const { outbox } = await withMails();
    const [first] = outbox.dueMails(START_MS, 1);
    outbox.markSent(first!.mailNo, START_MS + 5, '<id@host>');
    expect(outbox.dueMails(START_MS + 9_000, 10).map((mail) => mail.runId)).toEqual(RUN_IDS.slice(1));
    expect(outbox.waitingRunIds().toSorted()).toEqual(RUN_IDS.slice(1));
  });

  it('counts attempts, puts a mail off, and holds it until other settings lift the hold', async () => {
    const { outbox } = await withMails();
    const [first, second] = outbox.dueMails(START_MS + 1_000, 2);
    outbox.markRetry(first!.mailNo, START_MS + 60_000, 'MAIL_UNREACHABLE');
    outbox.markHeld(second!.mailNo, 'hash-of-settings', 'MAIL_LOGIN_REFUSED');
    expect(outbox.waiting()).toEqual({ mails: 3, held: 1, lastCode: 'MAIL_LOGIN_REFUSED' });
    expect(
      outbox.dueMails(START_MS + 2_000, 10).map((mail) => [mail.runId, mail.attempts, mail.heldBy]),
    ).toEqual([
      [RUN_IDS[1], 1, 'hash-of-settings'],
      [RUN_IDS[2], 0, undefined],
    ]);
    outbox.markRetry(second!.mailNo, START_MS, 'MAIL_UNREACHABLE');
    expect(outbox.waiting()).toEqual({ mails: 3, held: 0, lastCode: 'MAIL_UNREACHABLE' });
    const due = outbox.dueMails(START_MS + 60_000, 10).find((mail) => mail.runId === RUN_IDS[0]);
    expect(due).toMatchObject({ attempts: 1, nextAttemptAtMs: START_MS + 60_000 });
  });

  it('says that nothing waits', async () => {
    const { outbox } = await testLedger(await temporaryFolder());
    expect(outbox.waiting()).toEqual({ mails: 0, held: 0, lastCode: undefined });
    expect(outbox.waitingRunIds()).toEqual([]);
  });
});

describe('HolderTable', () => {
  it('names the last holder of a lock, and nobody once it was dropped', async () => {
    const { holders } = await testLedger(await temporaryFolder());
    const holder = {
      lock: 'job default',
      pid: 7,
      host: 'h',
      command: 'fhir-rounds run',
      runId: undefined,
      sinceMs: 1,
    };
    holders.note(holder);
    holders.note({ ...holder, pid: 8, runId: RUN_IDS[0] });
    expect(holders.find('job default')).toEqual({ ...holder, pid: 8, runId: RUN_IDS[0] });
    holders.drop('job other');
    expect(holders.find('job default')).toBeDefined();
    holders.drop('job default');
    expect(holders.find('job default')).toBeUndefined();
  });
});
