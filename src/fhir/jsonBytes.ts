import { isAscii, isUtf8 } from 'node:buffer';
import { RoundsError } from '../errors.ts';

/** JSON in the form that decisions are made on. Nothing of it is ever written: JSON.parse turns 1.50 into 1.5. */

export type JsonValue = string | number | boolean | null | JsonObject | readonly JsonValue[];
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Arrays and objects inside one another; real resources stay under 30. */
export const MAX_JSON_DEPTH = 200;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The bytes without a UTF-8 byte order mark (RFC 8259, 8.1: may be ignored). Shares memory. */
function withoutBom(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/**
 * Parses a whole body.
 * @throws RoundsError FHIR_NOT_JSON: empty, not UTF-8, or not JSON. The parser's own message quotes the text,
 * which may be PHI, so it is not kept.
 */
export function parseJson(bytes: Buffer): JsonValue {
  const body = textOf(bytes);
  try {
    // Most answers are ASCII, which is latin1 too, and that is copied where UTF-8 is decoded.
    return JSON.parse(body.toString(isAscii(body) ? 'latin1' : 'utf8')) as JsonValue;
  } catch {
    throw notJson(body);
  }
}

/**
 * The bytes of a body's text, without a byte order mark. Shares memory.
 * @throws RoundsError FHIR_NOT_JSON: empty, or not UTF-8.
 */
export function textOf(bytes: Buffer): Buffer {
  const body = withoutBom(bytes);
  if (body.length === 0)
    throw new RoundsError('FHIR_NOT_JSON', 'the answer is empty where JSON was expected');
  if (!isUtf8(body)) throw new RoundsError('FHIR_NOT_JSON', 'the answer is not UTF-8');
  return body;
}

/** What to throw for a body that is no JSON. */
export function notJson(body: Buffer): RoundsError {
  const markup = /^\s*</.test(body.toString('latin1', 0, 256));
  return new RoundsError('FHIR_NOT_JSON', `the answer is ${markup ? 'HTML or XML' : 'text'}, not JSON`);
}
