import { ERROR_CODES, RoundsError, type FailureClass } from '../errors.ts';
import type { HttpResponse } from '../system/http.ts';
import { parseRetryAfter } from '../system/retry.ts';
import { splitScopes } from './scopes.ts';

/** What a token endpoint granted. */
export interface TokenGrant {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  /** Undefined: the answer does not say. */
  readonly scopes: readonly string[] | undefined;
}

export interface AnswerContext {
  /** This machine's time when the answer came. */
  readonly nowMs: number;
  /** See `clockSkewOf`. */
  readonly clockSkewMs: number | undefined;
}

/** Assumed where `expires_in` is missing: SMART Backend Services recommends no more than five minutes. */
const ASSUMED_SECONDS = 300;
/** Below this a skew cannot be the cause of a refusal. */
const NOTABLE_SKEW_MS = 30_000;

/**
 * The codes of the IANA registry "OAuth Extensions Errors" and RFC 6749, 5.2. Only these are ever repeated in a
 * message, so that no foreign text gets into a log.
 */
const TRANSIENT_ERRORS = ['server_error', 'temporarily_unavailable'] as const;
export const OAUTH_ERRORS = [
  ...(['invalid_request', 'invalid_client', 'invalid_grant', 'unauthorized_client'] as const),
  ...(['unsupported_grant_type', 'invalid_scope', 'access_denied', 'unsupported_response_type'] as const),
  ...(['invalid_token', 'insufficient_scope', 'invalid_target', 'invalid_request_object'] as const),
  ...(['unsupported_token_type', 'invalid_client_metadata', 'unapproved_software_statement'] as const),
  ...(['invalid_software_statement', 'use_dpop_nonce', 'invalid_dpop_proof'] as const),
  ...TRANSIENT_ERRORS,
] as const;
export type OAuthError = (typeof OAUTH_ERRORS)[number];

/**
 * The server's clock minus ours, by the answer's Date header (which has whole seconds, hence the half), taken
 * against the middle of the exchange. Undefined without a usable Date.
 */
export function clockSkewOf(answer: HttpResponse, sentMs: number, receivedMs: number): number | undefined {
  const serverMs = Date.parse(answer.headers['date'] ?? '');
  return Number.isNaN(serverMs) ? undefined : Math.round(serverMs + 500 - (sentMs + receivedMs) / 2);
}

/**
 * A token endpoint's answer (RFC 6749, 5.1 and 5.2) as a grant, or thrown: HTTP_TOO_MANY and HTTP_SERVER
 * (transient, with `retryAfterMs` where the server said), TOKEN_INVALID_CLIENT, TOKEN_REFUSED (naming a registered
 * error code), URL_REFUSED (a redirect), TOKEN_MALFORMED. No error holds text of the body.
 */
export function readTokenAnswer(answer: HttpResponse, context: AnswerContext): TokenGrant {
  const { status } = answer;
  if (status === 429 || status === 408 || status >= 500) throw tryLater(answer, context);
  if (status >= 300 && status < 400) {
    throw new RoundsError('URL_REFUSED', `the token endpoint redirects (${status}); that is not followed`, {
      status,
      hint: 'Set [oauth_settings] token_endpoint to the address at which tokens are really issued.',
    });
  }
  const body = parseObject(answer.body);
  if (status >= 400) throw refusal(answer, body, context);
  if (status < 200 || body === undefined) throw malformed('it did not answer with a JSON object', status);
  return readGrant(body, status);
}

function readGrant(body: Readonly<Record<string, unknown>>, status: number): TokenGrant {
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn, scope } = body;
  // Anything else than visible ASCII could not stand in an Authorization header (RFC 6750, 2.1).
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken)) {
    throw malformed('the answer has no usable access_token', status);
  }
  if (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer') {
    throw malformed('the token is not a bearer token', status);
  }
  // Some servers write the number as a string.
  const seconds = expiresIn === undefined || expiresIn === null ? ASSUMED_SECONDS : Number(expiresIn);
  if (!(seconds > 0)) throw malformed('expires_in is not a positive number', status);
  return {
    accessToken,
    expiresInSeconds: seconds,
    scopes: typeof scope === 'string' ? splitScopes(scope) : undefined,
  };
}

function tryLater(answer: HttpResponse, { nowMs }: AnswerContext): RoundsError {
  const { status } = answer;
  const retryAfterMs = parseRetryAfter(answer.headers['retry-after'], nowMs);
  return new RoundsError(
    status === 429 ? 'HTTP_TOO_MANY' : 'HTTP_SERVER',
    `the token endpoint answered ${status}`,
    { status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  );
}

function refusal(
  answer: HttpResponse,
  body: Readonly<Record<string, unknown>> | undefined,
  context: AnswerContext,
): RoundsError {
  const { status } = answer;
  const error = body?.['error'];
  // Epic names no cause, and now and then sends a bare 400 (H).
  const bare = (status === 400 || status === 401) && answer.body.toString('utf8').trim() === '';
  if (error === 'invalid_client' || bare) return invalidClient(status, context);
  if (typeof error !== 'string') return malformed(`it answered ${status} without an OAuth error`, status);
  const known = OAUTH_ERRORS.some((one) => one === error);
  const failure: FailureClass = TRANSIENT_ERRORS.some((one) => one === error) ? 'transient' : 'denied';
  const named = known ? error : 'an error code that is not registered';
  return new RoundsError('TOKEN_REFUSED', `the token endpoint answered ${status}: ${named}`, {
    status,
    failure,
  });
}

function invalidClient(status: number, { clockSkewMs }: AnswerContext): RoundsError {
  const hint = ERROR_CODES.TOKEN_INVALID_CLIENT.hint;
  const skewed = clockSkewMs !== undefined && Math.abs(clockSkewMs) > NOTABLE_SKEW_MS;
  const seconds = Math.round(Math.abs(clockSkewMs ?? 0) / 1000);
  const side = (clockSkewMs ?? 0) > 0 ? 'behind' : 'ahead of';
  return new RoundsError('TOKEN_INVALID_CLIENT', `the token endpoint answered ${status}: invalid_client`, {
    status,
    hint: skewed
      ? `This clock is ${seconds} s ${side} the server’s: set it first (NTP). Else: ${hint}`
      : hint,
  });
}

const malformed = (what: string, status: number): RoundsError =>
  new RoundsError('TOKEN_MALFORMED', `the token endpoint: ${what}`, { status });

function parseObject(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // Not JSON: the caller says so, without the text.
  }
  return undefined;
}
