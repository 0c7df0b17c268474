import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createMailer, type Mailer, type MailSettings } from '../../src/report/mail.ts';
import {
  startSmtpServer,
  type RunningSmtp,
  type SmtpFault,
  type SmtpOptions,
} from '../../src/sandbox/smtp.ts';
import { decodedHeader, decodedPart } from '../../src/sandbox/smtpMessage.ts';

const MAIL = {
  subject: 'OK default: 8 resources [20261122T020000Z-3f2a]',
  text: 'All is well.\n',
  html: '<p>All is well.</p>\n',
  messageId: '<20261122T020000Z-3f2a.7@fhir-rounds.invalid>',
  runId: '20261122T020000Z-3f2a',
};

describe('createMailer', () => {
  const closers: (() => Promise<void>)[] = [];
  const mailers: Mailer[] = [];

  async function start(options: SmtpOptions = {}): Promise<RunningSmtp> {
    const server = await startSmtpServer(options);
    closers.push(() => server.close());
    return server;
  }

  function mailerOf(server: RunningSmtp, given: Partial<MailSettings> = {}): Mailer {
    const mailer = createMailer({
      host: server.host,
      port: server.port,
      secure: 'starttls',
      auth: 'login',
      user: server.user,
      pass: server.pass,
      caPem: server.certificatePem,
      from: 'rounds@example.test',
      to: ['ops@example.test'],
      timeoutMs: 5_000,
      ...given,
    });
    mailers.push(mailer);
    return mailer;
  }

  /** Of an INI without these keys. */
  function without(settings: keyof MailSettings, given: MailSettings): MailSettings {
    const { [settings]: _left, ...rest } = given;
    return rest as MailSettings;
  }

  async function failure(of: Promise<unknown>): Promise<{ code: string; failure: string; text: string }> {
    const error = await of.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const { code, failure: kind, message, cause } = error as Error & { code: string; failure: string };
    expect(cause).toBeUndefined();
    return { code, failure: kind, text: message };
  }

  afterEach(async () => {
    for (const mailer of mailers.splice(0)) mailer.close();
    await Promise.all(closers.splice(0).map((close) => close()));
  });

  it('sends by STARTTLS with the certificate it was given', async () => {
    const server = await start();
    const receipt = await mailerOf(server).send(MAIL);
    expect(receipt).toEqual({ accepted: 1, refused: [] });
    expect(server.mails).toHaveLength(1);
    const mail = server.mails[0]!;
    expect(mail).toMatchObject({
      secure: true,
      user: server.user,
      subject: MAIL.subject,
      to: ['ops@example.test'],
    });
    expect(decodedHeader(mail.raw, 'message-id')).toBe(MAIL.messageId);
    expect(decodedHeader(mail.raw, 'auto-submitted')).toBe('auto-generated');
    expect(decodedHeader(mail.raw, 'x-fhir-rounds-run')).toBe(MAIL.runId);
    expect(server.logins).toEqual([{ secure: true, accepted: true }]);
  });

  it('keeps non-ASCII text right, and a wide table unwrapped', async () => {
    const server = await start();
    const text = `Größe – 漢字 ✓\n${'x'.repeat(70)} 123456\n${'a b '.repeat(40)}\n`;
    const html = '<p>Größe – 漢字 ✓</p>\n';
    const subject =
      'Übertragung fertig: Größe 漢字, und ein langer Rest, damit der Betreff gefaltet wird [run]';
    await mailerOf(server).send({ ...MAIL, subject, text, html });
    const { raw, subject: received } = server.mails[0]!;
    expect(received).toBe(subject);
    expect(decodedPart(raw, 'text/plain')?.replace(/\r\n/g, '\n').trimEnd()).toBe(text.trimEnd());
    expect(decodedPart(raw, 'text/html')?.trim()).toBe(html.trim());
    expect(raw).not.toContain('format=flowed');
  });

  it('keeps a sender’s name right that is not ASCII', async () => {
    const server = await start({ addresses: ['rounds@example.test'] });
    const to = ['Dienst für Daten <ops@example.test>', 'zweite@example.test'];
    await mailerOf(server, { from: 'Visite Größe 漢字 <rounds@example.test>', to }).send(MAIL);
    const [mail] = server.mails;
    expect(decodedHeader(mail!.raw, 'from')).toBe('Visite Größe 漢字 <rounds@example.test>');
    expect(decodedHeader(mail!.raw, 'to')).toBe('Dienst für Daten <ops@example.test>, zweite@example.test');
    expect([mail!.from, ...mail!.to]).toEqual([
      ...['rounds@example.test', 'ops@example.test', 'zweite@example.test'],
    ]);
    // Headers are ASCII on their way, so that no server has to know SMTPUTF8.
    expect(mail!.raw.split('\r\n\r\n', 1)[0]).toMatch(/^[\x20-\x7e\r\n\t]*$/);
  });

  it('sends to several recipients, and says which of them the server refuses', async () => {
    const server = await start({ faults: [{ when: { nth: [2] }, then: { stage: 'rcpt', code: 550 } }] });
    const mailer = mailerOf(server, { to: ['a@example.test', 'b@example.test', 'c@example.test'] });
    expect(await mailer.send(MAIL)).toEqual({ accepted: 2, refused: [2] });
    expect(server.mails[0]?.to).toEqual(['a@example.test', 'c@example.test']);
  });

  it('refuses another certificate than the one it was given, before any login', async () => {
    const server = await start();
    const other = await start();
    const wrong = mailerOf(server, { caPem: other.certificatePem });
    expect(await failure(wrong.send(MAIL))).toMatchObject({ code: 'TLS_UNTRUSTED', failure: 'config' });
    const settings = { host: server.host, port: server.port, from: 'a@b.test', to: ['c@d.test'] };
    const roots = createMailer({ ...settings, secure: 'starttls', auth: 'none', timeoutMs: 5_000 });
    expect(await failure(roots.verify())).toMatchObject({ code: 'TLS_UNTRUSTED' });
    expect(await failure(mailerOf(server, { caPem: 'no pem' }).send(MAIL))).toMatchObject({
      code: 'TLS_UNTRUSTED',
    });
    expect(server.logins).toEqual([]);
  });

  it('refuses the name localhost for a certificate of the address alone', async () => {
    const server = await start();
    const { code } = await failure(mailerOf(server, { host: 'localhost' }).send(MAIL));
    expect(code).toBe('TLS_UNTRUSTED');
    expect(server.logins).toEqual([]);
  });

  it('never logs in where STARTTLS was stripped, though the server would take it', async () => {
    const server = await start({ allowPlaintext: true, faults: [{ then: { noStarttls: true } }] });
    const mailer = mailerOf(server);
    expect(await failure(mailer.send(MAIL))).toMatchObject({ code: 'MAIL_INSECURE', failure: 'config' });
    expect(await failure(mailer.verify())).toMatchObject({ code: 'MAIL_INSECURE' });
    expect(server.logins).toEqual([]);
    expect(server.mails).toEqual([]);
  });

  it('sends in clear to this machine only', async () => {
    const relay = await start({ authRequired: false });
    const mailer = mailerOf(relay, { secure: 'none', auth: 'none' });
    await mailer.verify();
    await mailer.send(MAIL);
    expect(relay.mails[0]).toMatchObject({ secure: false, subject: MAIL.subject });
    const elsewhere = mailerOf(relay, { host: 'mail.example.test', secure: 'none', auth: 'none' });
    expect(await failure(elsewhere.send(MAIL))).toMatchObject({ code: 'MAIL_INSECURE' });
  });

  it('sends through a relay that wants no login, over TLS', async () => {
    const relay = await start({ authRequired: false });
    await mailerOf(relay, { auth: 'none' }).send(MAIL);
    expect(relay.mails[0]).toMatchObject({ secure: true });
    expect(await failure(mailerOf(relay).send(MAIL))).toMatchObject({ code: 'MAIL_LOGIN_REFUSED' });
    const strict = await start();
    expect(await failure(mailerOf(strict, { auth: 'none' }).send(MAIL))).toMatchObject({
      code: 'MAIL_LOGIN_REFUSED',
    });
  });

  it('speaks TLS from the first byte', async () => {
    const server = await start({ implicitTls: true });
    const mailer = mailerOf(server, { secure: 'tls' });
    await mailer.verify();
    await mailer.send(MAIL);
    expect(server.mails[0]).toMatchObject({ secure: true });
    const plain = await start();
    expect(await failure(mailerOf(plain, { secure: 'tls' }).send(MAIL))).toMatchObject({
      code: 'MAIL_INSECURE',
    });
  });

  it('takes 535 and 454 alike for a refused login, and says no password or server text', async () => {
    for (const loginRefusedCode of [535, 454] as const) {
      const server = await start({ loginRefusedCode });
      const mailer = mailerOf(server, { pass: 'not the password' });
      const error = await failure(mailer.send(MAIL));
      expect(error).toMatchObject({ code: 'MAIL_LOGIN_REFUSED', failure: 'config' });
      expect(error.text).toContain(String(loginRefusedCode));
      expect(error.text).not.toMatch(/not the password|Invalid|example/);
      expect(await failure(mailer.verify())).toMatchObject({ code: 'MAIL_LOGIN_REFUSED' });
    }
    const server = await start();
    const settings = { host: server.host, port: server.port, from: 'a@b.test', to: ['c@d.test'] };
    const empty = createMailer(
      without('user', { ...settings, secure: 'starttls', auth: 'login', user: 'x' }),
    );
    expect(await failure(empty.send(MAIL))).toMatchObject({ code: 'MAIL_LOGIN_REFUSED' });
  });

  const replies: readonly (readonly [SmtpFault['then'], string, string])[] = [
    [{ stage: 'connect', code: 421 }, 'MAIL_UNREACHABLE', 'transient'],
    [{ stage: 'connect', code: 554 }, 'MAIL_UNREACHABLE', 'transient'],
    [{ stage: 'auth', code: 421 }, 'MAIL_UNREACHABLE', 'transient'],
    [{ stage: 'rcpt', code: 450 }, 'MAIL_UNREACHABLE', 'transient'],
    [{ stage: 'rcpt', code: 550 }, 'MAIL_REFUSED', 'permanent'],
    [{ stage: 'data', code: 451 }, 'MAIL_UNREACHABLE', 'transient'],
    [{ stage: 'data', code: 554, close: true }, 'MAIL_REFUSED', 'permanent'],
  ];
  it.each(replies)('takes %j for %s', async (then, code, kind) => {
    const server = await start({ faults: [{ then }] });
    const error = await failure(mailerOf(server).send(MAIL));
    expect(error).toMatchObject({ code, failure: kind });
    expect(error.text).not.toMatch(/rule|@/);
    expect(server.mails).toEqual([]);
  });

  it('takes a server that is away for unreachable', async () => {
    const server = await start();
    await server.close();
    const error = await failure(mailerOf(server).send(MAIL));
    expect(error).toMatchObject({ code: 'MAIL_UNREACHABLE', failure: 'transient' });
    expect(error.text).toContain('ECONNREFUSED');
  });

  it('is not held by a server that hangs, at the greeting or after the message', async () => {
    for (const hang of ['greeting', 'data'] as const) {
      const server = await start({ faults: [{ then: { hang } }] });
      const error = await failure(mailerOf(server, { timeoutMs: 400 }).send(MAIL));
      expect(error).toMatchObject({ code: 'MAIL_UNREACHABLE', failure: 'transient' });
    }
  });

  it('is not held by a server that trickles, which no timeout of silence would end', async () => {
    const timers: NodeJS.Timeout[] = [];
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 hello\r\n');
      socket.once('data', () => timers.push(setInterval(() => socket.write('250-more\r\n'), 50)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(async () => {
      for (const timer of timers) clearInterval(timer);
      await new Promise((resolve) => server.close(resolve));
    });
    const { port } = server.address() as net.AddressInfo;
    const settings = { host: '127.0.0.1', port, secure: 'none', auth: 'none', timeoutMs: 300 } as const;
    const mailer = createMailer({ ...settings, from: 'a@b.test', to: ['c@d.test'] });
    expect(await failure(mailer.send(MAIL))).toMatchObject({ code: 'MAIL_UNREACHABLE' });
  });

  it('ends at once with the reason of its signal', async () => {
    const server = await start({ faults: [{ then: { hang: 'greeting' } }] });
    const stop = new AbortController();
    const sending = mailerOf(server, { timeoutMs: 30_000 }).send({ ...MAIL, signal: stop.signal });
    stop.abort(new Error('stopping'));
    await expect(sending).rejects.toThrow('stopping');
  });

  it('hashes every setting, and hides them', async () => {
    const server = await start();
    const hashes = [{}, { pass: 'p' }, { port: 1 }, { to: ['z@example.test'] }, { caPem: 'c' }, {}].map(
      (given) => mailerOf(server, given).settingsHash,
    );
    expect(new Set(hashes).size).toBe(5);
    expect(hashes[0]).toBe(hashes.at(-1));
    expect(hashes[0]).toMatch(/^[0-9a-f]{8}$/);
  });
});
