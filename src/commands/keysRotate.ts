import type { KeyObject } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { publicJwks, writeJwks, type PublishedKey } from '../auth/jwks.ts';
import { generateKeyPair, publicPem, type KeyPairSpec } from '../auth/keyPair.ts';
import { keyThumbprint, loadPrivateKey, type SigningKey } from '../auth/keys.ts';
import { RoundsError } from '../errors.ts';
import { asFileError, exists, linkOrCopy, syncFolder, writeAtomic } from '../system/files.ts';
import { loadPlace, type KeyPlace, type KeysResult } from './keys.ts';

/**
 * - `publish`: makes the next key (once) and publishes both.
 * - `switch`: proves the next key with a real token, then puts it in the old one's place; both stay published.
 * - `finish`: publishes the key in use alone.
 */
export type RotateStep = 'publish' | 'switch' | 'finish';

export interface RotateOptions extends KeyPlace {
  readonly step: RotateStep;
  readonly publicKeyFile: string;
  /** The file behind the JWKS URL that Epic knows. */
  readonly jwksFile: string;
  /** Resolves when the token endpoint issued a token for this key and `kid`; rejects otherwise. */
  readonly proveToken: (key: SigningKey, keyId: string) => Promise<void>;
}

/**
 * `keys rotate`, for sites that host a JWKS. The next key waits at `<private_key>.next`, the one before is kept at
 * `<private_key>.previous` until `finish`; at no moment is there no key at `private_key`, also after a crash, and
 * every step may be repeated. The JWKS needs up to 29 h to be seen by Epic (H), so the steps are a day or two apart.
 *
 * Throws CONFIG_INVALID (a configured key_id or an uploaded certificate would not follow the new key), KEY_EXISTS (a
 * rotation was not finished), KEY_INVALID (no next key; `publish` comes first), whatever `proveToken` throws (nothing
 * is changed then), and what `loadPrivateKey` and `writeJwks` do.
 */
export async function keysRotate(options: RotateOptions): Promise<KeysResult> {
  await refusePinnedKeyId(options);
  switch (options.step) {
    case 'publish':
      return publishNext(options);
    case 'switch':
      return switchToNext(options);
    case 'finish':
      return finish(options);
  }
}

const nextOf = (file: string): string => `${file}.next`;
const previousOf = (file: string): string => `${file}.previous`;

async function refusePinnedKeyId({ keyId, certificateFile }: KeyPlace): Promise<void> {
  const certified = certificateFile !== undefined && (await exists(certificateFile));
  if (keyId === undefined && !certified) return;
  const what = keyId === undefined ? '[paths] certificate' : '[jwt_settings] key_id';
  throw new RoundsError('CONFIG_INVALID', `${what} names one key, so it cannot stay while keys are rotated`, {
    hint: 'Leave key_id and certificate out: the kid is then the key’s own thumbprint, as `keys jwks` publishes it.',
  });
}

async function publishNext(options: RotateOptions): Promise<KeysResult> {
  const { privateKeyFile, algorithm } = options;
  const next = nextOf(privateKeyFile);
  const previous = previousOf(privateKeyFile);
  if (await exists(previous)) {
    throw new RoundsError('KEY_EXISTS', `${previous} exists: the last rotation is not finished`, {
      hint: 'Finish it with `fhir-rounds keys rotate --finish`.',
    });
  }
  const current = await loadPlace(options);
  const made = !(await exists(next));
  if (made) await generateBeside(current.key.privateKey, next);
  const nextKey = await loadPrivateKey(next, { algorithm });
  return result(options, [published(current.key), published(nextKey)], nextKey, {
    files: made ? [{ path: next, what: 'private key' }] : [],
    nextSteps: [
      'Serve the JWKS at its URL. Runs go on with the old key.',
      'After 29 hours: `fhir-rounds keys rotate --switch`.',
    ],
  });
}

