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
/**
 * Small tables in place of one of 25 MB: glibc takes the largest block that was ever given back as the size from which it
 * gives memory back at all, and so would keep 30 MB for the whole of the run (seen in 2.36).
 */
const TABLE_BITS = 6;
const FIRST_SLOTS = 64;
/** Of a slot: both halves of the hash, and the line; side by side, so that a look costs one miss of the cache. */
const WORDS = 3;

/**
 * Which texts were seen, and in which line: open-addressing tables of hashes, 12 bytes a slot and at most half
 * full, so a million texts take 25 MB whatever their length. It keeps no text: a hit only says where to look.
 */
export class SeenIds {
  readonly #hash: (text: string) => Hash64;
  readonly #tables = Array.from({ length: 1 << TABLE_BITS }, () => new HashTable());

  constructor(hash: (text: string) => Hash64 = hash64) {
    this.#hash = hash;
  }

  /** Lines of texts with the same hash: almost always none, or the one of an equal text. */
  linesOf(text: string): readonly number[] {
    const [high, low] = this.#hash(text);
    return this.#tableOf(high).linesOf(high, low);
  }

  add(text: string, line: number): void {
    const [high, low] = this.#hash(text);
    this.#tableOf(high).add(high, low, line);
  }

  #tableOf(high: number): HashTable {
    return this.#tables[high >>> (32 - TABLE_BITS)]!;
  }
}

class HashTable {
  /** A slot whose line is 0 is free, since lines count from 1. */
  #words = new Uint32Array(FIRST_SLOTS * WORDS);
  #slots = FIRST_SLOTS;
  #size = 0;

  linesOf(high: number, low: number): readonly number[] {
    const words = this.#words;
    let lines: readonly number[] = NONE;
    for (let at = this.#slotOf(low); words[at + 2] !== 0; at = this.#after(at)) {
      if (words[at] === high && words[at + 1] === low) lines = [...lines, words[at + 2]!];
    }
    return lines;
  }

  add(high: number, low: number, line: number): void {
    if (this.#size * 2 >= this.#slots) this.#grow();
    this.#put(high, low, line);
    this.#size++;
  }

  #slotOf(low: number): number {
    return (low & (this.#slots - 1)) * WORDS;
  }

  #after(at: number): number {
    const next = at + WORDS;
    return next === this.#words.length ? 0 : next;
  }

  #put(high: number, low: number, line: number): void {
    const words = this.#words;
    let at = this.#slotOf(low);
    while (words[at + 2] !== 0) at = this.#after(at);
    words[at] = high;
    words[at + 1] = low;
    words[at + 2] = line;
  }

  #grow(): void {
    const old = this.#words;
    this.#slots *= 2;
    this.#words = new Uint32Array(this.#slots * WORDS);
    for (let at = 0; at < old.length; at += WORDS) {
      if (old[at + 2] !== 0) this.#put(old[at]!, old[at + 1]!, old[at + 2]!);
    }
  }
}
