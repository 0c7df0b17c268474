import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { CsvError, parse } from 'csv-parse';
import type { Options } from 'csv-parse';
import { parse as parseWhole } from 'csv-parse/sync';
import { errno } from '../system/files.ts';
import { refuseInput } from './problemList.ts';
import { utf8Check } from './utf8.ts';

/** One row as it stands in the file. Its cells are not trimmed. */
export interface CsvRow {
  /** Line in which the row begins, from 1. */
  readonly line: number;
  readonly cells: readonly string[];
  /** Set when the row has another number of fields than the header. */
  readonly fault: string | undefined;
}

/** Larger ones are slower: more of their rows outlive a collection of the young, and are copied. */
const CHUNK_BYTES = 64 * 1024;
/** A longer row is an unclosed quote that swallowed the file. */
const MAX_ROW_CHARS = 64 * 1024;
/** Every so many lines the byte offset is remembered, so that a row can be looked up again. */
const LINES_PER_MARK = 256;
/** What such a stretch is read in. */
const MARK_BYTES = 16 * 1024;
/** Enough for a row and the beginning of the next, nearly always. */
const SHORT_ROW_BYTES = 2048;
const BOM = '\ufeff';

/**
 * A CSV file with a header: UTF-8 with or without BOM, LF or CRLF, fields optionally in double quotes, separated by
 * comma, semicolon or tab (found out from the header). Streams: its memory does not grow with the file.
 *
 * No error holds text of the file, since a roster is PHI: csv-parse's own errors carry the row and are not passed on.
 */
export class CsvFile {
  /** As it stands in messages. */
  readonly name: string;
  /** The header's names, trimmed and in small letters; those of unnamed columns are empty. */
  readonly header: readonly string[];
  readonly #handle: FileHandle;
  readonly #options: Options;
  /** Byte offset of line 1, 257, 513 ... */
  readonly #marks: number[] = [0];

  private constructor(name: string, handle: FileHandle, header: readonly string[], options: Options) {
    this.name = name;
    this.header = header;
    this.#handle = handle;
    this.#options = options;
  }

