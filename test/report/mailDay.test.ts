import { afterEach, describe, expect, it } from 'vitest';
import { createMailer, type Mailer, type MailSettings } from '../../src/report/mail.ts';
import { drainOutbox, type DrainResult } from '../../src/report/outbox.ts';
import { openLedger, type Ledger } from '../../src/run/ledger.ts';
import { startSmtpServer, type RunningSmtp } from '../../src/sandbox/smtp.ts';
import { decodedHeader } from '../../src/sandbox/smtpMessage.ts';
import { silentLog } from '../../src/system/logger.ts';
import { createFakeClock, type FakeClock } from '../support/fakeClock.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A service as the daemon runs it: the real ledger, looked after each minute, and a mail server of Bridge's kind. */
describe('a day of mail', () => {
  const closers: (() => void | Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  async function service(): Promise<{
    readonly clock: FakeClock;
    readonly ledger: Ledger;
    readonly queue: () => void;
    readonly drain: (mailer: Mailer) => Promise<DrainResult>;
  }> {
    const clock = createFakeClock({ auto: true });
    const ledger = await openLedger(await temporaryFolder());
    closers.push(() => ledger.close());
    let runs = 0;
    return {
      clock,
      ledger,
      queue: () => {
        const runId = `r${++runs}`;
        // The same words each time, as of a job that fails alike each hour.
        const mail = { subject: 'FAILED: server away, default', text: 'It is away.\n', html: '<p>Away.</p>' };
        ledger.outbox.enqueue('default', runId, mail, clock.now());
      },
      drain: (mailer) =>
        drainOutbox({
          ...{ store: ledger.outbox, clock, log: silentLog, random: Math.random },
          mailerFor: () => mailer,
        }),
    };
  }

  async function start(given: Parameters<typeof startSmtpServer>[0] = {}): Promise<RunningSmtp> {
    const server = await startSmtpServer(given);
    closers.push(() => server.close());
    return server;
  }

  function mailerOf(server: RunningSmtp, given: Partial<MailSettings> = {}): Mailer {
    const { host, port, user, pass, certificatePem: caPem } = server;
    const login = { secure: 'starttls', auth: 'login', user, pass, caPem } as const;
    const addresses = { from: 'rounds@example.test', to: ['ops@example.test'] };
    return createMailer({ host, port, ...login, ...addresses, ...given });
  }

  const runsOf = (server: RunningSmtp) =>
    server.mails.map((mail) => decodedHeader(mail.raw, 'x-fhir-rounds-run'));

  it('without a server loses nothing: what waited comes in order within a quarter of an hour of its return', async () => {
    const { clock, ledger, queue, drain } = await service();
    const server = await start({ now: () => clock.now() });
    await server.close();
    const mailer = mailerOf(server);
    const waits: number[] = [];
    let tries = 0;
    for (let minute = 0; minute < 24 * 60; minute++) {
      if (minute % 60 === 0) queue();
      const { lastCode } = await drain(mailer);
      if (lastCode !== undefined) {
        tries++;
        expect(lastCode).toBe('MAIL_UNREACHABLE');
        waits.push(ledger.outbox.dueMails(Number.MAX_SAFE_INTEGER, 1)[0]!.nextAttemptAtMs - clock.now());
      }
      await clock.sleep(MINUTE);
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(15 * MINUTE);
    // Never given up, and never a storm: the oldest alone is tried, and that at least each quarter of an hour.
    expect(tries).toBeGreaterThanOrEqual(24 * 4);
    expect(tries).toBeLessThan(24 * 60);
    expect(ledger.outbox.waiting()).toMatchObject({ mails: 24, held: 0 });

    const { port, identity, user, pass } = server;
    const back = await start({ ...{ port, identity, user, pass }, now: () => clock.now() });
    for (let minute = 0; minute <= 15; minute++) {
      await drain(mailer);
      await clock.sleep(MINUTE);
    }
    expect(runsOf(back)).toEqual(Array.from({ length: 24 }, (_, i) => `r${i + 1}`));
    expect(back.suppressed).toBe(0);
    expect(ledger.outbox.waiting()).toMatchObject({ mails: 0, held: 0 });
  });

  it.each([535, 454] as const)(
    'with a wrong password (%i) tries each mail once, never locks the account, and sends all when it is right',
    async (loginRefusedCode) => {
      const { clock, ledger, queue, drain } = await service();
      const server = await start({ loginRefusedCode, now: () => clock.now() });
      const wrong = mailerOf(server, { pass: 'not the password' });
      for (let hour = 0; hour < 24; hour++) {
        queue();
        for (let minute = 0; minute < 60; minute += 10) {
          await drain(wrong);
          await clock.sleep(10 * MINUTE);
        }
      }
      expect(server.logins).toHaveLength(24);
      expect(ledger.outbox.waiting()).toEqual({ mails: 24, held: 24, lastCode: 'MAIL_LOGIN_REFUSED' });
      // The configuration is another one: the next look after the outbox sends them, with nobody asking.
      expect(await drain(mailerOf(server))).toEqual({ sent: 24, waiting: 0, held: 0 });
      expect(runsOf(server)).toEqual(Array.from({ length: 24 }, (_, i) => `r${i + 1}`));
      await clock.sleep(HOUR);
      expect(await drain(mailerOf(server))).toEqual({ sent: 0, waiting: 0, held: 0 });
    },
  );

  it('with one recipient of three that does not exist reaches the other two each time, and says so', async () => {
    const { clock, queue, drain } = await service();
    const server = await start({
      now: () => clock.now(),
      faults: [{ when: { nth: [2, 5] }, then: { stage: 'rcpt', code: 550 } }],
    });
    const mailer = mailerOf(server, { to: ['a@example.test', 'gone@example.test', 'c@example.test'] });
    queue();
    queue();
    expect(await drain(mailer)).toEqual({ sent: 2, waiting: 0, held: 0, refusedRecipients: 2 });
    expect(server.mails.map(({ to }) => to)).toEqual([
      ['a@example.test', 'c@example.test'],
      ['a@example.test', 'c@example.test'],
    ]);
  });
});
