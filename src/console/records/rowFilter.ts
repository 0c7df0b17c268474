import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { uint32s } from './columnSort.ts';
import { fold } from './fold.ts';
import { columnFile } from './indexFormat.ts';
import { RowSet } from './rowSet.ts';

/** What a cell has to hold, or, `isNot`, must not. */
export interface Word {
  /** Folded. */
  readonly text: string;
  /** The whole cell. */
  readonly isWhole: boolean;
  readonly isNot: boolean;
}

/** `glucose =final !entered`: words that all have to be found; `=` before one: as the whole cell; `!`: not to be found. */
export function wordsOf(filter: string): readonly Word[] {
  return filter
    .split(/\s+/)
    .map((given) => {
      const isNot = given.startsWith('!');
      const rest = isNot ? given.slice(1) : given;
      const isWhole = rest.startsWith('=');
      return { text: fold(isWhole ? rest.slice(1) : rest), isWhole, isNot };
    })
    .filter(({ text, isWhole }) => text !== '' || isWhole);
}

/** So much of a column is searched at a time: others get their turn in between. */
const SLICE_BYTES = 2 << 20;

/** The rows with the word in at least one of the columns. `sliceBytes`: at least what the longest cell has. */
export async function rowsWith(
  folder: string,
  rows: number,
  columns: readonly string[],
  word: Word,
  signal: AbortSignal,
  sliceBytes = SLICE_BYTES,
): Promise<RowSet> {
  const found = RowSet.none(rows);
  for (const column of columns) {
    await searchColumn(folder, column, word, found, signal, sliceBytes);
    if (found.size === rows) break;
  }
  return word.isNot ? found.not() : found;
}

async function searchColumn(
  folder: string,
  column: string,
  { text, isWhole }: Word,
  found: RowSet,
  signal: AbortSignal,
  sliceBytes: number,
): Promise<void> {
  const ends = uint32s(await readFile(path.join(folder, columnFile(column, 'ends'))));
  const needle = Buffer.from(isWhole ? `\n${text}\n` : text);
  const handle = await open(path.join(folder, columnFile(column, 'text')), 'r');
  try {
    const slice = Buffer.allocUnsafe(sliceBytes + 1);
    // So that the first cell, too, has a line feed before it.
    slice[0] = 0x0a;
    for (let row = 0, begin = 0; row < ends.length;) {
      signal.throwIfAborted();
      const last = lastWithin(ends, row, begin + sliceBytes);
      const length = ends[last]! + 1 - begin;
      await handle.read(slice, 1, length, begin);
      markRows(slice.subarray(0, 1 + length), begin - 1, needle, isWhole, ends, row, found);
      begin = ends[last]! + 1;
      row = last + 1;
    }
  } finally {
    await handle.close();
  }
}

/** The last row from `row` on that ends before `limit`. */
function lastWithin(ends: Uint32Array, row: number, limit: number): number {
  let [low, high] = [row, ends.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (ends[middle]! < limit) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** `origin`: where in the column's text the slice begins. */
function markRows(
  slice: Buffer,
  origin: number,
  needle: Buffer,
  isWhole: boolean,
  ends: Uint32Array,
  first: number,
  found: RowSet,
): void {
  let row = first;
  for (let at = slice.indexOf(needle); at >= 0;) {
    const place = origin + at + (isWhole ? 1 : 0);
    while (ends[row]! < place) row++;
    found.add(row);
    // The line feed at its end may be the one before the next.
    at = slice.indexOf(needle, ends[row]! - origin);
  }
}
