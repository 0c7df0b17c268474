import type { TokenService } from '../auth/accessToken.ts';
import type { JobConfig } from '../config/schema.ts';
import { certificateThumbprint } from '../auth/certificate.ts';
import { discoverTokenEndpoint, type SmartConfiguration } from '../auth/smartConfiguration.ts';
import { loadPrivateKey, SIGNING_ALGORITHMS, type SigningKey } from '../auth/keys.ts';
import { clockSkewOf } from '../auth/tokenAnswer.ts';
import { requestToken, type TokenClient } from '../auth/tokenRequest.ts';
import { asRoundsError } from '../errors.ts';
import type { Access } from '../run/preflight.ts';
import type { Clock } from '../system/clock.ts';
import type { Http } from '../system/http.ts';
import { existsSync, readFileSync } from 'node:fs';
import type { Teller } from './checkStep.ts';

/**
 * Why a token is refused. Epic answers every wrong assertion with the same bare `invalid_client`, so causes are told
 * apart by what can be seen from here (the server's Date, what it says it verifies) and by asking once more with one
 * thing changed: what then gets a token is the cause. What nobody but Epic can tell apart is listed.
 */

/** Less than this is a clock that is well enough. */
const SKEW_OK_MS = 30_000;
/** An assertion begins 10 s in the past and ends 4 minutes ahead. */
const SKEW_FATAL_MS = 200_000;

/** The server's clock against ours, by the Date of its open CapabilityStatement. Returns the skew in ms. */
export async function checkClock(
  job: JobConfig,
  http: Http,
  clock: Clock,
  to: Teller,
): Promise<number | undefined> {
  const sentMs = clock.now();
  const url = `${job.settings.epic_settings.epic_endpoint.replace(/\/+$/, '')}/metadata`;
  let skewMs: number | undefined;
  try {
    const headers = { accept: 'application/fhir+json' };
    const answer = await http.request({ method: 'GET', url, headers, signal: to.signal });
    skewMs = clockSkewOf(answer, sentMs, clock.now());
  } catch (thrown) {
    to.signal.throwIfAborted();
    const { code, message, hint } = asRoundsError(thrown);
    to.tell('clock', 'problem', `${code}: ${message}`, hint);
    return undefined;
  }
  if (skewMs === undefined) to.tell('clock', 'ok', 'the server sends no Date to compare with');
  else if (Math.abs(skewMs) <= SKEW_OK_MS) to.tell('clock', 'ok', `${seconds(skewMs)} from the server’s`);
  else {
    const verdict = Math.abs(skewMs) > SKEW_FATAL_MS ? 'problem' : 'warning';
    to.tell('clock', verdict, `this machine’s is ${seconds(skewMs)} ${behind(skewMs)} the server’s`, NTP);
  }
  return skewMs;
}

const NTP = 'Let the machine take its time from NTP: an assertion that is minutes early or late is refused.';
const behind = (skewMs: number): string => (skewMs > 0 ? 'behind' : 'ahead of');
const seconds = (ms: number): string => `${Math.round(Math.abs(ms) / 1000)} s`;

interface Variant {
  readonly change: Partial<TokenClient>;
  /** What it means when this one gets a token. */
  readonly cause: string;
  readonly hint: string;
}

/** Tells why no token came; asks at most once for each thing that could be changed. */
export async function explainRefusal(
  job: JobConfig,
  access: Pick<Access, 'key' | 'keyId'>,
  tokens: TokenService,
  skewMs: number | undefined,
  clock: Clock,
  to: Teller,
): Promise<void> {
  const { oauth_settings: oauth, jwt_settings: jwt, epic_settings: epic } = job.settings;
  const client: TokenClient = {
    http: tokens.http,
    clock,
    key: access.key,
    keyId: access.keyId,
    clientId: oauth.client_id,
    tokenEndpoint: tokens.tokenEndpoint,
    scope: oauth.scope,
    assertionLifetimeSeconds: jwt.jwt_expiry_minutes * 60,
  };
  const found = await discoverTokenEndpoint({
    fhirBase: epic.epic_endpoint,
    http: tokens.http,
    signal: to.signal,
  }).catch(() => undefined);
  to.signal.throwIfAborted();
  for (const variant of await variantsOf(job, access, client, skewMs, found, clock)) {
    if (await getsToken({ ...client, ...variant.change }, to.signal)) {
      to.tell('token', 'problem', `cause found: ${variant.cause}`, variant.hint);
      return;
    }
  }
  for (const remark of remarksOf(job, client, found)) to.tell('token', 'warning', remark);
  to.tell(
    'token',
    'warning',
    'the clock, the token endpoint, the key id and the algorithm were each tried otherwise, and are not the cause alone; left are, in order of likelihood',
    [
      `(1) the client id is of the other environment, mistyped, or new (an hour to two days until it is active);`,
      `(2) the registered key is another one: compare the thumbprints above with what Epic shows; a JWKS URL that Epic cannot reach, or an old JWKS that it still keeps (up to 29 h), looks the same;`,
      `(3) the customer has not mapped the client id to an Epic user.`,
    ].join(' '),
  );
}

