import { RoundsError } from '../errors.ts';
import { MAX_JSON_DEPTH, notJson, textOf } from './jsonBytes.ts';
import { beginOfNumber, behindEscape, endOfPlain, ENDED, nextInNumber, wordOf, WRONG } from './jsonTokens.ts';

/**
 * JSON as bytes, walked once: what lies between two tokens may go, what is inside one may not.
 *
 * Whoever walks a text from its first token to `endOfText` has checked its grammar (RFC 8259) on the way: each function
 * judges what it moves over, and throws FHIR_NOT_JSON where that is no JSON, FHIR_MALFORMED where arrays and objects are
 * nested deeper than MAX_JSON_DEPTH. Positions are indices into the bytes.
 */

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
export const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
export const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** A string over so many bytes is copied by a call; that costs as much as about so many bytes one by one. */
const SHORT_STRING_BYTES = 32;

/** A text that is being walked. */
export interface JsonScan {
  readonly bytes: Buffer;
  /** Of the same bytes. */
  readonly view: DataView;
  /** The last white space between tokens that was passed, or -1. */
  whitespaceAt: number;
  /** The last backslash that was passed, or -1. */
  escapeAt: number;
}

/** Begins a walk. Throws FHIR_NOT_JSON for an empty body, and for one that is not UTF-8. */
export function scanOf(body: Buffer): JsonScan {
  const bytes = textOf(body);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { bytes, view, whitespaceAt: -1, escapeAt: -1 };
}

/** The first token at or behind `at`: of the text itself, at 0. */
export function nextToken(scan: JsonScan, at: number): number {
  return scan.bytes[at]! > SPACE ? at : behindWhitespace(scan, at);
}

function behindWhitespace(scan: JsonScan, from: number): number {
  const { bytes } = scan;
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte > SPACE) return at;
    if (!isWhitespace(byte)) break;
    scan.whitespaceAt = at;
  }
  throw notJson(bytes);
}

/** Nothing but white space may follow the text's one value, which ends before `at`. */
export function endOfText({ bytes }: JsonScan, at: number): void {
  for (let rest = at; rest < bytes.length; rest++) if (!isWhitespace(bytes[rest]!)) throw notJson(bytes);
}

