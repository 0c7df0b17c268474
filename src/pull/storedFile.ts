import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import type { Verdict } from '../ndjson/fileJudge.ts';
import type { Judge, JudgedFile } from '../ndjson/judge.ts';
import { KeysWriter } from '../ndjson/keysFile.ts';
import { asFileError, errno, isWindows, type FileModes } from '../system/files.ts';

export interface StoredFileOptions {
  /** Absolute. */
  readonly file: string;
  /** The side file of its line keys. */
  readonly keysFile: string;
  readonly modes: FileModes;
  /** What every line has to be; undefined: any type. */
  readonly resourceType: string | undefined;
  readonly judge: Judge;
}

/** While one block is written another is judged; with the one that is gathered, a file holds three. */
const UNDER_WAY = 2;

/**
 * An NDJSON file while it is written: what comes is gathered into blocks, which a thread judges line by line and hashes
 * (Judge), then it is stored without what belongs to no line; the key of each line goes to a side file. Blocks are stored
 * in order, none before its verdict.
 *
 * Whatever waits for blocks throws what the first that failed has thrown, and so does every call after it: DISK_FULL or
 * PATH_UNUSABLE, BULK_FILE_MALFORMED, INTERNAL when the thread has ended.
 */
export class StoredFile {
  readonly #name: string;
  readonly #handle: FileHandle;
  readonly #keys: KeysWriter;
  readonly #judge: Judge;
  readonly #judged: JudgedFile;
  /** What is gathered: the first `#filled` bytes. */
  #block: Buffer | undefined;
  #filled = 0;
  /** Blocks that are judged or written, the first to be done first. */
  readonly #underWay: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #bytes = 0;
  #lines = 0;
  #sourceBytes = 0;
  #isExact = true;
  #closed = false;

  private constructor(options: StoredFileOptions, handle: FileHandle) {
    this.#name = path.basename(options.file);
    this.#handle = handle;
    this.#keys = new KeysWriter(options.keysFile, options.modes);
    this.#judge = options.judge;
    this.#judged = options.judge.begin(options.resourceType);
  }

  /** An empty file, whatever was there. Its entry in the folder is the caller's to make durable. */
  static async create(options: StoredFileOptions): Promise<StoredFile> {
    let stored: StoredFile | undefined;
    try {
      const handle = await open(options.file, 'w+', options.modes.file);
      stored = new StoredFile(options, handle);
      // open's mode passes through the umask, and does not count where the file is there.
      if (!isWindows) await handle.chmod(options.modes.file);
      return stored;
    } catch (error) {
      await stored?.close();
      throw asFileError(error, path.basename(options.file));
    }
  }

  /**
   * The first `bytes` of a file, the rest cut away, read once as if they had come again. Undefined when they are not what
   * `bytes` and `count` of its lines say. Throws the signal's reason, too.
   */
  static async reopen(
    options: StoredFileOptions,
    { bytes, count }: { readonly bytes: number; readonly count: number },
    signal: AbortSignal,
  ): Promise<StoredFile | undefined> {
    let stored: StoredFile | undefined;
    try {
      const handle = await open(options.file, 'r+');
      stored = new StoredFile(options, handle);
      if ((await handle.stat()).size >= bytes) {
        await handle.truncate(bytes);
        await stored.#readBack(bytes, signal);
        if (stored.bytes === bytes && stored.lines === count) return stored;
      }
    } catch (error) {
      const isForeign = error instanceof RoundsError && error.code === 'BULK_FILE_MALFORMED';
      if (!isForeign && errno(error) !== 'ENOENT') {
        await stored?.close();
        throw asFileError(error, path.basename(options.file));
      }
    }
    await stored?.close();
    return undefined;
  }

