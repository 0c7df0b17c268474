import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { QueryLine, QueryOrder, QueryView } from './queryMessages.ts';

/**
 * Carries out one query and ends: a process of its own, so that a query which takes too much can be ended, and one that
 * brings DuckDB down brings nothing else down. The order comes on stdin, the answer goes out on stdout (queryMessages.ts).
 */

/** What is used of @duckdb/node-api 1.5: it is installed by who wants it, so its own types are not at hand. */
interface DuckDb {
  readonly DuckDBInstance: {
    create(
      path: string,
      options: Readonly<Record<string, string>>,
    ): Promise<{ connect(): Promise<Connection> }>;
  };
  readonly StatementType: Readonly<Record<'SELECT', number>>;
}

interface Connection {
  run(sql: string): Promise<unknown>;
  stream(sql: string): Promise<Result>;
  extractStatements(sql: string): Promise<{
    readonly count: number;
    prepare(index: number): Promise<{ readonly statementType: number; destroySync(): void }>;
  }>;
}

interface Result {
  columnNames(): readonly string[];
  columnTypes(): readonly { toString(): string }[];
  yieldRowsJson(): AsyncIterable<readonly (readonly unknown[])[]>;
}

async function main(): Promise<void> {
  const orders = createInterface({ input: process.stdin, crlfDelay: Infinity });
  const [line] = (await once(orders, 'line')) as [string];
  // The console is gone, and with it whoever waits: also where DuckDB is at it, since that is in threads of its own.
  orders.on('close', () => process.kill(process.pid, 'SIGKILL'));
  try {
    await carryOut(JSON.parse(line) as QueryOrder);
  } catch (error) {
    await tell({ error: error instanceof Error ? error.message : String(error) });
  }
  orders.removeAllListeners('close').close();
  process.stdin.destroy();
}

