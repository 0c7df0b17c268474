/**
 * JSON as text. The sandbox never re-serialises a resource: it only takes white space out from between the
 * tokens (the canonical compact text) or puts some in (pretty pages). A parser would turn `1.50` into `1.5`.
 */

/** How a body is laid out: canonical, indented by two spaces, or legal white space few people expect. */
export type JsonStyle = 'compact' | 'pretty' | 'odd';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Index just after the JSON string that opens at `start` (a quote). An unterminated string ends at the end. */
function endOfString(text: Buffer, start: number): number {
  let index = start + 1;
  while (index < text.length) {
    const byte = text[index];
    if (byte === BACKSLASH) index += 2;
    else if (byte === QUOTE) return index + 1;
    else index += 1;
  }
  return text.length;
}

const isWhitespace = (byte: number | undefined) =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * The same JSON text without white space between tokens (RFC 8259, section 2): what a resource looks like as
 * one NDJSON line. Strings and numbers keep every byte. The input must be valid JSON; it is not checked here.
 */
export function compactJson(source: Buffer): Buffer {
  const target = Buffer.allocUnsafe(source.length);
  let length = 0;
  let index = 0;
  while (index < source.length) {
    const byte = source[index];
    if (byte === QUOTE) {
      const end = endOfString(source, index);
      length += source.copy(target, length, index, end);
      index = end;
    } else {
      if (!isWhitespace(byte)) target[length++] = byte ?? 0;
      index += 1;
    }
  }
  return Buffer.from(target.subarray(0, length));
}

/** A member of a JSON object in compact text: its key, and where its value begins and ends. */
export interface MemberSpan {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

const COMMA = 0x2c;
const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);

function endOfValue(text: Buffer, start: number): number {
  let depth = 0;
  for (let index = start; index < text.length;) {
    const byte = text[index] ?? 0;
    if (byte === QUOTE) {
      index = endOfString(text, index);
      if (depth === 0) return index;
      continue;
    }
    if (OPEN.has(byte)) depth += 1;
    else if (CLOSE.has(byte)) {
      if (depth === 0) return index;
      depth -= 1;
      if (depth === 0) return index + 1;
    } else if (byte === COMMA && depth === 0) return index;
    index += 1;
  }
  return text.length;
}

/** The members of the object whose `{` stands at `start` of a compact text. */
export function membersOf(text: Buffer, start: number): MemberSpan[] {
  const members: MemberSpan[] = [];
  let index = start + 1;
  while (text[index] === QUOTE) {
    const keyEnd = endOfString(text, index);
    const key = JSON.parse(text.toString('utf8', index, keyEnd)) as string;
    const end = endOfValue(text, keyEnd + 1);
    members.push({ key, start: keyEnd + 1, end });
    index = text[end] === COMMA ? end + 1 : end;
  }
  return members;
}

/** Where the items of the list whose `[` stands at `start` of a compact text begin and end. */
export function itemsOf(text: Buffer, start: number): { readonly start: number; readonly end: number }[] {
  const items: { start: number; end: number }[] = [];
  let index = start + 1;
  while (index < text.length && !CLOSE.has(text[index] ?? 0)) {
    const end = endOfValue(text, index);
    items.push({ start: index, end });
    index = text[end] === COMMA ? end + 1 : end;
  }
  return items;
}

/** Puts white space between the tokens of a compact text; tokens keep every byte. */
export function styledJson(compact: Buffer, style: JsonStyle): Buffer {
  if (style === 'compact') return compact;
  const odd = style === 'odd';
  const newline = odd ? '\r\n' : '\n';
  const indent = odd ? '\t' : '  ';
  const colon = odd ? ' :\t ' : ' : ';
  const comma = odd ? ' ,' : ',';
  // latin1 keeps one character a byte, so that slices of the text are slices of the bytes.
  const text = compact.toString('latin1');
  const pieces: string[] = odd ? ['\n \t'] : [];
  let depth = 0;
  let plainFrom = 0;
  let index = 0;
  const flush = (upTo: number) => {
    if (upTo > plainFrom) pieces.push(text.slice(plainFrom, upTo));
  };
  while (index < text.length) {
    const char = text[index];
    if (char === '"') {
      index = endOfString(compact, index);
      continue;
    }
    if (char === '{' || char === '[') {
      flush(index);
      const closing = text[index + 1];
      if (closing === '}' || closing === ']') {
        pieces.push(odd ? `${char} ${closing}` : `${char}${closing}`);
        index += 1;
      } else {
        depth += 1;
        pieces.push(char, newline, indent.repeat(depth));
      }
      plainFrom = index + 1;
    } else if (char === '}' || char === ']') {
      flush(index);
      depth -= 1;
      pieces.push(newline, indent.repeat(depth), char);
      plainFrom = index + 1;
    } else if (char === ',') {
      flush(index);
      pieces.push(comma, newline, indent.repeat(depth));
      plainFrom = index + 1;
    } else if (char === ':') {
      flush(index);
      pieces.push(colon);
      plainFrom = index + 1;
    }
    index += 1;
  }
  flush(text.length);
  pieces.push(newline);
  return Buffer.from(pieces.join(''), 'latin1');
}
