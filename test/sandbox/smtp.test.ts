import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { startSmtpServer, type RunningSmtp, type SmtpOptions } from '../../src/sandbox/smtp.ts';

/** SMTP by hand, so that the server is not judged by the client that it serves. */
class Client {
  #socket: net.Socket;
  #received = '';
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#listen();
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('utf8');
      this.#wake();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** The next whole reply, or `closed`. */
  async reply(): Promise<string> {
    for (;;) {
      const whole = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(this.#received)?.[0];
      if (whole !== undefined) {
        this.#received = this.#received.slice(whole.length);
        return whole.trim();
      }
      if (this.#closed) return 'closed';
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.reply();
  }

  async starttls(ca: string): Promise<void> {
    expect(await this.say('STARTTLS')).toMatch(/^220/);
    this.#socket.removeAllListeners();
    const secure = tls.connect({ socket: this.#socket, host: '127.0.0.1', ca });
    await new Promise<void>((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject));
    this.#socket = secure;
    this.#listen();
  }

  login(user: string, pass: string): Promise<string> {
    return this.say(`AUTH PLAIN ${Buffer.from(`\0${user}\0${pass}`).toString('base64')}`);
  }

  /** Envelope and message; the reply to the final dot. */
  async mail(message: string, to = 'b@example.test'): Promise<string> {
    await this.say('MAIL FROM:<a@example.test>');
    await this.say(`RCPT TO:<${to}>`);
    const reply = await this.say('DATA');
    return reply.startsWith('354') ? this.say(`${message.replace(/\n/g, '\r\n')}\r\n.`) : reply;
  }

  end(): void {
    this.#socket.destroy();
  }
}

const MESSAGE =
  'From: A <a@example.test>\nTo: b@example.test\nSubject: =?utf-8?Q?Gr=C3=BC?= =?utf-8?B?w59l?=\n\nbody';

describe('startSmtpServer', () => {
  const running: RunningSmtp[] = [];
  const clients: Client[] = [];
  const folders: string[] = [];

  async function start(options: SmtpOptions = {}): Promise<RunningSmtp> {
    const server = await startSmtpServer(options);
    running.push(server);
    return server;
  }

  async function connect({ host, port }: RunningSmtp): Promise<Client> {
    const client = new Client(net.connect(port, host));
    clients.push(client);
    return client;
  }

  /** Greeted, and EHLO said. */
  async function greet(server: RunningSmtp): Promise<Client> {
    const client = await connect(server);
    expect(await client.reply()).toMatch(/^220/);
    await client.say('EHLO test');
    return client;
  }

  /** Over TLS and logged in. */
  async function enter(server: RunningSmtp): Promise<Client> {
    const client = await greet(server);
    await client.starttls(server.certificatePem);
    await client.say('EHLO test');
    expect(await client.login(server.user, server.pass)).toMatch(/^235/);
    return client;
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.end();
    await Promise.all(running.splice(0).map((server) => server.close()));
    await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
  });

  it('has a self-signed certificate of CN 127.0.0.1 that names this address alone', async () => {
    const server = await start();
    const certificate = new X509Certificate(server.certificatePem);
    expect(certificate.subject).toBe('CN=127.0.0.1');
    expect(certificate.issuer).toBe('CN=127.0.0.1');
    expect(certificate.subjectAltName).toBe('IP Address:127.0.0.1');
    expect(server.host).toBe('127.0.0.1');
  });

  it('takes a mail after STARTTLS and login, and keeps it in memory and in a folder', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'smtp-'));
    folders.push(folder);
    const server = await start({ folder, now: () => 42 });
    const client = await enter(server);
    expect(await client.mail(MESSAGE)).toMatch(/^250/);
    expect(server.mails).toMatchObject([
      { from: 'a@example.test', to: ['b@example.test'], secure: true, user: server.user, subject: 'Grüße' },
    ]);
    expect(server.mails[0]?.receivedAtMs).toBe(42);
    expect(await readdir(folder)).toEqual(['0001.eml']);
    expect(await readFile(path.join(folder, '0001.eml'), 'utf8')).toBe(server.mails[0]?.raw);
  });

  it('refuses login and mail before TLS, wrong passwords, and mail without login', async () => {
    const server = await start();
    const client = await greet(server);
    expect(await client.login(server.user, server.pass)).toMatch(/^538/);
    expect(await client.say('MAIL FROM:<a@example.test>')).toMatch(/^530/);
    await client.starttls(server.certificatePem);
    await client.say('EHLO test');
    expect(await client.login(server.user, 'wrong')).toMatch(/^535/);
    expect(await client.say('MAIL FROM:<a@example.test>')).toMatch(/^530/);
    expect(server.logins).toEqual([{ secure: true, accepted: false }]);
    const other = await start({ loginRefusedCode: 454, allowPlaintext: true });
    expect(await (await greet(other)).login(other.user, 'wrong')).toMatch(/^454/);
  });

  it('takes a plaintext login where it is told to, as Bridge does', async () => {
    const server = await start({ allowPlaintext: true });
    expect(await (await greet(server)).login(server.user, server.pass)).toMatch(/^235/);
    expect(server.logins).toEqual([{ secure: false, accepted: true }]);
  });

  it('is a relay without login where it is told to, and then offers none', async () => {
    const server = await start({ authRequired: false });
    const client = await connect(server);
    await client.reply();
    expect(await client.say('EHLO test')).not.toContain('AUTH');
    expect(await client.mail(MESSAGE)).toMatch(/^250/);
    expect(server.mails[0]).not.toHaveProperty('user');
  });

  it('refuses a From header that is no address of the account', async () => {
    const server = await start({ addresses: ['a@example.test'] });
    const client = await enter(server);
    expect(await client.mail(MESSAGE.replace('<a@', '<stranger@'))).toMatch(/^554/);
    expect(await client.mail(MESSAGE)).toMatch(/^250/);
    expect(server.mails).toHaveLength(1);
  });

  it('drops a repeat within 30 minutes with 250, told by subject, addresses and body alone', async () => {
    let now = 0;
    const server = await start({ now: () => now });
    const client = await enter(server);
    const mail = (id: number, body: string) => `Message-ID: <${id}@x>\n${MESSAGE.replace('body', body)}`;
    expect(await client.mail(mail(1, 'one'))).toMatch(/^250/);
    expect(await client.mail(mail(2, 'one'))).toMatch(/^250/);
    expect(await client.mail(mail(3, 'two'))).toMatch(/^250/);
    expect([server.mails.length, server.suppressed]).toEqual([2, 1]);
    now = 30 * 60_000;
    expect(await client.mail(mail(4, 'one'))).toMatch(/^250/);
    expect([server.mails.length, server.suppressed]).toEqual([3, 1]);
    expect(await client.mail(`Reply-To: other@x\n${mail(5, 'one')}`)).toMatch(/^250/);
    expect([server.mails.length, server.suppressed]).toEqual([4, 1]);
  });

  it('refuses every login for 20 s after more than three wrong ones, as Bridge does', async () => {
    let now = 0;
    const server = await start({ now: () => now });
    const attempt = async (pass: string): Promise<string> => {
      const client = await greet(server);
      await client.starttls(server.certificatePem);
      await client.say('EHLO test');
      return (await client.login(server.user, pass)).slice(0, 3);
    };
    for (let i = 0; i < 3; i++) expect(await attempt('wrong')).toBe('535');
    expect(await attempt(server.pass)).toBe('235');
    for (let i = 0; i < 4; i++) expect(await attempt('wrong')).toBe('535');
    now = 19_999;
    expect(await attempt(server.pass)).toBe('535');
    now = 20_000;
    expect(await attempt(server.pass)).toBe('235');
  });

  it('fails where the rules say so, and counts each rule by itself', async () => {
    const server = await start({
      faults: [
        { when: { first: 1 }, then: { stage: 'connect', code: 421 } },
        { when: { nth: [2] }, then: { stage: 'data', code: 451 } },
        { when: { first: 1 }, then: { stage: 'rcpt', code: 550 } },
      ],
    });
    expect(await (await connect(server)).reply()).toMatch(/^421/);
    const client = await enter(server);
    expect(await client.mail(MESSAGE)).toMatch(/^503/);
    expect(await client.mail(MESSAGE)).toMatch(/^250/);
    expect(await client.mail(MESSAGE)).toMatch(/^451/);
    expect(await client.mail(MESSAGE)).toMatch(/^250/);
    server.setFaults([{ then: { stage: 'auth', code: 454, close: true } }]);
    const refused = await greet(server);
    await refused.starttls(server.certificatePem);
    await refused.say('EHLO test');
    expect(await refused.login(server.user, server.pass)).toMatch(/^454/);
    expect(await refused.reply()).toBe('closed');
  });

  it('can offer no STARTTLS, and hang', async () => {
    const server = await start({ faults: [{ then: { noStarttls: true } }] });
    const client = await connect(server);
    await client.reply();
    expect(await client.say('EHLO test')).not.toContain('STARTTLS');
    expect(await client.say('STARTTLS')).toMatch(/^500/);
    server.setFaults([{ then: { hang: 'greeting' } }]);
    const silent = await connect(server);
    const greeting = silent.reply();
    await server.close();
    expect(await greeting).toMatch(/^421|^closed/);
  });

  it('speaks TLS from the first byte where it is told to', async () => {
    const server = await start({ implicitTls: true });
    const socket = tls.connect({ port: server.port, host: server.host, ca: server.certificatePem });
    const client = new Client(socket);
    clients.push(client);
    expect(await client.reply()).toMatch(/^220/);
    await client.say('EHLO test');
    expect(await client.login(server.user, server.pass)).toMatch(/^235/);
    expect(server.logins).toEqual([{ secure: true, accepted: true }]);
  });

  it('comes back on the same port as the same server', async () => {
    const first = await start();
    await first.close();
    const again = await start({
      port: first.port,
      identity: first.identity,
      user: first.user,
      pass: first.pass,
    });
    expect([again.port, again.certificatePem]).toEqual([first.port, first.certificatePem]);
    await enter(again);
  });
});
