import { createHash, type Hash } from 'node:crypto';
import { open, readdir, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../errors.ts';
import { asFileError, isWindows, syncFolder, type FileModes } from '../system/files.ts';
import { cutBack, type NdjsonPart } from './committedPart.ts';

export type { NdjsonPart } from './committedPart.ts';

export interface FinishedPart extends NdjsonPart {
  readonly name: string;
  readonly sha256: string;
  /** Of an export organised by patient: the file in which the last block goes on. */
  readonly continuesIn?: string;
}

export interface NdjsonWriterOptions {
  readonly folder: string;
  readonly modes: FileModes;
  /** A part that would grow past this many bytes is followed by the next one; 0 = never. */
  readonly maxPartBytes: number;
  readonly fileName: (resourceType: string, part: number) => string;
  /** What the ledger has committed: the truth that files are cut back to. */
  readonly committed: readonly NdjsonPart[];
  /** Parts of an earlier run, linked into this folder: never appended to. */
  readonly isFrozen: (part: NdjsonPart) => boolean;
  /** Entries of the folder that are somebody else's: left alone where all but the committed is removed. */
  readonly others?: readonly string[];
}

interface OpenPart {
  readonly resourceType: string;
  readonly part: number;
  /** undefined until something is written, and while it is closed to spare the process' file handles. */
  handle: FileHandle | undefined;
  /** Whether the file is there. */
  isMade: boolean;
  readonly hash: Hash;
  bytes: number;
  count: number;
  /** Lines not yet written. */
  pending: Buffer[];
  unsynced: boolean;
}

/** Files open at once, a type each: a process may be allowed few, and sockets want theirs. */
const MAX_OPEN_FILES = 12;

const LINE_FEED = 0x0a;
/** So much is handed to the operating system at a time. */
const BLOCK_BYTES = 1 << 20;

/**
 * Appends resources to NDJSON files, a file a type and part, and says where each ends.
 *
 * `append` only remembers; `write` hands it to the operating system; `sync` makes it durable and returns the ends
 * that a ledger commit may then name. Opening cuts every file back to what was committed and removes the others,
 * so what a crash left behind a commit is gone.
 */
export class NdjsonWriter {
  readonly #options: NdjsonWriterOptions;
  readonly #current = new Map<string, OpenPart>();
  readonly #finished: FinishedPart[] = [];
  readonly #retired: OpenPart[] = [];
  #pendingBytes = 0;
  #block: Buffer | undefined;
  #folderUnsynced = false;
  #closed = false;

  private constructor(options: NdjsonWriterOptions) {
    this.#options = options;
  }

  /** Throws RUN_NOT_RESUMABLE when a committed byte is missing, DISK_FULL or PATH_UNUSABLE. */
  static async open(options: NdjsonWriterOptions): Promise<NdjsonWriter> {
    const writer = new NdjsonWriter(options);
    try {
      await writer.#restore();
      return writer;
    } catch (error) {
      await writer.close();
      throw asFileError(error, options.folder);
    }
  }

  async #restore(): Promise<void> {
    const { folder, committed, fileName, isFrozen, others = [] } = this.#options;
    const kept = new Set([...others, ...committed.map((part) => fileName(part.resourceType, part.part))]);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!kept.has(entry.name)) await rm(path.join(folder, entry.name), { recursive: true });
    }
    const last = new Map<string, number>();
    for (const part of committed) {
      last.set(part.resourceType, Math.max(part.part, last.get(part.resourceType) ?? 0));
    }
    for (const part of committed) {
      const name = fileName(part.resourceType, part.part);
      const hash = await cutBack(folder, name, part, isFrozen(part));
      if (isFrozen(part) || part.part !== last.get(part.resourceType)) {
        this.#finished.push({ ...part, name, sha256: hash.digest('hex') });
        continue;
      }
      this.#current.set(part.resourceType, {
        ...part,
        handle: undefined,
        isMade: true,
        hash,
        pending: [],
        unsynced: false,
      });
    }
  }

  /** Bytes remembered and not yet handed to the operating system. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Remembers one resource. The bytes are kept until `write`. */
  append(resourceType: string, line: Buffer): void {
    this.#assertOpen();
    const size = line.length + 1;
    let part = this.#current.get(resourceType);
    const { maxPartBytes } = this.#options;
    if (part && maxPartBytes > 0 && part.bytes > 0 && part.bytes + size > maxPartBytes) {
      this.#retired.push(part);
      part = undefined;
    }
    part ??= this.#beginNext(resourceType);
    part.pending.push(line);
    part.bytes += size;
    part.count++;
    this.#pendingBytes += size;
  }

  #beginNext(resourceType: string): OpenPart {
    const taken = [...this.#options.committed, ...this.#finished, ...this.#retired].filter(
      (part) => part.resourceType === resourceType,
    );
    const begun = {
      resourceType,
      part: Math.max(0, ...taken.map((one) => one.part)) + 1,
      handle: undefined,
      isMade: false,
      hash: createHash('sha256'),
      bytes: 0,
      count: 0,
      pending: [],
      unsynced: false,
    };
    this.#current.set(resourceType, begun);
    return begun;
  }

  /** Hands what is remembered to the operating system, without making it durable. */
  async write(): Promise<void> {
    for (const part of this.#open()) {
      if (part.pending.length === 0) continue;
      const lines = part.pending;
      part.pending = [];
      part.unsynced = true;
      try {
        const handle = await this.#handleOf(part);
        for (const block of this.#blocksOf(lines)) {
          part.hash.update(block);
          for (let done = 0; done < block.length;) done += (await handle.write(block, done)).bytesWritten;
        }
      } catch (error) {
        throw asFileError(error, this.#options.fileName(part.resourceType, part.part));
      }
    }
    this.#pendingBytes = 0;
  }

  /** The lines, each with its line feed, in blocks that use the same memory. */
  *#blocksOf(lines: readonly Buffer[]): Generator<Buffer, void, undefined> {
    const block = (this.#block ??= Buffer.allocUnsafeSlow(BLOCK_BYTES));
    let filled = 0;
    for (const line of lines) {
      // One step further than the line: its line feed.
      for (let at = 0; at <= line.length;) {
        if (filled === block.length) {
          yield block;
          filled = 0;
        }
        if (at === line.length) block[filled] = LINE_FEED;
        const size = at === line.length ? 1 : line.copy(block, filled, at);
        at += size;
        filled += size;
      }
    }
    if (filled > 0) yield block.subarray(0, filled);
  }

  /** Makes everything durable and returns the ends of the parts that changed since the last call. */
  async sync(): Promise<readonly NdjsonPart[]> {
    this.#assertOpen();
    await this.write();
    const changed = this.#open().filter((part) => part.unsynced);
    try {
      await Promise.all(changed.map(async (part) => part.handle?.datasync()));
      if (this.#folderUnsynced) await syncFolder(this.#options.folder);
    } catch (error) {
      throw asFileError(error, this.#options.folder);
    }
    this.#folderUnsynced = false;
    for (const part of changed) part.unsynced = false;
    const ends = changed.map(({ resourceType, part, bytes, count }) => ({
      resourceType,
      part,
      bytes,
      count,
    }));
    for (const part of this.#retired.splice(0)) await this.#finish(part);
    return ends;
  }

  /** A commit that a timer begins after its run stopped must not reach files that another process may own by now. */
  #assertOpen(): void {
    if (this.#closed) throw new RoundsError('INTERRUPTED', 'the run has stopped writing');
  }

  #open(): readonly OpenPart[] {
    return [...this.#retired, ...this.#current.values()];
  }

  async #handleOf(part: OpenPart): Promise<FileHandle> {
    if (part.handle !== undefined) return part.handle;
    const { folder, fileName, modes } = this.#options;
    await this.#makeRoom();
    const file = path.join(folder, fileName(part.resourceType, part.part));
    if (part.isMade) {
      part.handle = await open(file, 'a');
      return part.handle;
    }
    part.handle = await open(file, 'wx', modes.file);
    part.isMade = true;
    this.#folderUnsynced = true;
    // open's mode passes through the umask; with export_mode = group the group is to read it.
    if (!isWindows) await part.handle.chmod(modes.file);
    return part.handle;
  }

  /** Closes files, the longest open first, until one more may be opened; what was written to them is made durable. */
  async #makeRoom(): Promise<void> {
    const open = this.#open().filter((part) => part.handle !== undefined);
    for (const part of open.slice(0, Math.max(0, open.length - MAX_OPEN_FILES + 1))) {
      const { handle } = part;
      part.handle = undefined;
      try {
        if (part.unsynced) await handle!.datasync();
      } finally {
        await handle!.close();
      }
    }
  }

  async #finish(part: OpenPart): Promise<void> {
    await part.handle?.close();
    part.handle = undefined;
    const { resourceType, part: number, bytes, count } = part;
    const name = this.#options.fileName(resourceType, number);
    this.#finished.push({ resourceType, part: number, bytes, count, name, sha256: part.hash.digest('hex') });
  }

  /** Ends writing; everything must have been synced. The parts in order of type and number. */
  async finish(): Promise<readonly FinishedPart[]> {
    for (const part of this.#current.values()) await this.#finish(part);
    this.#current.clear();
    return this.#finished.toSorted((a, b) =>
      a.resourceType === b.resourceType ? a.part - b.part : a.resourceType < b.resourceType ? -1 : 1,
    );
  }

  /** Lets go of every file, whatever was not synced being lost; for a run that stops. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#open().map(async (part) => part.handle?.close()));
    this.#current.clear();
    this.#retired.length = 0;
  }
}
