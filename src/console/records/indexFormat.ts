import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { TABLES_VERSION } from './tables.ts';

/**
 * The index of one table, a folder of flat files. Rows are numbered as their lines come.
 *
 * - `meta.json`, written last: what it was built from, and how many rows there are.
 * - `rows`: 16 bytes a row: where its line begins (float64), its length and the number of its file (uint32 each).
 * - `when`: a row's place on the timeline (float64, NaN for none).
 * - `ids`, `patients`: of each id, and of each patient that a row is about, 32 bits of hash and the row, as one uint64, sorted.
 * - of each column `KEY.text`: the cells as filters see them (fold.ts), each with a line feed behind it; `KEY.ends`: where
 *   these are (uint32); `KEY.order`: the cell's order (float64, NaN for none); `KEY.sort`, made when the column is first
 *   sorted by: how many rows have something there, then all rows in order (uint32), those that have nothing last.
 *
 * Numbers are little-endian, as every machine that this runs on has them.
 */
export interface IndexMeta {
  readonly formatVersion: number;
  readonly files: readonly IndexedFile[];
  readonly rows: number;
  /** Lines that could not be read. */
  readonly badLines: number;
  /** Of its files: what a power cut took from one shows in its size. */
  readonly sizes: Readonly<Record<string, number>>;
}

/** A file that is indexed, as its manifest has it. */
export interface IndexedFile {
  /** Relative to the source's folder. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export const META = 'meta.json';
export const ROW_BYTES = 16;
/** Of this file's shape and of the tables' cells. */
export const FORMAT_VERSION = 1000 + TABLES_VERSION;
/** A longer cell is found by its beginning only, so that no column grows beyond what 32 bits count. */
export const CELL_CHARS = 400;

export function columnFile(key: string, kind: 'text' | 'ends' | 'order' | 'sort'): string {
  return `${key}.${kind}`;
}

/** undefined where there is no index, where it is of another version, or was built from other files. */
export async function readMeta(
  folder: string,
  files: readonly IndexedFile[],
): Promise<IndexMeta | undefined> {
  try {
    const meta = JSON.parse(await readFile(path.join(folder, META), 'utf8')) as IndexMeta;
    const isSame = JSON.stringify(meta.files) === JSON.stringify(files);
    return meta.formatVersion === FORMAT_VERSION && isSame ? meta : undefined;
  } catch {
    return undefined;
  }
}

/** Whether all of an index's files are as they were written. */
export async function isWhole(folder: string, { sizes }: IndexMeta): Promise<boolean> {
  for (const [name, bytes] of Object.entries(sizes)) {
    const found = await stat(path.join(folder, name)).catch(() => undefined);
    if (found?.size !== bytes) return false;
  }
  return true;
}

/** 32 bits of a text. Different texts may have the same: whoever finds one looks closer. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
