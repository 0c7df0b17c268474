import { isAscii } from 'node:buffer';
import { endOfText, endOfValue, nextToken, scanOf } from '../../fhir/jsonScan.ts';

/** JSON as it is shown: a number is the text it was written as, so that 1.50 stays 1.50. Nothing of it is ever written. */

export class NumberText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Exact = string | boolean | null | NumberText | ExactObject | readonly Exact[];
export interface ExactObject {
  readonly [key: string]: Exact | undefined;
}

/**
 * The object that a line is; undefined for JSON that is none.
 * Throws FHIR_NOT_JSON and, for one nested too deep, FHIR_MALFORMED.
 */
export function readExact(line: Buffer): ExactObject | undefined {
  const scan = scanOf(line);
  endOfText(scan, endOfValue(scan, nextToken(scan, 0), 0));
  return exactOf(scan.bytes);
}

/** The same of bytes whose JSON was checked before (jsonScan.ts). Of two members of one name the last counts. */
export function exactOf(bytes: Buffer): ExactObject | undefined {
  const text = bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
  const walk = { text, at: 0, escapeAt: text.indexOf('\\') };
  skipWhite(walk);
  return asObject(readValue(walk));
}

export function asObject(value: Exact | undefined): ExactObject | undefined {
  const isObject =
    typeof value === 'object' && value !== null && !isList(value) && !(value instanceof NumberText);
  return isObject ? value : undefined;
}

export function isList(value: Exact | undefined): value is readonly Exact[] {
  return Array.isArray(value);
}

interface Walk {
  readonly text: string;
  at: number;
  /** The next backslash, or one that was passed; -1 when there are no more. */
  escapeAt: number;
}

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

function skipWhite(walk: Walk): void {
  while (walk.text.charCodeAt(walk.at) <= SPACE) walk.at++;
}

function readValue(walk: Walk): Exact {
  const { text, at } = walk;
  switch (text.charCodeAt(at)) {
    case QUOTE:
      return readString(walk);
    case OPEN_OBJECT:
      return readObject(walk);
    case OPEN_LIST:
      return readList(walk);
    case 0x74:
      walk.at += 4;
      return true;
    case 0x66:
      walk.at += 5;
      return false;
    case 0x6e:
      walk.at += 4;
      return null;
    default:
      return readNumber(walk);
  }
}

function readNumber(walk: Walk): NumberText {
  const { text, at } = walk;
  let end = at;
  for (; end < text.length; end++) {
    const char = text.charCodeAt(end);
    if (char === COMMA || char === CLOSE_OBJECT || char === CLOSE_LIST || char <= SPACE) break;
  }
  walk.at = end;
  return new NumberText(text.slice(at, end));
}

function readString(walk: Walk): string {
  const { text, at } = walk;
  let end = text.indexOf('"', at + 1);
  if (walk.escapeAt >= 0 && walk.escapeAt < at) walk.escapeAt = text.indexOf('\\', at);
  if (walk.escapeAt < 0 || walk.escapeAt > end) {
    walk.at = end + 1;
    return text.slice(at + 1, end);
  }
  end = walk.escapeAt;
  while (text.charCodeAt(end) !== QUOTE) end += text.charCodeAt(end) === BACKSLASH ? 2 : 1;
  walk.at = end + 1;
  return JSON.parse(text.slice(at, end + 1)) as string;
}

function readObject(walk: Walk): ExactObject {
  const found: Record<string, Exact> = {};
  walk.at++;
  while (!isClosed(walk, CLOSE_OBJECT)) {
    const key = readString(walk);
    skipWhite(walk);
    // Behind the colon.
    walk.at++;
    skipWhite(walk);
    const value = readValue(walk);
    // Set plainly, it would be the object's prototype.
    if (key === '__proto__') {
      Object.defineProperty(found, key, { value, enumerable: true, configurable: true, writable: true });
    } else found[key] = value;
  }
  return found;
}

function readList(walk: Walk): readonly Exact[] {
  const found: Exact[] = [];
  walk.at++;
  while (!isClosed(walk, CLOSE_LIST)) found.push(readValue(walk));
  return found;
}

/** Moves to the next member or item, or, where there is none, behind the bracket that closes. */
function isClosed(walk: Walk, close: number): boolean {
  skipWhite(walk);
  const char = walk.text.charCodeAt(walk.at);
  if (char !== close && char !== COMMA) return false;
  walk.at++;
  if (char === close) return true;
  skipWhite(walk);
  return false;
}
