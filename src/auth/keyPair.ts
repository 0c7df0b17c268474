import { createPublicKey, generateKeyPair as generateWith, type KeyObject } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { RoundsError } from '../errors.ts';
import { asFileError, ensureFolder, errno, exists, isWindows, syncFolder } from '../system/files.ts';
import { keyThumbprint, MIN_RSA_BITS } from './keys.ts';

export type KeyPairSpec =
  | { readonly kind: 'RSA'; readonly bits: number }
  | { readonly kind: 'EC'; readonly curve: 'P-256' | 'P-384' };

export interface GeneratedKeyPair {
  readonly privateKey: KeyObject;
  /** RFC 7638. */
  readonly thumbprint: string;
}

const generate = promisify(generateWith);
const PRIVATE_FILE = 0o600;
const PUBLIC_FILE = 0o644;
const MAX_RSA_BITS = 16_384;

/**
 * Makes a key pair and writes it: the private half as PKCS#8 PEM (mode 0600), the public half as SPKI PEM (0644),
 * both on disk when it resolves. Never overwrites a file; where the second cannot be written, the first is gone.
 * Throws KEY_EXISTS, KEY_WEAK, USAGE, PATH_UNUSABLE, DISK_FULL.
 */
export async function generateKeyPair(
  spec: KeyPairSpec,
  privateKeyFile: string,
  publicKeyFile: string,
): Promise<GeneratedKeyPair> {
  for (const file of [privateKeyFile, publicKeyFile]) if (await exists(file)) throw alreadyThere(file);
  const privateKey = await makePrivateKey(spec);
  const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeNew(privateKeyFile, privatePem, PRIVATE_FILE);
  try {
    await writeNew(publicKeyFile, publicPem(privateKey), PUBLIC_FILE);
  } catch (error) {
    await rm(privateKeyFile, { force: true });
    throw error;
  }
  return { privateKey, thumbprint: keyThumbprint(privateKey) };
}

/** A private key's public half as SPKI PEM. */
export function publicPem(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
}

async function makePrivateKey(spec: KeyPairSpec): Promise<KeyObject> {
  if (spec.kind === 'EC') return (await generate('ec', { namedCurve: spec.curve })).privateKey;
  if (!Number.isInteger(spec.bits) || spec.bits > MAX_RSA_BITS) {
    throw new RoundsError('USAGE', `rsa_key_size is a whole number from ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`);
  }
  if (spec.bits < MIN_RSA_BITS)
    throw new RoundsError('KEY_WEAK', `an RSA key of ${spec.bits} bits is too short`);
  return (await generate('rsa', { modulusLength: spec.bits })).privateKey;
}

const alreadyThere = (file: string): RoundsError => new RoundsError('KEY_EXISTS', `${file} exists already`);

/** Creates `file` exclusively and durably, or leaves nothing of it. */
async function writeNew(file: string, content: string, mode: number): Promise<void> {
  const folder = path.dirname(path.resolve(file));
  let created = false;
  try {
    await ensureFolder(folder);
    const handle = await open(file, 'wx', mode);
    created = true;
    try {
      if (!isWindows) await handle.chmod(mode);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await syncFolder(folder);
  } catch (error) {
    if (created) await rm(file, { force: true });
    throw errno(error) === 'EEXIST' ? alreadyThere(file) : asFileError(error, file);
  }
}
