import { open } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import { hashOf } from './indexFormat.ts';

/** Which rows have a key: gathered while an index is built, then looked up in its file. */
export class KeyList {
  #halves = new Uint32Array(2048);
  #length = 0;

  add(key: string, row: number): void {
    if (this.#length === this.#halves.length) {
      const larger = new Uint32Array(2 * this.#length);
      larger.set(this.#halves);
      this.#halves = larger;
    }
    this.#halves[this.#length++] = row;
    this.#halves[this.#length++] = hashOf(key);
  }

  write(file: string): void {
    // Little-endian: the hash is the higher half, by which they are sorted first.
    const keys = new BigUint64Array(this.#halves.buffer, 0, this.#length / 2).sort();
    writeFileSync(file, Buffer.from(keys.buffer, 0, keys.byteLength), { mode: 0o600 });
  }
}

/** The rows that may have the key, in order: others of the same hash are among them. */
export async function rowsOfKey(file: string, key: string): Promise<readonly number[]> {
  const hash = hashOf(key);
  const handle = await open(file, 'r');
  try {
    const entries = (await handle.stat()).size / 8;
    const read = async (from: number, count: number): Promise<Uint32Array> => {
      const halves = new Uint32Array(2 * count);
      const { bytesRead } = await handle.read(halves, 0, halves.byteLength, from * 8);
      return halves.subarray(0, bytesRead / 4);
    };
    let [low, high] = [0, entries];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await read(middle, 1))[1]! < hash) low = middle + 1;
      else high = middle;
    }
    const rows: number[] = [];
    for (let at = low; ; at += AT_A_TIME) {
      const found = await read(at, AT_A_TIME);
      for (let entry = 0; entry < found.length; entry += 2) {
        if (found[entry + 1] !== hash) return rows;
        rows.push(found[entry]!);
      }
      if (found.length < 2 * AT_A_TIME) return rows;
    }
  } finally {
    await handle.close();
  }
}

const AT_A_TIME = 512;
