import { endianness } from 'node:os';

/** A little less than what would fill the memory given: hashed keys fall a little unevenly. */
const FILL = 0.9;
const HIGH_VALUES = 2 ** 32;
/** Which half of a key counts more where 64 bits are one number. */
const [MINOR, MAJOR] = endianness() === 'LE' ? ([0, 1] as const) : ([1, 0] as const);

/** Keys (low half, high half) that came more than once, to be found again. */
export interface RepeatedKeys {
  /** The places in `keys`, a key counting one, of those that are among these. */
  in(keys: Uint32Array): readonly number[];
}

/**
 * One slice of the space of keys: takes the keys that lie in it, and tells which came more than once. Holds 8 bytes a key,
 * and grows only where more different keys fall into the slice than are to be expected of hashes.
 */
export class KeySlice {
  readonly #from: number;
  readonly #to: number;
  #keys: Uint32Array<ArrayBuffer>;
  /** Of `#keys`, in halves. */
  #length = 0;
  /** Keys that came again, found when the others were put in order to make room. */
  #again: Uint32Array<ArrayBuffer> = new Uint32Array(0);

  private constructor(from: number, to: number, capacity: number) {
    this.#from = from;
    this.#to = to;
    this.#keys = new Uint32Array(2 * capacity);
  }

  /** Slices that together hold every key, each to be filled and dropped before the next is asked for. */
  static *allFor(total: number, maxKeys: number): Generator<KeySlice, void, undefined> {
    const slices = Math.max(1, Math.ceil(total / Math.max(1, maxKeys * FILL)));
    const edge = (slice: number): number => Math.floor((slice * HIGH_VALUES) / slices);
    for (let slice = 0; slice < slices; slice++) {
      yield new KeySlice(edge(slice), edge(slice + 1), Math.max(1, Math.min(total, maxKeys)));
    }
  }

  /** Takes of `keys` those that lie in the slice; 0 is no key. */
  take(keys: Uint32Array): void {
    const [from, to] = [this.#from, this.#to];
    for (let at = 0; at < keys.length; at += 2) {
      const low = keys[at]!;
      const high = keys[at + 1]!;
      if (high < from || high >= to || (low === 0 && high === 0)) continue;
      if (this.#length === this.#keys.length) this.#makeRoom();
      this.#keys[this.#length++] = low;
      this.#keys[this.#length++] = high;
    }
  }

  #makeRoom(): void {
    this.#fold();
    if (this.#length * 2 <= this.#keys.length) return;
    const larger = new Uint32Array(this.#keys.length * 2);
    larger.set(this.#keys);
    this.#keys = larger;
  }

  /** Leaves each key in once, and remembers those that came more than once. */
  #fold(): void {
    const again: number[] = [];
    this.#length = eachOnce(this.#keys, this.#length, again);
    if (again.length === 0) return;
    const all = new Uint32Array(this.#again.length + again.length);
    all.set(this.#again);
    all.set(again, this.#again.length);
    this.#again = all;
  }

  /** What came more than once, at most `most` keys at a time, each of them once. */
  *repeated(most: number): Generator<RepeatedKeys, void, undefined> {
    this.#fold();
    const length = eachOnce(this.#again, this.#again.length, []);
    for (let at = 0; at < length; at += 2 * most) {
      yield among(this.#again.subarray(at, Math.min(length, at + 2 * most)));
    }
  }
}

/** Puts keys in order, each once, and returns how long they are then; `again` gets each one that came more than once. */
function eachOnce(keys: Uint32Array<ArrayBuffer>, length: number, again: number[]): number {
  // As numbers of 64 bits: the one sort that makes no object of a key.
  new BigUint64Array(keys.buffer, 0, length / 2).sort();
  let kept = 0;
  for (let at = 0; at < length; at += 2) {
    const [low, high] = [keys[at]!, keys[at + 1]!];
    if (kept > 0 && keys[kept - 2] === low && keys[kept - 1] === high) {
      if (again.at(-2) !== low || again.at(-1) !== high) again.push(low, high);
      continue;
    }
    keys[kept++] = low;
    keys[kept++] = high;
  }
  return kept;
}

function among(sorted: Uint32Array): RepeatedKeys {
  const has = (minor: number, major: number): boolean => {
    let [from, to] = [0, sorted.length / 2 - 1];
    while (from <= to) {
      const middle = (from + to) >>> 1;
      const difference = sorted[2 * middle + MAJOR]! - major || sorted[2 * middle + MINOR]! - minor;
      if (difference === 0) return true;
      if (difference < 0) from = middle + 1;
      else to = middle - 1;
    }
    return false;
  };
  return {
    in(keys) {
      const places: number[] = [];
      for (let at = 0; at < keys.length; at += 2) {
        if (has(keys[at + MINOR]!, keys[at + MAJOR]!)) places.push(at / 2);
      }
      return places;
    },
  };
}
