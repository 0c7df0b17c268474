import { createPublicKey, X509Certificate, type JsonWebKey, type KeyObject } from 'node:crypto';
import { RoundsError } from '../errors.ts';
import { readIfThere } from '../system/files.ts';
import { certificateThumbprint } from './certificate.ts';
import { publicJwks, type JwkSet, type PublishedKey } from './jwks.ts';
import { keyThumbprint, SIGNING_ALGORITHMS, type SigningAlgorithm } from './keys.ts';

/** Where a site's public keys lie: what may be known to a process that everybody can ask. */
export interface PublicPlace {
  /** PEM (public key or certificate), JWK or JWK Set. */
  readonly publicKeyFile: string;
  /** [paths] certificate; it need not exist. */
  readonly certificateFile?: string | undefined;
  /** [jwt_settings] key_id. */
  readonly keyId?: string | undefined;
  /** What a PEM's key signs with; a JWK says it itself. */
  readonly algorithm: SigningAlgorithm;
}

/**
 * The JWK Set to publish, from public files alone: the same as `keys jwks` makes from the private key, whose file is not
 * opened. Throws KEY_INVALID: no file, no public key in it, or a private one; PATH_UNUSABLE.
 */
export async function publicJwksOf(place: PublicPlace): Promise<JwkSet> {
  const text = await readIfThere(place.publicKeyFile);
  if (text === undefined) {
    throw new RoundsError('KEY_INVALID', `${place.publicKeyFile}: there is no such file`, {
      hint: 'Set [paths] public_key to the public key (PEM) or the JWKS that `fhir-rounds keys jwks --out` writes.',
    });
  }
  // A private key in the place of the public one is a mistake that is better heard of than mended in silence.
  if (/PRIVATE KEY-----/.test(text)) throw isPrivate(place.publicKeyFile);
  return text.trimStart().startsWith('{') ? jwksIn(text, place) : publicJwks([await keyInPem(text, place)]);
}

async function keyInPem(pem: string, place: PublicPlace): Promise<PublishedKey> {
  const { publicKeyFile, certificateFile, keyId, algorithm } = place;
  let key: KeyObject;
  try {
    // Of a certificate, too, this is its public key.
    key = createPublicKey(pem);
  } catch {
    throw new RoundsError('KEY_INVALID', `${publicKeyFile} holds no public key`, {
      hint: '`fhir-rounds keys generate` writes one beside the private key.',
    });
  }
  const certificate = await readIfThere(certificateFile);
  return { key, algorithm, keyId: keyId ?? (certificate && thumbprintFor(certificate, key)) };
}

/** The thumbprint of the key's certificate among those of a file; undefined where it is another key's. */
function thumbprintFor(pem: string, key: KeyObject): string | undefined {
  const wanted = keyThumbprint(key);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const found = blocks.find((block) => {
    try {
      return keyThumbprint(new X509Certificate(block).publicKey) === wanted;
    } catch {
      return false;
    }
  });
  return found === undefined ? undefined : certificateThumbprint(found).sha1;
}

type GivenJwk = JsonWebKey & { readonly kid?: unknown; readonly alg?: unknown };

async function jwksIn(text: string, { publicKeyFile, algorithm, keyId }: PublicPlace): Promise<JwkSet> {
  const keys: PublishedKey[] = [];
  try {
    const parsed = JSON.parse(text) as GivenJwk & { readonly keys?: unknown };
    const given = (Array.isArray(parsed.keys) ? parsed.keys : [parsed]) as readonly GivenJwk[];
    for (const jwk of given) {
      if (jwk.d !== undefined) throw isPrivate(publicKeyFile);
      const named = SIGNING_ALGORITHMS.find((one) => one === jwk.alg);
      const own = typeof jwk.kid === 'string' ? jwk.kid : given.length === 1 ? keyId : undefined;
      const key = createPublicKey({ key: jwk, format: 'jwk' });
      keys.push({ key, algorithm: named ?? algorithm, keyId: own });
    }
  } catch (error) {
    if (error instanceof RoundsError) throw error;
    throw new RoundsError('KEY_INVALID', `${publicKeyFile} begins like a JWKS, and is none`);
  }
  return publicJwks(keys);
}

const isPrivate = (file: string): RoundsError =>
  new RoundsError('KEY_INVALID', `${file} holds a private key where a public one is published`, {
    hint: 'Set [paths] public_key to the public key, or leave it out: the one beside the private key is taken.',
  });
