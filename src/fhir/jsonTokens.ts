/** The tokens of JSON (RFC 8259), byte by byte. A step is given where it stands and returns where it stands then. */

const QUOTE = 0x22;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const LETTER_A = 0x61;
const LETTER_E = 0x65;
const LETTER_F = 0x66;
const LETTER_U = 0x75;
/** By which a capital letter and its small one differ. */
const CASE_BIT = 0x20;

/** No token goes on like this. */
export const WRONG = -1;
/** The token is over. */
export const ENDED = -2;

/** 1 for what a string holds as it is: all but its end, the backslash and control characters (section 7). */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 0 : 1,
);

/** The high bit of each of four bytes, as a number of 32 bits with a sign. */
const HIGH_BITS = -0x7f7f7f80;

/**
 * Where, before `end`, a string's run of plain bytes from `from` on ends. Most bytes of all pass here, so they are looked at
 * four at a time: marked is a byte that has no high bit itself, and gets one when something is taken from it. That is 0x21
 * for control characters and the quote, once 0x22 and 0x20 have changed places, and 1 for the backslash turned into 0. What is
 * carried can mark bytes behind the first of these wrongly, but none before it.
 * Written out twice: V8 inlines what is called here no more.
 * @param view of the same bytes
 */
export function endOfPlain(bytes: Uint8Array, view: DataView, from: number, end: number): number {
  let at = from;
  for (const last = end - 8; at <= last; at += 8) {
    const a = view.getInt32(at, true);
    const inA = (((a ^ 0x02020202) - 0x21212121) | ((a ^ 0x5c5c5c5c) - 0x01010101)) & ~a & HIGH_BITS;
    if (inA !== 0) return at + ((31 - Math.clz32(inA & -inA)) >> 3);
    const b = view.getInt32(at + 4, true);
    const inB = (((b ^ 0x02020202) - 0x21212121) | ((b ^ 0x5c5c5c5c) - 0x01010101)) & ~b & HIGH_BITS;
    if (inB !== 0) return at + 4 + ((31 - Math.clz32(inB & -inB)) >> 3);
  }
  while (at < end && PLAIN[bytes[at]!] === 1) at++;
  return at;
}

const ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'));
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE;

function isHexDigit(byte: number): boolean {
  const letter = byte | CASE_BIT;
  return isDigit(byte) || (letter >= LETTER_A && letter <= LETTER_F);
}

/** One more byte behind a backslash, from 0 on (section 7). */
export function behindEscape(at: number, byte: number): number {
  if (at > 0) return !isHexDigit(byte) ? WRONG : at === 4 ? ENDED : at + 1;
  if (byte === LETTER_U) return 1;
  return ESCAPES.has(byte) ? ENDED : WRONG;
}

const WORDS: ReadonlyMap<number, Buffer> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
);

/** The word that begins so, if any. */
export function wordOf(byte: number): Buffer | undefined {
  return WORDS.get(byte);
}

const AFTER_MINUS = 0;
const AFTER_ZERO = 1;
const IN_DIGITS = 2;
const AFTER_DOT = 3;
const IN_FRACTION = 4;
const AFTER_E = 5;
const AFTER_SIGN = 6;
const IN_EXPONENT = 7;

/** The first byte of a number (section 6). */
export function beginOfNumber(byte: number): number {
  if (byte === ZERO) return AFTER_ZERO;
  if (isDigit(byte)) return IN_DIGITS;
  return byte === MINUS ? AFTER_MINUS : WRONG;
}

/** One more byte; ENDED when the number was over before it. */
export function nextInNumber(at: number, byte: number): number {
  if (isDigit(byte)) {
    if (at === AFTER_ZERO) return WRONG;
    if (at === AFTER_MINUS) return byte === ZERO ? AFTER_ZERO : IN_DIGITS;
    if (at === AFTER_DOT) return IN_FRACTION;
    return at === AFTER_E || at === AFTER_SIGN ? IN_EXPONENT : at;
  }
  const isInteger = at === AFTER_ZERO || at === IN_DIGITS;
  if (byte === DOT && isInteger) return AFTER_DOT;
  if ((byte | CASE_BIT) === LETTER_E && (isInteger || at === IN_FRACTION)) return AFTER_E;
  if ((byte === MINUS || byte === PLUS) && at === AFTER_E) return AFTER_SIGN;
  return isInteger || at === IN_FRACTION || at === IN_EXPONENT ? ENDED : WRONG;
}
