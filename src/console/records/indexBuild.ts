import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RoundsError } from '../../errors.ts';
import { endOfText, nextToken, scanOf } from '../../fhir/jsonScan.ts';
import { referenceReader } from '../../fhir/references.ts';
import { scanResource } from '../../fhir/resourceScan.ts';
import { dateOrder } from './dates.ts';
import { exactOf } from './exactJson.ts';
import { FlatFile } from './flatFile.ts';
import { fold } from './fold.ts';
import {
  CELL_CHARS,
  columnFile,
  FORMAT_VERSION,
  META,
  type IndexedFile,
  type IndexMeta,
} from './indexFormat.ts';
import { KeyList } from './keyList.ts';
import { eachLine } from './lines.ts';
import { tableOf } from './tables.ts';

export interface BuildJob {
  readonly sourceFolder: string;
  readonly files: readonly IndexedFile[];
  readonly resourceType: string;
  /** Whether the files hold other types, too: those are passed over. */
  readonly isMixed: boolean;
  /** FHIR base of absolute references. */
  readonly base: string;
  /** The index, which is not there yet. */
  readonly folder: string;
}

/**
 * Builds the index of a table. Reads the source's files and writes nowhere but beside `folder`, which is there when all of it
 * is: what a crash left of an earlier attempt is thrown away. `tell` hears how many bytes have been read.
 */
export function buildIndex(job: BuildJob, tell: (bytes: number) => void): void {
  const draft = `${job.folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  const writer = new IndexWriter(draft, job);
  let before = 0;
  for (const [fileNo, { name, bytes }] of job.files.entries()) {
    const read = eachLine(path.join(job.sourceFolder, name), (line, offset) => {
      writer.add(line, offset, fileNo);
      tell(before + offset);
    });
    if (read !== bytes) {
      throw new RoundsError('CONSOLE_UNAVAILABLE', `${name} has ${read} bytes, ${bytes} were noted`, {
        hint: 'The file was changed since it was written: see what `fhir-rounds verify` says.',
      });
    }
    before += bytes;
  }
  const meta = { formatVersion: FORMAT_VERSION, files: job.files, ...writer.close() } satisfies IndexMeta;
  writeFileSync(path.join(draft, META), JSON.stringify(meta), { mode: 0o600, flush: true });
  rmSync(job.folder, { recursive: true, force: true });
  renameSync(draft, job.folder);
}

class IndexWriter {
  readonly #folder: string;
  readonly #job: BuildJob;
  readonly #table;
  readonly #rows: FlatFile;
  readonly #when: FlatFile;
  readonly #columns;
  readonly #ids = new KeyList();
  readonly #patients = new KeyList();
  readonly #referencesOf;
  #count = 0;
  #badLines = 0;

  constructor(folder: string, job: BuildJob) {
    const file = (name: string) => new FlatFile(path.join(folder, name));
    this.#folder = folder;
    this.#job = job;
    this.#table = tableOf(job.resourceType);
    this.#rows = file('rows');
    this.#when = file('when');
    this.#columns = this.#table.columns.map(({ key, cell }) => ({
      cell,
      text: file(columnFile(key, 'text')),
      ends: file(columnFile(key, 'ends')),
      order: file(columnFile(key, 'order')),
    }));
    this.#referencesOf = referenceReader(job.base);
  }

  add(line: Buffer, offset: number, fileNo: number): void {
    try {
      const scan = scanOf(line);
      const { resourceType, resourceId, named, end } = scanResource(scan, nextToken(scan, 0), 0);
      endOfText(scan, end);
      if (this.#job.isMixed && resourceType !== this.#job.resourceType) return;
      const resource = exactOf(scan.bytes);
      if (resource === undefined || resourceType === undefined)
        throw new RoundsError('FHIR_NOT_JSON', 'no resource');
      const row = this.#count++;
      this.#rows.float64(offset);
      this.#rows.uint32(line.length);
      this.#rows.uint32(fileNo);
      this.#when.float64(dateOrder(this.#table.when(resource)) ?? Number.NaN);
      for (const { cell, text, ends, order } of this.#columns) {
        const made = cell(resource);
        text.line(fold(made.text.slice(0, CELL_CHARS)));
        ends.uint32(text.bytes - 1);
        order.float64(made.order ?? Number.NaN);
      }
      if (resourceId !== undefined) this.#ids.add(resourceId, row);
      const { subjectPatients } = this.#referencesOf({ resourceType, resourceId: resourceId ?? '', named });
      for (const patientId of subjectPatients) this.#patients.add(patientId, row);
    } catch (error) {
      if (!(error instanceof RoundsError)) throw error;
      this.#badLines++;
    }
  }

  close(): { readonly rows: number; readonly badLines: number } {
    this.#rows.close();
    this.#when.close();
    for (const { text, ends, order } of this.#columns) for (const file of [text, ends, order]) file.close();
    this.#ids.write(path.join(this.#folder, 'ids'));
    this.#patients.write(path.join(this.#folder, 'patients'));
    return { rows: this.#count, badLines: this.#badLines };
  }
}
