import { RoundsError } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './jsonBytes.ts';
import {
  copyCompact,
  eachMember,
  endOfKey,
  endOfText,
  endOfValue,
  firstItem,
  firstMember,
  followingItem,
  followingMember,
  isKey,
  nextToken,
  OPEN_LIST,
  OPEN_OBJECT,
  scanOf,
  stringAt,
  valueOfKey,
  type JsonScan,
} from './jsonScan.ts';
import { classifyIssues, failureOfIssues, issuesOf, type OperationOutcomeIssue } from './outcome.ts';
import { scanResource, type NamedText, type ScannedResource } from './resourceScan.ts';

/**
 * Pages of a search, and the exact bytes of the resources in them.
 *
 * JSON.parse turns 1.50 into 1.5 and loses digits, and builds much that nobody looks at, so no resource is parsed: one
 * walk over the bytes checks the JSON, finds where each resource begins and ends, and notes what decisions need of it.
 */

/** One resource and its exact bytes. */
export interface ExactResource {
  readonly resourceType: string;
  readonly resourceId: string;
  /** The server's bytes on one line, white space between tokens left out, no newline at the end. */
  readonly bytes: Buffer;
  /** The other records that it names, as it writes them. */
  readonly named: readonly NamedText[];
}

/** One entry of a searchset that is a resource (FHIR R4, Bundle.entry.search.mode; absent counts as match). */
export interface SearchsetEntry extends ExactResource {
  readonly mode: 'match' | 'include';
}

export interface SearchsetPage {
  readonly entries: readonly SearchsetEntry[];
  /** The next link, verbatim and not yet trusted (see urlPolicy). */
  readonly next: string | undefined;
  readonly total: number | undefined;
  /** Issues of all entries that are OperationOutcomes; these are never among `entries`. */
  readonly outcomes: readonly OperationOutcomeIssue[];
}

/** FHIR allows 64 characters; Epic's ids exceed that (M). */
const RESOURCE_ID = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$/;
const RESOURCE_TYPE = /^[A-Z][A-Za-z]{0,63}$/;

/** Whether `text` can be a logical id: 1 to 255 of `A-Z a-z 0-9 . _ -`. */
export function isResourceId(text: unknown): text is string {
  return typeof text === 'string' && RESOURCE_ID.test(text);
}

/**
 * Reads one page of a search. A lone OperationOutcome that says nothing but "none found" (4101) is an empty page.
 * Linear in the body's length. The body is not to be changed afterwards: resources may be parts of its memory.
 * @throws RoundsError FHIR_NOT_JSON: not JSON or not UTF-8 (a proxy's HTML page, a body cut short).
 * @throws RoundsError FHIR_MALFORMED: JSON, but no searchset, an entry without a resource, a resource without a type or
 * a valid id, a next link without a URL, nesting over 200. For any other lone OperationOutcome the failure that it stands
 * for.
 */
export function readSearchset(body: Buffer): SearchsetPage {
  const scan = scanOf(body);
  const bundle = scanBundle(scan);
  if (bundle.resourceType === 'OperationOutcome') return emptyPage(outcomeIn(scan, 0, scan.bytes.length));
  if (bundle.resourceType !== 'Bundle')
    throw malformed('the answer is a single resource where a searchset was expected');
  if (bundle.type !== 'searchset') throw malformed('the answer is a Bundle, but no searchset');
  if (bundle.entries === undefined) throw malformed('Bundle.entry is no array');

  const outcomes: OperationOutcomeIssue[] = [];
  const found: NamedResource[] = [];
  const modes: SearchsetEntry['mode'][] = [];
  bundle.entries.forEach(({ resource, mode }, index) => {
    const where = `entry ${index + 1}`;
    if (resource === undefined) throw malformed(`${where} has no resource`);
    if (mode === 'unknown') throw malformed(`${where} has an unknown search.mode`);
    if (resource.resourceType === 'OperationOutcome') {
      outcomes.push(...outcomeIn(scan, resource.start, resource.end));
      return;
    }
    // Leaving it out as an outcome could lose data, writing it as a match could add some.
    if (mode === 'outcome') throw malformed(`${where} is marked as an outcome and is none`);
    found.push(checked(resource, where));
    modes.push(mode);
  });
  const lines = linesOf(scan, found);
  const entries = found.map((resource, index) => ({
    mode: modes[index]!,
    resourceType: resource.resourceType,
    resourceId: resource.resourceId,
    bytes: lines[index]!,
    named: resource.named,
  }));
  return { entries, next: nextLinkOf(bundle.links), total: bundle.total, outcomes };
}

