import { RoundsError } from '../errors.ts';
import { isJsonObject, parseJson, type JsonValue } from './jsonBytes.ts';
import type { RecordName } from './references.ts';

/** `.` and `..` are no ids; Epic's are longer than FHIR's 64 characters (M). */
const RECORD = /^([A-Z][A-Za-z]{0,63})\/((?!\.{1,2}$)[A-Za-z0-9._-]{1,255})$/;

/**
 * The records that one line of a `deleted` file names: a transaction Bundle whose entries are DELETE requests of
 * `Type/id` (Bulk Data Access 3.0.0, "Response - Output Manifest"). In the Bundle's order; one without entries names
 * none.
 * @throws RoundsError BULK_FILE_MALFORMED: anything else, also a single entry that asks for something else. To act on a
 * part of it would be to guess.
 */
export function deletionsIn(line: Buffer): readonly RecordName[] {
  const bundle = parsed(line);
  if (!isJsonObject(bundle) || bundle.resourceType !== 'Bundle' || bundle.type !== 'transaction') {
    throw malformed('is no transaction Bundle');
  }
  const entries = bundle.entry ?? [];
  if (!Array.isArray(entries)) throw malformed('has entries that are no list');
  return entries.map((entry: JsonValue) => {
    const request = isJsonObject(entry) ? entry.request : undefined;
    if (!isJsonObject(request) || request.method !== 'DELETE') {
      throw malformed('has an entry that is no DELETE');
    }
    const name = typeof request.url === 'string' ? RECORD.exec(request.url) : null;
    if (!name) throw malformed('deletes something else than one record by type and id');
    return { resourceType: name[1]!, resourceId: name[2]! };
  });
}

function parsed(line: Buffer): JsonValue {
  try {
    return parseJson(line);
  } catch {
    throw malformed('is no JSON');
  }
}

function malformed(how: string): RoundsError {
  return new RoundsError('BULK_FILE_MALFORMED', `a line of a file of deletions ${how}`);
}
