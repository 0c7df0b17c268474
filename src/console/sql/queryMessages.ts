/** What the console and the process that carries out a query tell each other: one JSON text a line. */

/** A view over files of a run: `name` with DuckDB's own columns, `name_json` with each resource's exact text. */
export interface QueryView {
  readonly name: string;
  readonly files: readonly string[];
}

export interface QueryOrder {
  /** File of the package @duckdb/node-api. */
  readonly duckdb: string;
  readonly sql: string;
  readonly views: readonly QueryView[];
  /** The only folder that may be read. */
  readonly folder: string;
  /** For what does not fit into memory, and a Parquet file; empty, and gone after the query. */
  readonly temporaryFolder: string;
  readonly memoryMegabytes: number;
  readonly threads: number;
  /** Rows that are wanted; without it all. */
  readonly maxRows?: number;
  /** Written instead of rows. */
  readonly parquetFile?: string;
}

export type QueryLine =
  | { readonly columns: readonly { readonly name: string; readonly type: string }[] }
  /** A value is text as DuckDB writes it, or null. */
  | { readonly rows: readonly (readonly (string | null)[])[] }
  | {
      readonly end: {
        readonly rows: number;
        readonly hasMore: boolean;
        /** Records of the views that DuckDB could not read. */
        readonly unreadable: number;
      };
    }
  /** DuckDB's own message. It may quote what it met, so it is for who asked alone. */
  | { readonly error: string };
