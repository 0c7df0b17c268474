import path from 'node:path';
import type { ExportTally, BulkStep, ExportedFile } from '../run/exportTally.ts';
import { OUTCOMES, type Cause, type Commit, type CommittedReference, type RunTally } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import { asFileError, syncFolder } from '../system/files.ts';
import type { DownloadCheckpoint, DownloadedFile } from './bulkDownload.ts';
import type { CommitChain } from './commitChain.ts';
import { inLanes } from './pool.ts';

export interface ExportRecordOptions {
  readonly chain: CommitChain;
  readonly tally: RunTally;
  readonly exportTally: ExportTally;
  /** The run's staging folder. */
  readonly folder: string;
  readonly clock: Clock;
  readonly committed: () => void;
}

/** A file that came whole. */
export interface FinishedFile {
  readonly file: ExportedFile;
  readonly typeNo: number;
  readonly downloaded: DownloadedFile;
  /** What the server's remarks in it mean, and how many deletions it names. */
  readonly remarks?: Remarks;
  readonly deletions?: number;
  readonly workedMs: number;
}

/** A file of OperationOutcomes, classified. */
export interface Remarks {
  readonly typeNo: number;
  readonly gaps: readonly Cause[];
  readonly warnings: Readonly<Record<string, number>>;
}

interface GroupedFile extends FinishedFile {
  /** Ends when its content is durable. */
  readonly synced: Promise<void>;
}

const OK = OUTCOMES.indexOf('ok');
const EMPTY = OUTCOMES.indexOf('empty');
const GAP = OUTCOMES.indexOf('gap');
const FAILED = OUTCOMES.indexOf('failed');

/** A group of whole files is committed after so long, or when it has so many. */
const GROUP_MS = 1_000;
const GROUP_FILES = 16;
/** Node has four threads for what waits: flushes that took all of them would hold up the writes of files that come. */
const SYNCS_AT_ONCE = 2;

/**
 * The one writer of a bulk run's commits. Whole files are made durable while others come, and gather into a group that one
 * ledger transaction names, since one for each of thousands of tiny files would take longer than their download.
 */
export class ExportRecord {
  readonly #options: ExportRecordOptions;
  #group: GroupedFile[] = [];
  #timer: AbortController | undefined;
  /** Commits are made one after the other; a failed one fails all that follow. */
  #running: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  readonly #inSyncLane = inLanes(SYNCS_AT_ONCE);

  constructor(options: ExportRecordOptions) {
    this.#options = options;
  }

  /** Takes a whole file. Resolves when there is room for the next; throws what a commit before has thrown. */
  async finish(finished: FinishedFile): Promise<void> {
    const { downloaded } = finished;
    if (this.#failure !== undefined) {
      await downloaded.close();
      throw this.#failure.error;
    }
    const synced = this.#inSyncLane(() => downloaded.sync());
    // Its commit hears of it.
    synced.catch(() => undefined);
    this.#group.push({ ...finished, synced });
    if (this.#group.length < GROUP_FILES) return this.#startTimer();
    // While one group is committed the next may gather, and no more: that bounds what a crash costs.
    const before = this.#running;
    this.drain().catch(() => undefined);
    await before;
  }

  /** Resolves when every file that came is durable and in the ledger. */
  async drain(): Promise<void> {
    this.#timer?.abort();
    this.#timer = undefined;
    const group = this.#group.splice(0);
    this.#running = this.#running.then(
      () => (group.length === 0 ? undefined : this.#commit(group)),
      async (error: unknown) => {
        await closeAll(group);
        throw error;
      },
    );
    this.#running.catch((error: unknown) => (this.#failure ??= { error }));
    await this.#running;
  }

  #startTimer(): void {
    if (this.#timer) return;
    const timer = new AbortController();
    this.#timer = timer;
    this.#options.clock.sleep(GROUP_MS, timer.signal).then(
      () => this.drain().catch(() => undefined),
      () => undefined,
    );
  }

