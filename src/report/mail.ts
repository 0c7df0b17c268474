import { createHash } from 'node:crypto';
import { createTransport } from 'nodemailer';
import { RoundsError } from '../errors.ts';
import { asMailError } from './mailError.ts';

/** Where and how mails go: [email] of the INI. */
export interface MailSettings {
  /** For Proton Bridge `127.0.0.1` and not `localhost`: its certificate names the address only (H). */
  readonly host: string;
  readonly port: number;
  /** `starttls`: TLS is demanded; `tls`: from the first byte; `none`: only to a loopback address. */
  readonly secure: 'starttls' | 'tls' | 'none';
  readonly auth: 'login' | 'none';
  readonly user?: string;
  readonly pass?: string;
  /** PEM of what to trust in place of the system's roots, such as the certificate that Bridge exports. */
  readonly caPem?: string;
  readonly from: string;
  readonly to: readonly string[];
  /** Silence of the server that is borne, in ms (30 s); no exchange takes longer than twice this. */
  readonly timeoutMs?: number;
}

export interface OutgoingMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** With angle brackets. */
  readonly messageId: string;
  readonly runId: string;
  /** Ends the exchange; the mail may then have been taken or not. */
  readonly signal?: AbortSignal;
}

export interface SendReceipt {
  /** How many recipients the server took: at least one. */
  readonly accepted: number;
  /** Those it refused, by their place in `to`, from 1: an address is nobody's business in a log. */
  readonly refused: readonly number[];
}

export interface Mailer {
  /** Changes whenever a setting does (but timeoutMs); too short to find the password by. */
  readonly settingsHash: string;
  /**
   * Resolves on the server's 250. Throws MAIL_LOGIN_REFUSED, MAIL_INSECURE, TLS_UNTRUSTED, MAIL_REFUSED or
   * MAIL_UNREACHABLE. May be repeated: a receiver can drop repeats by the message id.
   */
  send(mail: OutgoingMail): Promise<SendReceipt>;
  /** Connects and logs in, and sends nothing; throws as `send` does. */
  verify(): Promise<void>;
  close(): void;
}

const SOCKET_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** The settings' hash goes into the ledger: too short to find a password by, long enough to notice a change. */
const HASH_DIGITS = 8;

/**
 * A mailer for one job's settings. It opens one connection a mail and keeps none.
 *
 * Nothing goes in clear but to loopback: STARTTLS is demanded, certificates are always checked, and neither is
 * for the server to decide. No text of the server reaches an error or a log.
 */
export function createMailer(settings: MailSettings): Mailer {
  const timeoutMs = settings.timeoutMs ?? SOCKET_TIMEOUT_MS;
  const setupMs = Math.min(CONNECT_TIMEOUT_MS, timeoutMs);
  const transport = createTransport({
    host: settings.host,
    port: settings.port,
    secure: settings.secure === 'tls',
    requireTLS: settings.secure === 'starttls',
    ignoreTLS: settings.secure === 'none',
    // forceAuth: a server that offers no AUTH is a failure and not a reason to go on without.
    ...(settings.auth === 'login'
      ? { auth: { user: settings.user ?? '', pass: settings.pass ?? '' }, forceAuth: true }
      : {}),
    // rejectUnauthorized is said, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment does not switch it off.
    tls: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(settings.caPem === undefined ? {} : { ca: settings.caPem }),
    },
    connectionTimeout: setupMs,
    greetingTimeout: setupMs,
    dnsTimeout: setupMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
    debug: false,
  });

  return {
    settingsHash: hashOf(settings),
    async send({ subject, text, html, messageId, runId, signal }) {
      signal?.throwIfAborted();
      refuseUnsafe(settings);
      try {
        const info = await within(2 * timeoutMs, signal, (ending) =>
          transport.sendMail({
            from: settings.from,
            to: [...settings.to],
            subject,
            text,
            html,
            messageId,
            headers: { 'Auto-Submitted': 'auto-generated', 'X-Fhir-Rounds-Run': runId },
            // Else nodemailer declares long lines of plain text as flowed, and clients re-wrap the table.
            textEncoding: 'quoted-printable',
            signal: ending,
          }),
        );
        return { accepted: info.accepted?.length ?? 0, refused: placesOf(info.rejected ?? [], settings.to) };
      } catch (error) {
        signal?.throwIfAborted();
        throw asMailError(error);
      }
    },
    async verify() {
      refuseUnsafe(settings);
      try {
        await within(2 * timeoutMs, undefined, () => transport.verify());
      } catch (error) {
        throw asMailError(error);
      }
    },
    close: () => transport.close(),
  };
}

/** Where the refused addresses stand in the list, from 1; an entry may have a name before its address. */
function placesOf(
  refused: readonly (string | { readonly address: string })[],
  to: readonly string[],
): number[] {
  const addresses = refused.map((one) => (typeof one === 'string' ? one : one.address).toLowerCase());
  const isRefused = (entry: string): boolean => {
    const address = (/<([^<>]*)>\s*$/.exec(entry)?.[1] ?? entry).trim().toLowerCase();
    return addresses.includes(address);
  };
  return to.flatMap((entry, i) => (isRefused(entry) ? [i + 1] : []));
}

/** Over what decides whether a mail is taken, in an order of our own. */
function hashOf({ host, port, secure, auth, user, pass, caPem, from, to }: MailSettings): string {
  const decisive = JSON.stringify([host, port, secure, auth, user, pass, caPem, from, to]);
  return createHash('sha256').update(decisive).digest('hex').slice(0, HASH_DIGITS);
}

/**
 * Ends `work` after `ms`, or with `signal`. The socket's own timeout starts anew with each byte; this one does
 * not, so a server that trickles ends too.
 */
async function within<T>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (ending: AbortSignal) => Promise<T>,
): Promise<T> {
  // Not AbortSignal.any: on Node 20 a timeout that only it refers to can be collected before it fires.
  const ending = new AbortController();
  const end = () => ending.abort();
  const expiry = AbortSignal.timeout(ms);
  expiry.addEventListener('abort', end);
  signal?.addEventListener('abort', end);
  const ended = new Promise<never>((_resolve, reject) => {
    ending.signal.addEventListener('abort', () =>
      reject(new RoundsError('MAIL_UNREACHABLE', 'the mail server did not finish in time')),
    );
  });
  try {
    return await Promise.race([work(ending.signal), ended]);
  } finally {
    expiry.removeEventListener('abort', end);
    signal?.removeEventListener('abort', end);
  }
}

/** Settings that no server's answer could make safe. Thrown on use, so that the mail is held and not lost. */
function refuseUnsafe(settings: MailSettings): void {
  if (settings.secure === 'none' && !isLoopback(settings.host)) {
    throw new RoundsError('MAIL_INSECURE', 'smtp_secure = none is for a server on this machine only', {
      hint: 'Set smtp_secure = starttls, or tls.',
    });
  }
  if (settings.auth === 'login' && (!settings.user || !settings.pass)) {
    throw new RoundsError('MAIL_LOGIN_REFUSED', 'smtp_user or smtp_pass is empty');
  }
  if (settings.caPem !== undefined && !settings.caPem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new RoundsError('TLS_UNTRUSTED', 'smtp_tls_ca holds no PEM certificate');
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