async function switchToNext(options: RotateOptions): Promise<KeysResult> {
  const { privateKeyFile, publicKeyFile, algorithm, proveToken } = options;
  const next = nextOf(privateKeyFile);
  const previous = previousOf(privateKeyFile);
  if (await exists(next)) {
    const current = await loadPlace(options);
    const nextKey = await loadPrivateKey(next, { algorithm });
    await proveToken(nextKey, nextKey.keyId ?? nextKey.thumbprint);
    await replaceKey(privateKeyFile, current.key);
  } else if (!(await exists(previous))) {
    throw new RoundsError('KEY_INVALID', `${next}: there is no next key`, {
      hint: 'Make and publish it first with `fhir-rounds keys rotate`.',
    });
  }
  // Also what a switch that was cut short after the rename still has to do.
  const used = await loadPrivateKey(privateKeyFile, { algorithm });
  const kept = await loadPrivateKey(previous, { algorithm });
  await writePublicKey(publicKeyFile, used);
  return result(options, [published(used), published(kept)], used, {
    files: [
      { path: privateKeyFile, what: 'private key' },
      { path: publicKeyFile, what: 'public key' },
      { path: previous, what: 'previous private key' },
    ],
    nextSteps: [
      'Serve the JWKS at its URL. A daemon that is running takes the new key when it starts again.',
      'After 29 hours: `fhir-rounds keys rotate --finish`.',
    ],
  });
}

/** The next key takes the old one's name; the old one keeps a second name, so that nothing is lost on the way. */
async function replaceKey(file: string, current: SigningKey): Promise<void> {
  const previous = previousOf(file);
  try {
    if (await exists(previous)) {
      const kept = await loadPrivateKey(previous, { algorithm: current.algorithm });
      if (kept.thumbprint !== current.thumbprint) {
        throw new RoundsError(
          'KEY_EXISTS',
          `${previous} holds another key: the last rotation is not finished`,
        );
      }
    } else {
      await linkOrCopy(file, previous);
    }
    await rename(nextOf(file), file);
    await syncFolder(path.dirname(path.resolve(file)));
  } catch (error) {
    throw asFileError(error, file);
  }
}

async function writePublicKey(file: string, key: SigningKey): Promise<void> {
  try {
    await writeAtomic(file, publicPem(key.privateKey), { folder: 0o755, file: 0o644 });
  } catch (error) {
    throw asFileError(error, file);
  }
}

async function finish(options: RotateOptions): Promise<KeysResult> {
  const { privateKeyFile } = options;
  if (await exists(nextOf(privateKeyFile))) {
    throw new RoundsError('KEY_EXISTS', `${nextOf(privateKeyFile)} waits to be switched to`, {
      hint: 'Switch with `fhir-rounds keys rotate --switch`, or delete that file to give the rotation up.',
    });
  }
  const current = await loadPlace(options);
  const done = await result(options, [published(current.key)], current.key, {
    files: [],
    nextSteps: ['Serve the JWKS at its URL. The rotation is done; the previous private key was deleted.'],
  });
  // Last: while it is there, `finish` can be repeated and `publish` says what is missing.
  await rm(previousOf(privateKeyFile), { force: true });
  return done;
}

/** A next key of the same kind and size, complete or absent: its name appears by a rename. */
async function generateBeside(current: KeyObject, next: string): Promise<void> {
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
}

const published = (key: SigningKey): PublishedKey => ({
  key: key.privateKey,
  algorithm: key.algorithm,
  keyId: key.keyId ?? keyThumbprint(key.privateKey),
});

async function result(
  { jwksFile }: RotateOptions,
  keys: readonly PublishedKey[],
  used: SigningKey,
  said: Pick<KeysResult, 'files' | 'nextSteps'>,
): Promise<KeysResult> {
  const jwks = await publicJwks(keys);
  await writeJwks(jwksFile, jwks);
  return {
    files: [...said.files, { path: jwksFile, what: 'JWKS' }],
    keyId: used.keyId ?? used.thumbprint,
    thumbprint: used.thumbprint,
    certificate: undefined,
    jwks,
    nextSteps: said.nextSteps,
    warnings: used.warnings,
  };
}
