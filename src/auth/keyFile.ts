import { constants, type Stats } from 'node:fs';
import { access, open, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { asFileError, errno, isWindows } from '../system/files.ts';

/** A key file's text, and what about its place a person should know. */
export interface KeyFile {
  readonly text: string;
  /** Sentences for the operator; none stops the run. */
  readonly warnings: readonly string[];
}

/** What decides whether a key file is exposed; see `isExposed`. */
export interface KeyFileFacts {
  /** Permission bits of the file. */
  readonly mode: number;
  readonly ownerUid: number;
  /** The effective user of this process. */
  readonly ourUid: number;
  /** The file lies on a mount that nobody can write to. */
  readonly readOnlyMount: boolean;
  /** The file is a projection of a Kubernetes secret volume (a link into its `..data`). */
  readonly projectedSecret: boolean;
}

const LARGEST_KEY_FILE = 1024 * 1024;

/**
 * Whether others than its owner can read or change a private key.
 *
 * Allowed: no bit for group and others (0600, 0400). Also allowed, since the mode was not ours to choose there:
 * - a read-only mount (Docker and Compose secrets, `:ro` binds) or a Kubernetes secret volume (0644 by default),
 *   where the container, not the mode, keeps others away;
 * - a file of root that a service's group may read (root:service 0640), when this process is not root: it could
 *   neither chmod nor chown it. Readable by everybody stays refused.
 */
export function isExposed(facts: KeyFileFacts): boolean {
  if ((facts.mode & 0o077) === 0) return false;
  if (facts.readOnlyMount || facts.projectedSecret) return false;
  const groupMayOnlyRead = (facts.mode & 0o037) === 0;
  return !(facts.ownerUid === 0 && facts.ourUid !== 0 && groupMayOnlyRead);
}

/**
 * Reads a private key file after checking who else can. Modes are not checked on Windows.
 * Throws KEY_EXPOSED (see `isExposed`), KEY_INVALID (missing, not a file, far too large), PATH_UNUSABLE.
 */
export async function readKeyFile(file: string): Promise<KeyFile> {
  const handle = await open(file, constants.O_RDONLY).catch((error: unknown) => {
    if (errno(error) === 'ENOENT') {
      throw new RoundsError('KEY_INVALID', `${file}: there is no such file`, {
        hint: 'Set [paths] private_key, or make a key with `fhir-rounds keys generate`.',
      });
    }
    throw asFileError(error, file);
  });
  try {
    // The mode is that of the opened file, so that nothing can be swapped in between the check and the read.
    const facts = await handle.stat();
    if (!facts.isFile()) throw new RoundsError('KEY_INVALID', `${file} is not a file`);
    if (facts.size > LARGEST_KEY_FILE)
      throw new RoundsError('KEY_INVALID', `${file} is far too large for a key`);
    const warnings = isWindows ? [] : await checkModes(file, facts);
    return { text: await handle.readFile('utf8'), warnings };
  } catch (error) {
    throw asFileError(error, file);
  } finally {
    await handle.close();
  }
}

async function checkModes(file: string, facts: Stats): Promise<readonly string[]> {
  const mode = facts.mode & 0o777;
  const exposed = isExposed({
    mode,
    ownerUid: facts.uid,
    ourUid: process.geteuid?.() ?? facts.uid,
    readOnlyMount: await liesOnReadOnlyMount(file),
    projectedSecret: await isProjectedSecret(file),
  });
  if (exposed) {
    const octal = mode.toString(8).padStart(4, '0');
    throw new RoundsError('KEY_EXPOSED', `${file} has mode ${octal}: others than its owner can use the key`);
  }
  const ourUid = process.geteuid?.() ?? facts.uid;
  // Root reads anybody's file; a bind mount into a container keeps the owner of outside.
  const foreign =
    facts.uid === ourUid || facts.uid === 0
      ? []
      : [`${file} belongs to user ${facts.uid}, who can replace the private key: chown ${ourUid}`];
  const folder = path.dirname(path.resolve(file));
  const folderMode = (await stat(folder)).mode;
  // With the sticky bit (/tmp) others may add files but cannot replace this one.
  const replaceable = (folderMode & 0o022) !== 0 && (folderMode & 0o1000) === 0;
  return replaceable
    ? [...foreign, `others can write to ${folder} and so replace the private key: chmod go-w`]
    : foreign;
}

/** access(2) answers EROFS on a read-only mount, also to root. */
async function liesOnReadOnlyMount(file: string): Promise<boolean> {
  try {
    await access(file, constants.W_OK);
    return false;
  } catch (error) {
    return errno(error) === 'EROFS';
  }
}

/** Kubernetes' AtomicWriter lays every file of a secret out as a link `name -> ..data/name`. */
async function isProjectedSecret(file: string): Promise<boolean> {
  try {
    return (await readlink(file)).startsWith('..data/');
  } catch {
    return false;
  }
}
