import { rm } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import { syncFolder } from '../system/files.ts';
import type { HttpStream } from '../system/http.ts';
import { backoffMs } from '../system/retry.ts';
import { identityEtag, isEncoded, rangeOf } from './partialContent.ts';
import { StoredFile, type StoredFileOptions } from './storedFile.ts';

/** What of a file is on the disk for good. */
export interface DownloadCheckpoint {
  readonly bytes: number;
  /** Lines that ended. */
  readonly count: number;
  /** The strong ETag of the file as it is, without compression; absent when the server named none. */
  readonly etag?: string;
}

export interface DownloadOptions extends StoredFileOptions {
  /**
   * Asks for the file: a stream with status 200, 206 or 416; every other answer throws, as does a refused URL. Retries of
   * what comes before the body are its own. Names of headers are in lower case.
   */
  readonly open: (headers: Readonly<Record<string, string>>) => Promise<HttpStream>;
  readonly expectedCount: number | undefined;
  /** What of the file the ledger vouches for; the rest is cut away. undefined: begin anew. */
  readonly from: DownloadCheckpoint | undefined;
  /** How much has to come between two checkpoints. */
  readonly checkpointBytes: number;
  /**
   * Called when everything up to it is on the disk (the folder's entry, too), in growing order. One of 0 bytes takes back
   * what was said before: the file is begun anew.
   */
  readonly checkpoint: (at: DownloadCheckpoint) => Promise<void>;
  /** Of what ends while the body comes, in a row and without progress. */
  readonly maxAttempts: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

export interface DownloadedFile {
  readonly bytes: number;
  readonly count: number;
  readonly sha256: string;
  /** Makes the content durable and closes the file; its entry in the folder is the caller's. Throws as writing does. */
  sync(): Promise<void>;
  /** Closes the file without that. May be repeated, and follow `sync`. */
  close(): Promise<void>;
}

/** So much of what is stored is asked for again, to see that the rest belongs to it. */
const OVERLAP_BYTES = 64 * 1024;
/** An attempt that brought so much was none in vain. */
const PROGRESS_BYTES = 1 << 20;
const BACKOFF = { baseMs: 1000, capMs: 60_000 };

/**
 * Downloads one file of a bulk export into `file`, and the keys of its lines into `keysFile`, with flat memory. The file is
 * written whole, and is the caller's to sync or close.
 *
 * A body that is cut goes on within the file by Range (RFC 9110, 14) where the server keeps to it and nothing was left out
 * of the file; what is not NDJSON of its type, or has another count, is fetched once more from the start.
 * Throws what `open` and `checkpoint` throw; BODY_CUT, TIMEOUT or NETWORK after `maxAttempts`; BULK_FILE_MALFORMED,
 * BULK_COUNT_DIFFERS; DISK_FULL, PATH_UNUSABLE; the signal's reason. Files stay after the last of these alone.
 */
export async function downloadFile(options: DownloadOptions): Promise<DownloadedFile> {
  const { signal } = options;
  const download = new Download(options);
  try {
    signal.throwIfAborted();
    await download.begin(options.from);
    return await untilWhole(download, options);
  } catch (error) {
    await download.close();
    if (signal.aborted) throw signal.reason;
    await Promise.allSettled([options.file, options.keysFile].map((file) => rm(file, { force: true })));
    throw error;
  }
}

async function untilWhole(download: Download, options: DownloadOptions): Promise<DownloadedFile> {
  const { clock, random, signal, maxAttempts } = options;
  let isSecond = false;
  let failures = 0;
  for (;;) {
    const before = download.furthest;
    try {
      const cut = await download.receive();
      if (cut === undefined) return await download.finish();
      failures = download.furthest - before >= PROGRESS_BYTES ? 0 : failures + 1;
      if (failures >= maxAttempts) throw cut;
    } catch (error) {
      signal.throwIfAborted();
      if (isSecond || !isWrongContent(error)) throw error;
      isSecond = true;
      await download.begin(undefined);
    }
    await clock.sleep(backoffMs(failures, { ...BACKOFF, random }), signal);
  }
}

function isWrongContent(error: unknown): boolean {
  const code = error instanceof RoundsError ? error.code : undefined;
  return code === 'BULK_FILE_MALFORMED' || code === 'BULK_COUNT_DIFFERS';
}

/** One file while it comes: what is stored of it, and what is known of the rest. */
class Download {
  readonly #options: DownloadOptions;
  #stored: StoredFile | undefined;
  /** Strong, and of the form without compression. */
  #etag: string | undefined;
  /** Whether the server will not go on with what is stored. */
  #isLost = false;
  #checkpointed = 0;
  #folderSynced = false;
  #furthest = 0;

  constructor(options: DownloadOptions) {
    this.#options = options;
  }

  /** How much of the file was ever stored at once. */
  get furthest(): number {
    return this.#furthest;
  }

