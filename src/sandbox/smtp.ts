import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { generate } from 'selfsigned';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { countFaults, type ReplyFault, type SmtpFault } from './smtpFaults.ts';
import { Lockout, Repeats } from './bridgeRules.ts';
import { addressesOf, decodedHeader } from './smtpMessage.ts';

export type { SmtpFault } from './smtpFaults.ts';

export interface ReceivedMail {
  /** Of the envelope, as are `to`. */
  readonly from: string;
  readonly to: readonly string[];
  /** Whether it came over TLS. */
  readonly secure: boolean;
  readonly user?: string;
  /** The message as it came, headers and all. */
  readonly raw: string;
  /** Decoded (RFC 2047). */
  readonly subject: string;
  readonly receivedAtMs: number;
}

/** One login as it was tried. */
export interface SmtpLogin {
  readonly secure: boolean;
  readonly accepted: boolean;
}

export interface SmtpIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface SmtpOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly user?: string;
  /** Random when absent. */
  readonly pass?: string;
  /** Made anew when absent; given, a restarted server is the same server to its clients. */
  readonly identity?: SmtpIdentity;
  /** TLS from the first byte, as Bridge's SSL mode. */
  readonly implicitTls?: boolean;
  /** Takes a login without TLS, as Bridge does (seen in its source, H). */
  readonly allowPlaintext?: boolean;
  /** false: a relay that takes mail without login, and offers none. */
  readonly authRequired?: boolean;
  /** The reply to a wrong password; some Bridge versions say 454 (M). */
  readonly loginRefusedCode?: 535 | 454;
  /** The From header must be one of these (Bridge: the account's enabled addresses, H); any when absent. */
  readonly addresses?: readonly string[];
  /** Takes a repeated mail with 250 and drops it, as Bridge does for 30 minutes (H). Default true. */
  readonly dedupe?: boolean;
  /** Mails are also written here, as 0001.eml and so on. */
  readonly folder?: string;
  readonly faults?: readonly SmtpFault[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface RunningSmtp {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly pass: string;
  /** What a client has to trust: self-signed, CN 127.0.0.1, SAN only the IP address 127.0.0.1, as Bridge's. */
  readonly certificatePem: string;
  readonly identity: SmtpIdentity;
  /** Kept mails, in the order of their 250. */
  readonly mails: readonly ReceivedMail[];
  /** Mails that were accepted and dropped as repeats. */
  readonly suppressed: number;
  /** Every login that was tried, over TLS or not. */
  readonly logins: readonly SmtpLogin[];
  /** Replaces all fault rules; their counts start again. */
  setFaults(rules: readonly SmtpFault[]): void;
  /** Stops listening and drops the connections there are. */
  close(): Promise<void>;
}

/** The account of a server that is told none. */
export const SMTP_USER = 'rounds@example.test';
const HOST = '127.0.0.1';
const CLOSE_GRACE_MS = 20;

/**
 * A mail server on 127.0.0.1 that behaves like Proton Mail Bridge: STARTTLS with a self-signed certificate,
 * login after it, and the faults that it is told. Resolves when it listens.
 */
export async function startSmtpServer(options: SmtpOptions = {}): Promise<RunningSmtp> {
  const now = options.now ?? (() => Date.now());
  const user = options.user ?? SMTP_USER;
  const pass = options.pass ?? randomBytes(12).toString('base64url');
  const identity = options.identity ?? (await makeIdentity());
  const mails: ReceivedMail[] = [];
  const logins: SmtpLogin[] = [];
  const repeats = new Repeats();
  let suppressed = 0;
  let faults = countFaults(options.faults ?? []);
  const lockout = new Lockout(now);

  if (options.folder !== undefined) await mkdir(options.folder, { recursive: true, mode: 0o700 });

  /** Keeps a mail, unless it repeats one of the last half hour. */
  async function keep(mail: ReceivedMail): Promise<void> {
    if (options.dedupe !== false && repeats.isRepeat(mail)) {
      suppressed++;
      return;
    }
    mails.push(mail);
    if (options.folder !== undefined) {
      const name = `${String(mails.length).padStart(4, '0')}.eml`;
      await writeFile(path.join(options.folder, name), mail.raw, { mode: 0o600 });
    }
  }

  const server = new SMTPServer({
    secure: options.implicitTls === true,
    key: identity.privateKeyPem,
    cert: identity.certificatePem,
    minVersion: 'TLSv1.2',
    name: HOST,
    disableReverseLookup: true,
    logger: false,
    closeTimeout: CLOSE_GRACE_MS,
    authMethods: ['PLAIN', 'LOGIN'],
    allowInsecureAuth: options.allowPlaintext === true,
    disabledCommands: options.authRequired === false ? ['AUTH'] : [],
    onConnect(session, callback) {
      if (faults.hangs('greeting')) return;
      if (faults.stripsStarttls()) {
        session.disabledCommands = options.authRequired === false ? ['AUTH', 'STARTTLS'] : ['STARTTLS'];
      }
      answer(faults.replies('connect'), session, callback);
    },
    onAuth(auth, session, callback) {
      const fault = faults.replies('auth');
      const right = auth.username === user && auth.password === pass && !lockout.isOn;
      logins.push({ secure: session.secure, accepted: right && fault === undefined });
      if (fault !== undefined) return answer(fault, session, callback);
      lockout.note(right);
      if (right) return callback(null, { user });
      callback(refusal(options.loginRefusedCode ?? 535, 'Invalid credentials'));
    },
    onRcptTo(_address, session, callback) {
      answer(faults.replies('rcpt'), session, callback);
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        if (faults.hangs('data')) return;
        const fault = faults.replies('data');
        if (fault !== undefined) return answer(fault, session, callback);
        const raw = Buffer.concat(chunks).toString('utf8');
        const headerFrom = addressesOf(decodedHeader(raw, 'from'));
        if (options.addresses && !headerFrom.every((address) => options.addresses?.includes(address))) {
          return callback(refusal(554, 'The From address is not one of the account'));
        }
        const { mailFrom, rcptTo } = session.envelope;
        const mail: ReceivedMail = {
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          secure: session.secure,
          ...(typeof session.user === 'string' ? { user: session.user } : {}),
          raw,
          subject: decodedHeader(raw, 'subject'),
          receivedAtMs: now(),
        };
        keep(mail).then(
          () => callback(null, 'OK'),
          () => callback(refusal(451, 'The mail could not be stored')),
        );
      });
    },
  });

  /** Goes on when there is no fault; else replies with it and, where it says so, hangs up. */
  function answer(
    fault: ReplyFault | undefined,
    session: SMTPServerSession,
    callback: (error?: Error | null) => void,
  ): void {
    if (fault === undefined) return callback();
    callback(refusal(fault.code, 'A fault rule says so'));
    if (fault.close !== true) return;
    setImmediate(() => {
      for (const connection of server.connections) if (connection.id === session.id) connection.close();
    });
  }

  // A client that refuses the certificate ends its handshake with an error here; that is its right.
  server.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(options.port ?? 0, HOST, resolve);
  });

  return {
    host: HOST,
    port: (server.server.address() as AddressInfo).port,
    user,
    pass,
    certificatePem: identity.certificatePem,
    identity,
    mails,
    logins,
    get suppressed() {
      return suppressed;
    },
    setFaults(rules) {
      faults = countFaults(rules);
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

function refusal(responseCode: number, message: string): Error & { responseCode: number } {
  return Object.assign(new Error(message), { responseCode });
}

/** As Bridge makes its own: a CA of itself, for server authentication; EC, since that costs no time. */
async function makeIdentity(): Promise<SmtpIdentity> {
  const made = await generate([{ name: 'commonName', value: HOST }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: HOST }] },
    ],
  });
  return { certificatePem: made.cert, privateKeyPem: made.private };
}
