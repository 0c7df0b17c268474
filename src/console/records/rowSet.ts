/** Some of a table's rows: a bit each. */
export class RowSet {
  readonly #bits: Uint32Array;
  readonly rows: number;

  private constructor(rows: number, bits: Uint32Array) {
    this.rows = rows;
    this.#bits = bits;
  }

  static none(rows: number): RowSet {
    return new RowSet(rows, new Uint32Array(Math.ceil(rows / 32)));
  }

  add(row: number): void {
    this.#bits[row >>> 5]! |= 1 << (row & 31);
  }

  has(row: number): boolean {
    return (this.#bits[row >>> 5]! & (1 << (row & 31))) !== 0;
  }

  /** Those of both. */
  and(other: RowSet): RowSet {
    return new RowSet(
      this.rows,
      this.#bits.map((bits, at) => bits & other.#bits[at]!),
    );
  }

  /** The others. */
  not(): RowSet {
    const bits = this.#bits.map((word) => ~word);
    const beyond = this.rows & 31;
    if (beyond > 0) bits[bits.length - 1]! &= (1 << beyond) - 1;
    return new RowSet(this.rows, bits);
  }

  get size(): number {
    let size = 0;
    for (const word of this.#bits) {
      let bits = word - ((word >>> 1) & 0x55555555);
      bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
      size += Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
    }
    return size;
  }
}
