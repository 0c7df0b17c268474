import type { Problem } from '../errors.ts';
import { CsvFile } from './csv.ts';
import type { CsvRow } from './csv.ts';
import { ProblemList, refuseInput } from './problemList.ts';
import { SeenIds } from './seenIds.ts';

/** One patient of the roster: exactly one of `patientId` and `mrn` is set. */
export interface RosterRow {
  /** Line of the file, from 1: how the patient is named everywhere (`roster:118`). */
  readonly line: number;
  /** FHIR logical id, opaque and case-sensitive. */
  readonly patientId?: string;
  readonly mrn?: string;
}

export interface RosterOptions {
  /** A bad row stops the reading with INPUT_INVALID at its end, or is left out. */
  readonly badRows: 'stop' | 'skip';
  readonly signal?: AbortSignal;
}

export interface RosterScan {
  /** Rows that are good, by id or by MRN. */
  readonly patients: number;
  /** How many of them are by MRN. */
  readonly mrns: number;
  /** Rows left out (badRows = skip). */
  readonly skipped: number;
  /** Why, for the first 50 of them; without any value of the file. */
  readonly problems: readonly Problem[];
}

/**
 * Streams the roster's rows. With `stop` every problem of the file is gathered and thrown after the last row, so
 * that what was read until then is to be discarded; scanRoster tells beforehand.
 *
 * @throws RoundsError INPUT_INVALID, naming file:line:column and the kind of fault but never a value: no file, no
 *   header with fhir_id (patient_id, id) or mrn, no row, and with `stop` also malformed or repeated ids
 */
export async function* readRoster(file: string, options: RosterOptions): AsyncGenerator<RosterRow> {
  for await (const batch of readBatches(file, options, new ProblemList(file))) yield* batch;
}

/**
 * Reads the whole roster once and keeps nothing of it but numbers; its good rows go to `keep`, in the file's order. Throws
 * as readRoster does, and then what was kept is to be discarded.
 */
export async function scanRoster(
  file: string,
  options: RosterOptions,
  keep?: (rows: readonly RosterRow[]) => Promise<void>,
): Promise<RosterScan> {
  const problems = new ProblemList(file);
  let patients = 0;
  let mrns = 0;
  for await (const batch of readBatches(file, options, problems)) {
    patients += batch.length;
    for (const { mrn } of batch) if (mrn !== undefined) mrns++;
    await keep?.(batch);
  }
  return { patients, mrns, skipped: problems.total, problems: problems.listed };
}

interface Columns {
  readonly patientId: number | undefined;
  readonly mrn: number | undefined;
}

/** One of the two ways to name a patient, with what was seen of it. */
interface Column {
  readonly index: number;
  readonly seen: SeenIds;
  readonly key: 'patientId' | 'mrn';
}

async function* readBatches(
  file: string,
  { badRows, signal }: RosterOptions,
  problems: ProblemList,
): AsyncGenerator<readonly RosterRow[]> {
  const csv = await CsvFile.open(file);
  let rows = 0;
  try {
    const columns = findColumns(csv);
    const byId = column(columns.patientId, 'patientId');
    const byMrn = column(columns.mrn, 'mrn');
    for await (const batch of csv.batches(signal)) {
      const good: RosterRow[] = [];
      for (const row of batch) {
        const read = readRow(row, byId, byMrn);
        if ('fault' in read) {
          problems.add(row.line, read.column, read.fault);
          continue;
        }
        const { column: from, value } = read;
        const suspects = from.seen.linesOf(value);
        // Waiting is for the rare hit: a promise a row would cost a second in a million. A roster that is refused
        // anyway and lists no more is not looked up again for each of its thousands of repetitions.
        const trusted = badRows === 'stop' && problems.isFull;
        const earlier =
          suspects.length === 0 || trusted ? suspects[0] : await firstLine(csv, from, value, suspects);
        if (earlier !== undefined) {
          problems.add(
            row.line,
            from.index + 1,
            `is the ${wordFor(from)} of line ${earlier} again; remove one of the two`,
          );
          continue;
        }
        from.seen.add(value, row.line);
        good.push(from.key === 'mrn' ? { line: row.line, mrn: value } : { line: row.line, patientId: value });
      }
      rows += good.length;
      if (good.length > 0) yield good;
    }
  } finally {
    await csv.close();
  }
  if (badRows === 'stop') problems.throwIfAny();
  if (rows === 0) refuseInput(file, 'has no patient; write one row for each below the header');
}

