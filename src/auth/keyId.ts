import { RoundsError } from '../errors.ts';
import { certificateThumbprint, fittingCertificate } from './certificate.ts';
import type { SigningKey } from './keys.ts';

export interface KeyIdSources {
  /** [jwt_settings] key_id. */
  readonly configured?: string | undefined;
  /** The PEM at [paths] certificate, where it is set. */
  readonly certificatePem?: string | undefined;
}

/**
 * The `kid` of a key, the same in client assertions and in the JWKS: the configured one; else, with a certificate,
 * that one's SHA-1 thumbprint (the original program's `kid`, and what Epic shows for an uploaded certificate; H);
 * else the one that its JWK file names; else the RFC 7638 thumbprint.
 * Throws CONFIG_INVALID when the certificate is another key's.
 */
export function keyIdFor(key: SigningKey, { configured, certificatePem }: KeyIdSources): string {
  const certificate =
    certificatePem === undefined ? undefined : fittingCertificate(certificatePem, key.privateKey);
  if (certificatePem !== undefined && certificate === undefined) {
    throw new RoundsError(
      'CONFIG_INVALID',
      '[paths] certificate was not made from the key at [paths] private_key',
      {
        hint: 'Make it again with `fhir-rounds keys certificate` and upload it, or name the key that it belongs to.',
      },
    );
  }
  if (configured !== undefined) return configured;
  if (certificate !== undefined) return certificateThumbprint(certificate).sha1;
  return key.keyId ?? key.thumbprint;
}
