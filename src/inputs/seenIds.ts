/** 64 bits as two halves. */
export type Hash64 = readonly [high: number, low: number];

/** A 64-bit hash of a text: two independent multiplicative mixes. Not for adversaries; every hit is verified. */
export function hash64(text: string): Hash64 {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x9e3779b1);
    b = Math.imul(b ^ code, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return [a >>> 0, b >>> 0];
}

const NONE: readonly number[] = [];
const FIRST_SLOTS = 1024;

/**
 * Which texts were seen, and in which line: an open-addressing table of hashes, 12 bytes a slot and at most half
 * full, so a million texts take 25 MB whatever their length. It keeps no text: a hit only says where to look.
 */
export class SeenIds {
  readonly #hash: (text: string) => Hash64;
  #high = new Uint32Array(FIRST_SLOTS);
  #low = new Uint32Array(FIRST_SLOTS);
  /** Line of the text; 0 = free, since lines count from 1. */
  #line = new Uint32Array(FIRST_SLOTS);
  #size = 0;

  constructor(hash: (text: string) => Hash64 = hash64) {
    this.#hash = hash;
  }

  /** Lines of texts with the same hash: almost always none, or the one of an equal text. */
  linesOf(text: string): readonly number[] {
    const [high, low] = this.#hash(text);
    let lines: readonly number[] = NONE;
    const mask = this.#line.length - 1;
    for (let slot = low & mask; this.#line[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#high[slot] === high && this.#low[slot] === low) lines = [...lines, this.#line[slot]!];
    }
    return lines;
  }

  add(text: string, line: number): void {
    if (this.#size * 2 >= this.#line.length) this.#grow();
    this.#put(this.#hash(text), line);
    this.#size++;
  }

  #put([high, low]: Hash64, line: number): void {
    const mask = this.#line.length - 1;
    let slot = low & mask;
    while (this.#line[slot] !== 0) slot = (slot + 1) & mask;
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#line[slot] = line;
  }

  #grow(): void {
    const [high, low, line] = [this.#high, this.#low, this.#line];
    this.#high = new Uint32Array(line.length * 2);
    this.#low = new Uint32Array(line.length * 2);
    this.#line = new Uint32Array(line.length * 2);
    for (let slot = 0; slot < line.length; slot++) {
      if (line[slot] !== 0) this.#put([high[slot]!, low[slot]!], line[slot]!);
    }
  }
}