  /** Takes up what is vouched for, or begins the file anew. */
  async begin(from: DownloadCheckpoint | undefined): Promise<void> {
    await this.close();
    this.#isLost = false;
    this.#etag = undefined;
    if (from !== undefined) {
      this.#checkpointed = this.#furthest = from.bytes;
      this.#stored = await StoredFile.reopen(this.#options, from, this.#options.signal);
      if (this.#stored !== undefined) {
        this.#etag = from.etag;
        return;
      }
    }
    // Else a crash could find other bytes under what the ledger vouches for.
    if (this.#checkpointed > 0) await this.#options.checkpoint({ bytes: 0, count: 0 });
    this.#checkpointed = 0;
    this.#stored = await StoredFile.create(this.#options);
  }

  async close(): Promise<void> {
    await this.#stored?.close();
  }

  /** One request. Resolves with what cut its body, or with undefined when the end was reached. */
  async receive(): Promise<RoundsError | undefined> {
    const at = this.#resumeAt();
    if (at === undefined && this.#file.sourceBytes > 0) await this.begin(undefined);
    const stream = await this.#options.open(this.#headers(at));
    try {
      await this.#take(stream, at);
      return undefined;
    } catch (error) {
      if (!isCut(error) || this.#options.signal.aborted) throw error;
      await this.#file.flush();
      await this.#advance();
      return error;
    } finally {
      stream.close();
    }
  }

  /** Where to go on; undefined: only from the start. */
  #resumeAt(): number | undefined {
    const { bytes, sourceBytes } = this.#file;
    // What was left out has no place in the file that a range could name.
    if (this.#isLost || bytes !== sourceBytes || bytes === 0) return undefined;
    return bytes - Math.min(OVERLAP_BYTES, Math.floor(bytes / 2));
  }

  #headers(at: number | undefined): Readonly<Record<string, string>> {
    if (at === undefined) return { 'accept-encoding': 'gzip' };
    return {
      'accept-encoding': 'identity',
      range: `bytes=${at}-`,
      ...(this.#etag === undefined ? {} : { 'if-range': this.#etag }),
    };
  }

  async #take(stream: HttpStream, at: number | undefined): Promise<void> {
    const { status, headers } = stream;
    const etag = identityEtag(headers);
    if (status === 200) {
      if (this.#file.sourceBytes > 0) await this.begin(undefined);
      this.#etag = etag;
      return this.#store(stream, Buffer.alloc(0));
    }
    if (status !== 206 && status !== 416) {
      throw new RoundsError('HTTP_UNEXPECTED', `a file was answered with HTTP ${status}`, { status });
    }
    const range = status === 206 && !isEncoded(headers) ? rangeOf(headers) : undefined;
    const isOther = this.#etag !== undefined && etag !== undefined && etag !== this.#etag;
    const isShorter = range?.length !== undefined && range.length < this.#file.bytes;
    if (at === undefined || range?.from !== at || isShorter || isOther) throw this.#lost();
    this.#etag ??= etag;
    await this.#store(stream, await this.#file.tail(this.#file.bytes - at));
    // A part may be shorter than was asked for (RFC 9110, 15.3.7): the rest is asked for as after a cut.
    if (range.length !== undefined && this.#file.sourceBytes < range.length) throw cutOff();
  }

  /** Stores what comes, behind an overlap that has to be as it is. */
  async #store(stream: HttpStream, overlap: Buffer): Promise<void> {
    let due = overlap;
    for await (const chunk of stream.body) {
      this.#options.signal.throwIfAborted();
      const known = Math.min(due.length, chunk.length);
      if (!chunk.subarray(0, known).equals(due.subarray(0, known))) throw this.#lost();
      due = due.subarray(known);
      this.#file.push(chunk.subarray(known));
      if (this.#file.isFull) await this.#file.room();
      // Also where the server is slower than the judging, so that no room is ever waited for.
      await this.#advance();
    }
    if (due.length > 0) throw cutOff();
  }

  #lost(): RoundsError {
    this.#isLost = true;
    return new RoundsError('BODY_CUT', 'the server does not go on with a file where it was cut');
  }

  /** Takes note of what is stored, and makes a checkpoint where it is time for one. */
  async #advance(): Promise<void> {
    this.#furthest = Math.max(this.#furthest, this.#file.bytes);
    if (this.#isCheckpointDue()) await this.#checkpoint();
  }

  #isCheckpointDue(): boolean {
    const { isExact, bytes } = this.#file;
    // What was left out has no place that a range could name: nothing behind it can be gone on with.
    return isExact && bytes - this.#checkpointed >= this.#options.checkpointBytes;
  }

  async #checkpoint(): Promise<void> {
    const stored = this.#file;
    const { checkpoint, file } = this.#options;
    await stored.flush();
    // What has just been judged may have left something out.
    if (!this.#isCheckpointDue()) return;
    const { bytes, lines: count } = stored;
    await stored.sync();
    if (!this.#folderSynced) await syncFolder(path.dirname(file));
    this.#folderSynced = true;
    this.#checkpointed = bytes;
    await checkpoint({ bytes, count, ...(this.#etag === undefined ? {} : { etag: this.#etag }) });
  }

  async finish(): Promise<DownloadedFile> {
    const stored = this.#file;
    const { expectedCount } = this.#options;
    const { bytes, count, sha256 } = await stored.finish();
    if (expectedCount !== undefined && count !== expectedCount) {
      throw new RoundsError(
        'BULK_COUNT_DIFFERS',
        `a file has ${count} lines where the manifest says ${expectedCount}`,
      );
    }
    const sync = async (): Promise<void> => {
      try {
        await stored.sync();
      } finally {
        await stored.close();
      }
    };
    return { bytes, count, sha256, sync, close: () => stored.close() };
  }

  get #file(): StoredFile {
    if (this.#stored === undefined) throw new RoundsError('INTERNAL', 'a download was not begun');
    return this.#stored;
  }
}

function cutOff(): RoundsError {
  return new RoundsError('BODY_CUT', 'a part of a file was shorter than the rest of it');
}

function isCut(error: unknown): error is RoundsError {
  return error instanceof RoundsError && ['BODY_CUT', 'TIMEOUT', 'NETWORK'].includes(error.code);
}
