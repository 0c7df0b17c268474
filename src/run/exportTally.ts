import type { Cause, Commit, Outcome } from './tally.ts';

/**
 * What a run's commits say of its bulk exports: which are listed, and how far each of their files has come. A reducer
 * over the list of commits, as RunTally is: a live run and a replay after a crash go through the same code.
 */

/** `output`: data; `deleted`: Bundles of deletions; `error`: the server's OperationOutcomes. */
export type FileKind = 'output' | 'deleted' | 'error';

/** A file of a manifest, as committed. */
export interface ListedFile {
  readonly kind: FileKind;
  /** Type of its resources; absent where they are of any type (`organizeOutputBy`). */
  readonly type?: string;
  /** Its name in the published folder, relative. */
  readonly name: string;
  /** As the manifest gave it, absolute. */
  readonly url: string;
  /** Lines by the manifest. */
  readonly count?: number;
  /** Name of the file in which its last block goes on. */
  readonly continuesIn?: string;
}

/** Steps of exports and their files. `fileNo` counts over all exports of a run, in the order of their listing. */
export type BulkStep =
  /** The server refuses these parameters, and the export is asked for without them. */
  | { readonly step: 'dropped'; readonly exportNo: number; readonly names: readonly string[] }
  /** An export came to its end, and these are all its files. */
  | {
      readonly step: 'listed';
      readonly exportNo: number;
      readonly transactionTime: string;
      readonly request: string;
      readonly requiresAccessToken: boolean;
      readonly organizedBy?: string;
      readonly files: readonly ListedFile[];
      /** Sentences for the report: what is odd in its manifest. */
      readonly notes: readonly string[];
    }
  /** An export brings nothing: it could not be begun, or failed at the server. */
  | { readonly step: 'lost'; readonly exportNo: number; readonly cause: Cause }
  /** So much of a file is durable; the rest is asked for after a crash. */
  | {
      readonly step: 'part';
      readonly fileNo: number;
      readonly bytes: number;
      readonly count: number;
      readonly etag?: string;
    }
  /** A file is whole and durable. `deletions`: how many its Bundles name. */
  | {
      readonly step: 'file';
      readonly fileNo: number;
      readonly bytes: number;
      readonly count: number;
      readonly sha256: string;
      readonly deletions?: number;
    }
  /** A file did not come. */
  | { readonly step: 'failed'; readonly fileNo: number; readonly outcome: Extract<Outcome, 'gap' | 'failed'> }
  /** All files were held against each other, and these lost copies of what others hold too. */
  | {
      readonly step: 'unique';
      readonly files: readonly {
        readonly fileNo: number;
        readonly bytes: number;
        readonly count: number;
        readonly sha256: string;
      }[];
    };

export interface ExportedFile extends ListedFile {
  readonly fileNo: number;
  readonly exportNo: number;
  state: 'wanted' | Extract<Outcome, 'ok' | 'gap' | 'failed'>;
  bytes: number;
  lines: number;
  sha256: string | undefined;
  etag: string | undefined;
  deletions: number;
}

/** An export whose files are known. */
export interface ListedExport {
  readonly transactionTime: string;
  readonly request: string;
  readonly requiresAccessToken: boolean;
  readonly organizedBy: string | undefined;
}

/** Mutable sum of the bulk steps of commits. */
export class ExportTally {
  readonly files: ExportedFile[] = [];
  readonly listed = new Map<number, ListedExport>();
  readonly lost = new Map<number, Cause>();
  readonly dropped = new Map<number, readonly string[]>();
  /** Exports that were lost at some time, and so are units of their own. */
  readonly counted = new Set<number>();
  /** Sentences for the report. */
  readonly notes: string[] = [];
  /** Whether the files that there are were held against each other. */
  isUnique = false;

  apply({ bulk = [], retry }: Pick<Commit, 'bulk' | 'retry'>): void {
    if (retry) this.#forgetFailed();
    for (const step of bulk) this.#applyStep(step);
  }

  #applyStep(step: BulkStep): void {
    switch (step.step) {
      case 'dropped':
        this.dropped.set(step.exportNo, step.names);
        return;
      case 'listed':
        return this.#list(step);
      case 'lost':
        this.lost.set(step.exportNo, step.cause);
        this.counted.add(step.exportNo);
        return;
      case 'part': {
        const file = this.#file(step.fileNo);
        Object.assign(file, { bytes: step.bytes, lines: step.count, etag: step.etag });
        return;
      }
      case 'file': {
        const { bytes, count: lines, sha256, deletions = 0 } = step;
        Object.assign(this.#file(step.fileNo), { state: 'ok', bytes, lines, sha256, deletions });
        this.isUnique = false;
        return;
      }
      case 'failed':
        Object.assign(this.#file(step.fileNo), { state: step.outcome, bytes: 0, lines: 0, etag: undefined });
        return;
      case 'unique':
        for (const { fileNo, bytes, count, sha256 } of step.files) {
          Object.assign(this.#file(fileNo), { bytes, lines: count, sha256 });
        }
        this.isUnique = true;
    }
  }

  #list(step: Extract<BulkStep, { step: 'listed' }>): void {
    const { exportNo, transactionTime, request, requiresAccessToken, organizedBy, files } = step;
    if (this.listed.has(exportNo)) throw new RangeError(`export ${exportNo} was listed twice`);
    this.listed.set(exportNo, { transactionTime, request, requiresAccessToken, organizedBy });
    this.notes.push(...step.notes);
    for (const file of files) {
      this.files.push({
        ...file,
        fileNo: this.files.length,
        exportNo,
        state: 'wanted',
        bytes: 0,
        lines: 0,
        sha256: undefined,
        etag: undefined,
        deletions: 0,
      });
    }
  }

  #file(fileNo: number): ExportedFile {
    const file = this.files[fileNo];
    if (file === undefined) throw new RangeError(`file ${fileNo} is not of this run`);
    return file;
  }

  #forgetFailed(): void {
    this.lost.clear();
    for (const file of this.files) if (file.state === 'failed') file.state = 'wanted';
  }

  /** Files that are to be published. */
  get whole(): readonly ExportedFile[] {
    return this.files.filter((file) => file.state === 'ok');
  }

  /** The instant that all exports are at least as new as; undefined before one is listed. */
  get transactionTime(): string | undefined {
    const times = [...this.listed.values()].map(({ transactionTime }) => transactionTime);
    return times.toSorted((a, b) => Date.parse(a) - Date.parse(b))[0];
  }
}
