import { RoundsError } from '../errors.ts';
import {
  compactJson,
  cursorOf,
  eachItem,
  eachMember,
  isJsonObject,
  nextToken,
  parseJson,
  skipValue,
  stringAt,
  withoutBom,
  type Cursor,
  type JsonObject,
  type JsonValue,
} from './jsonBytes.ts';
import { classifyIssues, failureOfIssues, issuesOf, type OperationOutcomeIssue } from './outcome.ts';

/**
 * Pages of a search, and the exact bytes of the resources in them.
 *
 * JSON.parse turns 1.50 into 1.5 and loses digits, so nothing that it returns is ever written. It validates the
 * text and gives the objects that decisions are made on; a scan over the bytes finds where each resource begins
 * and ends; both must agree on every entry's type and id, so a defect of the scan cannot go unseen.
 */

/** One resource and its exact bytes. */
export interface ExactResource {
  readonly resourceType: string;
  readonly resourceId: string;
  /** The server's bytes on one line, white space between tokens left out, no newline at the end; own memory. */
  readonly bytes: Buffer;
  /** For reading references and ids only. Never write it: numbers have lost their form. */
  readonly resource: JsonObject;
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

/** What a server said with 200. */
export type Answer =
  | { readonly kind: 'searchset'; readonly page: SearchsetPage }
  | { readonly kind: 'outcome'; readonly issues: readonly OperationOutcomeIssue[] }
  | { readonly kind: 'resource'; readonly resource: ExactResource };

const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;

/** FHIR allows 64 characters; Epic's ids exceed that (M). */
const RESOURCE_ID = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$/;
const RESOURCE_TYPE = /^[A-Z][A-Za-z]{0,63}$/;

/** Whether `text` can be a logical id: 1 to 255 of `A-Z a-z 0-9 . _ -`. */
export function isResourceId(text: unknown): text is string {
  return typeof text === 'string' && RESOURCE_ID.test(text);
}

/**
 * Reads any FHIR JSON body: a searchset page, a lone OperationOutcome, or a resource.
 * Linear in the body's length; nothing returned shares its memory.
 * @throws RoundsError FHIR_NOT_JSON: not JSON or not UTF-8 (a proxy's HTML page, a body cut short).
 * @throws RoundsError FHIR_MALFORMED: JSON, but not FHIR, or a Bundle of another type than searchset, an entry
 * without a resource, a resource without a type or a valid id, a next link without a URL, nesting over 200.
 */
export function readAnswer(body: Buffer): Answer {
  const value = parseJson(body);
  if (!isJsonObject(value)) throw malformed('the answer is JSON, but no resource');
  const bytes = withoutBom(body);
  if (value.resourceType === 'Bundle') return { kind: 'searchset', page: pageOf(value, bytes) };
  if (value.resourceType === 'OperationOutcome') return { kind: 'outcome', issues: issuesOf(value) };
  const cursor = cursorOf(bytes);
  nextToken(cursor);
  return { kind: 'resource', resource: exactResource(value, bytes, scanResource(cursor, 0), 'the answer') };
}

/**
 * Reads one page of a search. A lone OperationOutcome that says nothing but "none found" (4101) is an empty page.
 * @throws RoundsError as `readAnswer` does; FHIR_MALFORMED for a resource that is no Bundle; for any other lone
 * OperationOutcome the failure that it stands for.
 */
export function readSearchset(body: Buffer): SearchsetPage {
  const answer = readAnswer(body);
  if (answer.kind === 'searchset') return answer.page;
  if (answer.kind === 'resource')
    throw malformed('the answer is a single resource where a searchset was expected');
  const { empty, gap, transient } = classifyIssues(answer.issues);
  if (!empty || gap || transient) throw transient ?? failureOfIssues(answer.issues);
  return { entries: [], next: undefined, total: 0, outcomes: answer.issues };
}

/**
 * Reads the answer to a read.
 * @throws RoundsError as `readAnswer` does; FHIR_MALFORMED for a Bundle; for an OperationOutcome the failure
 * that it stands for.
 */
export function readResource(body: Buffer): ExactResource {
  const answer = readAnswer(body);
  if (answer.kind === 'resource') return answer.resource;
  if (answer.kind === 'outcome') throw failureOfIssues(answer.issues);
  throw malformed('the answer is a Bundle where a single resource was expected');
}

function pageOf(bundle: JsonObject, bytes: Buffer): SearchsetPage {
  if (bundle.type !== 'searchset') throw malformed('the answer is a Bundle, but no searchset');
  const listed = bundle.entry ?? [];
  if (!isArray(listed) || bundle.entry === null) throw malformed('Bundle.entry is no array');
  const spans = scanEntries(bytes);
  if (spans.length !== listed.length) throw malformed('the entries could not be told apart');

  const entries: SearchsetEntry[] = [];
  const outcomes: OperationOutcomeIssue[] = [];
  listed.forEach((entry, index) => {
    const where = `entry ${index + 1}`;
    const resource = isJsonObject(entry) ? entry.resource : undefined;
    if (!isJsonObject(entry) || !isJsonObject(resource)) throw malformed(`${where} has no resource`);
    const mode = modeOf(entry, where);
    if (resource.resourceType === 'OperationOutcome') {
      outcomes.push(...issuesOf(resource));
      return;
    }
    // Leaving it out as an outcome could lose data, writing it as a match could add some.
    if (mode === 'outcome') throw malformed(`${where} is marked as an outcome and is none`);
    entries.push({ mode, ...exactResource(resource, bytes, spans[index], where) });
  });
  const total = typeof bundle.total === 'number' && Number.isInteger(bundle.total) ? bundle.total : undefined;
  return { entries, next: nextLinkOf(bundle), total, outcomes };
}

function modeOf(entry: JsonObject, where: string): 'match' | 'include' | 'outcome' {
  const mode = isJsonObject(entry.search) ? entry.search.mode : undefined;
  if (mode === undefined) return 'match';
  if (mode === 'match' || mode === 'include' || mode === 'outcome') return mode;
  throw malformed(`${where} has an unknown search.mode`);
}

/** A next link that cannot be followed would end the search early and unseen, so it is an error. */
function nextLinkOf(bundle: JsonObject): string | undefined {
  const links = bundle.link ?? [];
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

/** Where a resource stands in the text, and what the scan read as its type and id. */
interface ResourceSpan {
  readonly start: number;
  readonly end: number;
  readonly hasWhitespace: boolean;
  readonly resourceType: string | undefined;
  readonly resourceId: string | undefined;
}

function exactResource(
  resource: JsonObject,
  bytes: Buffer,
  span: ResourceSpan | undefined,
  where: string,
): ExactResource {
  const { resourceType, id: resourceId } = resource;
  if (typeof resourceType !== 'string' || !RESOURCE_TYPE.test(resourceType)) {
    throw malformed(`${where} has no resourceType`);
  }
  if (!isResourceId(resourceId)) throw malformed(`${where} has no valid id`);
  if (span?.resourceType !== resourceType || span.resourceId !== resourceId) {
    throw malformed(`the bytes of ${where} could not be told apart`);
  }
  const exact = bytes.subarray(span.start, span.end);
  // Copied out, so that the page can be freed while a resource waits to be written.
  return {
    resourceType,
    resourceId,
    bytes: span.hasWhitespace ? compactJson(exact) : Buffer.from(exact),
    resource,
  };
}

/** The span of each entry's resource; `undefined` for an entry without one. As in JSON.parse, the last key wins. */
function scanEntries(bytes: Buffer): readonly (ResourceSpan | undefined)[] {
  const cursor = cursorOf(bytes);
  let spans: (ResourceSpan | undefined)[] = [];
  nextToken(cursor);
  eachMember(cursor, (keyStart, keyEnd) => {
    if (!keyIs(bytes, keyStart, keyEnd, 'entry')) return skipValue(cursor, 1);
    spans = [];
    if (bytes[cursor.at] !== OPEN_BRACKET) return skipValue(cursor, 1);
    eachItem(cursor, () => {
      spans.push(bytes[cursor.at] === OPEN_BRACE ? scanEntry(cursor) : void skipValue(cursor, 2));
    });
  });
  return spans;
}

function scanEntry(cursor: Cursor): ResourceSpan | undefined {
  let span: ResourceSpan | undefined;
  eachMember(cursor, (keyStart, keyEnd) => {
    if (!keyIs(cursor.bytes, keyStart, keyEnd, 'resource')) skipValue(cursor, 3);
    else if (cursor.bytes[cursor.at] === OPEN_BRACE) span = scanResource(cursor, 3);
    else span = void skipValue(cursor, 3);
  });
  return span;
}

function scanResource(cursor: Cursor, depth: number): ResourceSpan {
  const { bytes, at: start } = cursor;
  let resourceType: string | undefined;
  let resourceId: string | undefined;
  eachMember(cursor, (keyStart, keyEnd) => {
    const valueStart = cursor.at;
    skipValue(cursor, depth + 1);
    if (keyIs(bytes, keyStart, keyEnd, 'resourceType')) resourceType = textAt(bytes, valueStart, cursor.at);
    else if (keyIs(bytes, keyStart, keyEnd, 'id')) resourceId = textAt(bytes, valueStart, cursor.at);
  });
  return { start, end: cursor.at, hasWhitespace: cursor.lastWhitespace >= start, resourceType, resourceId };
}

function textAt(bytes: Buffer, start: number, end: number): string | undefined {
  return bytes[start] === QUOTE ? stringAt(bytes, start, end) : undefined;
}

/** Whether the key between its quotes is `name`, compared byte by byte; decoded only where it holds an escape. */
function keyIs(bytes: Buffer, start: number, end: number, name: string): boolean {
  const length = end - start - 2;
  if (length === name.length) {
    let same = 0;
    while (same < length && bytes[start + 1 + same] === name.charCodeAt(same)) same++;
    if (same === length) return true;
  }
  if (length <= name.length) return false;
  for (let at = start + 1; at < end - 1; at++) {
    if (bytes[at] === BACKSLASH) return stringAt(bytes, start, end) === name;
  }
  return false;
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function malformed(what: string): RoundsError {
  return new RoundsError('FHIR_MALFORMED', what);
}
