import { createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK } from 'jose/key/export';
import { RoundsError } from '../errors.ts';
import { asFileError, ensureFolder, writeAtomic } from '../system/files.ts';
import path from 'node:path';
import { keyThumbprint, type SigningAlgorithm } from './keys.ts';

/** A key to publish; of a private key the public half alone is. */
export interface PublishedKey {
  readonly key: KeyObject;
  readonly algorithm: SigningAlgorithm;
  /** Default: the RFC 7638 thumbprint. */
  readonly keyId?: string | undefined;
}

/** One public key (RFC 7517, RFC 7518 6.2 and 6.3). */
export interface PublicJwk {
  readonly kty: string;
  readonly n?: string;
  readonly e?: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly alg: SigningAlgorithm;
  readonly use: 'sig';
  readonly key_ops: readonly ['verify'];
  readonly kid: string;
}

export interface JwkSet {
  readonly keys: readonly PublicJwk[];
}

/**
 * The JWK Set to host for these keys, in their order: public members only, whatever is handed in.
 * Throws CONFIG_INVALID when two keys would share a `kid`, since Epic could then verify with the wrong one.
 */
export async function publicJwks(keys: readonly PublishedKey[]): Promise<JwkSet> {
  const published: PublicJwk[] = [];
  for (const one of keys) {
    const jwk = await publicJwk(one);
    if (published.some(({ kid }) => kid === jwk.kid)) {
      throw new RoundsError('CONFIG_INVALID', 'two keys of the JWK Set have the same kid', {
        hint: 'Give each key its own key_id, or leave key_id out.',
      });
    }
    published.push(jwk);
  }
  return { keys: published };
}

async function publicJwk({ key, algorithm, keyId }: PublishedKey): Promise<PublicJwk> {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const { kty, n, e, crv, x, y } = await exportJWK(publicKey);
  // Named one by one: a member that is not listed here cannot get out.
  const numbers = kty === 'EC' ? { crv, x, y } : { n, e };
  return {
    kty: kty ?? '',
    ...(numbers as Partial<PublicJwk>),
    alg: algorithm,
    use: 'sig',
    key_ops: ['verify'],
    kid: keyId ?? keyThumbprint(publicKey),
  };
}

/** A web server hands this file to everyone, so everyone may read it. */
const PUBLISHED_MODES = { folder: 0o755, file: 0o644 };

/** Writes the set whole and durably, replacing an older one. Throws PATH_UNUSABLE, DISK_FULL. */
export async function writeJwks(file: string, set: JwkSet): Promise<void> {
  try {
    await ensureFolder(path.dirname(path.resolve(file)), PUBLISHED_MODES);
    await writeAtomic(file, `${JSON.stringify(set, undefined, 2)}\n`, PUBLISHED_MODES);
  } catch (error) {
    throw asFileError(error, file);
  }
}
