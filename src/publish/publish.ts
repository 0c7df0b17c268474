import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import type { FinishedPart } from '../ndjson/writer.ts';
import type { Clock } from '../system/clock.ts';
import {
  ensureFolder,
  errno,
  exists,
  isWindows,
  renameFirmly,
  syncFolder,
  writeAtomic,
  writeDurable,
  type FileModes,
} from '../system/files.ts';
import { hashInName, RUN_ID, type JobFolders } from './layout.ts';
import { MANIFEST, type Manifest, type ManifestFile } from './manifest.ts';

export const ERROR_FILE = 'error/OperationOutcome.ndjson';

export interface PublishOptions {
  readonly folders: JobFolders;
  readonly runId: string;
  readonly modes: FileModes;
  readonly clock: Clock;
}

/** Everything about a run's manifest but its files, which are taken from the folder. */
export type ManifestHead = Omit<Manifest, 'output' | 'error' | 'deleted' | 'extension'> & {
  readonly extension: Omit<Manifest['extension'], 'files'>;
};

/** What lies in staging, by what it is. */
export interface PublishedContent {
  readonly output: readonly FinishedPart[];
  readonly deleted: readonly FinishedPart[];
  /** The server's own OperationOutcomes. */
  readonly remarks: readonly FinishedPart[];
  /** Lines of ERROR_FILE. */
  readonly errors: number;
}

/**
 * Turns a run's staging folder into its published one: sizes checked against what was committed, every file
 * hashed and durable, the manifest last, then one rename. May be repeated after a crash at any point; a folder
 * that is published already is left as it is.
 *
 * Throws PUBLISH_MISMATCH when a file is not what was written.
 */
export async function publishRun(
  options: PublishOptions,
  content: PublishedContent,
  head: ManifestHead,
): Promise<string> {
  const { folders, runId, modes, clock } = options;
  const staging = path.join(folders.staging, runId);
  const folder = path.join(folders.job, runId);
  if (await exists(path.join(folder, MANIFEST))) return folder;
  const { output, deleted, remarks, errors } = content;
  const parts = [...output, ...deleted, ...remarks];
  for (const part of parts) await checkPart(staging, part);
  const known = new Set([...parts.map((part) => part.name), ERROR_FILE, MANIFEST]);
  const files = [];
  for (const url of await filesBelow(staging)) {
    if (!known.has(url)) files.push(await otherFile(staging, url));
  }
  const error: ManifestFile[] = [];
  if (errors > 0) {
    const { bytes, sha256 } = await fingerprint(path.join(staging, ERROR_FILE));
    error.push({
      type: 'OperationOutcome',
      url: ERROR_FILE,
      count: errors,
      extension: { bytes, sha256 },
    });
  }
  const { transactionTime, request, requiresAccessToken, outputOrganizedBy } = head;
  const manifest: Manifest = {
    transactionTime,
    request,
    requiresAccessToken,
    ...(outputOrganizedBy === undefined ? {} : { outputOrganizedBy }),
    output: output.map(manifestFile),
    deleted: deleted.map(manifestFile),
    error: [...error, ...remarks.map(manifestFile)],
    extension: { ...head.extension, files },
  };
  await writeDurable(path.join(staging, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, modes);
  if (errors > 0) await syncFolder(path.join(staging, 'error'));
  await syncFolder(staging);
  await renameFirmly(staging, folder, clock);
  await syncFolder(folders.staging);
  await syncFolder(folders.job);
  return folder;
}

function manifestFile(part: FinishedPart): ManifestFile {
  return {
    type: part.resourceType,
    url: part.name,
    count: part.count,
    ...(part.continuesIn === undefined ? {} : { continuesInFile: part.continuesIn }),
    extension: { bytes: part.bytes, sha256: part.sha256 },
  };
}

/** A file of the folder that holds no resources. An attachment's hash is its name, and was taken when it came. */
async function otherFile(staging: string, url: string): Promise<Manifest['extension']['files'][number]> {
  const file = path.join(staging, url);
  const sha256 = hashInName(url);
  return sha256 === undefined
    ? { url, ...(await fingerprint(file)) }
    : { url, bytes: (await stat(file)).size, sha256 };
}

async function checkPart(staging: string, part: FinishedPart): Promise<void> {
  const size = await stat(path.join(staging, part.name)).then(
    (found) => found.size,
    (error: unknown) => {
      if (errno(error) === 'ENOENT') return 'no';
      throw error;
    },
  );
  if (size !== part.bytes) {
    throw new RoundsError('PUBLISH_MISMATCH', `${part.name} has ${size} bytes, ${part.bytes} were written`);
  }
}

/** All files below a folder, by relative URL (with `/`), sorted. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .toSorted();
}

/** Size, lines and hash of a file, read once. */
export async function fingerprint(file: string): Promise<{ bytes: number; sha256: string }> {
  const { bytes, sha256 } = await measure(file);
  return { bytes, sha256 };
}

export async function measure(file: string): Promise<{ bytes: number; lines: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let lines = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
  }
  return { bytes, lines, sha256: hash.digest('hex') };
}

