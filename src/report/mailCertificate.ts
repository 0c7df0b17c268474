import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

export interface MailCertificateOptions {
  readonly host: string;
  readonly port: number;
  readonly secure: 'starttls' | 'tls';
  readonly caPem: string | undefined;
}

const TIMEOUT_MS = 10_000;

/**
 * When a mail server's certificate ends, in ms since 1970; undefined where it cannot be had. Says EHLO and STARTTLS
 * (RFC 3207) and hangs up: no login, no mail.
 */
export async function mailCertificateEnd(options: MailCertificateOptions): Promise<number | undefined> {
  let open: Socket | undefined;
  try {
    if (options.secure === 'starttls') open = await startTls(options);
    const secure = await overTls(options, open);
    open = secure;
    const endsMs = Date.parse(secure.getPeerCertificate().valid_to);
    return Number.isNaN(endsMs) ? undefined : endsMs;
  } catch {
    return undefined;
  } finally {
    // The outer one alone: it takes the inner one with it.
    open?.destroy();
  }
}

async function startTls({ host, port }: MailCertificateOptions): Promise<Socket> {
  const socket = connectPlain({ host, port });
  try {
    await reply(socket);
    socket.write('EHLO fhir-rounds\r\n');
    await reply(socket);
    socket.write('STARTTLS\r\n');
    await reply(socket);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Waits for the last line of a reply of class 2: `250 ...` after any number of `250-...` (RFC 5321, 4.2). */
function reply(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const end = (error?: Error): void => {
      socket.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close');
      socket.setTimeout(0);
      if (error) reject(error);
      else resolve();
    };
    socket.setTimeout(TIMEOUT_MS, () => end(new Error('no reply')));
    socket.on('error', end);
    socket.on('close', () => end(new Error('hung up')));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const last = /^(\d)\d\d (?:.*)\r\n$/m.exec(text);
      if (last) end(last[1] === '2' ? undefined : new Error('refused'));
    });
  });
}

function overTls(
  { host, port, caPem }: MailCertificateOptions,
  socket: Socket | undefined,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure: TLSSocket = connectTls(
      {
        ...(socket === undefined ? { host, port } : { socket }),
        ...(isIP(host) === 0 ? { servername: host } : { host }),
        ...(caPem === undefined ? {} : { ca: caPem }),
        rejectUnauthorized: true,
      },
      () => resolve(secure),
    );
    secure.setTimeout(TIMEOUT_MS, () => secure.destroy(new Error('no handshake')));
    secure.on('error', reject);
  });
}
