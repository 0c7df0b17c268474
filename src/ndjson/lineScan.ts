import { MAX_JSON_DEPTH } from '../fhir/jsonBytes.ts';
import { RoundsError } from '../errors.ts';
import type { LineKey } from './lineKey.ts';
import {
  beginOfNumber,
  behindEscape,
  endOfPlain,
  ENDED,
  nextInNumber,
  wordOf,
  WRONG,
} from '../fhir/jsonTokens.ts';
import { LineSubject, OTHER_MEMBER, type Member } from './lineSubject.ts';
import { Utf8Check } from './utf8Check.ts';

export interface LineScanOptions {
  /** What every line has to be; undefined: any type, but it must have one. */
  readonly resourceType: string | undefined;
  /** Called at the end of each line; undefined for one without an `id`. */
  readonly line: (key: LineKey | undefined) => void;
}

// Bytes and states stand here and not in a file of their own, since V8 takes only a module's own constants for constants:
// imported ones cost a sixth of the speed.
const LINE_FEED = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const BOM = [0xef, 0xbb, 0xbf] as const;

/** What is due at a byte. Plain numbers: it is asked for every token. */
const IN_STRING = 0;
// Between two tokens: up to LAST_BETWEEN.
const AFTER_VALUE = 1;
const NAME = 2;
const COLON_DUE = 3;
const VALUE = 4;
const FIRST_ITEM = 5;
const FIRST_NAME = 6;
const LAST_BETWEEN = FIRST_NAME;
// Outside of every object.
const LINE_BEGIN = 7;
const LINE_END = 8;
const FILE_BEGIN = 9;
// Within a token, with `#progress`.
const IN_WORD = 10;
const IN_NUMBER = 11;
const ESCAPE = 12;

/** 1 for white space (RFC 8259, 2), 2 for a line feed, which ends the line wherever it stands. */
const WHITE = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte === LINE_FEED ? 2 : byte === 0x20 || byte === 0x09 || byte === 0x0d ? 1 : 0,
);
const NO_WORD = Buffer.alloc(0);

/**
 * Judges NDJSON while it comes, in chunks of any size, and says what of it is to be stored.
 *
 * Every line has to be one whole JSON object (RFC 8259) in UTF-8, nested no deeper than MAX_JSON_DEPTH, of the type given.
 * Nothing is built or put together but type and id, so memory stays flat however long a line is. Lines end at 0x0A alone.
 * Left out is what belongs to no object: a byte order mark at the start, and white space around a line's object, which
 * makes CR LF an LF and blank lines none.
 *
 * Throws RoundsError BULK_FILE_MALFORMED, with the number of the line and what is wrong; then it is of no more use.
 */
export class LineScan {
  readonly #onLine: LineScanOptions['line'];
  readonly #subject: LineSubject;
  readonly #utf8 = new Utf8Check();
  #lines = 0;
  /** Of the source, blank ones counted. */
  #lineNumber = 1;
  #state = FILE_BEGIN;
  /** Kinds of the arrays and objects around: 1 for an object. */
  readonly #isObject = new Uint8Array(MAX_JSON_DEPTH + 1);
  #depth = 0;
  /** Of a string: whether it names a member, whether it is the line's type or id, whether it has escapes. */
  #isName = false;
  #member: Member = OTHER_MEMBER;
  #isEscaped = false;
  /** How much of a BOM or of a word has come; where in a number or an escape (jsonTokens.ts) it stands. */
  #progress = 0;
  #word: Buffer = NO_WORD;

  constructor({ resourceType, line }: LineScanOptions) {
    this.#onLine = line;
    this.#subject = new LineSubject(resourceType);
  }

  /** Lines that ended so far; blank ones are none. */
  get lines(): number {
    return this.#lines;
  }

  /** The spans of `chunk` to be stored, in order; all of it in one span in the ordinary case. They share its memory. */
  push(chunk: Buffer): readonly Buffer[] {
    const badLine = this.#utf8.badLine(chunk);
    if (badLine === undefined) return this.#scan(chunk);
    // What is wrong in an earlier line is said first, whatever the chunks were.
    let end = 0;
    for (let line = 0; line < badLine; line++) end = chunk.indexOf(LINE_FEED, end) + 1;
    this.#scan(chunk.subarray(0, end));
    throw this.#malformed('is not UTF-8');
  }

