import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { nameOf } from './administrative.ts';
import { draw } from './dice.ts';
import { GENERATED_TYPES, idCodec } from './ids.ts';

export interface RosterOptions {
  readonly path: string;
  readonly patients: number;
  readonly seed?: number;
  /** The second column: logical ids, or MRNs. */
  readonly column?: 'fhir_id' | 'mrn';
}

/**
 * Writes the roster CSV of a generated population (`name,fhir_id` or `name,mrn`), patient by patient, in the
 * memory of one line. An existing file is replaced.
 */
export async function writeRoster(options: RosterOptions): Promise<void> {
  const { patients, seed = 1, column = 'fhir_id' } = options;
  const ids = idCodec(seed);
  function* lines() {
    yield `name,${column}\n`;
    let text = '';
    for (let ordinal = 0; ordinal < patients; ordinal += 1) {
      const drawn = draw(seed, ordinal, GENERATED_TYPES.indexOf('Patient'), 0, 1);
      const { given, family } = nameOf(ordinal, drawn);
      const key = column === 'mrn' ? ids.mrn(ordinal) : ids.encode({ type: 'Patient', ordinal, n: 0 });
      text += `"${given} ${family}",${key}\n`;
      if (text.length > 65_536) {
        yield text;
        text = '';
      }
    }
    yield text;
  }
  await pipeline(Readable.from(lines()), createWriteStream(options.path));
}
