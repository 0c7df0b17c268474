import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError, RoundsError } from '../errors.ts';
import { endOfText, nextToken, OPEN_OBJECT, scanOf } from '../fhir/jsonScan.ts';
import { scanResource } from '../fhir/resourceScan.ts';
import { readLines } from '../ndjson/reader.ts';
import type { ManifestFile } from '../publish/manifest.ts';
import { isInside, readManifest } from '../publish/verify.ts';
import { asFileError } from '../system/files.ts';
import { resourceOf, type Resource } from './resource.ts';

/** As an editor on Windows leaves them. */
const BLANK = /^[ \t\r]*$/;

/** Implements `readNdjson`: see there. */
export async function* readResources(
  place: string,
  type: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Resource, void, undefined> {
  const found = await stat(place).catch((error: unknown) => {
    throw asFileError(error, place);
  });
  if (!found.isDirectory()) {
    yield* ofType(readFile(place, undefined, signal), type);
    return;
  }
  const { output, outputOrganizedBy } = await readManifest(place);
  for (const file of output) {
    // Files that are organised by patient hold all types.
    if (type !== undefined && file.type !== type && outputOrganizedBy === undefined) continue;
    if (!isInside(file.url)) throw damaged(place, 'names a file outside its folder');
    yield* ofType(readFile(path.join(place, file.url), file, signal), type);
  }
}

async function* ofType(lines: AsyncIterable<Resource>, type: string | undefined): AsyncGenerator<Resource> {
  for await (const line of lines) if (type === undefined || line.type === type) yield line;
}

/** Every line of a file; at its end it is held against what the manifest says of it. */
async function* readFile(
  file: string,
  published: ManifestFile | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Resource> {
  const hash = published && createHash('sha256');
  let lineNumber = 0;
  for await (const line of linesOf(file)) {
    signal?.throwIfAborted();
    lineNumber++;
    hash?.update(line).update('\n');
    if (line[0]! <= 0x20 && BLANK.test(line.toString('latin1'))) continue;
    yield readLine(line, `line ${lineNumber}`, file);
  }
  if (published === undefined) return;
  if (lineNumber !== published.count) {
    throw damaged(file, `has ${lineNumber} lines, the manifest counts ${published.count}`);
  }
  if (hash?.digest('hex') !== published.extension.sha256)
    throw damaged(file, 'was changed (its sha256 differs)');
}

async function* linesOf(file: string): AsyncGenerator<Buffer> {
  try {
    yield* readLines(file);
  } catch (error) {
    throw asFileError(error, file);
  }
}

function readLine(line: Buffer, where: string, file: string): Resource {
  try {
    const scan = scanOf(line);
    const start = nextToken(scan, 0);
    if (scan.bytes[start] !== OPEN_OBJECT) throw damaged(file, `${where} is no JSON object`);
    const { end, resourceType, resourceId } = scanResource(scan, start, 0);
    endOfText(scan, end);
    if (resourceType === undefined) throw damaged(file, `${where} has no resourceType`);
    return resourceOf(resourceType, resourceId, scan.bytes.subarray(start, end));
  } catch (thrown) {
    const error = asRoundsError(thrown);
    if (error.code !== 'FHIR_NOT_JSON' && error.code !== 'FHIR_MALFORMED') throw thrown;
    throw damaged(file, `${where} is no JSON, or is cut off`);
  }
}

function damaged(place: string, what: string): RoundsError {
  return new RoundsError('VERIFY_DAMAGED', `${place}: ${what}`);
}
