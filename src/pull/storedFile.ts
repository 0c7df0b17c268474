import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { KeysWriter } from '../ndjson/keysFile.ts';
import { LineScan } from '../ndjson/lineScan.ts';
import { asFileError, errno, isWindows, type FileModes } from '../system/files.ts';

export interface StoredFileOptions {
  /** Absolute. */
  readonly file: string;
  /** The side file of its line keys. */
  readonly keysFile: string;
  readonly modes: FileModes;
  /** What every line has to be; undefined: any type. */
  readonly resourceType: string | undefined;
}

/** So much is gathered before it is written ... */
const WRITE_BYTES = 1 << 20;
/** ... or so many pieces of it. */
const WRITE_PIECES = 1024;
const READ_BYTES = 1 << 20;

/**
 * An NDJSON file while it is written: what comes is judged line by line, hashed, and stored without what belongs to no
 * line (LineScan); the key of each line goes to a side file.
 *
 * Whatever writes or reads throws DISK_FULL or PATH_UNUSABLE, whatever takes bytes BULK_FILE_MALFORMED.
 */
export class StoredFile {
  readonly #name: string;
  readonly #handle: FileHandle;
  readonly #keys: KeysWriter;
  readonly #scan: LineScan;
  readonly #hash = createHash('sha256');
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #bytes = 0;
  #sourceBytes = 0;
  #closed = false;

  private constructor(options: StoredFileOptions, handle: FileHandle) {
    this.#name = path.basename(options.file);
    this.#handle = handle;
    const keys = new KeysWriter(options.keysFile, options.modes);
    this.#keys = keys;
    this.#scan = new LineScan({ resourceType: options.resourceType, line: (key) => keys.add(key) });
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
    const block = Buffer.allocUnsafe(Math.min(bytes, READ_BYTES));
    for (let at = 0; at < bytes;) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#handle.read(block, 0, Math.min(block.length, bytes - at), at);
      if (bytesRead === 0) return;
      at += bytesRead;
      this.push(block.subarray(0, bytesRead));
      this.#pending = [];
      this.#pendingBytes = 0;
      await this.#keys.write();
    }
  }

  /** Of the file, with what is still to be written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lines that ended. */
  get lines(): number {
    return this.#scan.lines;
  }

  /** How many bytes came. */
  get sourceBytes(): number {
    return this.#sourceBytes;
  }

  /** Whether so much is gathered that it should be written. */
  get isFull(): boolean {
    return this.#pendingBytes >= WRITE_BYTES || this.#pending.length >= WRITE_PIECES;
  }

  /** Takes what came. The memory is kept until `write`. */
  push(chunk: Buffer): void {
    this.#sourceBytes += chunk.length;
    for (const span of this.#scan.push(chunk)) this.#store(span);
  }

  #store(span: Buffer): void {
    if (span.length === 0) return;
    this.#hash.update(span);
    this.#pending.push(span);
    this.#pendingBytes += span.length;
    this.#bytes += span.length;
  }

  /** Hands what is gathered to the operating system, without making it durable. */
  async write(): Promise<void> {
    let pieces = this.#pending;
    let at = this.#bytes - this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      while (pieces.length > 0) {
        const { bytesWritten } = await this.#handle.writev(pieces, at);
        at += bytesWritten;
        pieces = behind(pieces, bytesWritten);
      }
      await this.#keys.write();
    } catch (error) {
      throw asFileError(error, this.#name);
    }
  }

  /** The last `bytes` of what was written. */
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

  /** To be called when all has come: writes the rest, and the side file. The file stays open. */
  async finish(): Promise<{ readonly bytes: number; readonly count: number; readonly sha256: string }> {
    this.#store(this.#scan.end());
    await this.write();
    try {
      await this.#keys.finish();
    } catch (error) {
      throw asFileError(error, this.#name);
    }
    return { bytes: this.#bytes, count: this.#scan.lines, sha256: this.#hash.digest('hex') };
  }

  /** Lets go of the files, whatever was not written being lost. May be repeated. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
    await this.#keys.close();
  }
}

/** What is left of `pieces` behind their first `bytes`. */
function behind(pieces: readonly Buffer[], bytes: number): Buffer[] {
  let left = bytes;
  let first = 0;
  while (first < pieces.length && pieces[first]!.length <= left) left -= pieces[first++]!.length;
  const rest = pieces.slice(first);
  if (left > 0) rest[0] = rest[0]!.subarray(left);
  return rest;
}