function emptyPage(issues: readonly OperationOutcomeIssue[]): SearchsetPage {
  const { empty, gap, transient } = classifyIssues(issues);
  if (!empty || gap || transient) throw transient ?? failureOfIssues(issues);
  return { entries: [], next: undefined, total: 0, outcomes: issues };
}

/**
 * Reads the answer to a read.
 * @throws RoundsError as `readSearchset` does; FHIR_MALFORMED for a Bundle; for an OperationOutcome the failure
 * that it stands for.
 */
export function readResource(body: Buffer): ExactResource {
  const scan = scanOf(body);
  const start = nextToken(scan, 0);
  if (scan.bytes[start] !== OPEN_OBJECT) throw notResource(scan, start);
  const resource = scanResource(scan, start, 0);
  endOfText(scan, resource.end);
  if (resource.resourceType === 'OperationOutcome')
    throw failureOfIssues(outcomeIn(scan, start, resource.end));
  if (resource.resourceType === 'Bundle')
    throw malformed('the answer is a Bundle where a single resource was expected');
  const { resourceType, resourceId, named } = checked(resource, 'the answer');
  const [bytes] = linesOf(scan, [resource]);
  return { resourceType, resourceId, bytes: bytes!, named };
}

/** What stands in a Bundle, as far as it was found in its place. */
interface ScannedBundle {
  resourceType: string | undefined;
  type: string | undefined;
  total: number | undefined;
  links: JsonValue | undefined;
  /** undefined where `entry` is no array. */
  entries: readonly ScannedEntry[] | undefined;
}

interface ScannedEntry {
  /** undefined where there is none. */
  readonly resource: ScannedResource | undefined;
  readonly mode: SearchsetEntry['mode'] | 'outcome' | 'unknown';
}

/** Walks the whole text; of members with one name the last counts, as with JSON.parse. */
function scanBundle(scan: JsonScan): ScannedBundle {
  const start = nextToken(scan, 0);
  if (scan.bytes[start] !== OPEN_OBJECT) throw notResource(scan, start);
  const bundle: ScannedBundle = {
    ...{ resourceType: undefined, type: undefined, total: undefined, links: undefined },
    entries: [],
  };
  const end = eachMember(scan, start, 0, (key, at) => {
    if (key === 'entry') return scanEntries(scan, at, bundle);
    const valueEnd = endOfValue(scan, at, 1);
    if (key === 'resourceType') bundle.resourceType = stringAt(scan, at, valueEnd);
    else if (key === 'type') bundle.type = stringAt(scan, at, valueEnd);
    else if (key === 'link') bundle.links = parsed(scan, at, valueEnd);
    else if (key === 'total') {
      const total = parsed(scan, at, valueEnd);
      bundle.total = typeof total === 'number' && Number.isInteger(total) ? total : undefined;
    }
    return valueEnd;
  });
  endOfText(scan, end);
  return bundle;
}

function scanEntries(scan: JsonScan, start: number, bundle: ScannedBundle): number {
  if (scan.bytes[start] !== OPEN_LIST) {
    bundle.entries = undefined;
    return endOfValue(scan, start, 1);
  }
  const entries: ScannedEntry[] = [];
  bundle.entries = entries;
  let next = firstItem(scan, start, 1);
  while (next >= 0) next = followingItem(scan, scanEntry(scan, next, entries));
  return -next;
}

const RESOURCE = Buffer.from('resource');
const SEARCH = Buffer.from('search');
/** As nearly all servers write it. */
const MATCH = Buffer.from('{"mode":"match"}');

