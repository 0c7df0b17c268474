import { RoundsError, type ErrorCode } from '../errors.ts';

/** Node's, OpenSSL's and undici's codes, by what an operator would do about them. */
const TRANSPORT_CODES: Readonly<Record<string, ErrorCode>> = {
  UND_ERR_CONNECT_TIMEOUT: 'TIMEOUT',
  UND_ERR_HEADERS_TIMEOUT: 'TIMEOUT',
  UND_ERR_BODY_TIMEOUT: 'TIMEOUT',
  ETIMEDOUT: 'TIMEOUT',
  ENOTFOUND: 'NAME_NOT_RESOLVED',
  EAI_AGAIN: 'NAME_NOT_RESOLVED',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'BODY_CUT',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'BODY_TOO_LARGE',
  ERR_TLS_CERT_ALTNAME_INVALID: 'TLS_UNTRUSTED',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'TLS_UNTRUSTED',
  SELF_SIGNED_CERT_IN_CHAIN: 'TLS_UNTRUSTED',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'TLS_UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT: 'TLS_UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'TLS_UNTRUSTED',
  CERT_HAS_EXPIRED: 'TLS_UNTRUSTED',
  CERT_NOT_YET_VALID: 'TLS_UNTRUSTED',
  CERT_UNTRUSTED: 'TLS_UNTRUSTED',
  CERT_REJECTED: 'TLS_UNTRUSTED',
  CERT_SIGNATURE_FAILURE: 'TLS_UNTRUSTED',
};

/** What undici, axios or a socket threw, as ours, with nothing of theirs but its code. */
export function asTransportError(error: unknown): RoundsError {
  if (error instanceof RoundsError) return error;
  const cause = (error as { cause?: unknown }).cause;
  const codes = [error, cause].map((e) => (e as NodeJS.ErrnoException | undefined)?.code ?? '');
  const known = codes.find((code) => code in TRANSPORT_CODES);
  // The foreign error goes no further: axios' holds the request with its token, undici's the socket's addresses.
  if (known !== undefined) return new RoundsError(TRANSPORT_CODES[known]!, `the exchange failed (${known})`);
  const code = codes.find((c) => /^[A-Z][A-Z0-9_]+$/.test(c)) ?? 'unknown';
  return new RoundsError('NETWORK', `the exchange failed (${code})`);
}

/** The same of an error that came after the head: whatever ended the connection then has cut the body. */
export function asBodyError(error: unknown): RoundsError {
  if (error instanceof RoundsError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  if (code in TRANSPORT_CODES) return asTransportError(error);
  return /^(Z_|ERR__|ERR_BROTLI)/.test(code)
    ? new RoundsError('BODY_CUT', 'an answer’s compressed body is damaged or cut short')
    : new RoundsError('BODY_CUT', 'the connection ended before the answer did');
}