function isWhitespace(byte: number): boolean {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The position behind the value at `at`. `depth`: how many arrays and objects are around it. */
export function endOfValue(scan: JsonScan, at: number, depth: number): number {
  const byte = scan.bytes[at]!;
  if (byte === QUOTE) return endOfString(scan, at);
  const isObject = byte === OPEN_OBJECT;
  if (!isObject && byte !== OPEN_LIST) return endOfScalar(scan.bytes, at);
  let next = isObject ? firstMember(scan, at, depth) : firstItem(scan, at, depth);
  while (next >= 0) {
    if (isObject)
      next = followingMember(scan, endOfValue(scan, valueOfKey(scan, endOfKey(scan, next)), depth + 1));
    else next = followingItem(scan, endOfValue(scan, next, depth + 1));
  }
  return -next;
}

/** The position behind the string whose opening quote is at `at`. */
export function endOfString(scan: JsonScan, at: number): number {
  const { bytes, view } = scan;
  const { length } = bytes;
  for (let next = at + 1; ;) {
    next = endOfPlain(bytes, view, next, length);
    const byte = next < length ? bytes[next]! : 0;
    if (byte === QUOTE) return next + 1;
    if (byte !== BACKSLASH) throw notJson(bytes);
    scan.escapeAt = next;
    next = endOfEscape(bytes, next + 1);
  }
}

function endOfEscape(bytes: Buffer, from: number): number {
  for (let at = from, step = 0; at < bytes.length; at++) {
    step = behindEscape(step, bytes[at]!);
    if (step === WRONG) break;
    if (step === ENDED) return at + 1;
  }
  throw notJson(bytes);
}

/** Of a number or a word. */
function endOfScalar(bytes: Buffer, from: number): number {
  const word = wordOf(bytes[from]!);
  if (word !== undefined) {
    if (word.compare(bytes, from, Math.min(bytes.length, from + word.length)) !== 0) throw notJson(bytes);
    return from + word.length;
  }
  let step = beginOfNumber(bytes[from]!);
  let at = from + 1;
  while (step >= 0 && at < bytes.length) {
    step = nextInNumber(step, bytes[at]!);
    if (step >= 0) at++;
  }
  if (step >= 0) step = nextInNumber(step, SPACE);
  if (step !== ENDED) throw notJson(bytes);
  return at;
}

/**
 * A walk over an object's members or an array's items: where the first key or item begins, where the next one does behind
 * what ends before `at`, and, when there is none, the position behind the whole, negated.
 */
export function firstMember(scan: JsonScan, at: number, depth: number): number {
  return first(scan, at, CLOSE_OBJECT, depth);
}

export function followingMember(scan: JsonScan, at: number): number {
  return following(scan, at, CLOSE_OBJECT);
}

export function firstItem(scan: JsonScan, at: number, depth: number): number {
  return first(scan, at, CLOSE_LIST, depth);
}

export function followingItem(scan: JsonScan, at: number): number {
  return following(scan, at, CLOSE_LIST);
}

function first(scan: JsonScan, at: number, close: number, depth: number): number {
  if (depth >= MAX_JSON_DEPTH) {
    throw new RoundsError('FHIR_MALFORMED', `the JSON is nested deeper than ${MAX_JSON_DEPTH}`);
  }
  const inside = nextToken(scan, at + 1);
  return scan.bytes[inside] === close ? -(inside + 1) : inside;
}

function following(scan: JsonScan, at: number, close: number): number {
  const token = nextToken(scan, at);
  const byte = scan.bytes[token];
  if (byte === COMMA) return nextToken(scan, token + 1);
  if (byte === close) return -(token + 1);
  throw notJson(scan.bytes);
}

/** The position behind the key at `at`. */
export function endOfKey(scan: JsonScan, at: number): number {
  if (scan.bytes[at] !== QUOTE) throw notJson(scan.bytes);
  return endOfString(scan, at);
}

/** Whether the key between `start` and `end` is `name`, which is ASCII. */
export function isKey(scan: JsonScan, start: number, end: number, name: Buffer): boolean {
  const { bytes } = scan;
  const { length } = name;
  if (scan.escapeAt > start) return stringAt(scan, start, end) === name.toString('latin1');
  if (end - start - 2 !== length) return false;
  let same = 0;
  while (same < length && bytes[start + 1 + same] === name[same]) same++;
  return same === length;
}

/** Where the value of the key begins that ends before `keyEnd`. */
export function valueOfKey(scan: JsonScan, keyEnd: number): number {
  const colon = nextToken(scan, keyEnd);
  if (scan.bytes[colon] !== COLON) throw notJson(scan.bytes);
  return nextToken(scan, colon + 1);
}

/**
 * Visits the members of the object at `at` in order, and returns the position behind it. `visit` is told where key and
 * value begin, and returns where the value ends. For small objects: what is walked for each resource does without calls.
 */
export function eachMember(
  scan: JsonScan,
  at: number,
  depth: number,
  visit: (key: string, valueAt: number) => number,
): number {
  let next = firstMember(scan, at, depth);
  while (next >= 0) {
    const keyEnd = endOfKey(scan, next);
    const key = stringAt(scan, next, keyEnd)!;
    next = followingMember(scan, visit(key, valueOfKey(scan, keyEnd)));
  }
  return -next;
}

/** The text of the value at `start` when it is a string, escapes decoded. `end`: where it ends. */
export function stringAt({ bytes }: Pick<JsonScan, 'bytes'>, start: number, end: number): string | undefined {
  if (bytes[start] !== QUOTE) return undefined;
  const inner = bytes.toString('utf8', start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(`"${inner}"`) as string) : inner;
}

/**
 * Copies the JSON between `start` and `end`, which was walked before, to `target`: white space between tokens is left out,
 * every other byte stays as it is. Returns how many bytes that are.
 */
export function copyCompact(
  scan: JsonScan,
  start: number,
  end: number,
  target: Buffer,
  targetAt: number,
): number {
  const { bytes } = scan;
  let to = targetAt;
  for (let at = start; at < end;) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      const stringEnd = endOfString(scan, at);
      if (stringEnd - at > SHORT_STRING_BYTES) {
        to += bytes.copy(target, to, at, stringEnd);
        at = stringEnd;
      } else while (at < stringEnd) target[to++] = bytes[at++]!;
      continue;
    }
    if (byte > SPACE) target[to++] = byte;
    at++;
  }
  return to - targetAt;
}
