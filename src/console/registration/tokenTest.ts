import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { TokenService } from '../../auth/accessToken.ts';
import type { JwkSet } from '../../auth/jwks.ts';
import { keyIdFor } from '../../auth/keyId.ts';
import { keyThumbprint, loadPrivateKey } from '../../auth/keys.ts';
import type { JobConfig } from '../../config/schema.ts';
import { asRoundsError } from '../../errors.ts';
import { readResourceList, type ListedType } from '../../inputs/resourceList.ts';
import type { Access } from '../../run/preflight.ts';
import type { Clock } from '../../system/clock.ts';
import { exists } from '../../system/files.ts';
import { checkKeyFacts } from '../../views/checkKey.ts';
import { tellerOf, type Step, type Teller } from '../../views/checkStep.ts';
import { checkToken } from '../../views/checkToken.ts';
import { publishedKeys } from '../jwks.ts';

type KeyAccess = Pick<Access, 'key' | 'keyId'>;

/**
 * Every step from the key to a token, each ok or what to do: the key can be read, is the one that is published, the
 * clock, the token endpoint, the scopes. Changes nothing; the token is shown to nobody.
 */
export async function testRegistration(
  job: JobConfig,
  openTokens: (job: JobConfig, access: KeyAccess) => Promise<TokenService>,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Step[]> {
  const steps: Step[] = [];
  const to = tellerOf(job.jobName, signal, (step) => steps.push(step));
  const access = await keyOf(job, to);
  if (access === undefined) return steps;
  await checkKeyFacts(job, access, clock, to);
  await checkPublished(job, access, to);
  await checkToken(job, access, await listedBy(job), () => openTokens(job, access), clock, to);
  return steps;
}

async function keyOf({ settings }: JobConfig, to: Teller): Promise<KeyAccess | undefined> {
  const { paths, jwt_settings: jwt } = settings;
  const key = await to.attempt('private key', async () => {
    const value = await loadPrivateKey(paths.private_key, {
      algorithm: jwt.jwt_algorithm,
      keyId: jwt.key_id,
    });
    return { value, detail: `${value.algorithm}; readable by its owner alone` };
  });
  if (key === undefined) return undefined;
  for (const warning of key.warnings) to.tell('private key', 'warning', warning);
  const keyId = await to.attempt('key id', async () => {
    const { certificate } = paths;
    const hasCertificate = certificate !== undefined && (await exists(certificate));
    const certificatePem = hasCertificate ? await readFile(certificate, 'utf8') : undefined;
    const value = keyIdFor(key, { configured: jwt.key_id, certificatePem });
    const fits = hasCertificate ? 'the certificate is of this key; ' : '';
    return { value, detail: `${fits}the assertion names kid ${value}` };
  });
  return keyId === undefined ? undefined : { key, keyId };
}

/** What Epic fetches, against what signs. */
async function checkPublished(job: JobConfig, { key, keyId }: KeyAccess, to: Teller): Promise<void> {
  let published: JwkSet;
  try {
    published = await publishedKeys(job);
  } catch (thrown) {
    const { message, hint } = asRoundsError(thrown);
    to.tell('published key', 'skipped', message, hint);
    return;
  }
  const own = published.keys.find((jwk) => {
    const publicKey = createPublicKey({ key: jwk as unknown as JsonWebKey, format: 'jwk' });
    return keyThumbprint(publicKey) === key.thumbprint;
  });
  if (own === undefined) {
    to.tell(
      'published key',
      'problem',
      'the public key file is not of the private key',
      'Publish anew with `fhir-rounds keys jwks --out FILE`, and name the right file in [paths] public_key.',
    );
  } else if (own.kid !== keyId) {
    to.tell(
      'published key',
      'problem',
      `the JWKS calls this key ${own.kid}, and assertions name kid ${keyId}`,
      'Publish anew with `fhir-rounds keys jwks --out FILE`: it writes both alike.',
    );
  } else to.tell('published key', 'ok', `the JWKS holds this key as kid ${keyId}`);
}

/** The list decides which scopes are missed; a list that cannot be read is another page's matter. */
async function listedBy({ method, settings }: JobConfig): Promise<readonly ListedType[]> {
  if (method === 'bulk') return [];
  return readResourceList(settings.data_sources.epic_sandbox_resources).catch(() => []);
}