async function carryOut(order: QueryOrder): Promise<void> {
  const duckdb = createRequire(import.meta.url)(order.duckdb) as DuckDb;
  const instance = await duckdb.DuckDBInstance.create(':memory:', {
    memory_limit: `${order.memoryMegabytes}MB`,
    threads: String(order.threads),
    temp_directory: order.temporaryFolder,
    max_temp_directory_size: '4GB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  });
  const connection = await instance.connect();
  for (const view of order.views) await createViews(connection, view);
  // From here on no other file can be reached, and no setting changed.
  await connection.run(
    `SET allowed_directories = [${text(order.folder)}, ${text(order.temporaryFolder)}];
     SET enable_external_access = false; SET lock_configuration = true`,
  );
  const sql = await oneSelect(duckdb, connection, order.sql);
  const end =
    order.parquetFile === undefined
      ? await sendRows(await connection.stream(sql), order.maxRows ?? Infinity)
      : await writeParquet(connection, sql, order.parquetFile);
  await tell({ end: { ...end, unreadable: await unreadableOf(connection, order.views) } });
}

async function writeParquet(connection: Connection, sql: string, file: string): Promise<RowEnd> {
  await connection.run(`COPY (\n${sql}\n) TO ${text(file)} (FORMAT parquet, COMPRESSION zstd)`);
  return { rows: 0, hasMore: false };
}

/** Records that are good JSON and that DuckDB cannot read (half a surrogate pair): they stand as NULL in its views. */
async function unreadableOf(connection: Connection, views: readonly QueryView[]): Promise<number> {
  let unreadable = 0;
  for (const { name } of views) {
    const count = `SELECT count(*)::INTEGER FROM ${identifier(`${name}_json`)} WHERE json IS NULL`;
    unreadable += Number(await valueOf(connection, count));
  }
  return unreadable;
}

/** The one value that a query has. */
async function valueOf(connection: Connection, sql: string): Promise<unknown> {
  const result = await connection.stream(sql);
  for await (const [row] of result.yieldRowsJson()) if (row !== undefined) return row[0];
  return undefined;
}

/** The statement, without what may stand behind it. Throws unless it is one, and only reads. */
async function oneSelect({ StatementType }: DuckDb, connection: Connection, sql: string): Promise<string> {
  const whole = sql.trim().replace(/[;\s]+$/, '');
  const statements = await connection.extractStatements(whole);
  if (statements.count !== 1) throw new Error('Write one statement.');
  const prepared = await statements.prepare(0);
  const { statementType } = prepared;
  prepared.destroySync();
  // EXPLAIN ANALYZE would carry out what it explains, also a COPY.
  if (statementType !== StatementType.SELECT) {
    throw new Error('Only reading is possible here: write a SELECT.');
  }
  const tree: unknown = JSON.parse(
    String(await valueOf(connection, `SELECT json_serialize_sql(${text(whole)})`)),
  );
  for (const name of tableFunctionsIn(tree)) {
    if (!READING.has(name)) throw new Error(`The table function ${name} cannot be used here.`);
  }
  return whole;
}

/** Table functions that only read. Of the others some write: logs and profiles, also into the run's folder. */
const READING: ReadonlySet<string> = new Set([
  ...['read_ndjson', 'read_ndjson_auto', 'read_ndjson_objects', 'read_json', 'read_json_auto'],
  ...['read_json_objects', 'read_json_objects_auto', 'read_text', 'read_blob', 'read_csv', 'read_csv_auto'],
  ...['sniff_csv', 'read_parquet', 'parquet_scan', 'glob', 'range', 'generate_series', 'unnest', 'repeat'],
  ...['json_each', 'json_tree', 'histogram', 'histogram_values', 'duckdb_columns', 'duckdb_functions'],
  ...['duckdb_settings', 'duckdb_tables', 'duckdb_types', 'duckdb_views', 'pragma_table_info'],
]);

/** Names of the table functions in a statement, as DuckDB writes it as JSON. */
function* tableFunctionsIn(tree: unknown): Generator<string> {
  if (typeof tree !== 'object' || tree === null) return;
  const { type, function: called } = tree as { type?: unknown; function?: { function_name?: unknown } };
  if (type === 'TABLE_FUNCTION') yield String(called?.function_name).toLowerCase();
  for (const inner of Object.values(tree)) yield* tableFunctionsIn(inner);
}

async function createViews(connection: Connection, { name, files }: QueryView): Promise<void> {
  const list = `[${files.map(text).join(', ')}]`;
  await connection.run(
    `CREATE VIEW ${identifier(`${name}_json`)} AS SELECT json FROM read_ndjson_objects(${list}, maximum_object_size = ${MAX_OBJECT}, ignore_errors = true)`,
  );
  await connection.run(
    `CREATE VIEW ${identifier(name)} AS SELECT * FROM read_ndjson(${list}, maximum_object_size = ${MAX_OBJECT}, union_by_name = true, ignore_errors = true)`,
  );
}

const MAX_OBJECT = 64 * 1024 * 1024;

interface RowEnd {
  readonly rows: number;
  readonly hasMore: boolean;
}

/** A line to the console has about so much: it holds many of them while who asked is slow. */
const PIECE_CHARS = 64 * 1024;
/** Where not all rows are wanted they are shown, and a page has to fit into memory. */
const SHOWN_CHARS = 4_000_000;
const SHOWN_CELL_CHARS = 10_000;

async function sendRows(result: Result, maxRows: number): Promise<RowEnd> {
  const types = result.columnTypes();
  await tell({
    columns: result.columnNames().map((name, index) => ({ name, type: String(types[index]) })),
  });
  const isPage = maxRows < Infinity;
  let piece: (readonly (string | null)[])[] = [];
  let [sent, chars, pieceChars] = [0, 0, 0];
  const end = async (hasMore: boolean): Promise<RowEnd> => {
    if (piece.length > 0) await tell({ rows: piece });
    return { rows: sent, hasMore };
  };
  for await (const rows of result.yieldRowsJson()) {
    for (const row of rows) {
      if (sent === maxRows || (isPage && chars > SHOWN_CHARS)) return end(true);
      const cells = row.map((value) => (isPage ? clipped(cell(value)) : cell(value)));
      const length = cells.reduce((sum, text) => sum + (text?.length ?? 0), 0);
      piece.push(cells);
      sent++;
      chars += length;
      pieceChars += length + cells.length;
      if (pieceChars < PIECE_CHARS) continue;
      await tell({ rows: piece });
      [piece, pieceChars] = [[], 0];
    }
  }
  return end(false);
}

function cell(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function clipped(text: string | null): string | null {
  return text !== null && text.length > SHOWN_CELL_CHARS ? `${text.slice(0, SHOWN_CELL_CHARS)} …` : text;
}

async function tell(line: QueryLine): Promise<void> {
  if (!process.stdout.write(`${JSON.stringify(line)}\n`)) await once(process.stdout, 'drain');
}

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

await main();
