import type { KeyObject } from 'node:crypto';
import { readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fittingCertificate } from '../auth/certificate.ts';
import { generateKeyPair, publicPem, type KeyPairSpec } from '../auth/keyPair.ts';
import { loadPrivateKey, type SigningKey } from '../auth/keys.ts';
import { RoundsError } from '../errors.ts';
import { asFileError, exists, linkOrCopy, syncFolder, writeAtomic } from '../system/files.ts';
import type { KeyPlace } from './keys.ts';

/** The files of a rotation: what is in use, `<file>.next` and `<file>.previous`. Every function may be repeated. */

export type Spare = '.next' | '.previous';

const PUBLIC_MODES = { folder: 0o755, file: 0o644 };

export interface RotationPlace extends KeyPlace {
  readonly publicKeyFile: string;
}

/** A next key of the same kind and size, complete or absent: its name appears by a rename. Returns whether it is new. */
export async function makeNextKey({ privateKeyFile }: KeyPlace, current: KeyObject): Promise<boolean> {
  const next = `${privateKeyFile}.next`;
  if (await exists(next)) return false;
  const details = current.asymmetricKeyDetails;
  const spec: KeyPairSpec =
    current.asymmetricKeyType === 'rsa'
      ? { kind: 'RSA', bits: details?.modulusLength ?? 0 }
      : { kind: 'EC', curve: details?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256' };
  const draft = `${next}.draft`;
  const draftPublic = `${draft}.pub`;
  await rm(draft, { force: true });
  await rm(draftPublic, { force: true });
  await generateKeyPair(spec, draft, draftPublic);
  await rename(draft, next);
  await rm(draftPublic);
  await syncFolder(path.dirname(path.resolve(next)));
  return true;
}

/** The spare key, or undefined when there is none. */
export async function spareKey(place: KeyPlace, spare: Spare): Promise<SigningKey | undefined> {
  const file = `${place.privateKeyFile}${spare}`;
  if (!(await exists(file))) return undefined;
  return loadPrivateKey(file, { algorithm: place.algorithm });
}

/**
 * Puts the spare key `take` into use and keeps the one in use as `keep`, with their certificates where there are any.
 * At no moment is there no key at its place, or one that its certificate does not fit: the key changes by a rename,
 * and around it the certificate's file holds both. Cut short anywhere, a repetition ends it.
 */
export async function exchangeKeys(place: RotationPlace, take: Spare, keep: Spare): Promise<SigningKey> {
  const { privateKeyFile: file, algorithm, publicKeyFile } = place;
  try {
    const taken = await spareKey(place, take);
    if (taken) {
      const current = await loadPrivateKey(file, { algorithm });
      if (current.thumbprint !== taken.thumbprint) {
        await keepCurrent(place, current, keep);
        await joinCertificates(place, current, take);
        await rename(`${file}${take}`, file);
      } else {
        // A copy in place of a link was cut short behind its rename.
        await rm(`${file}${take}`);
      }
      await syncFolder(path.dirname(path.resolve(file)));
    }
    const used = await loadPrivateKey(file, { algorithm });
    await parseCertificates(place, used, take);
    await writeAtomic(publicKeyFile, publicPem(used.privateKey), PUBLIC_MODES);
    return used;
  } catch (error) {
    throw asFileError(error, file);
  }
}

async function keepCurrent(place: KeyPlace, current: SigningKey, keep: Spare): Promise<void> {
  const { privateKeyFile, certificateFile } = place;
  const kept = await spareKey(place, keep);
  if (kept === undefined) await linkOrCopy(privateKeyFile, `${privateKeyFile}${keep}`);
  else if (kept.thumbprint !== current.thumbprint) {
    throw new RoundsError('KEY_EXISTS', `${privateKeyFile}${keep} holds another key than the one in use`);
  }
  const certificate = await certificateOf(certificateFile, current.privateKey);
  if (certificate !== undefined) await writeAtomic(`${certificateFile}${keep}`, certificate, PUBLIC_MODES);
}

/** Before the keys change places: the certificates of both in one file. */
async function joinCertificates(
  { certificateFile }: KeyPlace,
  current: SigningKey,
  take: Spare,
): Promise<void> {
  const taken = await textOf(certificateFile && `${certificateFile}${take}`);
  if (certificateFile === undefined || taken === undefined) return;
  const used = (await certificateOf(certificateFile, current.privateKey)) ?? '';
  await writeAtomic(certificateFile, `${taken.trimEnd()}\n${used}`, PUBLIC_MODES);
}

/** After it: the certificate of the key in use alone. */
async function parseCertificates(
  { certificateFile }: KeyPlace,
  used: SigningKey,
  take: Spare,
): Promise<void> {
  const certificate = await certificateOf(certificateFile, used.privateKey);
  if (certificateFile === undefined || certificate === undefined) return;
  await writeAtomic(certificateFile, certificate, PUBLIC_MODES);
  await rm(`${certificateFile}${take}`, { force: true });
}

/** The certificate of a key, from a file that may hold several. */
export async function certificateOf(file: string | undefined, key: KeyObject): Promise<string | undefined> {
  const pem = await textOf(file);
  return pem === undefined ? undefined : fittingCertificate(pem, key);
}

async function textOf(file: string | undefined): Promise<string | undefined> {
  return file !== undefined && (await exists(file)) ? readFile(file, 'utf8') : undefined;
}

/** Deletes a spare key and its certificate. */
export async function dropSpare({ privateKeyFile, certificateFile }: KeyPlace, spare: Spare): Promise<void> {
  if (certificateFile !== undefined) await rm(`${certificateFile}${spare}`, { force: true });
  await rm(`${privateKeyFile}${spare}`, { force: true });
}
