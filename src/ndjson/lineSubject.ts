import { RESOURCE_TYPES } from '../fhir/resourceTypes.ts';
import { hashText, keyOf, type LineKey, type TextHash } from './lineKey.ts';

/** Which member of a line's object a string belongs to. */
export const OTHER_MEMBER = 0;
const TYPE_MEMBER = 1;
const ID_MEMBER = 2;
export type Member = typeof OTHER_MEMBER | typeof TYPE_MEMBER | typeof ID_MEMBER;

/** Longer texts are nobody's type, and their ids all get one key: more than FHIR allows by far (64 characters). */
const MAX_TEXT_BYTES = 1024;

const TYPE_NAME = Buffer.from('resourceType');
const I = 0x69;
const D = 0x64;
const LONG_TEXT: TextHash = [1, 1];

/**
 * What the line that is being read says it is: its last top-level `resourceType` and `id`, as JSON.parse takes the last
 * of members with one name. Strings that chunks divide are put together here, and nowhere else.
 */
export class LineSubject {
  readonly #wanted: Buffer | undefined;
  readonly #wantedHash: TextHash | undefined;
  /** What earlier chunks hold of the string that is being read. */
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #type: TextHash | undefined;
  /** Another type than the wanted one, as far as it may be named. */
  #foreign: string | undefined;
  #resourceId: TextHash | undefined;

  constructor(resourceType: string | undefined) {
    if (resourceType === undefined) return;
    this.#wanted = Buffer.from(resourceType);
    this.#wantedHash = hashText(this.#wanted, 0, this.#wanted.length);
  }

  /** Keeps the part of a string that this chunk ends with. */
  keepPart(chunk: Buffer, from: number): void {
    if (from === chunk.length || this.#partsBytes > MAX_TEXT_BYTES) return;
    // A copy, since whoever reads may use the chunk's memory again; no more of it than is looked at.
    const part = Buffer.from(chunk.subarray(from, from + MAX_TEXT_BYTES + 1));
    this.#parts.push(part);
    this.#partsBytes += part.length;
  }

  /** The member whose name ends before `to`. Its value is none of interest until `valueEnds`. */
  nameEnds(chunk: Buffer, from: number, to: number, isEscaped: boolean): Member {
    if (this.#partsBytes === 0 && !isEscaped) {
      const length = to - from;
      if (length === 2)
        return chunk[from] === I && chunk[from + 1] === D ? this.#begin(ID_MEMBER) : OTHER_MEMBER;
      if (length !== TYPE_NAME.length || TYPE_NAME.compare(chunk, from, to) !== 0) return OTHER_MEMBER;
      return this.#begin(TYPE_MEMBER);
    }
    const name = this.#text(chunk, from, to, isEscaped)?.toString('utf8');
    if (name === 'id') return this.#begin(ID_MEMBER);
    return name === 'resourceType' ? this.#begin(TYPE_MEMBER) : OTHER_MEMBER;
  }

  #begin(member: Member): Member {
    if (member === ID_MEMBER) this.#resourceId = undefined;
    else this.#type = this.#foreign = undefined;
    return member;
  }

  /** The member's value is a string, which ends before `to`. */
  valueEnds(member: Member, chunk: Buffer, from: number, to: number, isEscaped: boolean): void {
    if (member === ID_MEMBER && this.#partsBytes === 0 && !isEscaped && to - from <= MAX_TEXT_BYTES) {
      this.#resourceId = hashText(chunk, from, to);
      return;
    }
    const text = this.#text(chunk, from, to, isEscaped);
    if (member === ID_MEMBER) this.#resourceId = text ? hashText(text, 0, text.length) : LONG_TEXT;
    else this.#typeIs(text);
  }

  #typeIs(text: Buffer | undefined): void {
    if (this.#wanted === undefined) {
      if (text?.length !== 0) this.#type = text ? hashText(text, 0, text.length) : LONG_TEXT;
    } else if (text && this.#wanted.equals(text)) this.#type = this.#wantedHash;
    else this.#foreign = text?.toString('utf8') ?? '';
  }

  /** The decoded bytes of the string; undefined when it is too long. */
  #text(chunk: Buffer, from: number, to: number, isEscaped: boolean): Buffer | undefined {
    const last = chunk.subarray(from, to);
    const isLong = this.#partsBytes + last.length > MAX_TEXT_BYTES;
    const raw = this.#parts.length === 0 || isLong ? last : Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#partsBytes = 0;
    if (isLong) return undefined;
    return isEscaped ? Buffer.from(JSON.parse(`"${raw.toString('utf8')}"`) as string, 'utf8') : raw;
  }

  /** What is wrong with the line that ends, in words that hold nothing of it but a type of FHIR; and the next begins. */
  finish(): { readonly key: LineKey | undefined } | { readonly wrong: string } {
    const [type, foreign, resourceId] = [this.#type, this.#foreign, this.#resourceId];
    this.#type = this.#foreign = this.#resourceId = undefined;
    if (foreign !== undefined) {
      const name = RESOURCE_TYPES.has(foreign) ? `a ${foreign}` : 'of another type';
      return { wrong: `is ${name}, not what was asked for` };
    }
    if (type === undefined) return { wrong: 'has no resourceType' };
    return { key: resourceId && keyOf(type, resourceId) };
  }
}
