import { createHash } from 'node:crypto';
import { open, opendir, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { attachmentsIn, TYPES_WITH_ATTACHMENTS, unitOf, type AttachmentPlace } from '../fhir/attachments.ts';
import type { JsonObject } from '../fhir/jsonBytes.ts';
import { createUrlPolicy } from '../fhir/urlPolicy.ts';
import { readLines } from '../ndjson/reader.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow, SharedRow, StoredContent } from '../run/ledgerRows.ts';
import { ATTACHMENT } from '../run/plan.ts';
import type { Clock } from '../system/clock.ts';
import {
  asFileError,
  errno,
  exists,
  isWindows,
  renameFirmly,
  syncFolder,
  writeAtomic,
  type FileModes,
} from '../system/files.ts';

/** Where a run's attachments lie while it is not published. The two folders are on one file system. */
export interface AttachmentFolders {
  /** Files by their hash, as they arrive. What a crash left here beside the ledger is never published. */
  readonly arriving: string;
  /** What the index names, and nothing else: it is published. */
  readonly kept: string;
  /** `attachments.ndjson` */
  readonly index: string;
  readonly modes: FileModes;
}

/** An NDJSON file that is written to its end. */
export interface AttachmentSource {
  readonly resourceType: string;
  readonly file: string;
}

/** A place, and the name of its content in the ledger. */
export interface FoundPlace {
  readonly place: AttachmentPlace;
  readonly unit: string;
}

export interface KeptAttachments {
  readonly files: number;
  readonly bytes: number;
}

/** Every attachment of these files, line by line, Binaries first; files of other types are not read. */
export async function* placesIn(
  sources: readonly AttachmentSource[],
  fhirBase: string,
  signal: AbortSignal,
): AsyncGenerator<FoundPlace, void, undefined> {
  const urlPolicy = createUrlPolicy({ fhirBase });
  for (const type of TYPES_WITH_ATTACHMENTS) {
    for (const { file } of sources.filter(({ resourceType }) => resourceType === type)) {
      for await (const line of readLines(file)) {
        signal.throwIfAborted();
        const resource = JSON.parse(line.toString('utf8')) as JsonObject;
        for (const place of attachmentsIn(resource)) yield { place, unit: unitOf(place, urlPolicy) };
      }
    }
  }
}

/** What the ledger knows of an attachment. */
export function attachmentRow(ledger: Ledger, run: RunRow, unit: string): SharedRow | undefined {
  return ledger.pulls.sharedRow(run.runNo, ATTACHMENT, unit);
}

/** Writes a content under its hash, durably, unless it is there already; returns the hash. */
export async function storeContent(
  bytes: Buffer,
  { arriving, kept, modes }: AttachmentFolders,
): Promise<string> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = path.join(arriving, sha256);
  try {
    if (await exists(path.join(kept, sha256))) return sha256;
    // One that came from elsewhere at the same moment may not be durable yet.
    if (await exists(file)) await syncFolder(arriving);
    else await writeAtomic(file, bytes, modes);
    return sha256;
  } catch (error) {
    throw asFileError(error, 'an attachment');
  }
}

export interface IndexOptions {
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly sources: readonly AttachmentSource[];
  readonly folders: AttachmentFolders;
  readonly fhirBase: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Writes the index, a line for each place whose content was downloaded, and moves these contents to `kept`; both are
 * durable when it returns. May be repeated after a crash at any point: the index is made anew from data and ledger.
 *
 * Throws RUN_NOT_RESUMABLE when a content that was committed is not there whole, DISK_FULL, PATH_UNUSABLE.
 */
export async function writeIndex(options: IndexOptions): Promise<KeptAttachments> {
  const { ledger, run, sources, folders, fhirBase, clock, signal } = options;
  try {
    const handle = await open(folders.index, 'w', folders.modes.file);
    try {
      if (!isWindows) await handle.chmod(folders.modes.file);
      let block = '';
      for await (const { place, unit } of placesIn(sources, fhirBase, signal)) {
        const content = attachmentRow(ledger, run, unit)?.content;
        if (content === undefined) continue;
        await settle(content, folders, clock);
        block += indexLine(place, content, folders);
        if (block.length > 1 << 16) block = await put(block, handle);
      }
      await put(block, handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await syncFolder(folders.kept);
    return await countFiles(folders.kept);
  } catch (error) {
    throw asFileError(error, path.basename(folders.index));
  }
}

async function put(block: string, handle: FileHandle): Promise<''> {
  await handle.writeFile(block);
  return '';
}

function indexLine(place: AttachmentPlace, content: StoredContent, { kept }: AttachmentFolders): string {
  const line = {
    resource: place.resource,
    place: place.place,
    path: `${path.basename(kept)}/${content.sha256}`,
    contentType: place.contentType ?? content.contentType,
    bytes: content.bytes,
    url: place.url,
  };
  return `${JSON.stringify(line)}\n`;
}

/** Moves a content to where it is published, unless an earlier line or attempt did. */
async function settle(
  { sha256, bytes }: StoredContent,
  { arriving, kept }: AttachmentFolders,
  clock: Clock,
): Promise<void> {
  const file = path.join(kept, sha256);
  try {
    await renameFirmly(path.join(arriving, sha256), file, clock).catch((error: unknown) => {
      if (errno(error) !== 'ENOENT') throw error;
    });
    if ((await stat(file)).size === bytes) return;
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error;
  }
  throw new RoundsError(
    'RUN_NOT_RESUMABLE',
    'an attachment of the unfinished run is not there as it was committed',
  );
}

async function countFiles(folder: string): Promise<KeptAttachments> {
  let files = 0;
  let bytes = 0;
  for await (const { name } of await opendir(folder)) {
    files++;
    bytes += (await stat(path.join(folder, name))).size;
  }
  return { files, bytes };
}
