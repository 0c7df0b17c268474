import { X509Certificate, createPublicKey, type KeyObject } from 'node:crypto';
import { RoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import { isoInstant } from '../system/clock.ts';

export interface CertificateOptions {
  /** The existing private key; the certificate holds its public half. */
  readonly key: KeyObject;
  /** Letters, digits, blank, `.`, `-` and `_`; 1 to 64 characters (RFC 5280, ub-common-name). */
  readonly subjectCommonName: string;
  /** Days of validity. */
  readonly days: number;
  readonly clock: Clock;
}

export interface CertificateThumbprint {
  /** Upper-case hex SHA-1 of the DER: what Epic shows, and the original program's `kid` (H). */
  readonly sha1: string;
  /** Upper-case hex SHA-256 of the DER. */
  readonly sha256: string;
  /** ISO instant, UTC. */
  readonly notAfter: string;
}

const DAY_MS = 86_400_000;
const LONGEST_DAYS = 3650;
/** So that a server whose clock is a little behind takes the certificate at once. */
const BACKDATED_MS = 300_000;

/**
 * A self-signed X.509 v3 certificate (PEM) of an existing key, for upload at Epic: RSA with SHA-256, EC with
 * SHA-384; for signatures only, and no authority. Throws USAGE for a name or number of days that will not do.
 */
export async function makeCertificate(options: CertificateOptions): Promise<string> {
  const { key, subjectCommonName, days, clock } = options;
  // The name goes into a comma-separated text on its way, where `,` and `=` would start another attribute.
  if (!/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}[A-Za-z0-9]$|^[A-Za-z0-9]$/.test(subjectCommonName)) {
    throw new RoundsError('USAGE', 'the common name takes letters, digits, blank, dot, dash; 64 at most');
  }
  if (!Number.isInteger(days) || days < 1 || days > LONGEST_DAYS) {
    throw new RoundsError('USAGE', `the days of validity are a whole number from 1 to ${LONGEST_DAYS}`);
  }
  const elliptic = key.asymmetricKeyType === 'ec';
  const curve = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256';
  const { generate } = await import('selfsigned');
  const made = await generate([{ name: 'commonName', value: subjectCommonName }], {
    keyType: elliptic ? 'ec' : 'rsa',
    ...(elliptic ? { curve } : {}),
    // Its own default is SHA-1.
    algorithm: elliptic ? 'sha384' : 'sha256',
    notBeforeDate: new Date(clock.now() - BACKDATED_MS),
    notAfterDate: new Date(clock.now() + days * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
    ],
    keyPair: {
      privateKey: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
      publicKey: createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString(),
    },
  });
  return `${made.cert.trimEnd()}\n`;
}

/** The fingerprints and the last day of a certificate (PEM). Throws KEY_INVALID when it is none. */
export function certificateThumbprint(pem: string): CertificateThumbprint {
  const certificate = parseCertificate(pem);
  return {
    sha1: certificate.fingerprint.replaceAll(':', '').toUpperCase(),
    sha256: certificate.fingerprint256.replaceAll(':', '').toUpperCase(),
    notAfter: isoInstant(Date.parse(certificate.validTo)),
  };
}

/** From when until when a certificate (PEM) holds, in ms since 1970. Throws KEY_INVALID when it is none. */
export function certificateTerm(pem: string): { readonly fromMs: number; readonly untilMs: number } {
  const { validFrom, validTo } = parseCertificate(pem);
  return { fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo) };
}

/**
 * The certificate (PEM) of `privateKey` among those of a file: while keys are rotated it holds the next one beside the
 * one in use, so that there is no moment at which key and file do not fit. Throws KEY_INVALID when the file has none.
 */
export function fittingCertificate(pem: string, privateKey: KeyObject): string | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [pem];
  return blocks
    .map((block) => `${block}\n`)
    .find((block) => parseCertificate(block).checkPrivateKey(privateKey));
}

function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new RoundsError('KEY_INVALID', 'the certificate is not X.509 in PEM form', {
      hint: 'Make it again with `fhir-rounds keys certificate`, or leave [paths] certificate out.',
    });
  }
}
