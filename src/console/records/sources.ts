import { existsSync } from 'node:fs';
import path from 'node:path';
import { RUN_ID } from '../../publish/layout.ts';
import type { Manifest } from '../../publish/manifest.ts';
import { readManifest } from '../../publish/verify.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { folderOf } from '../../views/chooseRun.ts';
import { notFound } from '../exchange.ts';
import type { Site } from '../site.ts';
import type { IndexedFile } from './indexFormat.ts';
import { TYPE_NAME } from './typeName.ts';
import { findUpload, UPLOAD_FILE, UPLOAD_ID } from './uploads.ts';

/** What is shown as tables: a published run, or a file that was uploaded. */
export interface Source {
  /** A run's id, or an upload's: as it stands in addresses. */
  readonly sourceId: string;
  readonly kind: 'run' | 'upload';
  /** What people call it. */
  readonly label: string;
  readonly folder: string;
  /** FHIR base by which absolute references are made out; empty where it is not known. */
  readonly base: string;
  readonly tables: ReadonlyMap<string, SourceTable>;
}

export interface SourceTable {
  readonly resourceType: string;
  readonly files: readonly IndexedFile[];
  /** Resources, as counted when the files were written. */
  readonly count: number;
  /** Whether its files hold other types, too. */
  readonly isMixed: boolean;
}

/** Throws CONSOLE_NOT_FOUND, RUN_FOLDER_GONE, VERIFY_DAMAGED. */
export async function findSource(site: Site, sourceId: string): Promise<Source> {
  if (UPLOAD_ID.test(sourceId)) return uploadSource(site, sourceId);
  if (!RUN_ID.test(sourceId)) throw notFound('there is no such run or upload');
  const run = await site.read((ledger) => ledger?.findRun(sourceId));
  if (run === undefined) throw notFound(`there is no run ${sourceId}`);
  return runSource(run);
}

async function runSource(run: RunRow): Promise<Source> {
  const folder = folderOf(run);
  const manifest = await readManifest(folder);
  return {
    sourceId: run.runId,
    kind: 'run',
    label: `${run.jobName} ${run.runId}`,
    folder,
    base: baseOf(manifest),
    tables: tablesOf(folder, manifest),
  };
}

/** A bulk export's request is its kick-off. */
function baseOf({ request }: Manifest): string {
  return request.replace(/\/(?:Group\/[^/?]+\/|Patient\/)?\$export(?:\?.*)?$/, '');
}

function tablesOf(folder: string, { output, error, deleted }: Manifest): ReadonlyMap<string, SourceTable> {
  const tables = new Map<string, SourceTable>();
  for (const { type, url, count, extension } of [...output, ...error, ...deleted]) {
    const isInside = path.resolve(folder, url).startsWith(path.resolve(folder) + path.sep);
    if (!TYPE_NAME.test(type) || !isInside) continue;
    const before = tables.get(type);
    const file = { name: url, bytes: extension.bytes, sha256: extension.sha256 };
    tables.set(type, {
      resourceType: type,
      files: [...(before?.files ?? []), file],
      count: (before?.count ?? 0) + count,
      isMixed: false,
    });
  }
  return sortedByType(tables);
}

async function uploadSource(site: Site, uploadId: string): Promise<Source> {
  const { folder, label, bytes, sha256, types } = await findUpload(site, uploadId);
  const files = [{ name: UPLOAD_FILE, bytes, sha256 }];
  const isMixed = Object.keys(types).length > 1;
  const tables = Object.entries(types).map(
    ([resourceType, count]) => [resourceType, { resourceType, files, count, isMixed }] as const,
  );
  return {
    sourceId: uploadId,
    kind: 'upload',
    label,
    folder,
    base: '',
    tables: sortedByType(new Map(tables)),
  };
}

function sortedByType(tables: ReadonlyMap<string, SourceTable>): ReadonlyMap<string, SourceTable> {
  return new Map([...tables].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether a source's files are still there; for what was made of them. */
export async function isThere(site: Site, sourceId: string): Promise<boolean> {
  if (UPLOAD_ID.test(sourceId))
    return (await findUpload(site, sourceId).catch(() => undefined)) !== undefined;
  if (!RUN_ID.test(sourceId)) return false;
  const run = await site.read((ledger) => ledger?.findRun(sourceId));
  return run?.folder !== undefined && existsSync(run.folder);
}