function column(index: number | undefined, key: Column['key']): Column | undefined {
  return index === undefined ? undefined : { index, key, seen: new SeenIds() };
}

const wordFor = ({ key }: Column): string => (key === 'mrn' ? 'MRN' : 'id');

/** fhir_id is ours; patient_id and id are taken where it is missing. All other columns are left alone. */
function findColumns({ header, name }: CsvFile): Columns {
  const at = (word: string): number | undefined => {
    const index = header.indexOf(word);
    return index < 0 ? undefined : index;
  };
  const others = [at('patient_id'), at('id')].filter((index) => index !== undefined);
  const patientId = at('fhir_id') ?? others[0];
  if (at('fhir_id') === undefined && others.length > 1) {
    refuseInput(`${name}:1`, 'has patient_id and id, and either could be meant; name the right one fhir_id');
  }
  const mrn = at('mrn');
  if (patientId === undefined && mrn === undefined) {
    refuseInput(
      `${name}:1`,
      'has none of the columns fhir_id, patient_id, id, mrn; write a header such as name,fhir_id',
    );
  }
  return { patientId, mrn };
}

type Read =
  | { readonly column: Column; readonly value: string }
  | { readonly fault: string; readonly column: number | undefined };

function readRow({ cells, fault }: CsvRow, byId: Column | undefined, byMrn: Column | undefined): Read {
  if (fault !== undefined) return { fault, column: undefined };
  for (const from of [byId, byMrn]) {
    if (from === undefined) continue;
    const cell = cells[from.index]!.trim();
    if (cell === '') continue;
    const value =
      from.key === 'patientId' && cell.startsWith('Patient/') ? cell.slice('Patient/'.length) : cell;
    if (ID.test(value)) return { column: from, value };
    return { fault: `is no ${wordFor(from)}: ${idFault(value)}`, column: from.index + 1 };
  }
  const [one] = byId !== undefined && byMrn !== undefined ? [undefined] : [byId ?? byMrn];
  if (one === undefined)
    return { fault: 'names no patient; write a fhir_id or an mrn, or remove the row', column: undefined };
  return { fault: `names no patient; write the ${wordFor(one)}, or remove the row`, column: one.index + 1 };
}

/** Epic's ids hold `.` `-` `_` and can exceed the 64 characters of the standard (M). */
/** `.` and `..` are no ids: in a URL they climb. */
const ID = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$/;

/** The kind of fault in words, without a character of the value. */
function idFault(value: string): string {
  if (/^[=+@]/.test(value)) return 'it looks like a formula; export values and not formulas';
  if (/^\d+(\.\d+)?e\+\d+$/i.test(value))
    return 'a spreadsheet rounded it; format the column as text and export again';
  if (/^urn:/i.test(value)) return 'it is a urn; write the logical id alone';
  if (value.includes('://')) return 'it is a URL; write the logical id alone';
  if (/^[A-Z][A-Za-z]+\//.test(value)) return 'it refers to another resource type; write a Patient id';
  if (value.includes('/')) return 'it holds a slash';
  if (value.includes('?')) return 'it holds a question mark';
  if (/\s/.test(value)) return 'it holds white space inside';
  if (/[^\x20-\x7e]/.test(value)) return 'it holds a character outside ASCII';
  if (value.length > 255) return 'it has more than 255 characters';
  return 'it holds a character other than letters, digits, . _ and -';
}

/** The earlier line with the very same value, verified in the file where the hashes agree. */
async function firstLine(
  csv: CsvFile,
  { index, key }: Column,
  value: string,
  suspects: readonly number[],
): Promise<number | undefined> {
  for (const line of suspects) {
    const cell = ((await csv.cellsAt(line))[index] ?? '').trim();
    const earlier = key === 'patientId' ? cell.replace(/^Patient\//, '') : cell;
    if (earlier === value) return line;
  }
  return undefined;
}
