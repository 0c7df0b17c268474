import { RoundsError, asRoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Http, HttpResponse } from '../system/http.ts';
import { signClientAssertion } from './clientAssertion.ts';
import type { SigningKey } from './keys.ts';
import { splitScopes } from './scopes.ts';

/** Who asks for a token, where and with what. */
export interface TokenClient {
  readonly http: Http;
  readonly clock: Clock;
  readonly key: SigningKey;
  readonly clientId: string;
  readonly tokenEndpoint: string;
  /** `kid` of the assertions: `keyIdFor`. */
  readonly keyId?: string | undefined;
  /** Space-separated. Default: none is sent, and Epic derives it from the registered APIs. */
  readonly scope?: string | undefined;
  /** Of one client assertion. Default 240; at most 300. */
  readonly assertionLifetimeSeconds?: number | undefined;
  /** Of one request. Default 30 000. */
  readonly timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_BYTES = 1024 * 1024;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/**
 * One token request with an assertion of its own (RFC 7523, 2.2; SMART Backend Services). Any status is returned.
 * Throws what `Http` and `signClientAssertion` throw, but TOKEN_MALFORMED for a body over 1 MB.
 */
export async function requestToken(client: TokenClient, signal: AbortSignal): Promise<HttpResponse> {
  const body = await form(client);
  try {
    return await client.http.request({
      method: 'POST',
      url: client.tokenEndpoint,
      headers: {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
        // Every known client of Epic sends it; Epic finds the call by it (H).
        'Epic-Client-ID': client.clientId,
      },
      body,
      signal,
      timeoutMs: client.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    });
  } catch (error) {
    // Its own hint speaks of page_size, which has nothing to do with a token.
    if (asRoundsError(error).code !== 'BODY_TOO_LARGE') throw error;
    throw new RoundsError('TOKEN_MALFORMED', 'the token endpoint: its answer is far too large');
  }
}

async function form(client: TokenClient): Promise<string> {
  const assertion = await signClientAssertion({
    key: client.key.privateKey,
    algorithm: client.key.algorithm,
    keyId: client.keyId,
    clientId: client.clientId,
    tokenEndpoint: client.tokenEndpoint,
    lifetimeSeconds: client.assertionLifetimeSeconds,
    clock: client.clock,
  });
  const scopes = splitScopes(client.scope);
  return new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: assertion,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
  }).toString();
}
