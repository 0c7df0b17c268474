import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMailer, type Mailer, type MailSettings } from '../../src/report/mail.ts';
import { drainOutbox, messageIdOf, type OutboxStore, type QueuedMail } from '../../src/report/outbox.ts';
import { startSmtpServer, type RunningSmtp, type SmtpOptions } from '../../src/sandbox/smtp.ts';
import { decodedHeader } from '../../src/sandbox/smtpMessage.ts';
import type { Clock } from '../../src/system/clock.ts';
import { silentLog, type Log, type LogFields } from '../../src/system/logger.ts';

type Row = { -readonly [K in keyof QueuedMail]: QueuedMail[K] } & { messageId?: string; code?: string };

/** The store's contract over an array. */
class Rows implements OutboxStore {
  readonly rows: Row[] = [];

  add(runId: string, given: Partial<QueuedMail> = {}): void {
    const mailNo = this.rows.length + 1;
    const content = {
      subject: `OK default: 8 resources [${runId}]`,
      text: 'The same text.',
      html: '<p>Same.</p>',
    };
    const queue = { attempts: 0, createdAtMs: 0, nextAttemptAtMs: 0 };
    this.rows.push({ mailNo, jobName: 'default', runId, ...content, ...queue, ...given });
  }

  row(mailNo: number): Row {
    return this.rows[mailNo - 1]!;
  }

  dueMails(nowMs: number, limit: number): readonly QueuedMail[] {
    return this.rows.filter((m) => m.messageId === undefined && m.nextAttemptAtMs <= nowMs).slice(0, limit);
  }

  markSent(mailNo: number, _atMs: number, messageId: string): void {
    this.row(mailNo).messageId = messageId;
  }

  markRetry(mailNo: number, nextAttemptAtMs: number, code: string): void {
    const row = this.row(mailNo);
    delete row.heldBy;
    Object.assign(row, { nextAttemptAtMs, code, attempts: row.attempts + 1 });
  }

  markHeld(mailNo: number, heldBy: string, code: string): void {
    const row = this.row(mailNo);
    Object.assign(row, { heldBy, code, attempts: row.attempts + 1 });
  }
}

