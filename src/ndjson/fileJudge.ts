import { createHash } from 'node:crypto';
import type { LineKey } from './lineKey.ts';
import { LineScan } from './lineScan.ts';

/** What is found of a block. */
export interface Verdict {
  /** Where what is to be stored of it begins and ends, in turn; undefined: all of it, the ordinary case. */
  readonly kept: readonly number[] | undefined;
  /** Of the lines that end in it: low half, high half ...; two zeros for a line without an id. */
  readonly keys: Uint32Array;
  /** Lines that ended, up to here. */
  readonly lines: number;
}

/** What is found at a file's end. */
export interface LastVerdict {
  /** What is still to be stored: a line feed, or nothing. */
  readonly rest: Uint8Array;
  /** Of a last line that no line feed ended. */
  readonly keys: Uint32Array;
  readonly lines: number;
  /** Of all that is to be stored, in hexadecimal digits. */
  readonly sha256: string;
}

/**
 * So much is scanned in one call: V8 compiles a function that is called often, and one that is in its loop for long only
 * from within, which makes code that is a quarter slower. What is hashed is in the processor's cache then, too.
 */
const PIECE_BYTES = 64 * 1024;

/**
 * Judges one NDJSON file, block by block in order: what of it is to be stored (LineScan), the keys of its lines, and the
 * hash of what is stored. Throws BULK_FILE_MALFORMED; then it is of no more use.
 */
export class FileJudge {
  readonly #scan: LineScan;
  readonly #hash = createHash('sha256');
  #keys = new Uint32Array(512);
  #length = 0;

  /** @param resourceType what every line has to be; undefined: any type */
  constructor(resourceType: string | undefined) {
    this.#scan = new LineScan({ resourceType, line: (key) => this.#add(key) });
  }

  judge(block: Buffer): Verdict {
    this.#length = 0;
    const kept: number[] = [];
    for (let from = 0; from < block.length; from += PIECE_BYTES) {
      for (const span of this.#scan.push(block.subarray(from, from + PIECE_BYTES))) {
        this.#hash.update(span);
        const at = span.byteOffset - block.byteOffset;
        if (kept.at(-1) === at) kept.pop();
        else kept.push(at);
        kept.push(at + span.length);
      }
    }
    const isWhole = kept.length === 2 && kept[1]! - kept[0]! === block.length;
    return {
      kept: isWhole ? undefined : kept,
      keys: this.#keys.slice(0, this.#length),
      lines: this.#scan.lines,
    };
  }

  end(): LastVerdict {
    this.#length = 0;
    const rest = this.#scan.end();
    this.#hash.update(rest);
    return {
      rest,
      keys: this.#keys.slice(0, this.#length),
      lines: this.#scan.lines,
      sha256: this.#hash.digest('hex'),
    };
  }

  #add(key: LineKey | undefined): void {
    if (this.#length === this.#keys.length) {
      const larger = new Uint32Array(2 * this.#length);
      larger.set(this.#keys);
      this.#keys = larger;
    }
    this.#keys[this.#length++] = key?.[1] ?? 0;
    this.#keys[this.#length++] = key?.[0] ?? 0;
  }
}