  async #commit(group: readonly GroupedFile[]): Promise<void> {
    const { folder } = this.#options;
    try {
      await Promise.all(group.map(({ synced }) => synced));
      const folders = new Set(group.map(({ file }) => path.dirname(path.join(folder, file.name))));
      for (const one of folders) await syncFolder(one);
    } catch (error) {
      throw asFileError(error, folder);
    } finally {
      await closeAll(group);
    }
    const references: CommittedReference[] = [];
    const wanted: (readonly [number, number])[] = [];
    const warnings: Record<string, number> = {};
    for (const { typeNo, remarks } of group) {
      references.push([typeNo, OK]);
      if (remarks === undefined) continue;
      for (const cause of remarks.gaps) references.push([remarks.typeNo, GAP, cause]);
      if (remarks.gaps.length > 0) wanted.push([remarks.typeNo, remarks.gaps.length]);
      for (const [code, count] of Object.entries(remarks.warnings)) {
        warnings[code] = (warnings[code] ?? 0) + count;
      }
    }
    this.#append({
      references,
      wanted,
      warnings,
      files: group.flatMap(({ file, downloaded }) => committedFile(file, downloaded)),
      worked: group.map(({ typeNo, workedMs }) => [typeNo, Math.round(workedMs)] as const),
      bulk: group.map(({ file: { fileNo }, downloaded: { bytes, count, sha256 }, deletions }): BulkStep => {
        const whole = { step: 'file', fileNo, bytes, count, sha256 } as const;
        return deletions === undefined ? whole : { ...whole, deletions };
      }),
    });
  }

  /** What of a file is durable already; called when it is. */
  async checkpoint(file: ExportedFile, at: DownloadCheckpoint): Promise<void> {
    await this.#inTurn({
      files: committedFile(file, at),
      bulk: [{ step: 'part', fileNo: file.fileNo, ...at }],
    });
  }

  async fail(file: ExportedFile, typeNo: number, cause: Cause): Promise<void> {
    await this.#inTurn({
      references: [[typeNo, FAILED, { ...cause, file: file.name }]],
      files: file.bytes > 0 ? committedFile(file, { bytes: 0, count: 0 }) : [],
      bulk: [{ step: 'failed', fileNo: file.fileNo, outcome: 'failed' }],
    });
  }

  /** Parameters that the server refused, and an export is asked for without. */
  async drop(exportNo: number, names: readonly string[]): Promise<void> {
    await this.#inTurn({ bulk: [{ step: 'dropped', exportNo, names }] });
  }

  /** All files of an export, each of them a unit; with the gaps that came up on the way to it. */
  async list(
    step: Extract<BulkStep, { step: 'listed' }>,
    typeNos: readonly number[],
    gaps: { readonly typeNo: number; readonly causes: readonly Cause[] },
  ): Promise<void> {
    const wanted = new Map<number, number>();
    const count = (typeNo: number, by: number): void =>
      void (by > 0 && wanted.set(typeNo, (wanted.get(typeNo) ?? 0) + by));
    for (const typeNo of typeNos) count(typeNo, 1);
    count(gaps.typeNo, gaps.causes.length);
    const references: CommittedReference[] = gaps.causes.map((cause) => [gaps.typeNo, GAP, cause]);
    // It had been counted as lost, and came after all.
    if (this.#options.exportTally.counted.has(step.exportNo)) references.push([gaps.typeNo, OK]);
    await this.#inTurn({ wanted: [...wanted], references, bulk: [step] });
  }

  /** An export that brings nothing is one failed unit. */
  async lose(exportNo: number, typeNo: number, cause: Cause): Promise<void> {
    const isCounted = this.#options.exportTally.counted.has(exportNo);
    await this.#inTurn({
      wanted: isCounted ? [] : [[typeNo, 1]],
      references: [[typeNo, FAILED, cause]],
      bulk: [{ step: 'lost', exportNo, cause }],
    });
  }

  /** Types of which no file came. */
  async empty(typeNos: readonly number[]): Promise<void> {
    if (typeNos.length === 0) return;
    await this.#inTurn({
      wanted: typeNos.map((typeNo) => [typeNo, 1] as const),
      references: typeNos.map((typeNo) => [typeNo, EMPTY] as const),
    });
  }

  async unique(step: Extract<BulkStep, { step: 'unique' }>, duplicates: Commit['duplicates']): Promise<void> {
    const { files } = this.#options.exportTally;
    await this.#inTurn({
      duplicates,
      files: step.files.flatMap((one) => committedFile(files[one.fileNo]!, one)),
      bulk: [step],
    });
  }

  /** Begins another pass: what had failed is wanted again. */
  async retryFailed(): Promise<void> {
    await this.#inTurn({ retry: true });
  }

  async #inTurn(commit: Partial<Commit>): Promise<void> {
    this.#running = this.#running.then(() => this.#append(commit));
    await this.#running;
  }

  #append(commit: Partial<Commit>): void {
    const { chain, exportTally, committed } = this.#options;
    chain.append(commit);
    exportTally.apply(commit);
    committed();
  }
}

/** What was made durable is closed already; what was not is asked for again. */
async function closeAll(group: readonly FinishedFile[]): Promise<void> {
  await Promise.allSettled(group.map(({ downloaded }) => downloaded.close()));
}

/** A data file for the run's sums, whole or in part. */
function committedFile(
  { kind, type = 'Resource', fileNo }: ExportedFile,
  { bytes, count }: { readonly bytes: number; readonly count: number },
): Commit['files'] {
  return kind === 'output' ? [{ resourceType: type, part: fileNo + 1, bytes, count }] : [];
}
