import path from 'node:path';
import { certificateThumbprint, makeCertificate, type CertificateThumbprint } from '../auth/certificate.ts';
import { publicJwks, writeJwks, type JwkSet } from '../auth/jwks.ts';
import { keyIdFor } from '../auth/keyId.ts';
import { generateKeyPair, type KeyPairSpec } from '../auth/keyPair.ts';
import { loadPrivateKey, type SigningAlgorithm, type SigningKey } from '../auth/keys.ts';
import { RoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import { asFileError, ensureFolder, exists, readIfThere, writeAtomic } from '../system/files.ts';

/** Where a site's key lies and how it signs: [paths] and [jwt_settings]. */
export interface KeyPlace {
  readonly privateKeyFile: string;
  readonly algorithm: SigningAlgorithm;
  /** [jwt_settings] key_id. */
  readonly keyId?: string | undefined;
  /** [paths] certificate; it need not exist. */
  readonly certificateFile?: string | undefined;
}

export interface WrittenFile {
  readonly path: string;
  readonly what: 'private key' | 'public key' | 'certificate' | 'JWKS' | 'previous private key';
}

/** What a `keys` command did, for text or JSON. It never holds a private member. */
export interface KeysResult {
  readonly files: readonly WrittenFile[];
  /** The `kid` that client assertions carry with these settings. */
  readonly keyId: string;
  /** RFC 7638. */
  readonly thumbprint: string;
  readonly certificate: CertificateThumbprint | undefined;
  readonly jwks: JwkSet | undefined;
  /** Sentences: what to do now, in order. */
  readonly nextSteps: readonly string[];
  readonly warnings: readonly string[];
}

const EC_BY_URL = 'Epic takes EC keys by JWKS URL only, not as an uploaded certificate.';

export interface GenerateOptions extends KeyPlace {
  readonly spec: KeyPairSpec;
  readonly publicKeyFile: string;
}

/**
 * `keys generate`: a new key pair, never over an old one.
 * Throws KEY_EXISTS, KEY_WEAK, CONFIG_INVALID (the kind does not fit jwt_algorithm; nothing is written then),
 * USAGE, PATH_UNUSABLE, DISK_FULL.
 */
export async function keysGenerate(options: GenerateOptions): Promise<KeysResult> {
  const { spec, algorithm, privateKeyFile, publicKeyFile } = options;
  checkSpec(spec, algorithm);
  const { thumbprint } = await generateKeyPair(spec, privateKeyFile, publicKeyFile);
  return {
    files: [
      { path: privateKeyFile, what: 'private key' },
      { path: publicKeyFile, what: 'public key' },
    ],
    keyId: options.keyId ?? thumbprint,
    thumbprint,
    certificate: undefined,
    jwks: undefined,
    nextSteps: [
      'Host the output of `fhir-rounds keys jwks` at an https URL and register that URL at Epic.',
      spec.kind === 'RSA'
        ? 'Where Epic still takes uploads, `fhir-rounds keys certificate` makes a certificate to upload instead.'
        : EC_BY_URL,
      'Keep the private key on this machine: nobody at Epic needs it.',
      'Prove it with `fhir-rounds token`.',
    ],
    warnings: [],
  };
}

export interface JwksOptions extends KeyPlace {
  /** Where the JWKS goes; without it, into the result alone. */
  readonly outFile?: string | undefined;
}

/** `keys jwks`: the JWK Set to host. Throws what `loadPrivateKey`, `keyIdFor` and `writeJwks` do. */
export async function keysJwks(options: JwksOptions): Promise<KeysResult> {
  const { outFile, algorithm } = options;
  const { key, keyId, certificate } = await loadPlace(options);
  const jwks = await publicJwks([{ key: key.privateKey, algorithm, keyId }]);
  if (outFile !== undefined) await writeJwks(outFile, jwks);
  return {
    files: outFile === undefined ? [] : [{ path: outFile, what: 'JWKS' }],
    keyId,
    thumbprint: key.thumbprint,
    certificate,
    jwks,
    nextSteps: [
      'Serve the file as application/json at an https URL that Epic can reach, and register that URL (JKU).',
      'Epic may keep an older JWKS for up to 29 hours.',
    ],
    warnings: key.warnings,
  };
}

export interface CertificateCommand extends KeyPlace {
  readonly outFile: string;
  readonly subjectCommonName: string;
  readonly days: number;
  /** Replaces a certificate that is there. */
  readonly replace?: boolean | undefined;
  readonly clock: Clock;
}

/**
 * `keys certificate`: a self-signed certificate of the existing key.
 * Throws KEY_EXISTS when `outFile` exists and `replace` is not set (its thumbprint may be registered), USAGE, and
 * what `loadPrivateKey` does.
 */
export async function keysCertificate(options: CertificateCommand): Promise<KeysResult> {
  const { outFile, subjectCommonName, days, clock, algorithm } = options;
  if (options.replace !== true && (await exists(outFile))) {
    throw new RoundsError('KEY_EXISTS', `${outFile} exists already`, {
      hint: 'Keep it (its thumbprint may be registered at Epic), or name another file.',
    });
  }
  const key = await loadPrivateKey(options.privateKeyFile, { algorithm, keyId: options.keyId });
  const pem = await makeCertificate({ key: key.privateKey, subjectCommonName, days, clock });
  try {
    await ensureFolder(path.dirname(path.resolve(outFile)));
    await writeAtomic(outFile, pem, { folder: 0o755, file: 0o644 });
  } catch (error) {
    throw asFileError(error, outFile);
  }
  const certificate = certificateThumbprint(pem);
  const configured = options.certificateFile !== undefined && samePath(options.certificateFile, outFile);
  return {
    files: [{ path: outFile, what: 'certificate' }],
    keyId: keyIdFor(key, { configured: options.keyId, ...(configured ? { certificatePem: pem } : {}) }),
    thumbprint: key.thumbprint,
    certificate,
    jwks: undefined,
    nextSteps: [
      'Upload it at Epic and compare the thumbprint that Epic shows with the SHA-1 above.',
      ...(configured ? [] : [`Set [paths] certificate = ${outFile}, so that its thumbprint is the kid.`]),
      `Renew it before ${certificate.notAfter.slice(0, 10)}.`,
    ],
    warnings: algorithm.startsWith('ES') ? [...key.warnings, EC_BY_URL] : key.warnings,
  };
}

export interface LoadedPlace {
  readonly key: SigningKey;
  readonly keyId: string;
  readonly certificate: CertificateThumbprint | undefined;
}

/** A site's key with the `kid` that its settings give it. Throws what `loadPrivateKey` and `keyIdFor` do. */
export async function loadPlace(place: KeyPlace): Promise<LoadedPlace> {
  const key = await loadPrivateKey(place.privateKeyFile, { algorithm: place.algorithm, keyId: place.keyId });
  const certificatePem = await readIfThere(place.certificateFile);
  return {
    key,
    keyId: keyIdFor(key, { configured: place.keyId, certificatePem }),
    certificate: certificatePem === undefined ? undefined : certificateThumbprint(certificatePem),
  };
}

function checkSpec(spec: KeyPairSpec, algorithm: SigningAlgorithm): void {
  const curve = { ES256: 'P-256', ES384: 'P-384' }[algorithm as string];
  const fits = spec.kind === 'RSA' ? curve === undefined : curve === spec.curve;
  if (fits) return;
  const kind = spec.kind === 'RSA' ? 'RSA' : `EC ${spec.curve}`;
  throw new RoundsError('CONFIG_INVALID', `a key of kind ${kind} does not fit jwt_algorithm ${algorithm}`, {
    hint: 'RS256, RS384 and RS512 sign with RSA; ES256 with EC P-256; ES384 with EC P-384.',
  });
}

const samePath = (a: string, b: string): boolean => path.resolve(a) === path.resolve(b);
