import { isAscii, isUtf8 } from 'node:buffer';
import { RoundsError } from '../errors.ts';

/**
 * JSON as bytes: what lies between two tokens may go, what is inside one may not.
 *
 * Every function but `parseJson` expects text that `parseJson` has accepted: the grammar is checked there, once,
 * by JSON.parse. What is left here is to find where values begin and end, which needs no grammar.
 */

export type JsonValue = string | number | boolean | null | JsonObject | readonly JsonValue[];
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Arrays and objects inside one another; real resources stay under 30. */
export const MAX_JSON_DEPTH = 200;

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
/** `[` and `{` differ in one bit, as do `]` and `}`; no other byte outside a string becomes one of the two. */
const CASE_BIT = 0x20;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** Most strings of FHIR are shorter; a call of indexOf costs as much as about so many bytes. */
const SHORT_STRING_BYTES = 32;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The bytes without a UTF-8 byte order mark (RFC 8259, 8.1: may be ignored). Shares memory. */
export function withoutBom(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/**
 * Parses a whole body.
 * @throws RoundsError FHIR_NOT_JSON: empty, not UTF-8, or not JSON. The parser's own message quotes the text,
 * which may be PHI, so it is not kept.
 */
export function parseJson(bytes: Buffer): JsonValue {
  const body = withoutBom(bytes);
  if (body.length === 0)
    throw new RoundsError('FHIR_NOT_JSON', 'the answer is empty where JSON was expected');
  // Most answers are ASCII, which is latin1 too, and that is copied where UTF-8 is decoded.
  const encoding = isAscii(body) ? 'latin1' : 'utf8';
  if (encoding === 'utf8' && !isUtf8(body)) {
    throw new RoundsError('FHIR_NOT_JSON', 'the answer is not UTF-8');
  }
  try {
    return JSON.parse(body.toString(encoding)) as JsonValue;
  } catch {
    const markup = /^\s*</.test(body.toString('latin1', 0, 256));
    throw new RoundsError('FHIR_NOT_JSON', `the answer is ${markup ? 'HTML or XML' : 'text'}, not JSON`);
  }
}

/** The position after the string whose opening quote is at `start`. */
export function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1;
  const near = Math.min(bytes.length, at + SHORT_STRING_BYTES);
  while (at < near) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at + 1;
    at += byte === BACKSLASH ? 2 : 1;
  }
  // Here `at` begins a character, never the second half of an escape.
  const from = at;
  for (;;) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) throw misread();
    let slashes = 0;
    while (quote - slashes > from && bytes[quote - slashes - 1] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** The text of the string token that begins at `start` and ends before `end`, escapes decoded. */
export function stringAt(bytes: Buffer, start: number, end: number): string {
  const raw = bytes.toString('utf8', start, end);
  return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
}

/** A place in a text, moved on by the functions below; `lastWhitespace` is the last white space passed, or -1. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
  lastWhitespace: number;
}

export function cursorOf(bytes: Buffer): Cursor {
  return { bytes, at: 0, lastWhitespace: -1 };
}

/** Moves over white space and returns the byte there. */
export function nextToken(cursor: Cursor): number {
  const { bytes } = cursor;
  while (cursor.at < bytes.length) {
    const byte = bytes[cursor.at]!;
    if (byte > SPACE) return byte;
    cursor.lastWhitespace = cursor.at++;
  }
  throw misread();
}

/**
 * Moves over the value at the cursor, in one pass and without recursion.
 * @param depth arrays and objects around the value
 * @throws RoundsError FHIR_MALFORMED: nested deeper than MAX_JSON_DEPTH
 */
export function skipValue(cursor: Cursor, depth: number): void {
  const { bytes } = cursor;
  const first = bytes[cursor.at]!;
  if (first === QUOTE) {
    cursor.at = endOfString(bytes, cursor.at);
    return;
  }
  let at = cursor.at;
  if ((first | CASE_BIT) !== OPEN) {
    // A number or a literal: up to what ends it.
    for (; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte <= SPACE || byte === COMMA || (byte | CASE_BIT) === CLOSE) break;
    }
    cursor.at = at;
    return;
  }
  const end = bytes.length;
  let open = 0;
  let whitespace = cursor.lastWhitespace;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
      continue;
    }
    if (byte <= SPACE) whitespace = at;
    else if ((byte | CASE_BIT) === OPEN) {
      if (++open + depth > MAX_JSON_DEPTH) throw tooDeep();
    } else if ((byte | CASE_BIT) === CLOSE && --open === 0) {
      cursor.at = at + 1;
      cursor.lastWhitespace = whitespace;
      return;
    }
    at++;
  }
  throw misread();
}

/**
 * Visits the members of the object at the cursor in order. `visit` finds the cursor at the value and leaves it
 * behind it; `keyStart` and `keyEnd` enclose the key with its quotes.
 */
export function eachMember(cursor: Cursor, visit: (keyStart: number, keyEnd: number) => void): void {
  eachItem(cursor, () => {
    const keyStart = cursor.at;
    const keyEnd = endOfString(cursor.bytes, keyStart);
    cursor.at = keyEnd;
    if (nextToken(cursor) !== COLON) throw misread();
    cursor.at++;
    nextToken(cursor);
    visit(keyStart, keyEnd);
  });
}

/** Visits the items of the array (or, by their keys, of the object) at the cursor. */
export function eachItem(cursor: Cursor, visit: () => void): void {
  cursor.at++;
  while ((nextToken(cursor) | CASE_BIT) !== CLOSE) {
    visit();
    if (nextToken(cursor) === COMMA) {
      cursor.at++;
      nextToken(cursor);
    }
  }
  cursor.at++;
}

/**
 * The same JSON on one line: white space between tokens is left out, every other byte stays as it is.
 * Expects valid JSON; the result shares no memory with `bytes`.
 */
export function compactJson(bytes: Buffer): Buffer {
  const source = withoutBom(bytes);
  const out = Buffer.allocUnsafe(source.length);
  let length = 0;
  let at = 0;
  while (at < source.length) {
    const byte = source[at]!;
    if (byte === QUOTE) {
      const end = endOfString(source, at);
      if (end - at > SHORT_STRING_BYTES) {
        length += source.copy(out, length, at, end);
        at = end;
      } else while (at < end) out[length++] = source[at++]!;
      continue;
    }
    if (byte > SPACE) out[length++] = byte;
    at++;
  }
  // A second copy, so that what is kept takes no more than its own length.
  return Buffer.from(out.subarray(0, length));
}

/** Only a defect of this file leads here: JSON.parse has accepted the text. */
function misread(): RoundsError {
  return new RoundsError('FHIR_MALFORMED', 'the JSON could not be followed byte by byte');
}

function tooDeep(): RoundsError {
  return new RoundsError('FHIR_MALFORMED', `the JSON is nested deeper than ${MAX_JSON_DEPTH}`);
}
