import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

/**
 * The sample Bundles as one reads them without any of this project's code: what a perfect export of them would hold.
 * Texts are latin1 strings, a character a byte.
 */

/** Folder of the sample Bundles; undefined where they are not at hand. */
export function sampleBundles(): string | undefined {
  const beside = path.resolve(import.meta.dirname, '../../../shared/fhir-data');
  const folder = path.join(process.env['FHIR_ROUNDS_SAMPLE_DATA'] ?? beside, 'spezi-synthea-us-core');
  return existsSync(folder) ? folder : undefined;
}

export interface SourceResource {
  readonly resourceType: string;
  readonly id: string;
  /** One line: the file's bytes without white space between tokens, `urn:uuid:X` references as `Type/X`. */
  readonly text: string;
}

export async function readSourceBundles(folder: string): Promise<readonly SourceResource[]> {
  const resources: SourceResource[] = [];
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.json.gz')) continue;
    const source = gunzipSync(await readFile(path.join(folder, name))).toString('latin1');
    const found = resourcesIn(source);
    const types = new Map(found.map(({ resourceType, id }) => [id, resourceType]));
    for (const { text, ...head } of found) {
      const replaced = text.replace(
        /"reference":"urn:uuid:([^"\\]+)"/g,
        (_, id: string) => `"reference":"${types.get(id)}/${id}"`,
      );
      resources.push({ ...head, text: replaced });
    }
  }
  return resources;
}

/** Strings, punctuation, and everything else (numbers, true, false, null) as it is written. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/g;

/** The members named `resource` of a Bundle's entries: depth 4 (Bundle, entry list, entry, resource). */
function resourcesIn(source: string): SourceResource[] {
  const resources: SourceResource[] = [];
  let depth = 0;
  let before = '';
  let key = '';
  let tokens: string[] | undefined;
  for (const [token] of source.matchAll(TOKEN)) {
    if (token === ':' && depth === 3) key = before;
    if (token === '{' || token === '[') {
      if (depth === 3 && token === '{' && key === '"resource"') tokens = [];
      depth++;
    }
    tokens?.push(token);
    if (token === '}' || token === ']') {
      depth--;
      if (depth === 3 && tokens !== undefined) {
        const text = tokens.join('');
        const { resourceType, id } = JSON.parse(text) as SourceResource;
        resources.push({ resourceType, id, text });
        tokens = undefined;
      }
    }
    before = token;
  }
  return resources;
}

/** How many numbers of a JSON text end in a zero after their point: what a parse and a print would lose. */
export function trailingZeros(text: string): number {
  return [...text.matchAll(TOKEN)].filter(([token]) => /^-?\d+\.\d*0$/.test(token)).length;
}
