import { createHash, randomBytes, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { RoundsError } from '../../errors.ts';
import { endOfText, nextToken, OPEN_OBJECT, scanOf } from '../../fhir/jsonScan.ts';
import { scanResource } from '../../fhir/resourceScan.ts';
import { partTimestamp } from '../../publish/layout.ts';
import { byteSize, count, oneLine } from '../../report/format.ts';
import { asFileError, ensureFolder, errno, syncFolder, writeDurable } from '../../system/files.ts';
import { chunksOf } from '../body.ts';
import { notFound } from '../exchange.ts';
import type { Site } from '../site.ts';
import { TYPE_NAME } from './typeName.ts';

/** An NDJSON file that somebody brought, kept as it came. */
export interface Upload {
  readonly uploadId: string;
  readonly folder: string;
  /** What the file was called: shown, and never a path. */
  readonly label: string;
  readonly atMs: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Resources by type. */
  readonly types: Readonly<Record<string, number>>;
  readonly badLines: number;
  /** The first of them. */
  readonly bad: readonly BadLine[];
}

export interface BadLine {
  /** From 1. */
  readonly line: number;
  /** Says nothing of what stands there. */
  readonly why: string;
}

export const UPLOAD_ID = /^upload-\d{8}T\d{6}Z-[0-9a-f]{4}$/;
export const UPLOAD_FILE = 'resources.ndjson';
const ABOUT = 'upload.json';

export const MAX_UPLOAD_BYTES = 2_000_000_000;
/** A line has to fit into memory. */
const MAX_LINE_BYTES = 32_000_000;
const BAD_LINES_NAMED = 50;
/** FHIR R4 has 148, and R5 157. Each is a table, whose index is written beside all others. */
const MOST_TYPES = 200;
const LABEL_CHARS = 100;
const CUT_AFTER_MS = 3_600_000;

export interface UploadLimits {
  readonly bytes: number;
  readonly lineBytes: number;
}

const LIMITS: UploadLimits = { bytes: MAX_UPLOAD_BYTES, lineBytes: MAX_LINE_BYTES };

function uploadsFolder(site: Site): string {
  return path.join(site.folder, 'uploads');
}

/**
 * Takes an NDJSON file in, line by line as it comes: what is no FHIR resource is counted and left out of the tables. Throws
 * CONSOLE_ASK_INVALID where it is too large or holds no resource at all, DISK_FULL; then nothing of it is kept.
 */
export async function receiveUpload(
  site: Site,
  name: string,
  body: Readable,
  signal: AbortSignal,
  limits = LIMITS,
): Promise<Upload> {
  const atMs = site.clock.now();
  const uploadId = `upload-${partTimestamp(atMs)}-${randomBytes(2).toString('hex')}`;
  const folder = path.join(uploadsFolder(site), uploadId);
  const draft = `${folder}.draft`;
  await ensureFolder(draft);
  try {
    const found = await store(path.join(draft, UPLOAD_FILE), body, signal, limits);
    if (Object.keys(found.types).length === 0) {
      throw new RoundsError('CONSOLE_ASK_INVALID', nothingIn(found), {
        hint: 'Upload NDJSON: one FHIR resource in JSON on each line.',
      });
    }
    const label = oneLine(name).slice(0, LABEL_CHARS) || 'unnamed';
    const about = { label, atMs, ...found };
    await writeDurable(path.join(draft, ABOUT), JSON.stringify(about));
    await rename(draft, folder);
    await syncFolder(uploadsFolder(site));
    return { uploadId, folder, ...about };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw errno(error) === 'ENOSPC' ? asFileError(error, uploadsFolder(site)) : error;
  }
}

function nothingIn({ bad, badLines }: Found): string {
  const [first] = bad;
  if (first === undefined) return 'the file is empty';
  const more = badLines > 1 ? `, and ${count(badLines - 1)} more like it` : '';
  return `no line of the file is a FHIR resource: line ${first.line} ${first.why}${more}`;
}

type Found = Pick<Upload, 'bytes' | 'sha256' | 'types' | 'badLines' | 'bad'>;

async function store(
  file: string,
  body: Readable,
  signal: AbortSignal,
  limits: UploadLimits,
): Promise<Found> {
  const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    const check = new LineCheck(limits.lineBytes);
    const hash = createHash('sha256');
    const bytes = await copy(body, handle, hash, check, signal, limits);
    check.end();
    await handle.sync();
    return {
      bytes,
      sha256: hash.digest('hex'),
      types: Object.fromEntries(check.types),
      badLines: check.badLines,
      bad: check.bad,
    };
  } finally {
    await handle.close();
  }
}

