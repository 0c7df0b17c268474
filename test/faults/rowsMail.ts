import { writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { startSmtpServer, type SmtpFault } from '../../src/sandbox/smtp.ts';
import { listenForTest } from '../support/loopback.ts';
import type { FaultRow, MailTrouble } from './row.ts';

const WAITS =
  'The run’s exit code and folder are as ever; the mail waits in the outbox and is tried again, 30 s to 15 min apart.';
const HELD =
  'The run’s exit code and folder are as ever; tried once, then held until the settings change or a later mail goes through.';

const undelivered = (title: string, result: string, mail: MailTrouble): FaultRow => ({
  title,
  result,
  sandbox: { patients: 1 },
  types: ['Patient'],
  mail,
  expect: { exit: 0 },
});

const waiting = (title: string, faults: readonly SmtpFault[], logins: number): FaultRow =>
  undelivered(title, WAITS, { faults, waits: { code: 'MAIL_UNREACHABLE', held: false }, logins });

const refusedLogin = (code: 535 | 454): FaultRow =>
  undelivered(`the mail server refuses user or password (${code})`, HELD, {
    faults: [{ then: { stage: 'auth', code } }],
    waits: { code: 'MAIL_LOGIN_REFUSED', held: true },
    logins: 1,
  });

/** A way to the mail server that is cut once so much of a mail has passed. Gone when the running test ends. */
async function startCuttingWay(port: number, bytes: number): Promise<number> {
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    far.on('error', () => near.destroy());
    let passed = 0;
    near.on('data', (chunk: Buffer) => {
      passed += chunk.length;
      if (passed <= bytes) far.write(chunk);
      else for (const socket of [near, far]) socket.destroy();
    });
    far.on('data', (chunk: Buffer) => near.write(chunk)).on('close', () => near.destroy());
    near.on('close', () => far.destroy());
  });
  return listenForTest(server);
}

/** Mail: never lost, never in clear, and never what a run fails for. */
export const MAIL_ROWS: readonly FaultRow[] = [
  {
    ...undelivered('the mail server is down', WAITS, {
      settings: () => Promise.resolve({ 'email.smtp_port': 9 }),
      waits: { code: 'MAIL_UNREACHABLE', held: false },
      logins: 0,
    }),
    asProcess: true,
  },
  { ...refusedLogin(535), asProcess: true },
  refusedLogin(454),
  undelivered(
    'the mail server offers STARTTLS no more (somebody in between strips it)',
    'Neither password nor mail goes in clear; held until the settings change or a later mail goes through.',
    {
      faults: [{ then: { noStarttls: true } }],
      waits: { code: 'MAIL_INSECURE', held: true },
      logins: 0,
    },
  ),
  undelivered(
    'the mail server’s certificate is not the one of `smtp_tls_ca`',
    'The connection ends before the password; held until the settings change or a later mail goes through.',
    {
      settings: async (site) => {
        const other = await startSmtpServer();
        await other.close();
        await writeFile(site.path('other-cert.pem'), other.certificatePem);
        return { 'email.smtp_tls_ca': 'other-cert.pem' };
      },
      waits: { code: 'TLS_UNTRUSTED', held: true },
      logins: 0,
    },
  ),
  waiting('the mail server answers 451 to the recipient', [{ then: { stage: 'rcpt', code: 451 } }], 1),
  waiting(
    'the mail server answers 421 and hangs up',
    [{ then: { stage: 'connect', code: 421, close: true } }],
    0,
  ),
  waiting('the mail server answers 452 to the mail', [{ then: { stage: 'data', code: 452 } }], 1),
  undelivered('the connection is cut in the middle of a mail (DATA)', WAITS, {
    settings: async ({ sandbox }) => ({
      'email.smtp_port': await startCuttingWay(sandbox.smtp!.port, 4_000),
    }),
    waits: { code: 'MAIL_UNREACHABLE', held: false },
    logins: 1,
  }),
  undelivered(
    'the mail server refuses the recipient for good (550)',
    'Held until the settings change or a later mail goes through; other mails are sent.',
    {
      faults: [{ then: { stage: 'rcpt', code: 550 } }],
      waits: { code: 'MAIL_REFUSED', held: true },
      logins: 1,
    },
  ),
];
