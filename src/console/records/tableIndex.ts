import { open, readFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { errno } from '../../system/files.ts';
import { notFound } from '../exchange.ts';
import type { Table } from './cells.ts';
import { float64s, uint32s } from './columnSort.ts';
import { columnFile, ROW_BYTES, type IndexMeta } from './indexFormat.ts';
import { rowsOfKey } from './keyList.ts';
import { rowsWith, wordsOf } from './rowFilter.ts';
import type { RowSet } from './rowSet.ts';

/** Rows in the order of a column. */
export interface RowOrder {
  /** All rows; those with an empty cell last. */
  readonly rows: Uint32Array;
  /** How many have something in the cell. */
  readonly filled: number;
}

/** Where a row's line is. */
interface LinePlace {
  readonly row: number;
  readonly offset: number;
  readonly length: number;
  readonly fileNo: number;
}

/** Filters of late: a page of a table asks for the same ones as the page before. */
const REMEMBERED = 6;
/** Lines of so many rows are looked up at once. */
const PLACES_AT_ONCE = 4096;
/** Lines that follow one another are read at once, up to so many bytes. */
const TOGETHER_BYTES = 512 * 1024;

/** A table that is indexed, to be read. */
export class TableIndex {
  readonly meta: IndexMeta;
  readonly table: Table;
  readonly #folder: string;
  readonly #sourceFolder: string;
  readonly #sort: (column: string) => Promise<void>;
  readonly #filtered = new Map<string, RowSet>();
  readonly #orders = new Map<string, RowOrder>();

  /** `sort`: sees to it that a column is sorted. */
  constructor(
    place: { readonly folder: string; readonly sourceFolder: string },
    meta: IndexMeta,
    table: Table,
    sort: (column: string) => Promise<void>,
  ) {
    this.meta = meta;
    this.table = table;
    this.#folder = place.folder;
    this.#sourceFolder = place.sourceFolder;
    this.#sort = sort;
  }

  /** Rows that may have this logical id; others are among them. */
  rowsOfId(id: string): Promise<readonly number[]> {
    return rowsOfKey(path.join(this.#folder, 'ids'), id);
  }

  /** Rows that may be about this patient; others are among them. */
  rowsOfPatient(patientId: string): Promise<readonly number[]> {
    return rowsOfKey(path.join(this.#folder, 'patients'), patientId);
  }

  /** The places of rows on a timeline; NaN for those without one. */
  async whenOf(rows: readonly number[]): Promise<readonly number[]> {
    if (rows.length > PLACES_AT_ONCE) {
      const all = float64s(await readFile(path.join(this.#folder, 'when')));
      return rows.map((row) => all[row]!);
    }
    return this.#read('when', async (handle) => {
      const times: number[] = [];
      for (const row of rows) times.push((await readAt(handle, row * 8, 8)).readDoubleLE());
      return times;
    });
  }

  /** The rows that a filter of any column (the key '') and those of single columns leave; undefined: all. */
  async filter(filters: ReadonlyMap<string, string>, signal: AbortSignal): Promise<RowSet | undefined> {
    let left: RowSet | undefined;
    for (const [column, filter] of filters) {
      const columns = column === '' ? this.table.columns.map(({ key }) => key) : [column];
      for (const word of wordsOf(filter)) {
        const found = await this.#remembered(JSON.stringify([column, word]), () =>
          rowsWith(this.#folder, this.meta.rows, columns, word, signal),
        );
        left = left === undefined ? found : left.and(found);
      }
    }
    return left;
  }

  async #remembered(key: string, find: () => Promise<RowSet>): Promise<RowSet> {
    const known = this.#filtered.get(key);
    const found = known ?? (await find());
    this.#filtered.delete(key);
    this.#filtered.set(key, found);
    for (const oldest of this.#filtered.keys()) {
      if (this.#filtered.size <= REMEMBERED) break;
      this.#filtered.delete(oldest);
    }
    return found;
  }

  /** Rows by a column; when this is asked for the first time, they are sorted first. */
  async orderBy(column: string): Promise<RowOrder> {
    const known = this.#orders.get(column);
    if (known !== undefined) return known;
    const file = path.join(this.#folder, columnFile(column, 'sort'));
    let bytes: Buffer;
    try {
      bytes = await readFile(file);
    } catch (error) {
      if (errno(error) !== 'ENOENT') throw error;
      await this.#sort(column);
      bytes = await readFile(file);
    }
    const numbers = uint32s(bytes);
    const order = { rows: numbers.subarray(1), filled: numbers[0]! };
    this.#orders.clear();
    this.#orders.set(column, order);
    return order;
  }

  /**
   * The exact lines of rows, in the order given, streamed. The source's files are opened for as long as it is read.
   * Throws CONSOLE_NOT_FOUND where the source is gone.
   */
  async *lines(
    rows: Iterable<number>,
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly row: number; readonly line: Buffer }> {
    const handles = new Map<number, FileHandle>();
    try {
      for (const some of chunked(rows, PLACES_AT_ONCE)) {
        for (const together of neighbours(await this.#places(some))) {
          signal.throwIfAborted();
          const [{ fileNo, offset }, last] = [together[0]!, together.at(-1)!];
          let handle = handles.get(fileNo);
          if (handle === undefined) handles.set(fileNo, (handle = await this.#openSource(fileNo)));
          const bytes = await readAt(handle, offset, last.offset + last.length - offset);
          for (const { row, offset: at, length } of together) {
            yield { row, line: bytes.subarray(at - offset, at - offset + length) };
          }
        }
      }
    } finally {
      for (const handle of handles.values()) await handle.close();
    }
  }

  async #openSource(fileNo: number): Promise<FileHandle> {
    const { name } = this.meta.files[fileNo]!;
    try {
      return await open(path.join(this.#sourceFolder, name), 'r');
    } catch (error) {
      if (errno(error) === 'ENOENT') throw notFound(`${name} is gone`);
      throw error;
    }
  }

  #places(rows: readonly number[]): Promise<readonly LinePlace[]> {
    return this.#read('rows', async (handle) => {
      const first = rows.reduce((least, row) => Math.min(least, row), Infinity);
      const last = rows.reduce((most, row) => Math.max(most, row), 0);
      // Rows in file order lie together: they are read at once.
      const isTogether = last - first < 2 * PLACES_AT_ONCE;
      const all = isTogether
        ? await readAt(handle, first * ROW_BYTES, (last - first + 1) * ROW_BYTES)
        : undefined;
      const found = [];
      for (const row of rows) {
        const bytes =
          all?.subarray((row - first) * ROW_BYTES) ?? (await readAt(handle, row * ROW_BYTES, ROW_BYTES));
        found.push({
          row,
          offset: bytes.readDoubleLE(0),
          length: bytes.readUInt32LE(8),
          fileNo: bytes.readUInt32LE(12),
        });
      }
      return found;
    });
  }

  async #read<T>(name: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = await open(path.join(this.#folder, name), 'r');
    try {
      return await work(handle);
    } finally {
      await handle.close();
    }
  }
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  await handle.read(bytes, 0, length, offset);
  return bytes;
}

/** Places in groups: each group's lines follow one another in a file, with nothing but a line feed in between. */
function* neighbours(places: readonly LinePlace[]): Generator<readonly LinePlace[]> {
  let group: LinePlace[] = [];
  for (const place of places) {
    const [first, last] = [group[0], group.at(-1)];
    const isNext =
      last !== undefined && place.fileNo === last.fileNo && place.offset === last.offset + last.length + 1;
    if (first !== undefined && (!isNext || place.offset - first.offset > TOGETHER_BYTES)) {
      yield group;
      group = [];
    }
    group.push(place);
  }
  if (group.length > 0) yield group;
}

function* chunked(rows: Iterable<number>, size: number): Generator<readonly number[]> {
  let some: number[] = [];
  for (const row of rows) {
    some.push(row);
    if (some.length < size) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}

/** The rows of a table, sorted and filtered: what is shown in pages, and what is downloaded. */
export function* chosenRows(
  count: number,
  order: RowOrder | undefined,
  isDescending: boolean,
  chosen: RowSet | undefined,
): Generator<number> {
  for (let at = 0; at < count; at++) {
    const row =
      order === undefined ? at : order.rows[isDescending && at < order.filled ? order.filled - 1 - at : at]!;
    if (chosen === undefined || chosen.has(row)) yield row;
  }
}
