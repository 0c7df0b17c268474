import { textOf } from './datatypes.ts';
import { readExact, type ExactObject } from './exactJson.ts';
import { groupBy } from './groupBy.ts';
import { patientsOf } from './oneResource.ts';
import type { Source } from './sources.ts';
import type { TableIndex } from './tableIndex.ts';

/** What a source holds of one patient, over all types. */

export interface RecordEntry {
  readonly resourceType: string;
  readonly row: number;
  /** Its place on the timeline (dates.ts); NaN for what has no date. */
  readonly when: number;
}

export interface RecordItem extends RecordEntry {
  readonly index: TableIndex;
  readonly id: string | undefined;
  readonly resource: ExactObject;
}

/** A patient's resources: where they are, found without reading them. */
export class PatientRecord {
  /** The newest first; what has no date last. */
  readonly entries: readonly RecordEntry[];
  readonly #source: Source;
  readonly #patientId: string;
  readonly #indexes: ReadonlyMap<string, TableIndex>;

  private constructor(
    source: Source,
    patientId: string,
    indexes: ReadonlyMap<string, TableIndex>,
    entries: readonly RecordEntry[],
  ) {
    this.#source = source;
    this.#patientId = patientId;
    this.#indexes = indexes;
    this.entries = entries;
  }

  static async find(
    source: Source,
    patientId: string,
    indexes: ReadonlyMap<string, TableIndex>,
  ): Promise<PatientRecord> {
    const entries: RecordEntry[] = [];
    for (const [resourceType, index] of indexes) {
      const rows = await index.rowsOfPatient(patientId);
      const times = await index.whenOf(rows);
      for (const [at, row] of rows.entries()) entries.push({ resourceType, row, when: times[at]! });
    }
    const time = ({ when }: RecordEntry): number => (Number.isNaN(when) ? -Infinity : when);
    entries.sort((a, b) => (time(a) === time(b) ? 0 : time(b) - time(a)));
    return new PatientRecord(source, patientId, indexes, entries);
  }

  /** Reads resources, in the order given. Those that only seemed to be of this patient are left out. */
  async read(entries: readonly RecordEntry[], signal: AbortSignal): Promise<readonly RecordItem[]> {
    const items = new Map<RecordEntry, RecordItem>();
    const types = groupBy(entries, ({ resourceType }) => resourceType);
    for (const [resourceType, ofType] of types) {
      const index = this.#indexes.get(resourceType)!;
      const byRow = new Map(ofType.map((entry) => [entry.row, entry]));
      for await (const { row, line } of index.lines(byRow.keys(), signal)) {
        if (!patientsOf(this.#source, line).has(this.#patientId)) continue;
        const resource = readExact(line) ?? {};
        const entry = byRow.get(row)!;
        items.set(entry, { ...entry, index, id: textOf(resource['id']), resource });
      }
    }
    return entries.flatMap((entry) => items.get(entry) ?? []);
  }

  /** The newest resources of a type. */
  async ofType(resourceType: string, most: number, signal: AbortSignal): Promise<readonly RecordItem[]> {
    const entries = this.entries.filter((entry) => entry.resourceType === resourceType);
    return this.read(entries.slice(0, most), signal);
  }

  /** Resources by type, by their names. */
  counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { resourceType } of this.entries)
      counts.set(resourceType, (counts.get(resourceType) ?? 0) + 1);
    return new Map([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}
