import { RoundsError } from '../../errors.ts';
import { localHref } from '../html.ts';
import type { Table } from './cells.ts';

/** What of a table is shown: the query part of its address. */
export interface TableQuery {
  /** Keys, in the table's order. */
  readonly columns: readonly string[];
  readonly sort: string | undefined;
  readonly isDescending: boolean;
  /** By column; the key '' for any of them. */
  readonly filters: ReadonlyMap<string, string>;
  /** From 1. */
  readonly page: number;
}

export const ROWS_PER_PAGE = 50;
/** Of a column's own filter, in front of its key. */
export const OF_COLUMN = 'in.';
const FILTER_CHARS = 200;

/** `sort=-date&filter=glucose&in.status=final&columns=date,value&page=2`. Throws CONSOLE_ASK_INVALID. */
export function readTableQuery(params: URLSearchParams, { columns }: Table): TableQuery {
  const known = new Set(columns.map(({ key }) => key));
  const demand = (key: string): string => {
    if (!known.has(key)) throw new RoundsError('CONSOLE_ASK_INVALID', 'the table has no such column');
    return key;
  };
  const chosen = new Set(
    params
      .getAll('columns')
      .flatMap((given) => given.split(','))
      .filter((key) => key !== '')
      .map(demand),
  );
  const filters = new Map<string, string>();
  for (const [name, value] of params) {
    const filter = value.trim().slice(0, FILTER_CHARS);
    if (filter === '') continue;
    if (name === 'filter') filters.set('', filter);
    else if (name.startsWith(OF_COLUMN)) filters.set(demand(name.slice(OF_COLUMN.length)), filter);
  }
  const sort = params.get('sort') ?? '';
  const page = params.get('page') ?? '1';
  if (!/^[1-9]\d{0,8}$/.test(page)) {
    throw new RoundsError('CONSOLE_ASK_INVALID', 'a page is a number from 1');
  }
  return {
    columns: columns
      .filter(({ key, isExtra }) => (chosen.size === 0 ? isExtra !== true : chosen.has(key)))
      .map(({ key }) => key),
    sort: sort === '' ? undefined : demand(sort.replace(/^-/, '')),
    isDescending: sort.startsWith('-'),
    filters,
    page: Number(page),
  };
}

/** The address of a table, or of what is below it, as the query says. */
export function tableHref(segments: readonly string[], query: TableQuery, table: Table): string {
  const { columns, sort, isDescending, filters, page } = query;
  const usual = table.columns.filter(({ isExtra }) => isExtra !== true).map(({ key }) => key);
  const isUsual = usual.length === columns.length && usual.every((key, index) => key === columns[index]);
  const ofColumns = [...filters]
    .filter(([key]) => key !== '')
    .map(([key, filter]) => [OF_COLUMN + key, filter]);
  return localHref(segments, {
    filter: filters.get(''),
    ...(Object.fromEntries(ofColumns) as Record<string, string>),
    sort: sort === undefined ? undefined : `${isDescending ? '-' : ''}${sort}`,
    columns: isUsual ? undefined : columns.join(','),
    page: page === 1 ? undefined : page,
  });
}
