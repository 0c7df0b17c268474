import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Test support: folder of synthetic patients as gzipped transaction Bundles; `undefined` where there is none. */
export const sampleFolder = [
  process.env['FHIR_ROUNDS_SAMPLE_DATA'],
  resolve(import.meta.dirname, '../../../shared/fhir-data'),
]
  .filter((path) => path !== undefined)
  .map((path) => join(path, 'spezi-synthea-us-core'))
  .find((path) => existsSync(path));

/** The Bundles' texts, dressed as searchsets by replacing the type's text alone. */
export function* sampleSearchsets(folder: string): Generator<string> {
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.json.gz')) continue;
    const text = gunzipSync(readFileSync(join(folder, name))).toString('utf8');
    yield text.replace('"type": "transaction"', '"type": "searchset"');
  }
}