  async #readBack(bytes: number, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes;) {
      signal.throwIfAborted();
      if (this.isFull) await this.room();
      const block = (this.#block = this.#judge.takeBlock());
      const { bytesRead } = await this.#handle.read(block, 0, Math.min(block.length, bytes - at), at);
      if (bytesRead === 0) break;
      at += bytesRead;
      this.#sourceBytes += bytesRead;
      this.#filled = bytesRead;
      this.#send(async () => undefined);
    }
    await this.flush();
  }

  /** Of the file, without what is still gathered, judged or written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lines that ended within `bytes`. */
  get lines(): number {
    return this.#lines;
  }

  /** How many bytes came. */
  get sourceBytes(): number {
    return this.#sourceBytes;
  }

  /** Whether all that was judged so far has been stored: the file's bytes are the source's. */
  get isExact(): boolean {
    return this.#isExact;
  }

  /** Whether so much is under way that whoever has more should wait for `room`. */
  get isFull(): boolean {
    return this.#underWay.length >= UNDER_WAY;
  }

  /** Takes what came; its memory is free again. */
  push(chunk: Buffer): void {
    // Else a slow server's file would come for a long time in vain.
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#sourceBytes += chunk.length;
    for (let at = 0; at < chunk.length;) {
      const block = (this.#block ??= this.#judge.takeBlock());
      const copied = chunk.copy(block, this.#filled, at);
      this.#filled += copied;
      at += copied;
      if (this.#filled === block.length) this.#send();
    }
  }

  /** Has what is gathered judged, then stored when all before it is. */
  #send(store = (kept: Buffer): Promise<void> => this.#write(kept)): void {
    const memory = this.#block!;
    const block = memory.subarray(0, this.#filled);
    this.#block = undefined;
    this.#filled = 0;
    const judged = this.#judged.judge(block);
    // Until its turn has come nobody listens.
    judged.catch(() => undefined);
    this.#last = this.#last.then(async () => {
      const verdict = await judged;
      const kept = keptOf(block, verdict);
      await store(kept);
      await this.#addKeys(verdict.keys);
      this.#bytes += kept.length;
      this.#lines = verdict.lines;
      this.#isExact &&= kept.length === block.length;
      void this.#underWay.shift();
      // After a failure the thread may still be reading it.
      this.#judge.giveBack(memory);
    });
    this.#last.catch((error: unknown) => (this.#failure ??= { error }));
    this.#underWay.push(this.#last);
  }

  /** Resolves when more may be pushed. */
  async room(): Promise<void> {
    while (this.isFull) await this.#underWay[0];
  }

  /** Resolves when all that came is judged and with the operating system, without being durable. */
  async flush(): Promise<void> {
    if (this.#filled > 0) this.#send();
    await this.#last;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) {
        const left = bytes.length - done;
        done += (await this.#handle.write(bytes, done, left, this.#bytes + done)).bytesWritten;
      }
    } catch (error) {
      throw asFileError(error, this.#name);
    }
  }

  async #addKeys(keys: Uint32Array): Promise<void> {
    this.#keys.add(keys);
    try {
      await this.#keys.write();
    } catch (error) {
      throw asFileError(error, this.#name);
    }
  }

  /** The last `bytes` of the file. */
  async tail(bytes: number): Promise<Buffer> {
    const tail = Buffer.alloc(bytes);
    try {
      for (let done = 0; done < bytes;) {
        const { bytesRead } = await this.#handle.read(tail, done, bytes - done, this.#bytes - bytes + done);
        if (bytesRead === 0)
          throw new RoundsError('PATH_UNUSABLE', `${this.#name}: it was cut by another hand`);
        done += bytesRead;
      }
      return tail;
    } catch (error) {
      throw asFileError(error, this.#name);
    }
  }

  /** Makes what was written durable, but for the file's entry in its folder. */
  async sync(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (error) {
      throw asFileError(error, this.#name);
    }
  }

  /** To be called when all has come: stores the rest, and the side file. The file stays open. */
  async finish(): Promise<{ readonly bytes: number; readonly count: number; readonly sha256: string }> {
    await this.flush();
    const { rest, keys, lines, sha256 } = await this.#judged.end();
    await this.#write(rest);
    this.#bytes += rest.length;
    this.#lines = lines;
    this.#keys.add(keys);
    try {
      await this.#keys.finish();
    } catch (error) {
      throw asFileError(error, this.#name);
    }
    return { bytes: this.#bytes, count: lines, sha256 };
  }

  /** Lets go of the files, whatever was not written being lost. May be repeated. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // No write may come behind the close; there are few blocks to wait for.
    await this.#last.catch(() => undefined);
    this.#judged.drop();
    await this.#handle.close();
    await this.#keys.close();
  }
}

/** What of a block is to be stored. */
function keptOf(block: Buffer, { kept }: Verdict): Buffer {
  if (kept === undefined) return block;
  const pieces: Buffer[] = [];
  for (let at = 0; at < kept.length; at += 2) pieces.push(block.subarray(kept[at], kept[at + 1]));
  return Buffer.concat(pieces);
}