  /** @throws RoundsError INPUT_INVALID: unreadable, empty, not UTF-8, or two columns of one name */
  static async open(file: string): Promise<CsvFile> {
    let handle: FileHandle;
    try {
      handle = await open(file, 'r');
    } catch (error) {
      return refuseInput(file, `cannot be read: ${errno(error) ?? 'unknown'}`);
    }
    try {
      const first = await readSome(handle, 0, CHUNK_BYTES, file);
      const badLine = utf8Check().push(first);
      if (badLine !== undefined) refuseInput(`${file}:${badLine}`, NOT_UTF8);
      const [line = ''] = first.toString('utf8').replace(BOM, '').split(/\r?\n/, 1);
      if (line.trim() === '')
        refuseInput(`${file}:1`, 'has no header; write the names of the columns in the first line');
      const options: Options = {
        bom: true,
        delimiter: findDelimiter(line),
        record_delimiter: ['\r\n', '\n'],
        relax_column_count: true,
        max_record_size: MAX_ROW_CHARS,
      };
      const header = parseHeader(line, options, file);
      return new CsvFile(file, handle, header, options);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * The rows below the header in batches, without blank lines. May be called once.
   * @throws RoundsError INPUT_INVALID: not UTF-8, or quotes that do not fit; AbortError when `signal` fires
   */
  async *batches(signal?: AbortSignal): AsyncGenerator<readonly CsvRow[]> {
    const parser = parse(this.#options);
    // Emitted a tick after the write that caused it; the iteration below throws it again.
    let failed = false;
    parser.on('error', () => (failed = true));
    let line = 1;
    let batch: CsvRow[] = [];
    const take = (cells: readonly string[]): void => {
      const blank = cells.length === 1 && cells[0] === '';
      if (line > 1 && !blank) batch.push({ line, cells, fault: this.#fault(cells) });
      line += 1 + lineBreaks(cells);
    };
    try {
      for await (const chunk of this.#chunks()) {
        signal?.throwIfAborted();
        if (failed) break;
        parser.write(chunk);
        // A read that never waits: one promise a chunk and not one a row halves the time of a million rows.
        for (let cells: unknown; (cells = parser.read()) !== null;) take(cells as readonly string[]);
        yield batch;
        batch = [];
      }
      parser.end();
      for await (const cells of parser as AsyncIterable<readonly string[]>) take(cells);
    } catch (error) {
      if (error instanceof CsvError) refuseInput(`${this.name}:${lineOf(error)}`, csvFault(error));
      throw error;
    } finally {
      parser.destroy();
    }
    yield batch;
  }

  /** The cells of the row that begins in `line`, read again from the file; `line` must have been passed already. */
  async cellsAt(line: number): Promise<readonly string[]> {
    let offset = this.#marks[Math.floor((line - 1) / LINES_PER_MARK)] ?? 0;
    let skip = (line - 1) % LINES_PER_MARK;
    while (skip > 0) {
      const bytes = await readSome(this.#handle, offset, MARK_BYTES, this.name);
      let from = 0;
      for (; skip > 0; skip--) {
        const end = bytes.indexOf(0x0a, from);
        if (end < 0) break;
        from = end + 1;
      }
      offset += skip > 0 ? bytes.length : from;
      if (bytes.length === 0) return [];
    }
    // Nearly every row is short; a row that a later one follows was read whole.
    for (const length of [SHORT_ROW_BYTES, MAX_ROW_CHARS * 4]) {
      const bytes = await readSome(this.#handle, offset, length, this.name);
      const [row, later] = firstRows(bytes, this.#options) ?? [];
      if (row !== undefined && (later !== undefined || bytes.length < length)) return row;
    }
    return [];
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async *#chunks(): AsyncGenerator<Buffer> {
    const check = utf8Check();
    let lines = 0;
    for (let offset = 0; ;) {
      const chunk = await readSome(this.#handle, offset, CHUNK_BYTES, this.name);
      const badLine = chunk.length === 0 ? check.end() : check.push(chunk);
      if (badLine !== undefined) refuseInput(`${this.name}:${badLine}`, NOT_UTF8);
      if (chunk.length === 0) return;
      for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) {
        if (++lines % LINES_PER_MARK === 0) this.#marks.push(offset + at + 1);
      }
      offset += chunk.length;
      yield chunk;
    }
  }

  #fault(cells: readonly string[]): string | undefined {
    if (cells.length === this.header.length) return undefined;
    const hint =
      cells.length > this.header.length ? 'quote fields that hold a separator' : 'write the missing ones';
    return `has ${cells.length} fields where the header has ${this.header.length}; ${hint}`;
  }
}

const NOT_UTF8 = 'is not UTF-8 text; save the file as UTF-8 (in Excel: CSV UTF-8)';

/** Up to `length` bytes from `offset`, in a buffer of their own. */
async function readSome(handle: FileHandle, offset: number, length: number, file: string): Promise<Buffer> {
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    return refuseInput(file, `cannot be read: ${errno(error) ?? 'unknown'}`);
  }
}

/** The first two rows of a text, which may end anywhere; undefined when their quotes do not fit. */
function firstRows(text: Buffer | string, options: Options): readonly (readonly string[])[] | undefined {
  try {
    const rows: string[][] = parseWhole(text, { ...options, to: 2 });
    return rows;
  } catch {
    return undefined;
  }
}

function findDelimiter(header: string): string {
  const unquoted = header.replace(/"[^"]*"/g, '');
  const counts = [',', ';', '\t'].map((mark) => ({ mark, count: unquoted.split(mark).length }));
  return counts.reduce((best, next) => (next.count > best.count ? next : best)).mark;
}

function parseHeader(line: string, options: Options, file: string): readonly string[] {
  const [cells] = firstRows(line, options) ?? [];
  if (cells === undefined) {
    return refuseInput(`${file}:1`, 'has a header whose quotes do not fit; write plain names');
  }
  const names = cells.map((cell) => cell.trim().toLowerCase());
  for (const [index, name] of names.entries()) {
    const first = names.indexOf(name);
    if (name === '' || first === index) continue;
    refuseInput(
      `${file}:1:${index + 1}`,
      `has the same name as column ${first + 1}; rename or remove one of them`,
    );
  }
  return names;
}

function lineBreaks(cells: readonly string[]): number {
  let breaks = 0;
  for (const cell of cells) {
    for (let at = cell.indexOf('\n'); at >= 0; at = cell.indexOf('\n', at + 1)) breaks++;
  }
  return breaks;
}

function lineOf(error: CsvError): number {
  const { lines } = error as unknown as { readonly lines?: number };
  return lines ?? 1;
}

const CSV_FAULTS: Readonly<Record<string, string>> = {
  CSV_INVALID_CLOSING_QUOTE: 'has text behind a closing quote; double a quote that belongs to the text',
  INVALID_OPENING_QUOTE:
    'has a quote in a field that does not begin with one; quote the whole field and double the quotes in it',
  CSV_QUOTE_NOT_CLOSED: 'is where the file ends, within a quote that was opened before; close it',
  CSV_MAX_RECORD_SIZE: 'is part of a row of more than 64 KB; a quote above it is not closed',
};

function csvFault({ code }: { readonly code: string }): string {
  return CSV_FAULTS[code] ?? `is no CSV (${code})`;
}