  /** To be called at the end: what is still to be stored, the last line feed where it is missing. */
  end(): Buffer {
    if (this.#state === FILE_BEGIN && this.#progress === 0) return Buffer.alloc(0);
    if (this.#state === LINE_BEGIN) return Buffer.alloc(0);
    if (this.#utf8.isWithin) throw this.#malformed('is not UTF-8');
    if (this.#state !== LINE_END) throw this.#malformed('is cut off');
    this.#finishLine();
    return Buffer.from([LINE_FEED]);
  }

  #scan(chunk: Buffer): readonly Buffer[] {
    const end = chunk.length;
    const view = new DataView(chunk.buffer, chunk.byteOffset, end);
    const subject = this.#subject;
    const isObject = this.#isObject;
    // Locals, since every token reads and writes them.
    let state = this.#state;
    let depth = this.#depth;
    let isName = this.#isName;
    let member = this.#member;
    let isEscaped = this.#isEscaped;
    let at = 0;
    /** Where the string that is being read has its first byte in this chunk. */
    let begin = 0;
    /** What is not stored yet begins here. */
    let from = 0;
    const spans: Buffer[] = [];
    while (at < end) {
      if (state === IN_STRING) {
        at = endOfPlain(chunk, view, at, end);
        if (at === end) break;
        const byte = chunk[at++]!;
        if (byte === QUOTE) {
          if (isName) {
            if (depth === 1) member = subject.nameEnds(chunk, begin, at - 1, isEscaped);
            isName = false;
            state = COLON_DUE;
            // Most often a string follows: taken here, it costs no round of its own.
            if (at + 1 < end && chunk[at] === COLON && chunk[at + 1] === QUOTE) {
              state = IN_STRING;
              isEscaped = false;
              begin = at += 2;
            }
          } else {
            if (depth === 1 && member !== OTHER_MEMBER) {
              subject.valueEnds(member, chunk, begin, at - 1, isEscaped);
            }
            state = AFTER_VALUE;
            // What most often follows is taken here, where it costs no round of its own.
            while (at < end && depth > 1 && chunk[at] === (isObject[depth] ? CLOSE_OBJECT : CLOSE_LIST)) {
              at++;
              depth--;
            }
            if (at + 1 < end && chunk[at] === COMMA && chunk[at + 1] === QUOTE) {
              state = IN_STRING;
              isName = isObject[depth] === 1;
              isEscaped = false;
              begin = at += 2;
            }
          }
        } else if (byte === BACKSLASH) {
          isEscaped = true;
          this.#progress = 0;
          state = ESCAPE;
        } else throw this.#notJson(byte);
        continue;
      }
      const byte = chunk[at]!;
      if (state <= LAST_BETWEEN) {
        // Between tokens.
        if (WHITE[byte] !== 0) {
          if (byte === LINE_FEED) throw this.#notJson(byte);
          at++;
          continue;
        }
        at++;
        switch (state) {
          case AFTER_VALUE:
            if (byte === COMMA) state = isObject[depth] === 1 ? NAME : VALUE;
            else if (byte === (isObject[depth] === 1 ? CLOSE_OBJECT : CLOSE_LIST)) {
              state = --depth === 0 ? LINE_END : AFTER_VALUE;
            } else throw this.#malformed('is not JSON');
            continue;
          case COLON_DUE:
            if (byte !== COLON) throw this.#malformed('is not JSON');
            state = VALUE;
            continue;
          case NAME:
          case FIRST_NAME:
            if (byte === QUOTE) {
              isName = true;
              isEscaped = false;
              begin = at;
              state = IN_STRING;
            } else if (byte === CLOSE_OBJECT && state === FIRST_NAME) {
              state = --depth === 0 ? LINE_END : AFTER_VALUE;
            } else throw this.#malformed('is not JSON');
            continue;
          default:
            if (byte === QUOTE) {
              isEscaped = false;
              begin = at;
              state = IN_STRING;
            } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
              if (depth === MAX_JSON_DEPTH) throw this.#malformed(`is nested deeper than ${MAX_JSON_DEPTH}`);
              isObject[++depth] = byte === OPEN_OBJECT ? 1 : 0;
              state = byte === OPEN_OBJECT ? FIRST_NAME : FIRST_ITEM;
            } else if (byte === CLOSE_LIST && state === FIRST_ITEM) {
              depth--;
              state = AFTER_VALUE;
            } else state = this.#beginScalar(byte);
            continue;
        }
      }
      if (state === LINE_BEGIN || state === LINE_END) {
        const first = at;
        while (at < end && WHITE[chunk[at]!] === 1) at++;
        if (at < end && state === LINE_BEGIN && chunk[at] === LINE_FEED) {
          at++;
          this.#lineNumber++;
        }
        if (at > first) {
          if (first > from) spans.push(chunk.subarray(from, first));
          from = at;
          continue;
        }
        at++;
        if (state === LINE_BEGIN) {
          if (byte !== OPEN_OBJECT) throw this.#malformed('is not a JSON object');
          isObject[(depth = 1)] = 1;
          state = FIRST_NAME;
        } else {
          if (byte !== LINE_FEED) throw this.#malformed('holds more than one JSON object');
          this.#finishLine();
          state = LINE_BEGIN;
        }
        continue;
      }
      if (state === FILE_BEGIN) {
        if (byte === BOM[this.#progress]) {
          this.#progress++;
          from = ++at;
        } else if (this.#progress > 0) throw this.#malformed('is not a JSON object');
        if (this.#progress === 0 || this.#progress === BOM.length) state = LINE_BEGIN;
        continue;
      }
      if (state !== IN_NUMBER) {
        at++;
        state = state === IN_WORD ? this.#inWord(byte) : this.#inEscape(byte);
        continue;
      }
      this.#progress = nextInNumber(this.#progress, byte);
      if (this.#progress === WRONG) throw this.#notJson(byte);
      // What ends a number is for the states between tokens to judge.
      if (this.#progress === ENDED) state = AFTER_VALUE;
      else at++;
    }
    if ((state === IN_STRING || state === ESCAPE) && depth === 1 && (isName || member !== OTHER_MEMBER)) {
      subject.keepPart(chunk, begin);
    }
    this.#state = state;
    this.#depth = depth;
    this.#isName = isName;
    this.#member = member;
    this.#isEscaped = isEscaped;
    if (from === 0 && end > 0) return [chunk];
    if (from < end) spans.push(chunk.subarray(from));
    return spans;
  }

  #beginScalar(byte: number): number {
    this.#progress = beginOfNumber(byte);
    if (this.#progress !== WRONG) return IN_NUMBER;
    const word = wordOf(byte);
    if (word === undefined) throw this.#malformed('is not JSON');
    this.#word = word;
    this.#progress = 1;
    return IN_WORD;
  }

  #inWord(byte: number): number {
    if (byte !== this.#word[this.#progress++]) throw this.#notJson(byte);
    return this.#progress === this.#word.length ? AFTER_VALUE : IN_WORD;
  }

  #inEscape(byte: number): number {
    this.#progress = behindEscape(this.#progress, byte);
    if (this.#progress === WRONG) throw this.#notJson(byte);
    return this.#progress === ENDED ? IN_STRING : ESCAPE;
  }

  #finishLine(): void {
    const finished = this.#subject.finish();
    if ('wrong' in finished) throw this.#malformed(finished.wrong);
    this.#lines++;
    this.#lineNumber++;
    this.#onLine(finished.key);
  }

  #notJson(byte: number): RoundsError {
    return this.#malformed(byte === LINE_FEED ? 'is cut off' : 'is not JSON');
  }

  #malformed(wrong: string): RoundsError {
    return new RoundsError('BULK_FILE_MALFORMED', `line ${this.#lineNumber} of the file ${wrong}`);
  }
}