describe('drainOutbox', () => {
  let nowMs = 0;
  let store: Rows;
  let warnings: [string, LogFields | undefined][];
  const clock: Clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.reject(new Error('a drain does not sleep')),
  };
  const servers: RunningSmtp[] = [];
  const log: Log = { ...silentLog, warn: (event, fields) => warnings.push([event, fields]) };

  async function start(options: SmtpOptions = {}): Promise<RunningSmtp> {
    const server = await startSmtpServer(options);
    servers.push(server);
    return server;
  }

  function mailerOf(server: RunningSmtp, given: Partial<MailSettings> = {}): Mailer {
    const { host, port, user, pass, certificatePem: caPem } = server;
    const addresses = { from: 'rounds@example.test', to: ['ops@example.test'] };
    const login = { secure: 'starttls', auth: 'login', user, pass } as const;
    return createMailer({ host, port, ...login, caPem, ...addresses, timeoutMs: 5_000, ...given });
  }

  const drain = (mailerFor: (jobName: string) => Mailer | undefined, signal?: AbortSignal) =>
    drainOutbox({ store, mailerFor, clock, log, random: () => 0.5, ...(signal ? { signal } : {}) });

  const runsOf = (server: RunningSmtp) =>
    server.mails.map((mail) => decodedHeader(mail.raw, 'x-fhir-rounds-run'));

  beforeEach(() => {
    nowMs = 1_000_000;
    store = new Rows();
    warnings = [];
  });

  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  it('sends what is due, oldest first, with a message id of run and number', async () => {
    const server = await start();
    for (const run of ['r1', 'r2', 'r3']) store.add(run);
    expect(await drain(() => mailerOf(server))).toEqual({ sent: 3, waiting: 0, held: 0 });
    expect(runsOf(server)).toEqual(['r1', 'r2', 'r3']);
    expect(decodedHeader(server.mails[1]!.raw, 'message-id')).toBe('<r2.2@fhir-rounds.invalid>');
    expect(store.row(2).messageId).toBe(messageIdOf('r2', 2));
    expect(await drain(() => mailerOf(server))).toEqual({ sent: 0, waiting: 0, held: 0 });
    expect(server.mails).toHaveLength(3);
  });

  it('waits while the server is down, then sends all in order and loses none', async () => {
    const server = await start();
    await server.close();
    store.add('r1');
    store.add('r2');
    expect(await drain(() => mailerOf(server))).toEqual({
      ...{ sent: 0, waiting: 2, held: 0, lastCode: 'MAIL_UNREACHABLE' },
    });
    expect(store.row(1)).toMatchObject({
      attempts: 1,
      nextAttemptAtMs: nowMs + 15_000,
      code: 'MAIL_UNREACHABLE',
    });
    expect(store.row(2)).toMatchObject({ attempts: 0 });

    const { port, identity, user, pass } = server;
    const again = await start({ port, identity, user, pass });
    nowMs += 14_999;
    store.add('r3');
    expect(await drain(() => mailerOf(again))).toEqual({ sent: 0, waiting: 3, held: 0 });
    nowMs += 1;
    expect(await drain(() => mailerOf(again))).toEqual({ sent: 3, waiting: 0, held: 0 });
    expect(runsOf(again)).toEqual(['r1', 'r2', 'r3']);
  });

  it('waits longer after each failure, from 30 s up to 15 min, jittered', async () => {
    const server = await start({ faults: [{ then: { stage: 'data', code: 451 } }] });
    store.add('r1');
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      await drain(() => mailerOf(server));
      waits.push(store.row(1).nextAttemptAtMs - nowMs);
      nowMs = store.row(1).nextAttemptAtMs;
    }
    expect(waits).toEqual([15_000, 30_000, 60_000, 120_000, 240_000, 450_000, 450_000]);
  });

  it.each([535, 454] as const)(
    'holds mails after a login refused by %i until the settings change',
    async (code) => {
      const server = await start({ loginRefusedCode: code });
      store.add('r1');
      store.add('r2');
      const wrong = () => mailerOf(server, { pass: 'wrong' });
      expect(await drain(wrong)).toEqual({ sent: 0, waiting: 0, held: 2, lastCode: 'MAIL_LOGIN_REFUSED' });
      // The second was held untried: Bridge locks out after three failures.
      expect(server.logins).toHaveLength(1);
      nowMs += 86_400_000;
      expect(await drain(wrong)).toEqual({ sent: 0, waiting: 0, held: 2 });
      expect(server.logins).toHaveLength(1);
      expect(await drain(() => mailerOf(server))).toEqual({ sent: 2, waiting: 0, held: 0 });
      expect(runsOf(server)).toEqual(['r1', 'r2']);
    },
  );

  it('sends held mails after a new one went through with the same settings', async () => {
    const server = await start({ faults: [{ when: { first: 1 }, then: { stage: 'auth', code: 535 } }] });
    store.add('r1');
    expect(await drain(() => mailerOf(server))).toMatchObject({ held: 1 });
    store.add('r2');
    expect(await drain(() => mailerOf(server))).toEqual({ sent: 2, waiting: 0, held: 0 });
    expect(runsOf(server)).toEqual(['r2', 'r1']);
  });

  it('holds one refused message and sends the next', async () => {
    const server = await start({ faults: [{ when: { first: 2 }, then: { stage: 'data', code: 554 } }] });
    store.add('r1');
    store.add('r2');
    store.add('r3');
    expect(await drain(() => mailerOf(server))).toMatchObject({ held: 2, sent: 1, lastCode: 'MAIL_REFUSED' });
    expect(runsOf(server)).toEqual(['r3']);
    store.add('r4');
    expect(await drain(() => mailerOf(server))).toEqual({ sent: 3, waiting: 0, held: 0 });
    expect(runsOf(server)).toEqual(['r3', 'r4', 'r1', 'r2']);
  });

  it('holds mails where STARTTLS is missing, and sends no credentials', async () => {
    const server = await start({ allowPlaintext: true, faults: [{ then: { noStarttls: true } }] });
    store.add('r1');
    expect(await drain(() => mailerOf(server))).toEqual({
      sent: 0,
      waiting: 0,
      held: 1,
      lastCode: 'MAIL_INSECURE',
    });
    expect(server.logins).toEqual([]);
  });

  it('lets no job wait for another one’s server, and learns from a shared one', async () => {
    const good = await start();
    const down = await start({ faults: [{ then: { stage: 'connect', code: 421 } }] });
    store.add('r1', { jobName: 'a' });
    store.add('r2', { jobName: 'b' });
    store.add('r3', { jobName: 'c' });
    expect(await drain((job) => mailerOf(job === 'b' ? good : down))).toEqual({
      ...{ sent: 1, waiting: 2, held: 0, lastCode: 'MAIL_UNREACHABLE' },
    });
    expect(runsOf(good)).toEqual(['r2']);
    expect(store.row(3)).toMatchObject({ attempts: 1, code: 'MAIL_UNREACHABLE' });
  });

  it('is sent when some recipients took it, and says in the log how many did not', async () => {
    const server = await start({ faults: [{ when: { first: 1 }, then: { stage: 'rcpt', code: 550 } }] });
    store.add('r1');
    const result = await drain(() => mailerOf(server, { to: ['gone@example.test', 'ops@example.test'] }));
    expect(result).toEqual({ sent: 1, waiting: 0, held: 0, refusedRecipients: 1 });
    expect(warnings).toEqual([
      ['mail.recipients_refused', { job: 'default', run: 'r1', mail: 1, recipients: 1, places: '1' }],
    ]);
  });

  it('gets both mails of two runs past Bridge’s duplicate suppression', async () => {
    const server = await start();
    store.add('20261122T020000Z-3f2a');
    store.add('20261122T021000Z-91bc');
    expect(await drain(() => mailerOf(server))).toMatchObject({ sent: 2 });
    expect([server.mails.length, server.suppressed]).toEqual([2, 0]);
  });

  it('gets two mails past it that say the same word for word', async () => {
    const server = await start();
    const same = {
      subject: 'STOPPED default: the disk is full',
      text: 'Free some.\n',
      html: '<p>Free some.</p>',
    };
    store.add('no-run', same);
    store.add('no-run', same);
    expect(await drain(() => mailerOf(server))).toMatchObject({ sent: 2 });
    expect([server.mails.length, server.suppressed]).toEqual([2, 0]);
    // The server of this test does drop what repeats: the same mail, numbered alike, is the same mail.
    const { subject, text, html } = { ...same, text: 'Free some.\n\nMail 1\n' };
    await mailerOf(server).send({
      subject,
      text,
      html,
      messageId: messageIdOf('no-run', 9),
      runId: 'no-run',
    });
    expect([server.mails.length, server.suppressed]).toEqual([2, 1]);
  });

  it('repeats a mail whose 250 was not recorded, with the same message id', async () => {
    const server = await start({ dedupe: false });
    store.add('r1');
    store.markSent = () => {
      throw new Error('killed here');
    };
    await expect(drain(() => mailerOf(server))).rejects.toThrow('killed here');
    store.markSent = Rows.prototype.markSent.bind(store);
    expect(await drain(() => mailerOf(server))).toMatchObject({ sent: 1 });
    const ids = server.mails.map((mail) => decodedHeader(mail.raw, 'message-id'));
    expect(ids).toEqual([messageIdOf('r1', 1), messageIdOf('r1', 1)]);
  });

  it('repeats it unchanged, so that Bridge drops what it has sent already', async () => {
    const server = await start();
    store.add('r1');
    store.markSent = () => {
      throw new Error('killed here');
    };
    await expect(drain(() => mailerOf(server))).rejects.toThrow('killed here');
    store.markSent = Rows.prototype.markSent.bind(store);
    expect(await drain(() => mailerOf(server))).toMatchObject({ sent: 1 });
    expect([server.mails.length, server.suppressed]).toEqual([1, 1]);
  });

  it('leaves mails of a job without mail settings waiting, and bears settings that cannot be read', async () => {
    store.add('r1');
    expect(await drain(() => undefined)).toEqual({ sent: 0, waiting: 1, held: 0 });
    const unreadable = () => {
      throw new Error('no such file');
    };
    expect(await drain(unreadable)).toEqual({ sent: 0, waiting: 1, held: 0, lastCode: 'INTERNAL' });
    expect(store.row(1)).toMatchObject({ attempts: 1, nextAttemptAtMs: nowMs + 15_000 });
  });

  it('stops at its signal without counting an attempt', async () => {
    const server = await start({ faults: [{ then: { hang: 'greeting' } }] });
    store.add('r1');
    store.add('r2');
    const stop = new AbortController();
    const draining = drain(() => mailerOf(server), stop.signal);
    stop.abort(new Error('stopping'));
    expect(await draining).toEqual({ sent: 0, waiting: 2, held: 0 });
    expect(store.row(1)).toMatchObject({ attempts: 0, nextAttemptAtMs: 0 });
  });

  it('sends a backlog of more than one batch', async () => {
    const server = await start();
    const mailer: Mailer = { ...mailerOf(server), send: () => Promise.resolve({ accepted: 1, refused: [] }) };
    for (let i = 0; i < 450; i++) store.add(`r${i}`);
    expect(await drain(() => mailer)).toEqual({ sent: 450, waiting: 0, held: 0 });
  });
});
