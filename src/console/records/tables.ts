import { ADMINISTRATIVE_TABLES } from './tablesAdministrative.ts';
import { CLINICAL_TABLES } from './tablesClinical.ts';
import { GENERIC_TABLE } from './tableGeneric.ts';
import type { Column, Table } from './cells.ts';
import { dateColumn, extra, textColumn } from './cells.ts';
import { at, textOf } from './datatypes.ts';

/** Changes whenever a cell of any table is made otherwise, so that indexes of before are built anew. */
export const TABLES_VERSION = 1;

const OWN: ReadonlyMap<string, Table> = new Map(
  Object.entries({ ...ADMINISTRATIVE_TABLES, ...CLINICAL_TABLES }),
);

const OF_EVERY_TYPE: readonly Column[] = [
  textColumn('id', 'Id', ({ id }) => textOf(id)),
  extra(dateColumn('updated', 'Last updated', ({ meta }) => at(meta, 'lastUpdated'))),
];

/** The table for a resource type: one made for it, or one that fits most. */
export function tableOf(resourceType: string): Table {
  const table = OWN.get(resourceType) ?? GENERIC_TABLE;
  return { ...table, columns: [...table.columns, ...OF_EVERY_TYPE] };
}
