import { RoundsError } from '../errors.ts';

/** What nodemailer 10 puts on its errors (its src/errors and smtp-connection; H). */
interface MailFailure {
  /** EAUTH, ETLS, ESOCKET, ECONNECTION, ETIMEDOUT, EDNS, EPROTOCOL, EENVELOPE, EMESSAGE, EABORT ... */
  readonly code?: string;
  /** The system's or OpenSSL's code, where `code` replaced one. */
  readonly originalCode?: string;
  /** The server's reply, such as 535. */
  readonly responseCode?: number;
  /** The SMTP command that was answered. */
  readonly command?: string;
  /** CONNECT_TIMEOUT, GREETING_TIMEOUT, UPGRADE_TIMEOUT, SOCKET_TIMEOUT. */
  readonly timeoutType?: string;
}

const CERTIFICATE_CODES = /CERT|SELF_SIGNED|ISSUER|LEAF_SIGNATURE|INVALID_CA|HOSTNAME_MISMATCH/;
/** TLS was spoken to a port that speaks plain SMTP, or in a version that one side refuses. */
const TLS_MISFIT_CODES = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION/;

/**
 * A failure of nodemailer as ours. The foreign error goes no further: its text is the server's, which repeats
 * addresses. Only the reply's number and the error's code stay.
 *
 * MAIL_LOGIN_REFUSED (535, and 454, which a wrong password may come as with Bridge, M; 530: a login is wanted),
 * MAIL_INSECURE (no STARTTLS), TLS_UNTRUSTED, MAIL_REFUSED (5xx to envelope or message), and for all else
 * MAIL_UNREACHABLE, which is tried again.
 */
export function asMailError(error: unknown): RoundsError {
  if (error instanceof RoundsError) return error;
  const { code, originalCode, responseCode: reply, command, timeoutType } = (error ?? {}) as MailFailure;
  const named = (text: string) => (reply === undefined ? text : `${text} (${reply})`);
  const unreachable = (hint?: string) => {
    const detail = [timeoutType, originalCode, code].find((c) => /^[A-Z][A-Z0-9_]+$/.test(c ?? ''));
    return new RoundsError(
      'MAIL_UNREACHABLE',
      `the mail server did not take the mail (${reply ?? detail ?? 'unknown'})`,
      hint === undefined ? {} : { hint },
    );
  };

  switch (code ?? '') {
    case 'EAUTH':
      // 421 says that the server goes away (RFC 5321, 3.8), not that the password is wrong.
      if (reply === 421) return unreachable();
      return new RoundsError('MAIL_LOGIN_REFUSED', named('the mail server refused the login'));
    case 'ENOAUTH':
      return new RoundsError('MAIL_LOGIN_REFUSED', 'the mail server wants a login');
    case 'ETLS':
      // 4xx to STARTTLS is "not available due to temporary reason" (RFC 3207, 4).
      if (command === 'STARTTLS' && isPermanent(reply)) return insecure(named('the server refused STARTTLS'));
      return unreachable();
    case 'EENVELOPE':
    case 'EMESSAGE':
      if (reply === 530) {
        return new RoundsError('MAIL_LOGIN_REFUSED', named('the mail server wants a login'), {
          hint: 'Set [email] smtp_auth = login with smtp_user and smtp_pass.',
        });
      }
      // Without a reply it was nodemailer that refused: an address that is none, or a message over the limit.
      if (reply === undefined || isPermanent(reply)) {
        return new RoundsError('MAIL_REFUSED', named('the mail server refused the message or an address'));
      }
      return unreachable();
    default:
      if (command === 'EHLO' && isPermanent(reply)) return insecure(named('the server knows no EHLO'));
      if (originalCode !== undefined && CERTIFICATE_CODES.test(originalCode)) {
        return new RoundsError(
          'TLS_UNTRUSTED',
          `the mail server’s certificate is not trusted (${originalCode})`,
        );
      }
      if (originalCode !== undefined && TLS_MISFIT_CODES.test(originalCode)) {
        return insecure('the port does not speak TLS from the start');
      }
      if (timeoutType === 'GREETING_TIMEOUT') {
        return unreachable(
          'The port is open but silent: if it speaks TLS from the start, set smtp_secure = tls.',
        );
      }
      return unreachable();
  }
}

function insecure(message: string): RoundsError {
  return new RoundsError('MAIL_INSECURE', message);
}

/** 5xx but 503, which speaks of the session's state and not of the mail. */
function isPermanent(reply: number | undefined): boolean {
  return reply !== undefined && reply >= 500 && reply !== 503;
}
