import { nextToken, scanOf } from '../../fhir/jsonScan.ts';
import { referenceReader } from '../../fhir/references.ts';
import { scanResource } from '../../fhir/resourceScan.ts';
import { notFound } from '../exchange.ts';
import { textOf } from './datatypes.ts';
import { readExact, type ExactObject } from './exactJson.ts';
import { NO_ID } from './links.ts';
import type { Source } from './sources.ts';
import type { TableIndex } from './tableIndex.ts';

export interface FoundResource {
  readonly row: number;
  /** As it stands in the file. */
  readonly line: Buffer;
  readonly resource: ExactObject;
}

/** All resources of an id, in file order: in an upload there may be several. */
export async function resourcesOfId(
  index: TableIndex,
  id: string,
  signal: AbortSignal,
): Promise<readonly FoundResource[]> {
  const found: FoundResource[] = [];
  for await (const { row, line } of index.lines(await index.rowsOfId(id), signal)) {
    const resource = readExact(line) ?? {};
    if (textOf(resource['id']) === id) found.push({ row, line, resource });
  }
  return found;
}

/**
 * The resource that an address means: by its id, and of several of one id (or of those without one) by its row.
 * Throws CONSOLE_NOT_FOUND.
 */
export async function chosenResource(
  index: TableIndex,
  id: string,
  row: string | null,
  signal: AbortSignal,
): Promise<{ readonly chosen: FoundResource; readonly sameId: readonly FoundResource[] }> {
  const sameId = await resourcesOfId(index, id, signal);
  const chosen = row === null ? sameId[0] : sameId.find((one) => String(one.row) === row);
  if (chosen !== undefined) return { chosen, sameId };
  if (id === NO_ID && row !== null && /^\d{1,9}$/.test(row) && Number(row) < index.meta.rows) {
    for await (const { line } of index.lines([Number(row)], signal)) {
      const resource = readExact(line) ?? {};
      if (textOf(resource['id']) === undefined)
        return { chosen: { row: Number(row), line, resource }, sameId: [] };
    }
  }
  throw notFound('there is no such resource');
}

/** Whom a resource is about: itself, where it is a Patient. */
export function patientsOf(source: Source, line: Buffer): ReadonlySet<string> {
  const scan = scanOf(line);
  const { resourceType = '', resourceId = '', named } = scanResource(scan, nextToken(scan, 0), 0);
  return referenceReader(source.base)({ resourceType, resourceId, named }).subjectPatients;
}
