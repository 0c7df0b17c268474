import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { errno } from '../system/files.ts';
import { MANIFEST, type Manifest, type ManifestFile } from './manifest.ts';
import { filesBelow, measure } from './publish.ts';

export interface VerifyResult {
  readonly folder: string;
  readonly runId: string;
  readonly status: 'complete' | 'partial';
  readonly files: number;
  readonly resources: number;
  readonly bytes: number;
  /** What is wrong, a sentence each; empty when the folder is as it was published. */
  readonly damage: readonly string[];
}

/**
 * Holds a published folder against its manifest: every file there, none beside them, each with its size, lines and
 * sha256. Reads everything once; changes nothing. Throws VERIFY_DAMAGED when there is no readable manifest.
 */
export async function verifyFolder(folder: string): Promise<VerifyResult> {
  const manifest = await readManifest(folder);
  const { runId, status, files } = manifest.extension;
  const expected = [
    ...[...manifest.output, ...manifest.error, ...manifest.deleted].map((file) => ({
      url: file.url,
      lines: file.count,
      ...file.extension,
    })),
    ...files.map((file) => ({ ...file, lines: undefined })),
  ];
  const damage: string[] = [];
  let bytes = 0;
  const present = new Set(await filesBelow(folder));
  present.delete(MANIFEST);
  for (const file of expected) {
    if (!isInside(file.url)) {
      damage.push(`the manifest names a file outside its folder`);
      continue;
    }
    if (!present.delete(file.url)) {
      damage.push(`${file.url} is missing`);
      continue;
    }
    const found = await measure(path.join(folder, file.url));
    bytes += found.bytes;
    if (found.bytes !== file.bytes)
      damage.push(`${file.url} has ${found.bytes} bytes, ${file.bytes} were published`);
    else if (found.sha256 !== file.sha256) damage.push(`${file.url} was changed (its sha256 differs)`);
    else if (file.lines !== undefined && found.lines !== file.lines) {
      damage.push(`${file.url} has ${found.lines} lines, the manifest counts ${file.lines}`);
    }
  }
  for (const url of present) damage.push(`${url} was added`);
  const resources = manifest.output.reduce((sum, file) => sum + file.count, 0);
  return { folder, runId, status, files: expected.length, resources, bytes, damage };
}

export async function readManifest(folder: string): Promise<Manifest> {
  const file = path.join(folder, MANIFEST);
  try {
    const manifest: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (isManifest(manifest)) return { ...manifest, deleted: manifest.deleted ?? [] };
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') {
      throw new RoundsError('VERIFY_DAMAGED', `${folder} has no ${MANIFEST}`, {
        hint: 'Name the folder of one run: exports/<job>/<runId>.',
      });
    }
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new RoundsError('VERIFY_DAMAGED', `${file} is no manifest of fhir-rounds`);
}

/** Whether it has the shape that is read here; publish/manifest.schema.json says all of it. */
function isManifest(value: unknown): value is Manifest {
  const { output, error, deleted = [], extension } = (value ?? {}) as Partial<Manifest>;
  if (![output, error, deleted, extension?.files].every(Array.isArray)) return false;
  const listed = [...output!, ...error!, ...deleted] as readonly (Partial<ManifestFile> | null)[];
  const others = extension!.files as readonly (Partial<Manifest['extension']['files'][number]> | null)[];
  return (
    listed.every((file) => typeof file?.url === 'string' && typeof file.extension?.sha256 === 'string') &&
    others.every((file) => typeof file?.url === 'string' && typeof file.sha256 === 'string')
  );
}

/** Whether a URL of a manifest stays within its folder. */
export function isInside(url: string): boolean {
  return !path.isAbsolute(url) && !url.split(/[/\\]/).includes('..');
}