async function copy(
  body: Readable,
  handle: FileHandle,
  hash: Hash,
  check: LineCheck,
  signal: AbortSignal,
  limits: UploadLimits,
): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunksOf(body)) {
    signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes > limits.bytes) {
      throw new RoundsError('CONSOLE_ASK_INVALID', `the file is larger than ${byteSize(limits.bytes)}`, {
        hint: 'Split it at a line feed, and upload the parts.',
      });
    }
    hash.update(chunk);
    check.push(chunk);
    for (let from = 0; from < chunk.length;) from += (await handle.write(chunk, from)).bytesWritten;
  }
  return bytes;
}

/** Looks at each line as it comes: whether it is a resource, and of which type. */
class LineCheck {
  readonly types = new Map<string, number>();
  readonly bad: BadLine[] = [];
  badLines = 0;
  readonly #maxBytes: number;
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #line = 1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      this.#begin(chunk.subarray(from, end));
      this.end();
      this.#line++;
      from = end + 1;
    }
    this.#begin(chunk.subarray(from));
  }

  /** The line is over. */
  end(): void {
    const isTooLong = this.#begunBytes > this.#maxBytes;
    const line = this.#begun.length === 1 ? this.#begun[0]! : Buffer.concat(this.#begun);
    if (isTooLong) this.#refuse(`is longer than ${byteSize(this.#maxBytes)}`);
    else if (!isBlank(line)) this.#judge(line);
    this.#begun = [];
    this.#begunBytes = 0;
  }

  #begin(part: Buffer): void {
    if (part.length === 0) return;
    this.#begunBytes += part.length;
    if (this.#begunBytes > this.#maxBytes) this.#begun = [];
    else this.#begun.push(part);
  }

  #judge(line: Buffer): void {
    try {
      const scan = scanOf(line);
      const start = nextToken(scan, 0);
      if (scan.bytes[start] !== OPEN_OBJECT) return this.#refuse('is no JSON object');
      const { resourceType, end } = scanResource(scan, start, 0);
      endOfText(scan, end);
      if (resourceType === undefined) return this.#refuse('has no resourceType');
      if (!TYPE_NAME.test(resourceType)) return this.#refuse('has a resourceType that cannot be');
      const before = this.types.get(resourceType);
      if (before === undefined && this.types.size === MOST_TYPES) {
        return this.#refuse(`is of one more type than ${MOST_TYPES}`);
      }
      this.types.set(resourceType, (before ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof RoundsError)) throw error;
      this.#refuse(error.code === 'FHIR_MALFORMED' ? 'is nested too deep' : 'is not JSON in UTF-8');
    }
  }

  #refuse(why: string): void {
    this.badLines++;
    if (this.bad.length < BAD_LINES_NAMED) this.bad.push({ line: this.#line, why });
  }
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

/** Throws CONSOLE_NOT_FOUND. */
export async function findUpload(site: Site, uploadId: string): Promise<Upload> {
  if (!UPLOAD_ID.test(uploadId)) throw notFound('there is no such upload');
  const folder = path.join(uploadsFolder(site), uploadId);
  try {
    const about = JSON.parse(await readFile(path.join(folder, ABOUT), 'utf8')) as Omit<
      Upload,
      'uploadId' | 'folder'
    >;
    return { uploadId, folder, ...about };
  } catch (error) {
    if (errno(error) === 'ENOENT') throw notFound('there is no such upload', 'Somebody may have deleted it.');
    throw error;
  }
}

/** The newest first. */
export async function listUploads(site: Site): Promise<readonly Upload[]> {
  const names = await readdir(uploadsFolder(site)).catch(() => []);
  const ids = names
    .filter((name) => UPLOAD_ID.test(name))
    .toSorted()
    .toReversed();
  const found = await Promise.all(
    // One of them may be deleted meanwhile, or have been damaged: the others are no less there.
    ids.map((uploadId) => findUpload(site, uploadId).catch(() => undefined)),
  );
  return found.filter((one) => one !== undefined);
}

/** Throws CONSOLE_NOT_FOUND. What a crash leaves of it is deleted as what is left of a cut upload. */
export async function deleteUpload(site: Site, uploadId: string): Promise<void> {
  const { folder } = await findUpload(site, uploadId);
  const draft = `${folder}.draft`;
  await rename(folder, draft);
  await rm(draft, { recursive: true, force: true });
}

/** Deletes what a crash left of uploads: nobody has added to it for long. */
export async function forgetCutUploads(site: Site): Promise<void> {
  const names = await readdir(uploadsFolder(site)).catch(() => []);
  for (const name of names) {
    if (!name.endsWith('.draft')) continue;
    const draft = path.join(uploadsFolder(site), name);
    const found = await stat(path.join(draft, UPLOAD_FILE)).catch(() => undefined);
    const isOld = found === undefined || site.clock.now() - found.mtimeMs > CUT_AFTER_MS;
    if (isOld) await rm(draft, { recursive: true, force: true });
  }
}
