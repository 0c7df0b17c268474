import { createHmac, randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { asFileError, ensureFolder, errno, linkOrCopy, writeAtomic } from '../system/files.ts';

/** Names a patient in the audit file: the same patient, the same name, and nobody without the key can tell whose. */
export type PatientHash = (patientId: string) => string;

const KEY_FILE = 'patient-hash.key';
const KEY_BYTES = 32;

/**
 * HMAC-SHA256 (hex) of a patient's id under this site's own key, which lies in `folder` with mode 0600 and is made when
 * there is none. Throws PATH_UNUSABLE, DISK_FULL, KEY_INVALID for a key that is not whole.
 */
export async function openPatientHash(folder: string): Promise<PatientHash> {
  const file = path.join(folder, KEY_FILE);
  const key = (await keyIn(file)) ?? (await makeKey(file));
  if (key.length !== KEY_BYTES) {
    throw new RoundsError('KEY_INVALID', `${file} is not the key that was made`, {
      hint: 'Restore it from a backup; without it no line of the audit file can be told to be of one patient.',
    });
  }
  return (patientId) => createHmac('sha256', key).update(patientId).digest('hex');
}

async function keyIn(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined;
    throw asFileError(error, file);
  }
}

/** Whole or absent, and one key for two processes that make it at once: the first name wins. */
async function makeKey(file: string): Promise<Buffer> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await ensureFolder(path.dirname(file));
    await writeAtomic(draft, randomBytes(KEY_BYTES));
    await linkOrCopy(draft, file).catch((error: unknown) => {
      if (errno(error) !== 'EEXIST') throw error;
    });
    await rm(draft, { force: true });
    return await readFile(file);
  } catch (error) {
    throw asFileError(error, file);
  }
}
