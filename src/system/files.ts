import { randomBytes } from 'node:crypto';
import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  link,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  statfs,
} from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import type { Clock } from './clock.ts';

/** `private`: the owner alone. `group`: the group may read (export_mode = group). */
export type FileModes = { readonly folder: number; readonly file: number };
export const PRIVATE_MODES: FileModes = { folder: 0o700, file: 0o600 };
export const GROUP_MODES: FileModes = { folder: 0o750, file: 0o640 };

export const isWindows = process.platform === 'win32';

/** The errno of a file system error, or undefined. */
export function errno(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** A file system failure as ours: DISK_FULL or PATH_UNUSABLE, naming the path (never a patient's). */
export function asFileError(error: unknown, where: string): RoundsError {
  if (error instanceof RoundsError) return error;
  const code = errno(error) ?? 'unknown';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RoundsError('DISK_FULL', `no space left while writing ${where}`, { cause: error });
  }
  return new RoundsError('PATH_UNUSABLE', `${where}: ${code}`, { cause: error });
}

/** Makes `folder` (and its parents) with the mode given, durably; one that exists is left as it is. */
export async function ensureFolder(folder: string, modes: FileModes = PRIVATE_MODES): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: modes.folder });
  if (first === undefined || isWindows) return;
  // mkdir's mode passes through the umask; what was made gets exactly the mode that was asked for.
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    await chmod(at, modes.folder);
    await syncParent(at);
    if (at === path.resolve(first) || path.dirname(at) === at) return;
  }
}

/** Makes `folder`, which must not exist yet, durably; false when it did. */
export async function makeExclusive(folder: string, modes: FileModes): Promise<boolean> {
  try {
    await mkdir(folder, { mode: modes.folder });
    if (!isWindows) await chmod(folder, modes.folder);
    await syncParent(folder);
    return true;
  } catch (error) {
    if (errno(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Without it a power cut could take a new folder, with all that was synced inside. */
async function syncParent(folder: string): Promise<void> {
  try {
    await syncFolder(path.dirname(folder));
  } catch (error) {
    // One may be allowed to make entries in a folder that one may not read.
    if (errno(error) !== 'EACCES') throw error;
  }
}

/** Makes a folder's entries durable. Windows has no such call, and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (isWindows) return;
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the entry of a new file durable at once: for what is written within a transaction of the ledger. */
export function syncFolderNow(file: string): void {
  if (isWindows) return;
  const fd = openSync(path.dirname(file), constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a file whole and durably: a reader sees the old content or the new, also after a power cut. */
export async function writeAtomic(
  file: string,
  content: string | Buffer,
  modes: FileModes = PRIVATE_MODES,
): Promise<void> {
  const folder = path.dirname(file);
  const draft = path.join(folder, `.${path.basename(file)}.${randomBytes(4).toString('hex')}`);
  try {
    await writeDurable(draft, content, modes);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Writes a new file and its content to disk; the folder's entry is the caller's to sync. */
export async function writeDurable(
  file: string,
  content: string | Buffer,
  modes: FileModes = PRIVATE_MODES,
): Promise<void> {
  const handle = await open(file, 'w', modes.file);
  try {
    if (!isWindows) await handle.chmod(modes.file);
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const RENAME_TRIES = 20;
const RENAME_WAIT_MS = 250;

/** rename(2); on Windows tried again for five seconds, since virus scanners hold files open for a moment. */
export async function renameFirmly(from: string, to: string, clock: Clock): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await rename(from, to);
      return;
    } catch (error) {
      const held = ['EPERM', 'EBUSY', 'EACCES'].includes(errno(error) ?? '');
      if (!isWindows || !held || tries === RENAME_TRIES) throw error;
      await clock.sleep(RENAME_WAIT_MS);
    }
  }
}

/** A hard link, or a copy where the file system has none. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!['EPERM', 'EXDEV', 'ENOTSUP', 'EMLINK', 'ENOSYS', 'EOPNOTSUPP'].includes(errno(error) ?? '')) {
      throw error;
    }
    await copyWhole(from, to);
  }
}

/** Copies under another name first: half a copy, after a crash or on a full disk, would pass for the file. */
async function copyWhole(from: string, to: string): Promise<void> {
  const draft = `${to}.copying`;
  try {
    await rm(draft, { force: true });
    await copyFile(from, draft, constants.COPYFILE_EXCL);
    const handle = await open(draft, 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (await exists(to)) throw Object.assign(new Error('file already exists'), { code: 'EEXIST' });
    await rename(draft, to);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Bytes that this user may still write on the disk of `folder` (or of its nearest parent that exists). */
export async function freeBytes(folder: string): Promise<number> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if (errno(error) !== 'ENOENT' || path.dirname(at) === at) throw error;
    }
  }
}

/** A file's text; undefined where no file is named, or it is not there. Throws PATH_UNUSABLE. */
export async function readIfThere(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined;
    throw asFileError(error, file);
  }
}

/** Whether a path exists; any other trouble than its absence is thrown. */
export async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/** statfs(2) magic numbers of network file systems, where SQLite's locks cannot be trusted. Source: linux/magic.h */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x517b, 'SMB'],
  [0x65735546, 'FUSE'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x01021997, '9P'],
]);

/** The kind of network file system that `folder` (or its nearest parent that exists) lies on, if any. */
export async function networkFileSystem(folder: string): Promise<string | undefined> {
  if (isWindows) return /^(\\\\|\/\/)/.test(folder) ? 'a network share' : undefined;
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      const { type } = await statfs(at);
      return NETWORK_FILE_SYSTEMS.get(Number(BigInt.asUintN(32, BigInt(type))));
    } catch (error) {
      if (errno(error) !== 'ENOENT' || path.dirname(at) === at) throw error;
    }
  }
}

/** Throws PATH_UNUSABLE unless files can really be made in `folder`, which is made when it is missing. */
export async function provePathWritable(folder: string, modes: FileModes = PRIVATE_MODES): Promise<void> {
  // Always the same, so that one which a crash left is taken away by the next.
  const probe = path.join(folder, '.probe');
  try {
    await ensureFolder(folder, modes);
    await writeDurable(probe, '');
    // Another process may have been quicker.
    await rm(probe, { force: true });
  } catch (error) {
    throw asFileError(error, folder);
  }
}

/**
 * Throws PATH_UNUSABLE where `folder` (or, as long as it is missing, its nearest parent) may not be written to by
 * this user. Makes nothing, and so cannot see a full disk.
 */
export async function lookPathWritable(folder: string): Promise<void> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      await access(at, constants.W_OK | constants.X_OK);
      return;
    } catch (error) {
      if (errno(error) !== 'ENOENT' || path.dirname(at) === at) throw asFileError(error, folder);
    }
  }
}

/**
 * Whether a file of `from` could be renamed into `to`. Changes nothing: Linux looks at the mounts (bind mounts too)
 * before it looks for the file, and so says EXDEV of one that is not there (do_renameat2, seen in Linux 6).
 */
export async function canRename(from: string, to: string): Promise<boolean> {
  const name = `.none-${randomBytes(4).toString('hex')}`;
  try {
    await rename(path.join(from, name), path.join(to, name));
  } catch (error) {
    return errno(error) !== 'EXDEV';
  }
  return true;
}

/** How many files and sockets this process may have open at once (`ulimit -n`); undefined where that is not told. */
export async function openFileLimit(): Promise<number | undefined> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, soft] = /^Max open files\s+(\d+)/m.exec(text) ?? [];
  return soft === undefined ? undefined : Number(soft);
}
