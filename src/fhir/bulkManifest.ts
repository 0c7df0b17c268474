import { RoundsError } from '../errors.ts';
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from './jsonBytes.ts';

/** The manifest of an export (Bulk Data Access 2.0.0 and 3.0.0, "Response - Output Manifest"), one page of it. */

export interface ManifestFileEntry {
  /** `error` holds OperationOutcomes, under whichever of its names (`outcome` in the drafts of 4.0). */
  readonly kind: 'output' | 'deleted' | 'error';
  /** Of its lines; `undefined` only where the output is organised by the instances of a type. */
  readonly resourceType: string | undefined;
  /** Absolute, and not yet judged by the URL policy. */
  readonly url: string;
  /** Of its lines, by the server's word. */
  readonly count: number | undefined;
  /** URL of the file where the last block goes on. */
  readonly continuesInFile: string | undefined;
}

export interface ManifestPage {
  /** An instant, as it was written. */
  readonly transactionTime: string;
  readonly requiresAccessToken: boolean;
  /** Each URL once: `output`, then `deleted`, then `error`, each in the server's order. */
  readonly files: readonly ManifestFileEntry[];
  /** Absolute URL of the next page, not yet judged by the policy; pages may run in a circle. */
  readonly next: string | undefined;
  /** `outputOrganizedBy`, a resource type. */
  readonly organizedBy: string | undefined;
  /** What was passed over, in words of ours. */
  readonly notes: readonly string[];
}

type Kind = ManifestFileEntry['kind'];

const LISTS: readonly (readonly [member: string, kind: Kind])[] = [
  ['output', 'output'],
  ['deleted', 'deleted'],
  ['error', 'error'],
  ['outcome', 'error'],
];
/** Of the lines of the files that are not output, whatever their entries say. */
const FIXED_TYPES = { deleted: 'Bundle', error: 'OperationOutcome' } as const;
/** The shape of a type's name, so that types of later versions pass and a path never does. */
const TYPE_NAME = /^[A-Z][A-Za-z]{0,63}$/;
/** FHIR R4, 2.24.0.1: instant. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** What is counted on the way, and said once for the whole page. */
const REMARKS = {
  repeated: 'listed more than once, and taken once',
  count: 'with a count that is no number of lines, and is not compared',
  type: 'of deletions or errors with another type than theirs, which is passed over',
} as const;

/**
 * Reads one page of a manifest. Members that the standard does not know are passed over; arrays that are missing or
 * null are empty. `requiresAccessToken` may be a string (Epic says `"true"`, H). Where it is missing, it is true: the
 * standard demands it, and allows false only for files that something else than the token protects, so false has to be
 * said. The URL policy still sends the token to allowed origins only.
 * @param from the URL that the page came from; relative URLs are resolved against it
 * @throws RoundsError BULK_MANIFEST_INVALID: no JSON object or an OperationOutcome; no transactionTime that is an instant;
 * a member of the wrong kind; an entry without a URL, or without a type where the output is not organised by one; one
 * URL listed as two different things.
 */
export function readManifestPage(body: Buffer, from: string): ManifestPage {
  const manifest = parsed(body);
  const { transactionTime } = manifest;
  if (typeof transactionTime !== 'string' || !isInstant(transactionTime)) {
    throw invalid('has no transactionTime that is an instant');
  }
  const organizedBy = organizedByIn(manifest);
  const remarks = { repeated: 0, count: 0, type: 0 };
  const files = new Map<string, ManifestFileEntry>();
  for (const [member, kind] of LISTS) {
    for (const entry of entriesIn(manifest, member)) {
      const file = fileOf(entry, kind, from, organizedBy, remarks);
      const known = files.get(file.url);
      if (known === undefined) files.set(file.url, file);
      else if (known.kind !== kind || known.resourceType !== file.resourceType) {
        throw invalid('lists one file as two different things');
      } else remarks.repeated++;
    }
  }
  const notes = (Object.keys(REMARKS) as (keyof typeof REMARKS)[]).flatMap((remark) =>
    remarks[remark] === 0 ? [] : [`files ${REMARKS[remark]}: ${remarks[remark]}`],
  );
  return {
    transactionTime,
    requiresAccessToken: flagIn(manifest),
    files: [...files.values()],
    next: nextIn(manifest, from),
    organizedBy,
    notes,
  };
}

function parsed(body: Buffer): JsonObject {
  let value: JsonValue;
  try {
    value = parseJson(body);
  } catch {
    throw invalid('is no JSON');
  }
  if (!isJsonObject(value) || value.resourceType === 'OperationOutcome') throw invalid('is something else');
  return value;
}

function fileOf(
  entry: JsonObject,
  kind: Kind,
  from: string,
  organizedBy: string | undefined,
  remarks: Record<keyof typeof REMARKS, number>,
): ManifestFileEntry {
  const count = countIn(entry);
  if (count === undefined && (entry.count ?? undefined) !== undefined) remarks.count++;
  const continues = entry.continuesInFile ?? undefined;
  const written = entry.type ?? undefined;
  if (written !== undefined && (typeof written !== 'string' || !TYPE_NAME.test(written))) {
    throw invalid('has a file whose type is no name of a type');
  }
  if (written === undefined && kind === 'output' && organizedBy === undefined) {
    throw invalid('has a file without a type');
  }
  const fixed = kind === 'output' ? undefined : FIXED_TYPES[kind];
  if (fixed !== undefined && written !== undefined && written !== fixed) remarks.type++;
  return {
    kind,
    resourceType: fixed ?? written,
    url: absolute(entry.url, from),
    count,
    continuesInFile: continues === undefined ? undefined : absolute(continues, from),
  };
}

/** A whole number, or one in a string; `undefined` for anything else. */
function countIn({ count }: JsonObject): number | undefined {
  const number = typeof count === 'string' && /^\d{1,15}$/.test(count) ? Number(count) : count;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function flagIn({ requiresAccessToken: flag }: JsonObject): boolean {
  if (flag === undefined || flag === null) return true;
  if (typeof flag === 'boolean') return flag;
  const word = typeof flag === 'string' ? flag.toLowerCase() : '';
  if (word === 'true' || word === 'false') return word === 'true';
  throw invalid('has a requiresAccessToken that is neither true nor false');
}

function organizedByIn({ outputOrganizedBy: type }: JsonObject): string | undefined {
  if (type === undefined || type === null || type === '') return undefined;
  if (typeof type === 'string' && TYPE_NAME.test(type)) return type;
  throw invalid('has an outputOrganizedBy that is no name of a type');
}

/** Links of other relations are passed over. */
function nextIn(manifest: JsonObject, from: string): string | undefined {
  const next = entriesIn(manifest, 'link').find(({ relation }) => relation === 'next');
  return next && absolute(next.url, from);
}

function entriesIn(manifest: JsonObject, member: string): readonly JsonObject[] {
  const list = manifest[member] ?? [];
  if (!Array.isArray(list) || !list.every(isJsonObject)) throw invalid(`has a ${member} that is no list`);
  return list;
}

function absolute(url: JsonValue | undefined, from: string): string {
  if (typeof url !== 'string' || url === '') throw invalid('has an entry without a URL');
  try {
    const target = new URL(url, from);
    // Not sent, so two URLs that differ here are one.
    target.hash = '';
    return target.href;
  } catch {
    throw invalid('has a URL that cannot be read');
  }
}

function isInstant(text: string): boolean {
  return INSTANT.test(text) && !Number.isNaN(Date.parse(text));
}

function invalid(how: string): RoundsError {
  return new RoundsError('BULK_MANIFEST_INVALID', `the manifest of the export ${how}`);
}