/** Copies a file into a folder that is not published yet, durably. */
export async function copyInto(from: string, to: string, modes: FileModes): Promise<void> {
  const content = await readFile(from);
  await writeDurable(to, content, modes);
}

/** What `current.json` says: the newest complete run. */
export interface Current {
  readonly runId: string;
  /** Relative to the job's folder. */
  readonly path: string;
  readonly status: 'complete';
}

export async function readCurrent(folders: JobFolders): Promise<Current | undefined> {
  try {
    const current = JSON.parse(await readFile(folders.currentFile, 'utf8')) as Partial<Current> | null;
    return RUN_ID.test(current?.runId ?? '') ? (current as Current) : undefined;
  } catch (error) {
    if (errno(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Points `current.json` (atomically) and the symlink `current`, where links are allowed, at a complete run. Run ids
 * sort by time: an older run never replaces a newer one.
 */
export async function moveCurrent(folders: JobFolders, runId: string, modes: FileModes): Promise<void> {
  const before = await readCurrent(folders);
  // By the second of the start: the hex digits behind it have no order, and of one second the later close is newer.
  if (before === undefined || startOf(before.runId) <= startOf(runId)) {
    const current: Current = { runId, path: runId, status: 'complete' };
    await writeAtomic(folders.currentFile, `${JSON.stringify(current)}\n`, modes);
  }
  await moveLink(folders, (await readCurrent(folders))?.runId ?? runId);
}

const startOf = (runId: string): string => runId.slice(0, runId.indexOf('-'));

async function moveLink(folders: JobFolders, runId: string): Promise<void> {
  const target = await readlink(folders.currentLink).catch(() => undefined);
  if (target === runId) return;
  const draft = `${folders.currentLink}.${runId}`;
  try {
    await rm(draft, { force: true });
    await symlink(runId, draft, 'dir');
    // rename(2) replaces the old link in one step; what is no link (a user's own folder) is left alone.
    if (target === undefined && (await exists(folders.currentLink))) await rm(draft);
    else {
      await rename(draft, folders.currentLink);
      await syncFolder(folders.job);
    }
  } catch (error) {
    await rm(draft, { force: true });
    const refused = ['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'].includes(
      errno(error) ?? '',
    );
    if (!isWindows && !refused) throw error;
  }
}

/** Makes a job's folders. Throws PATH_UNUSABLE where staging is a link: it is swept, and what lies behind is not ours. */
export async function ensureJobFolders(folders: JobFolders, modes: FileModes): Promise<void> {
  await ensureFolder(folders.job, modes);
  await ensureFolder(folders.staging);
  if ((await lstat(folders.staging)).isSymbolicLink()) {
    throw new RoundsError('PATH_UNUSABLE', `${folders.staging} is a link`, {
      hint: 'Remove the link: unpublished runs lie in the folder of their job.',
    });
  }
}

/** Drafts of `current.json` and of the link `current`, which a crash left beside them. */
const DRAFT = /^(\.current\.json\.[0-9a-f]{8}|current\.\d{8}T\d{6}Z-[0-9a-f]{4})$/;

/**
 * Removes staging folders that no open run owns (what is there without a ledger was never anybody's), and drafts.
 * The caller has the job's lock.
 */
export async function discardStaging(
  folders: JobFolders,
  keepRunId: string | undefined,
): Promise<readonly string[]> {
  const discarded: string[] = [];
  for (const name of await readdir(folders.staging)) {
    if (name === keepRunId) continue;
    await rm(path.join(folders.staging, name), { recursive: true, force: true });
    discarded.push(name);
  }
  for (const name of await readdir(folders.job)) {
    if (DRAFT.test(name)) await rm(path.join(folders.job, name), { force: true });
  }
  return discarded;
}
