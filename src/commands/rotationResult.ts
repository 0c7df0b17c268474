import { certificateThumbprint, type CertificateThumbprint } from '../auth/certificate.ts';
import { publicJwks, writeJwks } from '../auth/jwks.ts';
import type { SigningKey } from '../auth/keys.ts';
import type { KeysResult, WrittenFile } from './keys.ts';
import type { RotationWay } from '../auth/rotationState.ts';

/** Writes the JWKS where there is one, and makes the result that the caller completes. */
export async function published(
  { way, jwksFile }: { readonly way: RotationWay; readonly jwksFile: string | undefined },
  keys: readonly SigningKey[],
  used: SigningKey,
  files: readonly WrittenFile[],
  certificatePem: string | undefined,
): Promise<(nextSteps: readonly string[]) => KeysResult> {
  const different = keys.filter((key, n) => keys.findIndex((one) => one.thumbprint === key.thumbprint) === n);
  const certificate: CertificateThumbprint | undefined =
    certificatePem === undefined ? undefined : certificateThumbprint(certificatePem);
  const jwks =
    way === 'certificate'
      ? undefined
      : await publicJwks(
          different.map((key) => ({
            key: key.privateKey,
            algorithm: key.algorithm,
            keyId: key.keyId ?? key.thumbprint,
          })),
        );
  if (jwks) await writeJwks(jwksFile!, jwks);
  return (nextSteps) => ({
    files: jwks ? [...files, { path: jwksFile!, what: 'JWKS' }] : files,
    keyId: certificate?.sha1 ?? used.keyId ?? used.thumbprint,
    thumbprint: used.thumbprint,
    certificate,
    jwks,
    nextSteps,
    warnings: used.warnings,
  });
}