async function variantsOf(
  job: JobConfig,
  access: Pick<Access, 'key' | 'keyId'>,
  client: TokenClient,
  skewMs: number | undefined,
  found: SmartConfiguration | undefined,
  clock: Clock,
): Promise<readonly Variant[]> {
  const variants: Variant[] = [];
  if (skewMs !== undefined && Math.abs(skewMs) > SKEW_OK_MS) {
    variants.push({
      change: { clock: { ...clock, now: () => clock.now() + skewMs } },
      cause: `this machine’s clock is ${seconds(skewMs)} ${behind(skewMs)} the server’s`,
      hint: NTP,
    });
  }
  if (found !== undefined && found.tokenEndpoint !== client.tokenEndpoint) {
    variants.push({
      change: { tokenEndpoint: found.tokenEndpoint },
      cause: 'token_endpoint (which is the aud of the assertion) is not the one that the FHIR server names',
      hint: `Set [oauth_settings] token_endpoint = ${found.tokenEndpoint}, or leave it out.`,
    });
  }
  variants.push({
    change: { assertionLifetimeSeconds: 60 },
    cause: 'the assertion ends too far ahead for the server',
    hint: 'Set [jwt_settings] jwt_expiry_minutes = 1, and look at both clocks.',
  });
  for (const { keyId, what } of otherKeyIds(job, access)) {
    variants.push({
      change: { keyId },
      cause: `the key is right and its id (kid) ${access.keyId} is not known: ${what} is`,
      hint:
        keyId === undefined
          ? 'Put the kid into the registered JWKS: `fhir-rounds keys jwks` writes both alike.'
          : `Set [jwt_settings] key_id = ${keyId}, or publish the JWKS that \`fhir-rounds keys jwks\` writes.`,
    });
  }
  const isRsa = access.key.privateKey.asymmetricKeyType === 'rsa';
  for (const algorithm of SIGNING_ALGORITHMS) {
    if (algorithm === access.key.algorithm || algorithm.startsWith('RS') !== isRsa || !isRsa) continue;
    variants.push({
      change: { key: { ...access.key, algorithm } },
      cause: `the server takes ${algorithm} for this key and not ${access.key.algorithm}`,
      hint: `Set [jwt_settings] jwt_algorithm = ${algorithm}.`,
    });
  }
  for (const [suffix, what] of [
    ['.next', 'the next key of a rotation'],
    ['.previous', 'the key before the last rotation'],
  ] as const) {
    const key = await otherKey(`${job.settings.paths.private_key}${suffix}`, access.key);
    if (key) {
      variants.push({
        change: { key, keyId: key.keyId ?? key.thumbprint },
        cause: `${what} is the registered one, and not the key in use`,
        hint: 'Call `fhir-rounds keys rotate`: it says where the rotation stands.',
      });
    }
  }
  return variants;
}

function otherKeyIds(
  job: JobConfig,
  { key, keyId }: Pick<Access, 'key' | 'keyId'>,
): readonly { keyId: string | undefined; what: string }[] {
  const file = job.settings.paths.certificate;
  const others = [
    { keyId: key.thumbprint, what: 'the key’s own thumbprint' },
    ...(file !== undefined && existsSync(file)
      ? [
          {
            keyId: certificateThumbprint(readFileSync(file, 'utf8')).sha1,
            what: 'the certificate’s thumbprint',
          },
        ]
      : []),
    { keyId: undefined, what: 'none' },
  ];
  return others.filter((other) => other.keyId !== keyId);
}

async function otherKey(file: string, { algorithm }: SigningKey): Promise<SigningKey | undefined> {
  if (!existsSync(file)) return undefined;
  return loadPrivateKey(file, { algorithm }).catch(() => undefined);
}

async function getsToken(client: TokenClient, signal: AbortSignal): Promise<boolean> {
  try {
    return (await requestToken(client, signal)).status === 200;
  } catch (thrown) {
    signal.throwIfAborted();
    if (asRoundsError(thrown).code === 'INTERNAL') throw thrown;
    return false;
  }
}

/** What is worth a look though no other try got a token. */
function* remarksOf(
  job: JobConfig,
  client: TokenClient,
  found: SmartConfiguration | undefined,
): Generator<string> {
  if (found === undefined) return;
  if (found.tokenEndpoint !== client.tokenEndpoint) {
    yield `[oauth_settings] token_endpoint differs from what the FHIR server names: ${found.tokenEndpoint}`;
  }
  if (found.algorithms !== undefined && !found.algorithms.includes(client.key.algorithm)) {
    yield `the server says that it verifies ${found.algorithms.join(', ')}; jwt_algorithm is ${job.settings.jwt_settings.jwt_algorithm}`;
  }
}
