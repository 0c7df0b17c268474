import { verify } from 'node:crypto';
import type { CandidateKey, ClientKeys, RegisteredClient } from './clientKeys.ts';

/** The five minutes that SMART Backend Services allows an assertion. */
const LONGEST_LIFE_SECONDS = 300;
const LONGEST_JTI = 151;

const ALGORITHMS: Readonly<Record<string, { readonly hash: string; readonly curve?: string }>> = {
  RS256: { hash: 'sha256' },
  RS384: { hash: 'sha384' },
  RS512: { hash: 'sha512' },
  ES256: { hash: 'sha256', curve: 'prime256v1' },
  ES384: { hash: 'sha384', curve: 'secp384r1' },
};

export interface AssertionChecks {
  readonly tokenEndpoint: string;
  readonly nowMs: number;
  client(clientId: string): RegisteredClient | undefined;
  readonly keys: ClientKeys;
  /** Remembers a jti until its assertion is over; false when it was seen before. */
  useOnce(clientId: string, jti: string, untilMs: number): boolean;
}

export type AssertionVerdict =
  | { readonly kind: 'accepted'; readonly client: RegisteredClient }
  | { readonly kind: 'refused'; readonly reason: string };

const refused = (reason: string): AssertionVerdict => ({ kind: 'refused', reason });

function decode(part: string): Record<string, unknown> | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function signedBy(candidate: CandidateKey, alg: string, data: Buffer, signature: Buffer): boolean {
  const rule = ALGORITHMS[alg];
  if (!rule || (candidate.alg !== undefined && candidate.alg !== alg)) return false;
  const { key } = candidate;
  if (rule.curve === undefined) {
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    return key.asymmetricKeyType === 'rsa' && bits >= 2048 && verify(rule.hash, data, key, signature);
  }
  if (!candidate.fromJwks || key.asymmetricKeyType !== 'ec') return false;
  if (key.asymmetricKeyDetails?.namedCurve !== rule.curve) return false;
  return verify(rule.hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/**
 * Verifies a client assertion as Epic does (SMART Backend Services; RFC 7523; seen at Epic, H). The reason of a
 * refusal is for the sandbox's log of requests: the client is told `invalid_client` and no more.
 */
export async function verifyAssertion(assertion: string, checks: AssertionChecks): Promise<AssertionVerdict> {
  const parts = assertion.split('.');
  const [headerPart = '', claimsPart = '', signaturePart = ''] = parts;
  const header = decode(headerPart);
  const claims = decode(claimsPart);
  if (parts.length !== 3 || !header || !claims || !/^[A-Za-z0-9_-]+$/.test(signaturePart)) {
    return refused('not a JWT');
  }
  const { alg, typ, kid, crit } = header;
  if (typeof alg !== 'string' || !Object.hasOwn(ALGORITHMS, alg)) return refused('alg not allowed');
  if (typ !== undefined && typ !== 'JWT') return refused('typ is not JWT');
  if (crit !== undefined) return refused('crit not understood');
  if (kid !== undefined && typeof kid !== 'string') return refused('kid is not a string');

  const { iss, sub, aud, exp, iat, nbf, jti } = claims;
  if (typeof iss !== 'string' || iss !== sub) return refused('iss and sub are not the same client');
  const client = checks.client(iss);
  if (!client) return refused('client not registered');
  if (aud !== checks.tokenEndpoint) return refused('aud is not the token endpoint');

  const now = checks.nowMs / 1000;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return refused('exp missing');
  if (exp <= now) return refused('exp is past');
  if (exp > now + LONGEST_LIFE_SECONDS) return refused('exp is more than 5 minutes ahead');
  if (iat !== undefined) {
    if (typeof iat !== 'number') return refused('iat is not a number');
    if (iat > now) return refused('iat is in the future');
    if (exp - iat > LONGEST_LIFE_SECONDS) return refused('exp is more than 5 minutes after iat');
  }
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf > now)) return refused('nbf is in the future');
  if (typeof jti !== 'string' || jti.length < 1 || jti.length > LONGEST_JTI)
    return refused('jti missing or too long');

  const candidates = await checks.keys.candidates(client, kid);
  if (candidates.length === 0) return refused('no registered key for this kid');
  const data = Buffer.from(`${headerPart}.${claimsPart}`, 'latin1');
  const signature = Buffer.from(signaturePart, 'base64url');
  if (!candidates.some((candidate) => signedBy(candidate, alg, data, signature))) {
    return refused('signature is not by a registered key');
  }
  // Last, so that a forged assertion cannot use up the jti of a real one.
  if (!checks.useOnce(client.clientId, jti, exp * 1000)) return refused('jti was used before');
  return { kind: 'accepted', client };
}
