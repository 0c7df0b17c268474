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
  readonly StatementType: Readonly<Record<'SELECT' | 'EXPLAIN', number>>;
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
    const result = await connection.stream(
      `SELECT count(*)::INTEGER FROM ${identifier(`${name}_json`)} WHERE json IS NULL`,
    );
    for await (const rows of result.yieldRowsJson()) unreadable += Number(rows[0]?.[0] ?? 0);
  }
  return unreadable;
}

/** The statement, without what may stand behind it. Throws unless it is one, and only reads. */
async function oneSelect({ StatementType }: DuckDb, connection: Connection, sql: string): Promise<string> {
  const whole = sql.trim().replace(/[;\s]+$/, '');
  const statements = await connection.extractStatements(whole);
  if (statements.count !== 1) throw new Error('Write one statement.');
  const prepared = await statements.prepare(0);
  const { statementType } = prepared;
  prepared.destroySync();
  if (statementType !== StatementType.SELECT && statementType !== StatementType.EXPLAIN) {
    throw new Error('Only reading is possible here: write a SELECT.');
  }
  return whole;
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

async function sendRows(result: Result, maxRows: number): Promise<RowEnd> {
  const types = result.columnTypes();
  await tell({
    columns: result.columnNames().map((name, index) => ({ name, type: String(types[index]) })),
  });
  let sent = 0;
  for await (const rows of result.yieldRowsJson()) {
    const wanted = rows.slice(0, maxRows - sent);
    sent += wanted.length;
    if (wanted.length > 0) await tell({ rows: wanted.map((row) => row.map(cell)) });
    if (wanted.length < rows.length) return { rows: sent, hasMore: true };
  }
  return { rows: sent, hasMore: false };
}

function cell(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function tell(line: QueryLine): Promise<void> {
  if (!process.stdout.write(`${JSON.stringify(line)}\n`)) await once(process.stdout, 'drain');
}

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

await main();
