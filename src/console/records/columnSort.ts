import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { columnFile } from './indexFormat.ts';

export interface SortJob {
  /** The index. */
  readonly folder: string;
  readonly column: string;
}

/** Bytes that a number holds exactly. */
const PREFIX_BYTES = 6;

/**
 * Sorts a column once and for all: what has an order by that, then the rest by its text, byte by byte of its UTF-8 (so by code
 * point), then empty cells. Of equals the earlier row comes first.
 */
export function sortColumn({ folder, column }: SortJob): void {
  const read = (kind: 'text' | 'ends' | 'order') => readFileSync(path.join(folder, columnFile(column, kind)));
  const text = read('text');
  const ends = uint32s(read('ends'));
  const order = float64s(read('order'));
  const beginOf = (row: number): number => (row === 0 ? 0 : ends[row - 1]! + 1);
  const rows = ends.length;

  const ordered: Uint32Array = new Uint32Array(rows);
  const texts: Uint32Array = new Uint32Array(rows);
  const empty: number[] = [];
  let [orderedCount, textCount] = [0, 0];
  for (let row = 0; row < rows; row++) {
    if (!Number.isNaN(order[row]!)) ordered[orderedCount++] = row;
    else if (ends[row]! > beginOf(row)) {
      texts[textCount++] = row;
      order[row] = prefixOf(text, beginOf(row), ends[row]!);
    } else empty.push(row);
  }
  const byOrder = (a: number, b: number): number => order[a]! - order[b]! || a - b;
  const byText = (a: number, b: number): number =>
    order[a]! - order[b]! || compareRest(text, beginOf(a), ends[a]!, beginOf(b), ends[b]!) || a - b;
  const sorted = new Uint32Array(1 + rows);
  sorted[0] = orderedCount + textCount;
  sorted.set(ordered.subarray(0, orderedCount).sort(byOrder), 1);
  sorted.set(texts.subarray(0, textCount).sort(byText), 1 + orderedCount);
  sorted.set(empty, 1 + orderedCount + textCount);

  const file = path.join(folder, columnFile(column, 'sort'));
  writeFileSync(`${file}.draft`, new Uint8Array(sorted.buffer), { mode: 0o600, flush: true });
  renameSync(`${file}.draft`, file);
}

function prefixOf(text: Buffer, begin: number, end: number): number {
  let prefix = 0;
  for (let at = 0; at < PREFIX_BYTES; at++)
    prefix = prefix * 256 + (begin + at < end ? text[begin + at]! : 0);
  return prefix;
}

/** Behind the prefix, which is the same. */
function compareRest(text: Buffer, a: number, aEnd: number, b: number, bEnd: number): number {
  const length = Math.min(aEnd - a, bEnd - b);
  for (let at = PREFIX_BYTES; at < length; at++) {
    const difference = text[a + at]! - text[b + at]!;
    if (difference !== 0) return difference;
  }
  return aEnd - a - (bEnd - b);
}

/** The numbers that bytes are; copied where they do not lie as numbers have to. */
export function uint32s(bytes: Buffer): Uint32Array {
  return new Uint32Array(aligned(bytes), 0, bytes.length / 4);
}

export function float64s(bytes: Buffer): Float64Array {
  return new Float64Array(aligned(bytes), 0, bytes.length / 8);
}

function aligned(bytes: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteOffset === 0 && buffer instanceof ArrayBuffer) return buffer;
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
