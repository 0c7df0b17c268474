import { randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose/jwt/sign';
import { RoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { SigningAlgorithm } from './keys.ts';

export interface ClientAssertionOptions {
  readonly key: KeyObject;
  readonly algorithm: SigningAlgorithm;
  /** `kid`; left out where it is not known. */
  readonly keyId?: string | undefined;
  readonly clientId: string;
  /** Goes into `aud` exactly as it stands. */
  readonly tokenEndpoint: string;
  /** How far `exp` lies ahead of this clock. Default 240; at most 300. */
  readonly lifetimeSeconds?: number | undefined;
  readonly clock: Clock;
  /** Makes the `jti`. Default: a random UUID. */
  readonly randomUuid?: (() => string) | undefined;
}

const DEFAULT_ASSERTION_SECONDS = 240;
/** The most that Epic takes between `iat` and `exp`, and ahead of its own clock (H). */
const LONGEST_SECONDS = 300;
/** Epic documents no tolerance for an `iat` in the future, so it lies a little in the past (H). */
const BACKDATED_SECONDS = 10;

/**
 * A signed client assertion: `iss` = `sub` = client id, `aud` = token endpoint, `jti` of its own, `iat` 10 s ago,
 * `exp` `lifetimeSeconds` ahead, but never more than 300 s after `iat`. There is no `nbf`: it would only add a
 * second way to fall foul of a clock. Each call makes a new one; it is never used twice.
 * Source: SMART App Launch 2, "Client Authentication: Asymmetric" (RFC 7523); Epic's limits (H).
 * Throws CONFIG_INVALID for a lifetime outside 1 to 300 seconds.
 */
export async function signClientAssertion(options: ClientAssertionOptions): Promise<string> {
  const lifetimeSeconds = options.lifetimeSeconds ?? DEFAULT_ASSERTION_SECONDS;
  if (!(lifetimeSeconds >= 1 && lifetimeSeconds <= LONGEST_SECONDS)) {
    throw new RoundsError('CONFIG_INVALID', 'the client assertion must end within 5 minutes', {
      hint: 'Set [jwt_settings] jwt_expiry_minutes to 4.',
    });
  }
  const nowSeconds = Math.floor(options.clock.now() / 1000);
  const issuedAt = nowSeconds - BACKDATED_SECONDS;
  const expiresAt = Math.min(Math.floor(nowSeconds + lifetimeSeconds), issuedAt + LONGEST_SECONDS);
  return new SignJWT({})
    .setProtectedHeader({
      alg: options.algorithm,
      typ: 'JWT',
      ...(options.keyId === undefined ? {} : { kid: options.keyId }),
    })
    .setIssuer(options.clientId)
    .setSubject(options.clientId)
    .setAudience(options.tokenEndpoint)
    .setJti((options.randomUuid ?? randomUUID)())
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiresAt)
    .sign(options.key);
}
