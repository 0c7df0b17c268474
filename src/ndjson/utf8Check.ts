import { isUtf8 } from 'node:buffer';

const NONE = Buffer.alloc(0);

/** Whether bytes are UTF-8 (RFC 3629), in chunks that may end within a character. */
export class Utf8Check {
  /** The beginning of a character that the next chunk ends: 0 to 3 bytes. */
  #begun: Buffer = NONE;

  /** Whether a character is begun and not ended. */
  get isWithin(): boolean {
    return this.#begun.length > 0;
  }

  /**
   * The line of `chunk`, 0 for its first, that is not UTF-8; undefined: none. A character that is begun is judged when it
   * should have ended. After a line was returned there is nothing more to be asked.
   */
  badLine(chunk: Buffer): number | undefined {
    const begun = this.#begun;
    if (this.#accepts(chunk)) return undefined;
    const bytes = Buffer.concat([begun, chunk]);
    let line = 0;
    for (let from = 0; ; line++) {
      const end = bytes.indexOf(10, from);
      if (end < 0 || !isUtf8(bytes.subarray(from, end))) return line;
      from = end + 1;
    }
  }

  #accepts(chunk: Buffer): boolean {
    let from = 0;
    if (this.isWithin) {
      const missing = lengthOf(this.#begun[0]!) - this.#begun.length;
      from = Math.min(missing, chunk.length);
      this.#begun = Buffer.concat([this.#begun, chunk.subarray(0, from)]);
      if (from < missing) return true;
      if (!isUtf8(this.#begun)) return false;
    }
    const to = chunk.length - begunAtEnd(chunk, from);
    this.#begun = to === chunk.length ? NONE : Buffer.from(chunk.subarray(to));
    return isUtf8(chunk.subarray(from, to));
  }
}

/** How many bytes the character that begins with `byte` has. */
function lengthOf(byte: number): number {
  return byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
}

/** How many bytes at the end, after `from`, begin a character without ending it. */
function begunAtEnd(chunk: Buffer, from: number): number {
  for (let back = 1; back <= Math.min(3, chunk.length - from); back++) {
    const byte = chunk[chunk.length - back]!;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return lengthOf(byte) > back ? back : 0;
  }
  return 0;
}
