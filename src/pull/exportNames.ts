import path from 'node:path';
import type { ManifestFileEntry, ManifestPage } from '../fhir/bulkManifest.ts';
import type { ExportedFile, FileKind, ListedFile } from '../run/exportTally.ts';
import type { SnapshotSettings } from '../run/snapshot.ts';

/** Side files of an attempt, in staging; gone before it is published. */
const KEYS_FOLDER = '.keys';

export function keysFolderOf(staging: string): string {
  return path.join(staging, KEYS_FOLDER);
}

/** The keys of a file's lines (uniqueLines.ts). */
export function keysFileOf(staging: string, fileNo: number): string {
  return path.join(keysFolderOf(staging), String(fileNo));
}

/** A URL for the log: without its query, which may be what lets a stranger in, or name a patient. */
export function shownUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** Name pattern of files that are no data. */
const BESIDE_NAMES: Readonly<Record<Exclude<FileKind, 'output'>, string>> = {
  deleted: 'deleted/Bundle.ndjson',
  error: 'error/server.ndjson',
};

/** publish/layout.ts. */
export type PartName = (pattern: string, timestamp: string, resourceType: string, part: number) => string;

/** Files of any type are named by the base of all. */
const ANY_TYPE = 'Resource';

/**
 * The files of a manifest under the names that they are published by: one of ours for each of the server's, in its
 * order, numbered on from those of the exports before. A file that stands on several pages (`error` files do) is one.
 */
export function namedFiles(
  pages: readonly ManifestPage[],
  before: readonly ExportedFile[],
  { filePattern, timestamp }: SnapshotSettings,
  partName: PartName,
): readonly ListedFile[] {
  const counts = new Map<string, number>();
  const nextPart = (key: string): number => {
    const part = (counts.get(key) ?? 0) + 1;
    counts.set(key, part);
    return part;
  };
  for (const file of before) nextPart(keyOf(file.kind, file.type));
  const names = new Map<string, string>();
  const entries: ManifestFileEntry[] = [];
  for (const entry of pages.flatMap((page) => page.files)) {
    if (names.has(entry.url)) continue;
    const part = nextPart(keyOf(entry.kind, entry.resourceType));
    const pattern = entry.kind === 'output' ? filePattern : BESIDE_NAMES[entry.kind];
    names.set(entry.url, partName(pattern, timestamp, entry.resourceType ?? ANY_TYPE, part));
    entries.push(entry);
  }
  return entries.map(({ kind, resourceType, url, count, continuesInFile }) => {
    const continuesIn = continuesInFile === undefined ? undefined : names.get(continuesInFile);
    return {
      kind,
      name: names.get(url)!,
      url,
      ...(kind !== 'output' || resourceType === undefined ? {} : { type: resourceType }),
      ...(count === undefined ? {} : { count }),
      ...(continuesIn === undefined ? {} : { continuesIn }),
    };
  });
}

function keyOf(kind: FileKind, type: string | undefined): string {
  return kind === 'output' ? `output ${type ?? ANY_TYPE}` : kind;
}
