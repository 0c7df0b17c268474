import { CSV_START, csvLine } from '../csv.ts';
import { download, type Answer, type Ask } from '../exchange.ts';
import { readExact } from './exactJson.ts';
import type { Source } from './sources.ts';
import type { TableIndex } from './tableIndex.ts';
import { chooseRows } from './tablePage.ts';

/** What is chosen of a table as a file, streamed: as many rows as there are, in the table's order. */

/** So much is gathered before it is sent on. */
const PIECE_CHARS = 64 * 1024;

/** The visible columns, with a header. */
export async function csvAnswer(
  ask: Ask,
  source: Source,
  resourceType: string,
  index: TableIndex,
): Promise<Answer> {
  const { query, rows } = await chooseRows(ask, index);
  const columns = index.table.columns.filter(({ key }) => query.columns.includes(key));
  async function* csv(): AsyncGenerator<string> {
    let piece = CSV_START + csvLine(columns.map(({ title }) => title));
    for await (const { line } of index.lines(rows, ask.signal)) {
      const resource = readExact(line) ?? {};
      piece += csvLine(columns.map(({ cell }) => cell(resource).text));
      if (piece.length < PIECE_CHARS) continue;
      yield piece;
      piece = '';
    }
    yield piece;
  }
  return download(`${source.sourceId}-${resourceType}.csv`, 'text/csv; charset=utf-8', csv());
}

const LINE_FEED = Buffer.from('\n');

/** The lines as they stand in the source's files. */
export async function ndjsonAnswer(
  ask: Ask,
  source: Source,
  resourceType: string,
  index: TableIndex,
): Promise<Answer> {
  const { rows } = await chooseRows(ask, index);
  async function* lines(): AsyncGenerator<Uint8Array> {
    let piece: Buffer[] = [];
    let bytes = 0;
    for await (const { line } of index.lines(rows, ask.signal)) {
      piece.push(line, LINE_FEED);
      bytes += line.length + 1;
      if (bytes < PIECE_CHARS) continue;
      yield Buffer.concat(piece);
      [piece, bytes] = [[], 0];
    }
    yield Buffer.concat(piece);
  }
  return download(`${source.sourceId}-${resourceType}.ndjson`, 'application/fhir+ndjson', lines());
}
