import { didYouMean } from '../config/nearest.ts';
import { booleanWord } from '../config/values.ts';
import { CsvFile } from './csv.ts';
import type { CsvRow } from './csv.ts';
import { ProblemList, refuseInput } from './problemList.ts';
import { RESOURCE_TYPES } from '../fhir/resourceTypes.ts';

/** One resource type to pull, with all its filters. */
export interface ListedType {
  readonly resourceType: string;
  /** Search parameters as written (`category=laboratory`), in the list's order; `''` for a row without any. */
  readonly queries: readonly string[];
  /** Line of the type's first row, from 1. */
  readonly line: number;
}

/**
 * Reads the resource list: column `resource`, optional `description`, `query` and `enabled`. Rows of one type are
 * united at its first row's place; a query that is repeated counts once.
 *
 * @throws RoundsError INPUT_INVALID with all problems at once, each as file:line:column
 */
export async function readResourceList(file: string): Promise<readonly ListedType[]> {
  const problems = new ProblemList(file);
  const types = new Map<string, { line: number; queries: Set<string> }>();
  const csv = await CsvFile.open(file);
  try {
    const at = (name: string): number => csv.header.indexOf(name);
    const columns = { resource: at('resource'), query: at('query'), enabled: at('enabled') };
    if (columns.resource < 0) {
      refuseInput(
        `${file}:1`,
        'has no column resource; write a header such as resource,description,query,enabled',
      );
    }
    for await (const batch of csv.batches()) {
      for (const row of batch) {
        const read = readRow(row, columns, problems);
        if (read === undefined) continue;
        const type = types.get(read.resourceType) ?? { line: row.line, queries: new Set<string>() };
        type.queries.add(read.query);
        types.set(read.resourceType, type);
      }
    }
  } finally {
    await csv.close();
  }
  problems.throwIfAny();
  if (types.size === 0) refuseInput(file, 'has no enabled row; write one for each resource type to pull');
  return [...types].map(([resourceType, { line, queries }]) => ({
    resourceType,
    queries: [...queries],
    line,
  }));
}

interface Columns {
  readonly resource: number;
  readonly query: number;
  readonly enabled: number;
}

/** A row's type and query; undefined when it is disabled or wrong. A disabled row is not looked at any further. */
function readRow(
  { line, cells, fault }: CsvRow,
  columns: Columns,
  problems: ProblemList,
): { resourceType: string; query: string } | undefined {
  if (fault !== undefined) {
    problems.add(line, undefined, fault);
    return undefined;
  }
  const cell = (column: number): string => (column < 0 ? '' : cells[column]!.trim());
  const enabled = cell(columns.enabled) === '' ? true : booleanWord(cell(columns.enabled));
  if (enabled === undefined) {
    problems.add(
      line,
      columns.enabled + 1,
      'is neither true nor false; write one of them, or nothing for true',
    );
  }
  if (enabled !== true) return undefined;
  const resourceType = cell(columns.resource);
  const query = cell(columns.query);
  if (!RESOURCE_TYPES.has(resourceType)) {
    const what =
      resourceType === ''
        ? 'names no resource type'
        : `is no R4 resource type${didYouMean(resourceType, RESOURCE_TYPES)}`;
    problems.add(line, columns.resource + 1, what);
    return undefined;
  }
  const wrong = queryProblem(query);
  if (wrong === undefined) return { resourceType, query };
  problems.add(line, columns.query + 1, wrong);
  return undefined;
}

/** Parameters that a list may not set, and why. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['patient', 'is set to each patient of the roster; remove it'],
  ['subject', 'is set to each patient of the roster; remove it'],
  ['_count', 'is set by [api_settings] page_size; remove it'],
  ['_format', 'is always JSON; remove it'],
  ['_pretty', 'would change the bytes that are stored; remove it'],
  ['_summary', 'would store parts of resources in place of the whole; remove it'],
  ['_elements', 'would store parts of resources in place of the whole; remove it'],
  [
    '_since',
    'would leave out what an earlier run may have missed, and each run is a full snapshot; remove it',
  ],
  ...[
    'page',
    '_page',
    '_offset',
    '_getpages',
    '_getpagesoffset',
    '_bundletype',
    'sessionID',
    '_cursor',
    '_skip',
  ].map(
    (name) => [name, 'is a place within pages, which the server gives in its next link; remove it'] as const,
  ),
]);

/** What is wrong with the search parameters of one row, or undefined. Names parameters, never their values. */
function queryProblem(query: string): string | undefined {
  if (query === '') return undefined;
  if (query.startsWith('?')) return 'begins with ?; write name=value alone';
  for (const part of query.split('&')) {
    const equals = part.indexOf('=');
    const name = equals < 0 ? part : part.slice(0, equals);
    const value = equals < 0 ? '' : part.slice(equals + 1);
    if (equals < 0 || value === '' || !/^[A-Za-z0-9._:-]+$/.test(name))
      return 'is not name=value, joined by &';
    const reason = REFUSED.get(name.split(/[:.]/, 1)[0]!);
    if (reason !== undefined) return `${name} ${reason}`;
    const wrong = valueProblem(value);
    if (wrong !== undefined) return `${name} ${wrong}`;
  }
  return undefined;
}

function valueProblem(value: string): string | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(value)) return 'has a % that begins no percent-encoded byte; write %25';
  if (value.includes('+')) return 'has a +, which servers read as a blank; write %2B (or %20 for a blank)';
  if (/[^A-Za-z0-9._~!$'()*,;:@/?=|%-]/.test(value)) {
    return 'has a character that a URL cannot hold; percent-encode it (%20 for a blank)';
  }
  try {
    decodeURIComponent(value);
    return undefined;
  } catch {
    return 'has percent-encoded bytes that are no UTF-8; encode the text as UTF-8';
  }
}
