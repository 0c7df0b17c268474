import {
  endOfText,
  endOfValue,
  firstItem,
  firstMember,
  followingItem,
  followingMember,
  endOfKey,
  nextToken,
  OPEN_LIST,
  OPEN_OBJECT,
  scanOf,
  stringAt,
  valueOfKey,
  type JsonScan,
} from '../../fhir/jsonScan.ts';

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
 * The object that a line is. Of two members of one name the last counts, as JSON.parse has it.
 * Throws FHIR_NOT_JSON, also for what is no object, and FHIR_MALFORMED for one nested too deep.
 */
export function readExact(line: Buffer): ExactObject | undefined {
  const scan = scanOf(line);
  const start = nextToken(scan, 0);
  const walk = { scan, end: 0 };
  const value = valueAt(walk, start, 0);
  endOfText(scan, walk.end);
  return asObject(value);
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
  readonly scan: JsonScan;
  /** Behind the value read last. */
  end: number;
}

function valueAt(walk: Walk, at: number, depth: number): Exact {
  const { bytes } = walk.scan;
  const byte = bytes[at];
  if (byte === OPEN_OBJECT) return objectAt(walk, at, depth);
  if (byte === OPEN_LIST) return listAt(walk, at, depth);
  const end = (walk.end = endOfValue(walk.scan, at, depth));
  const text = stringAt(walk.scan, at, end);
  if (text !== undefined) return text;
  const word = bytes.toString('latin1', at, end);
  if (word === 'true') return true;
  if (word === 'false') return false;
  return word === 'null' ? null : new NumberText(word);
}

function objectAt(walk: Walk, at: number, depth: number): ExactObject {
  const { scan } = walk;
  const found: Record<string, Exact> = {};
  let next = firstMember(scan, at, depth);
  while (next >= 0) {
    const keyEnd = endOfKey(scan, next);
    const key = stringAt(scan, next, keyEnd)!;
    const value = valueAt(walk, valueOfKey(scan, keyEnd), depth + 1);
    // Set plainly, it would be the object's prototype.
    if (key === '__proto__')
      Object.defineProperty(found, key, { value, enumerable: true, configurable: true });
    else found[key] = value;
    next = followingMember(scan, walk.end);
  }
  walk.end = -next;
  return found;
}

function listAt(walk: Walk, at: number, depth: number): readonly Exact[] {
  const { scan } = walk;
  const found: Exact[] = [];
  let next = firstItem(scan, at, depth);
  while (next >= 0) {
    found.push(valueAt(walk, next, depth + 1));
    next = followingItem(scan, walk.end);
  }
  walk.end = -next;
  return found;
}
