import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { RoundsError } from '../errors.ts';
import { readKeyFile } from './keyFile.ts';

/** Epic takes these; ES256 and ES384 only with a JWKS URL. Source: Epic's OAuth 2.0 documentation (H). */
export const SIGNING_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A private key that was found fit for its algorithm. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly algorithm: SigningAlgorithm;
  /** The `kid` that a JWK file itself names; a PEM names none. */
  readonly keyId: string | undefined;
  /** See `keyThumbprint`. */
  readonly thumbprint: string;
  /** What `check` should tell about the file's place. */
  readonly warnings: readonly string[];
}

export interface LoadKeyOptions {
  readonly algorithm: SigningAlgorithm;
  /** Selects one key of a JWK Set that holds several. */
  readonly keyId?: string | undefined;
}

export const MIN_RSA_BITS = 2048;

/** OpenSSL's curve names by JOSE algorithm (RFC 7518, 3.4). */
const CURVES: Readonly<Record<'ES256' | 'ES384', { readonly openssl: string; readonly jose: string }>> = {
  ES256: { openssl: 'prime256v1', jose: 'P-256' },
  ES384: { openssl: 'secp384r1', jose: 'P-384' },
};

/**
 * Reads a private key: PEM (PKCS#1, PKCS#8, SEC1) or JWK (one key, or a JWK Set with one private key or the one
 * that `keyId` names), and checks it against the algorithm.
 *
 * Throws KEY_INVALID (naming what the file holds instead), KEY_WEAK (RSA below 2048 bits), KEY_EXPOSED (others can
 * read the file), CONFIG_INVALID (the key is of another kind than jwt_algorithm), PATH_UNUSABLE. No error holds
 * text of the file.
 */
export async function loadPrivateKey(file: string, options: LoadKeyOptions): Promise<SigningKey> {
  const { text, warnings } = await readKeyFile(file);
  return { ...readPrivateKey(text, file, options), warnings };
}

/** The same of a text that was read already; `from` names it in messages. */
export function readPrivateKey(text: string, from: string, options: LoadKeyOptions): SigningKey {
  const { privateKey, keyId } = parsePrivateKey(text, from, options.keyId);
  checkFitness(privateKey, options.algorithm, from);
  const { algorithm } = options;
  return { privateKey, algorithm, keyId, thumbprint: keyThumbprint(privateKey), warnings: [] };
}

/**
 * The RFC 7638 thumbprint (SHA-256, base64url) of a key's public half: the `kid` where nobody named another.
 * A private key and its public key have the same.
 */
export function keyThumbprint(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const jwk = publicKey.export({ format: 'jwk' });
  // The required members only, in lexicographic order, with no white space: RFC 7638, 3.2 and 3.3.
  const members =
    jwk.kty === 'EC'
      ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y }
      : { e: jwk.e, kty: jwk.kty, n: jwk.n };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

interface ParsedKey {
  readonly privateKey: KeyObject;
  readonly keyId: string | undefined;
}

function parsePrivateKey(text: string, file: string, keyId: string | undefined): ParsedKey {
  const trimmed = text.replace(/^\uFEFF/, '').trim();
  if (trimmed.startsWith('{')) return parseJwk(trimmed, file, keyId);
  return { privateKey: parsePem(trimmed, file), keyId: undefined };
}

const PRIVATE_LABELS = ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'];

/** PEM blocks (RFC 7468), the header lines of the older encrypted form included. */
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

function parsePem(text: string, file: string): KeyObject {
  const blocks = [...text.matchAll(PEM_BLOCK)].map((match) => ({ label: match[1] ?? '', pem: match[0] }));
  const secret = blocks.filter(({ label }) => PRIVATE_LABELS.includes(label));
  const [block, second] = secret;
  if (block === undefined)
    throw notAPrivateKey(
      blocks.map(({ label }) => label),
      file,
    );
  if (second !== undefined)
    throw new RoundsError('KEY_INVALID', `${file} holds several private keys; leave one`);
  if (/^Proc-Type:.*ENCRYPTED/m.test(block.pem)) throw encrypted(file);
  return toKey(() => createPrivateKey(block.pem), file);
}

