import { createHash, type Hash } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Deletion } from './changes.ts';
import type { KickoffRequest } from './kickoffRequest.ts';
import {
  selectedDeletions,
  selectedOutcomes,
  selectedResources,
  type SelectionContext,
} from './selection.ts';

/** A finished file of an export. */
export interface ExportFile {
  readonly kind: 'output' | 'deleted' | 'error';
  /** Of its lines; undefined where the output is organised by patient. */
  readonly type: string | undefined;
  readonly path: string;
  readonly bytes: number;
  readonly count: number;
  /** Strong, quotes included. */
  readonly etag: string;
  /** Number of the file in which the last patient's block goes on, from 1 in the order of the export. */
  readonly continuesIn: number | undefined;
}

interface OpenFile {
  readonly kind: ExportFile['kind'];
  readonly type: string | undefined;
  readonly path: string;
  readonly hash: Hash;
  waiting: Buffer[];
  waitingBytes: number;
  bytes: number;
  count: number;
  continuesIn: number | undefined;
}

const FLUSH_BYTES = 1024 * 1024;
const ENTRIES_PER_BUNDLE = 20;
const NEWLINE = Buffer.from('\n');

async function flush(file: OpenFile): Promise<void> {
  const block = Buffer.concat(file.waiting);
  file.waiting = [];
  file.waitingBytes = 0;
  file.hash.update(block);
  await appendFile(file.path, block);
}

/** The files of an export, in the order in which they were begun. */
function fileSet(folder: string, resourcesPerFile: number) {
  const files: OpenFile[] = [];
  const current = new Map<string, OpenFile>();

  function begin(kind: ExportFile['kind'], type: string | undefined, key: string): OpenFile {
    const file: OpenFile = {
      kind,
      type,
      path: join(folder, `${files.length + 1}.ndjson`),
      hash: createHash('sha256'),
      waiting: [],
      waitingBytes: 0,
      bytes: 0,
      count: 0,
      continuesIn: undefined,
    };
    files.push(file);
    current.set(key, file);
    return file;
  }
  const isFull = (file: OpenFile | undefined) => file !== undefined && file.count >= resourcesPerFile;

  async function write(file: OpenFile, text: Buffer): Promise<void> {
    file.waiting.push(text, NEWLINE);
    file.waitingBytes += text.length + 1;
    file.bytes += text.length + 1;
    file.count += 1;
    // A full one at once: of thousands of small files none is kept in memory.
    if (file.waitingBytes >= FLUSH_BYTES || isFull(file)) await flush(file);
  }

  return {
    async add(kind: ExportFile['kind'], type: string, text: Buffer): Promise<void> {
      const key = `${kind} ${type}`;
      const known = current.get(key);
      await write(known && !isFull(known) ? known : begin(kind, type, key), text);
    },
    /** A resource of a patient's block; each block opens with its header, also where it goes on in a next file. */
    async addToBlock(patientId: string, isNewBlock: boolean, text: Buffer): Promise<void> {
      const known = current.get('block');
      const needsFile = known === undefined || isFull(known);
      const file = needsFile ? begin('output', undefined, 'block') : known;
      if (known && needsFile && !isNewBlock) known.continuesIn = files.length;
      if (needsFile || isNewBlock) {
        const header = { name: 'header', valueReference: { reference: `Patient/${patientId}` } };
        await write(file, Buffer.from(JSON.stringify({ resourceType: 'Parameters', parameter: [header] })));
      }
      await write(file, text);
    },
    async finish(): Promise<readonly ExportFile[]> {
      for (const file of files) if (file.waiting.length > 0) await flush(file);
      return files.map(({ kind, type, path, bytes, count, continuesIn, hash }) => {
        const etag = `"${hash.digest('hex').slice(0, 32)}"`;
        return { kind, type, path, bytes, count, etag, continuesIn };
      });
    },
  };
}

/** Transaction Bundles of DELETE entries (3.0.0, "Deleted resource bundle"). */
function deletionBundles(deletions: readonly Deletion[]): readonly Buffer[] {
  const bundles: Buffer[] = [];
  for (let at = 0; at < deletions.length; at += ENTRIES_PER_BUNDLE) {
    const entry = deletions
      .slice(at, at + ENTRIES_PER_BUNDLE)
      .map(({ type, id }) => ({ request: { method: 'DELETE', url: `${type}/${id}` } }));
    bundles.push(Buffer.from(JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry })));
  }
  return bundles;
}

/**
 * Writes an export's files into a folder, in bounded memory. Lets other requests in between patients, and ends
 * early once `isCancelled` says so. Throws what the file system throws.
 */
export async function buildExportFiles(
  folder: string,
  resourcesPerFile: number,
  selection: SelectionContext,
  request: KickoffRequest,
  isCancelled: () => boolean,
): Promise<readonly ExportFile[]> {
  const set = fileSet(folder, resourcesPerFile);
  let turn: string | undefined;
  for (const { resource, text, patientId } of selectedResources(selection, request)) {
    const isNewTurn = patientId !== turn;
    turn = patientId;
    if (isNewTurn) await new Promise((resolve) => setImmediate(resolve));
    if (isCancelled()) break;
    if (!request.organizedByPatient) await set.add('output', resource.type, text);
    else if (patientId !== undefined) await set.addToBlock(patientId, isNewTurn, text);
  }
  for (const bundle of deletionBundles([...selectedDeletions(selection, request)])) {
    await set.add('deleted', 'Bundle', bundle);
  }
  for (const outcome of selectedOutcomes(selection, request)) {
    await set.add('error', 'OperationOutcome', outcome);
  }
  return set.finish();
}
