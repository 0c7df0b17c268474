import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { resourceTexts, sha256, type Parsed } from '../sandbox/support/client.ts';

/** Real-looking data, where this machine has it: FHIR_ROUNDS_SAMPLE_DATA names the folder, or it lies beside the checkout. */
const repository = resolve(import.meta.dirname, '../..');
const sample = process.env['FHIR_ROUNDS_SAMPLE_DATA'] ?? resolve(repository, '../shared/fhir-data');
/** A folder of Synthea's transaction Bundles, one patient each, gzipped; undefined where there is none. */
export const synthea = [join(sample, 'spezi-synthea-us-core'), sample].find(
  (folder) => existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json.gz')),
);

export interface SampleLine {
  readonly type: string;
  readonly id: string;
  readonly sha256: string;
  readonly patientId: string;
}

/** The lines of each file, its transaction's references resolved: one patient a file. */
function linesOfFile(path: string): SampleLine[] {
  const text = gunzipSync(readFileSync(path)).toString('utf8');
  const { entry }: Parsed = JSON.parse(text);
  const targets = new Map<string, string>();
  for (const { fullUrl, resource } of entry) targets.set(fullUrl, `${resource.resourceType}/${resource.id}`);
  const patientId = entry.find(({ resource }: Parsed) => resource.resourceType === 'Patient').resource.id;
  return resourceTexts(text).map((resource, index) => {
    const line = resource.replace(/"reference":"(urn:uuid:[^"]+)"/g, (all, urn: string) =>
      targets.has(urn) ? `"reference":"${targets.get(urn)}"` : all,
    );
    const { resourceType: type, id } = entry[index].resource;
    return { type, id, sha256: sha256(line), patientId };
  });
}

/** All resources of the sample, each type and id once, by this file's own reading of the Bundles. */
export function sampleLines(folder: string): readonly SampleLine[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.json.gz'));
  return files.toSorted().flatMap((name) => linesOfFile(join(folder, name)));
}

export function onceEach(lines: readonly SampleLine[]): readonly SampleLine[] {
  return [...new Map(lines.map((line) => [`${line.type}/${line.id}`, line])).values()];
}
