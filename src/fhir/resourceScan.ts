import {
  endOfKey,
  endOfValue,
  firstItem,
  firstMember,
  followingItem,
  followingMember,
  isKey,
  OPEN_LIST,
  OPEN_OBJECT,
  stringAt,
  valueOfKey,
  type JsonScan,
} from './jsonScan.ts';

/**
 * One walk over the bytes of a resource: it checks their JSON, and notes what the resource is and which other records it
 * names. Nothing is built of the rest, which is most of it: resources are pulled without becoming objects.
 */

/** A record as a resource's text names it: see references.ts for what becomes of it. */
export interface NamedText {
  readonly text: string;
  /** subject: the `reference` where the resource says whom it is about. url: of an attachment, or of an extension. */
  readonly as: 'subject' | 'reference' | 'url' | 'canonical';
}

/** What a resource says of itself and of others. */
export interface ScannedResource {
  readonly start: number;
  readonly end: number;
  readonly hasWhitespace: boolean;
  /** The last members of these names, as JSON.parse takes them; undefined where that is no string. */
  readonly resourceType: string | undefined;
  readonly resourceId: string | undefined;
  readonly named: readonly NamedText[];
}

/** What a member's name means here. Plain numbers: every key is looked up. */
const NOTHING = 0;
const REFERENCE = 1;
const URL_OF = 2;
const CANONICAL = 3;
const RESOURCE_TYPE = 4;
const ID = 5;
const SUBJECT = 6;
const PARTICIPANT = 7;
const ACTOR = 8;
/** Whom a resource is about, or who takes part. */
const INDIVIDUAL = 9;

const MEANINGS: ReadonlyMap<string, number> = new Map([
  ['reference', REFERENCE],
  ['url', URL_OF],
  ['questionnaire', CANONICAL],
  ['instantiatesCanonical', CANONICAL],
  ['resourceType', RESOURCE_TYPE],
  ['id', ID],
  ['subject', SUBJECT],
  ['patient', SUBJECT],
  ['beneficiary', SUBJECT],
  ['for', SUBJECT],
  ['participant', PARTICIPANT],
  ['actor', ACTOR],
  ['individual', INDIVIDUAL],
]);
/** The same by length: most keys differ in length or first letter. */
const BY_LENGTH: readonly (readonly { readonly name: Buffer; readonly meaning: number }[])[] = Array.from(
  { length: 1 + Math.max(...Array.from(MEANINGS.keys(), (name) => name.length)) },
  (_, length) =>
    Array.from(MEANINGS, ([name, meaning]) => ({ name: Buffer.from(name), meaning })).filter(
      ({ name }) => name.length === length,
    ),
);

function meaningOf(scan: JsonScan, start: number, end: number): number {
  if (scan.escapeAt > start) return MEANINGS.get(stringAt(scan, start, end)!) ?? NOTHING;
  const length = end - start - 2;
  if (length >= BY_LENGTH.length) return NOTHING;
  for (const { name, meaning } of BY_LENGTH[length]!) if (isKey(scan, start, end, name)) return meaning;
  return NOTHING;
}

/** What a value is to the resource. */
const ANYTHING = 0;
const ITSELF = 1;
/** A Reference to whom it is about, or a list of them. */
const ABOUT = 2;
/** Who takes part: each of these has its ABOUT in `actor` or `individual`. */
const TAKING_PART = 3;
const CANONICALS = 4;

/** What the value of a member is, by what the object around it is. */
function roleIn(role: number, meaning: number): number {
  if (meaning === CANONICAL) return CANONICALS;
  if (role === ITSELF) {
    if (meaning === SUBJECT || meaning === INDIVIDUAL) return ABOUT;
    return meaning === PARTICIPANT ? TAKING_PART : ANYTHING;
  }
  return role === TAKING_PART && (meaning === ACTOR || meaning === INDIVIDUAL) ? ABOUT : ANYTHING;
}

interface Found {
  resourceType: string | undefined;
  resourceId: string | undefined;
  readonly named: NamedText[];
}

/**
 * Walks the resource (an object) at `start`. `depth`: how many arrays and objects are around it.
 * Throws FHIR_NOT_JSON, FHIR_MALFORMED as jsonScan.ts says.
 */
export function scanResource(scan: JsonScan, start: number, depth: number): ScannedResource {
  const found: Found = { resourceType: undefined, resourceId: undefined, named: [] };
  const end = walkObject(scan, start, depth, ITSELF, found);
  const { resourceType, resourceId, named } = found;
  return { start, end, hasWhitespace: scan.whitespaceAt >= start, resourceType, resourceId, named };
}

function walkObject(scan: JsonScan, start: number, depth: number, role: number, found: Found): number {
  let next = firstMember(scan, start, depth);
  while (next >= 0) {
    const keyEnd = endOfKey(scan, next);
    const meaning = meaningOf(scan, next, keyEnd);
    const at = valueOfKey(scan, keyEnd);
    const end = walk(scan, at, depth + 1, roleIn(role, meaning), found);
    if (meaning === REFERENCE) note(scan, at, end, role === ABOUT ? 'subject' : 'reference', found);
    else if (meaning === URL_OF) note(scan, at, end, 'url', found);
    else if (role === ITSELF && meaning === RESOURCE_TYPE) found.resourceType = stringAt(scan, at, end);
    else if (role === ITSELF && meaning === ID) found.resourceId = stringAt(scan, at, end);
    next = followingMember(scan, end);
  }
  return -next;
}

function walk(scan: JsonScan, at: number, depth: number, role: number, found: Found): number {
  const byte = scan.bytes[at];
  if (byte === OPEN_OBJECT) return walkObject(scan, at, depth, role, found);
  if (byte === OPEN_LIST) {
    let next = firstItem(scan, at, depth);
    while (next >= 0) next = followingItem(scan, walk(scan, next, depth + 1, role, found));
    return -next;
  }
  const end = endOfValue(scan, at, depth);
  if (role === CANONICALS) note(scan, at, end, 'canonical', found);
  return end;
}

function note(scan: JsonScan, at: number, end: number, as: NamedText['as'], found: Found): void {
  const text = stringAt(scan, at, end);
  if (text !== undefined) found.named.push({ text, as });
}