function notAPrivateKey(labels: readonly string[], file: string): RoundsError {
  if (labels.includes('ENCRYPTED PRIVATE KEY')) return encrypted(file);
  const instead = new Map([
    ['CERTIFICATE', 'a certificate'],
    ['CERTIFICATE REQUEST', 'a certificate request'],
    ['PUBLIC KEY', 'a public key'],
    ['RSA PUBLIC KEY', 'a public key'],
    ['OPENSSH PRIVATE KEY', 'a key in OpenSSH’s own form (convert a copy: ssh-keygen -p -m PEM -f COPY)'],
  ]);
  const found = labels.map((label) => instead.get(label)).find((name) => name !== undefined);
  const what = found ?? 'no complete PEM block and no JWK';
  return new RoundsError('KEY_INVALID', `${file} holds ${what}, not a private key`, {
    hint: 'Set [paths] private_key to the PEM (PKCS#1, PKCS#8) or JWK file of the private key.',
  });
}

const encrypted = (file: string): RoundsError =>
  new RoundsError(
    'KEY_INVALID',
    `${file} is encrypted with a passphrase, which a program on a timer cannot enter`,
    {
      hint: 'Decrypt it (openssl pkey -in FILE -out NEW), chmod 600 it and keep it on an encrypted disk.',
    },
  );

function parseJwk(text: string, file: string, keyId: string | undefined): ParsedKey {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // JSON.parse quotes the text in its message, so the error is not carried along.
    throw new RoundsError('KEY_INVALID', `${file} begins like a JWK, but is not JSON`);
  }
  const set = (parsed as { keys?: unknown }).keys;
  const jwks = (Array.isArray(set) ? set : [parsed]) as readonly (JsonWebKey & { kid?: unknown })[];
  const secret = jwks.filter((jwk) => typeof jwk?.d === 'string');
  if (secret.length === 0) {
    throw new RoundsError('KEY_INVALID', `${file} holds a public JWK, not a private key`);
  }
  const [chosen, second] = secret.length === 1 ? secret : secret.filter((jwk) => jwk.kid === keyId);
  if (chosen === undefined || second !== undefined) {
    throw new RoundsError(
      'KEY_INVALID',
      `${file} holds several private keys, and key_id names none or several`,
    );
  }
  const privateKey = toKey(() => createPrivateKey({ key: chosen, format: 'jwk' }), file);
  return { privateKey, keyId: typeof chosen.kid === 'string' ? chosen.kid : undefined };
}

function toKey(create: () => KeyObject, file: string): KeyObject {
  try {
    return create();
  } catch {
    throw new RoundsError('KEY_INVALID', `${file} holds a private key that is damaged or of an unknown kind`);
  }
}

function checkFitness(key: KeyObject, algorithm: SigningAlgorithm, file: string): void {
  const kind = key.asymmetricKeyType;
  const details = key.asymmetricKeyDetails;
  if (kind !== 'rsa' && kind !== 'ec') {
    throw new RoundsError(
      'KEY_INVALID',
      `${file} holds a key of kind ${kind ?? 'unknown'}; Epic takes RSA and EC`,
    );
  }
  if (kind === 'rsa' && (details?.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new RoundsError('KEY_WEAK', `${file} holds an RSA key of ${details?.modulusLength ?? 0} bits`);
  }
  if (algorithm === 'ES256' || algorithm === 'ES384') {
    const curve = CURVES[algorithm];
    if (kind === 'ec' && details?.namedCurve === curve.openssl) return;
    throw mismatch(
      file,
      kind === 'rsa' ? 'an RSA key' : 'an EC key on another curve',
      algorithm,
      `EC ${curve.jose}`,
    );
  }
  if (kind !== 'rsa') throw mismatch(file, 'an EC key', algorithm, 'RSA');
}

const mismatch = (file: string, found: string, algorithm: string, wanted: string): RoundsError =>
  new RoundsError('CONFIG_INVALID', `${file} holds ${found}, but ${algorithm} signs with ${wanted}`, {
    hint: 'Set [jwt_settings] jwt_algorithm to what fits the key, or name the right key in [paths] private_key.',
  });
