import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RoundsError } from '../../errors.ts';
import { endOfText, nextToken, scanOf } from '../../fhir/jsonScan.ts';
import { referenceReader, type ReadReferences } from '../../fhir/references.ts';
import { scanResource, type ScannedResource } from '../../fhir/resourceScan.ts';
import { dateOrder } from './dates.ts';
import { exactOf, type ExactObject } from './exactJson.ts';
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
  /** FHIR base of absolute references. */
  readonly base: string;
  readonly parts: readonly BuildPart[];
}

/** Files that are read once, and the tables that they make: each its own, or that of one type all lines. */
export interface BuildPart {
  readonly files: readonly IndexedFile[];
  readonly tables: readonly {
    readonly resourceType: string;
    /** Of the index, which is not there yet. */
    readonly folder: string;
  }[];
}

/**
 * Builds indexes. Reads the source's files and writes nowhere but beside the index's folder, which is there when all of it is:
 * what a crash left of an earlier attempt is thrown away. `tell` hears how many bytes have been read.
 */
export function buildIndexes({ sourceFolder, base, parts }: BuildJob, tell: (bytes: number) => void): void {
  let done = 0;
  for (const { files, tables } of parts) {
    const writers = new Map(tables.map((table) => [table.resourceType, new IndexWriter(table, base)]));
    const [only] = writers.size === 1 ? writers.values() : [];
    let badLines = 0;
    for (const [fileNo, { name, bytes }] of files.entries()) {
      const read = eachLine(path.join(sourceFolder, name), (line, offset) => {
        tell(done + offset);
        const found = readResource(line);
        if (found === undefined) badLines++;
        else
          (only ?? writers.get(found.scanned.resourceType!))?.add(found, {
            offset,
            length: line.length,
            fileNo,
          });
      });
      if (read !== bytes) throw changed(name);
      done += bytes;
    }
    for (const writer of writers.values()) writer.close(files, badLines);
  }
}

function changed(name: string): RoundsError {
  return new RoundsError(
    'CONSOLE_UNAVAILABLE',
    `${name} has another size than was noted when it was written`,
    {
      hint: 'The file was changed since: see what `fhir-rounds verify` says.',
    },
  );
}

interface ReadLine {
  readonly scanned: ScannedResource;
  readonly resource: ExactObject;
}

function readResource(line: Buffer): ReadLine | undefined {
  try {
    const scan = scanOf(line);
    const scanned = scanResource(scan, nextToken(scan, 0), 0);
    endOfText(scan, scanned.end);
    const resource = exactOf(scan.bytes);
    return resource === undefined || scanned.resourceType === undefined ? undefined : { scanned, resource };
  } catch (error) {
    if (error instanceof RoundsError) return undefined;
    throw error;
  }
}

class IndexWriter {
  readonly #folder: string;
  readonly #draft: string;
  readonly #table;
  readonly #rows: FlatFile;
  readonly #when: FlatFile;
  readonly #columns;
  readonly #ids = new KeyList();
  readonly #patients = new KeyList();
  readonly #referencesOf: ReadReferences;
  #count = 0;

  constructor({ folder, resourceType }: BuildPart['tables'][number], base: string) {
    this.#folder = folder;
    this.#draft = `${folder}.draft`;
    rmSync(this.#draft, { recursive: true, force: true });
    mkdirSync(this.#draft, { recursive: true, mode: 0o700 });
    const file = (name: string) => new FlatFile(path.join(this.#draft, name));
    this.#table = tableOf(resourceType);
    this.#rows = file('rows');
    this.#when = file('when');
    this.#columns = this.#table.columns.map(({ key, cell }) => ({
      cell,
      text: file(columnFile(key, 'text')),
      ends: file(columnFile(key, 'ends')),
      order: file(columnFile(key, 'order')),
    }));
    this.#referencesOf = referenceReader(base);
  }

  add(
    { scanned, resource }: ReadLine,
    place: { readonly offset: number; readonly length: number; readonly fileNo: number },
  ): void {
    const row = this.#count++;
    this.#rows.float64(place.offset);
    this.#rows.uint32(place.length);
    this.#rows.uint32(place.fileNo);
    this.#when.float64(dateOrder(this.#table.when(resource)) ?? Number.NaN);
    for (const { cell, text, ends, order } of this.#columns) {
      const made = cell(resource);
      text.line(fold(made.text.slice(0, CELL_CHARS)));
      ends.uint32(text.bytes - 1);
      order.float64(made.order ?? Number.NaN);
    }
    const { resourceType = '', resourceId = '', named } = scanned;
    if (resourceId !== '') this.#ids.add(resourceId, row);
    const { subjectPatients } = this.#referencesOf({ resourceType, resourceId, named });
    for (const patientId of subjectPatients) this.#patients.add(patientId, row);
  }

  close(files: readonly IndexedFile[], badLines: number): void {
    this.#rows.close();
    this.#when.close();
    for (const { text, ends, order } of this.#columns) for (const file of [text, ends, order]) file.close();
    this.#ids.write(path.join(this.#draft, 'ids'));
    this.#patients.write(path.join(this.#draft, 'patients'));
    const sizes = readdirSync(this.#draft).map(
      (name) => [name, statSync(path.join(this.#draft, name)).size] as const,
    );
    const meta: IndexMeta = {
      formatVersion: FORMAT_VERSION,
      files,
      rows: this.#count,
      badLines,
      sizes: Object.fromEntries(sizes),
    };
    writeFileSync(path.join(this.#draft, META), JSON.stringify(meta), { mode: 0o600, flush: true });
    rmSync(this.#folder, { recursive: true, force: true });
    renameSync(this.#draft, this.#folder);
  }
}