function scanEntry(scan: JsonScan, start: number, entries: ScannedEntry[]): number {
  let resource: ScannedResource | undefined;
  let mode: ScannedEntry['mode'] = 'match';
  if (scan.bytes[start] !== OPEN_OBJECT) {
    entries.push({ resource, mode });
    return endOfValue(scan, start, 2);
  }
  let next = firstMember(scan, start, 2);
  while (next >= 0) {
    const keyEnd = endOfKey(scan, next);
    const isResource = isKey(scan, next, keyEnd, RESOURCE);
    const isSearch = !isResource && isKey(scan, next, keyEnd, SEARCH);
    const at = valueOfKey(scan, keyEnd);
    if (isResource) {
      resource = scan.bytes[at] === OPEN_OBJECT ? scanResource(scan, at, 3) : undefined;
    }
    const end = isResource && resource !== undefined ? resource.end : endOfValue(scan, at, 3);
    if (isSearch) mode = modeOf(scan, at, end);
    next = followingMember(scan, end);
  }
  entries.push({ resource, mode });
  return -next;
}

function modeOf(scan: JsonScan, start: number, end: number): ScannedEntry['mode'] {
  if (MATCH.compare(scan.bytes, start, end) === 0) return 'match';
  const search = parsed(scan, start, end);
  const mode = isJsonObject(search) ? search.mode : undefined;
  if (mode === undefined) return 'match';
  return mode === 'match' || mode === 'include' || mode === 'outcome' ? mode : 'unknown';
}

/** A next link that cannot be followed would end the search early and unseen, so it is an error. */
function nextLinkOf(links: JsonValue | undefined): string | undefined {
  if (links === undefined || links === null) return undefined;
  if (!isArray(links)) throw malformed('Bundle.link is no array');
  let next: string | undefined;
  for (const link of links) {
    if (!isJsonObject(link) || link.relation !== 'next') continue;
    if (typeof link.url !== 'string' || link.url === '') throw malformed('the next link has no URL');
    if (next !== undefined && next !== link.url) throw malformed('there are two next links');
    next = link.url;
  }
  return next;
}

type NamedResource = ScannedResource & Pick<ExactResource, 'resourceType' | 'resourceId'>;

/** The same resource, once its type and id are found good. */
function checked(resource: ScannedResource, where: string): NamedResource {
  const { resourceType, resourceId } = resource;
  if (resourceType === undefined || !RESOURCE_TYPE.test(resourceType)) {
    throw malformed(`${where} has no resourceType`);
  }
  if (!isResourceId(resourceId)) throw malformed(`${where} has no valid id`);
  return resource as NamedResource;
}

/**
 * The exact bytes of each resource: parts of the answer itself where they are three quarters of its memory or more, as of
 * nearly every page; else copies, so that little is kept that is not wanted.
 */
function linesOf(scan: JsonScan, resources: readonly ScannedResource[]): readonly Buffer[] {
  const { bytes } = scan;
  let size = 0;
  let isOnOneLine = true;
  for (const { start, end, hasWhitespace } of resources) {
    size += end - start;
    if (hasWhitespace) isOnOneLine = false;
  }
  if (isOnOneLine && 4 * size >= 3 * bytes.buffer.byteLength) {
    return resources.map(({ start, end }) => bytes.subarray(start, end));
  }
  const block = Buffer.allocUnsafe(size);
  const ends: number[] = [];
  let length = 0;
  for (const { start, end, hasWhitespace } of resources) {
    length += hasWhitespace
      ? copyCompact(scan, start, end, block, length)
      : bytes.copy(block, length, start, end);
    ends.push(length);
  }
  const exact = length === size ? block : Buffer.from(block.subarray(0, length));
  return ends.map((end, index) => exact.subarray(ends[index - 1] ?? 0, end));
}

/** A value between the bytes of a text that was walked. Never to be written: numbers have lost their form. */
function parsed({ bytes }: JsonScan, start: number, end: number): JsonValue {
  return JSON.parse(bytes.toString('utf8', start, end)) as JsonValue;
}

function outcomeIn(scan: JsonScan, start: number, end: number): readonly OperationOutcomeIssue[] {
  return issuesOf(parsed(scan, start, end) as JsonObject);
}

/** What to throw for a text that is no object; that it is JSON is seen first. */
function notResource(scan: JsonScan, start: number): RoundsError {
  endOfText(scan, endOfValue(scan, start, 0));
  return malformed('the answer is JSON, but no resource');
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function malformed(what: string): RoundsError {
  return new RoundsError('FHIR_MALFORMED', what);
}
