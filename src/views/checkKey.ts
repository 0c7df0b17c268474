import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { certificateTerm, certificateThumbprint } from '../auth/certificate.ts';
import type { JobConfig } from '../config/schema.ts';
import { age } from '../report/format.ts';
import type { Access } from '../run/preflight.ts';
import type { Clock } from '../system/clock.ts';
import type { Teller } from './checkStep.ts';

const DAY_MS = 86_400_000;
/** A certificate is renewed in weeks, since Epic and the customer have to take the new one. */
const WARN_DAYS = 30;
/** A key older than this is due for rotation; Epic sets no limit. */
const OLD_KEY_DAYS = 730;

/** Thumbprints to compare with what Epic shows, and the age of key and certificate. */
export async function checkKeyFacts(
  job: JobConfig,
  access: Pick<Access, 'key' | 'keyId'>,
  clock: Clock,
  to: Teller,
): Promise<void> {
  const { paths } = job.settings;
  const { key } = access;
  const { modulusLength, namedCurve } = key.privateKey.asymmetricKeyDetails ?? {};
  const strength = modulusLength === undefined ? `EC ${namedCurve ?? ''}` : `RSA ${modulusLength} bits`;
  const { mtimeMs } = await stat(paths.private_key);
  const days = Math.floor((clock.now() - mtimeMs) / DAY_MS);
  to.tell(
    'registered key',
    days > OLD_KEY_DAYS ? 'warning' : 'ok',
    `${strength}, ${age(Math.max(0, clock.now() - mtimeMs))} old; in a JWKS its kid is ${access.keyId} and its JWK thumbprint (RFC 7638) ${key.thumbprint}`,
    days > OLD_KEY_DAYS ? 'Rotate it: `fhir-rounds keys rotate --jwks FILE`.' : undefined,
  );
  if (paths.certificate === undefined || !existsSync(paths.certificate)) return;
  const pem = await readFile(paths.certificate, 'utf8');
  const { sha1, notAfter } = certificateThumbprint(pem);
  const left = Math.floor((certificateTerm(pem).untilMs - clock.now()) / DAY_MS);
  const until = `good until ${notAfter.slice(0, 10)} (${left < 0 ? 'over' : `${left} days left`})`;
  to.tell(
    'certificate',
    left < 0 ? 'problem' : left <= WARN_DAYS ? 'warning' : 'ok',
    `thumbprint ${sha1}, to be compared with the one that Epic shows; ${until}`,
    left <= WARN_DAYS
      ? 'Make the next one and have it uploaded: `fhir-rounds keys rotate --certificate`.'
      : undefined,
  );
}
