import { open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { asFileError, PRIVATE_MODES } from '../system/files.ts';

/**
 * `search`: unique by the search that brought it. `run`: to be held against the whole run's shared resources,
 * since other searches may bring it too.
 */
export type Uniqueness = 'search' | 'run';

export interface KeptResource {
  readonly resourceType: string;
  readonly resourceId: string;
  readonly uniqueness: Uniqueness;
  readonly contentCrc: number;
  readonly bytes: Buffer;
}

/** Bytes that all unfinished searches hold in memory together; past `limit` they go to disk. */
export interface MemoryBudget {
  used: number;
  readonly limit: number;
}

/** `bytes` is undefined while they lie in the spool. */
type Line = Omit<KeptResource, 'bytes'> & { readonly size: number; bytes: Buffer | undefined };

/** Of one type: its name, once for all its lines, and by id the CRC of the copy that stays. */
interface KeptType {
  readonly name: string;
  readonly ids: Map<string, number>;
}

/** A read for each resource would take longer than its download. */
const BLOCK_BYTES = 1 << 20;

/** A search over this many bytes is spooled to disk. */
export const SPOOL_BYTES = 8 * 1024 * 1024;

/**
 * What a search has brought so far. It is kept whole until the search ends, since a search is committed whole or
 * not at all; when it grows large it spools to a file, and only ids stay in memory.
 */
export class KeptResources {
  readonly #spoolFolder: string;
  readonly #spoolName: string;
  readonly #budget: MemoryBudget;
  #lines: Line[] = [];
  #types = new Map<string, KeptType>();
  #spool: FileHandle | undefined;
  #spooledLines = 0;
  #memoryBytes = 0;
  #bytes = 0;
  readonly duplicates = { same: 0, differing: 0 };

  constructor(spoolFolder: string, spoolName: string, budget: MemoryBudget) {
    this.#spoolFolder = spoolFolder;
    this.#spoolName = spoolName;
    this.#budget = budget;
  }

  get count(): number {
    return this.#lines.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a resource unless its type and id came before; then the first copy stays. Whether it was new. */
  add(
    { resourceType, resourceId, bytes }: Pick<KeptResource, 'resourceType' | 'resourceId' | 'bytes'>,
    uniqueness: Uniqueness,
  ): boolean {
    const contentCrc = crc32(bytes);
    const { name, ids } = this.#type(resourceType);
    const before = ids.get(resourceId);
    if (before !== undefined) {
      this.duplicates[before === contentCrc ? 'same' : 'differing']++;
      return false;
    }
    ids.set(resourceId, contentCrc);
    this.#lines.push({ resourceType: name, resourceId, uniqueness, contentCrc, size: bytes.length, bytes });
    this.#bytes += bytes.length;
    this.#memoryBytes += bytes.length;
    this.#budget.used += bytes.length;
    return true;
  }

  #type(resourceType: string): KeptType {
    let type = this.#types.get(resourceType);
    if (type === undefined) {
      type = { name: resourceType, ids: new Map() };
      this.#types.set(resourceType, type);
    }
    return type;
  }

  /** To be awaited after each page: moves what is kept to disk when it, or all searches together, grew large. */
  async settle(): Promise<void> {
    const large = this.#memoryBytes > SPOOL_BYTES || this.#budget.used > this.#budget.limit;
    if (!large || this.#memoryBytes === 0) return;
    try {
      this.#spool ??= await open(this.#spoolFile(), 'wx+', PRIVATE_MODES.file);
      const waiting = this.#lines.slice(this.#spooledLines);
      const block = Buffer.concat(waiting.map((line) => line.bytes!));
      for (let done = 0; done < block.length;) {
        done += (await this.#spool.write(block, done)).bytesWritten;
      }
      for (const line of waiting) line.bytes = undefined;
      this.#spooledLines = this.#lines.length;
      this.#freeMemory();
    } catch (error) {
      throw asFileError(error, 'the spool of a large search');
    }
  }

  #spoolFile(): string {
    return path.join(this.#spoolFolder, this.#spoolName);
  }

  #freeMemory(): void {
    this.#budget.used -= this.#memoryBytes;
    this.#memoryBytes = 0;
  }

  /** All in the order in which they came; what was spooled is read back, a block at a time. */
  async *blocks(): AsyncGenerator<readonly KeptResource[], void, undefined> {
    let at = 0;
    for (let from = 0; from < this.#spooledLines;) {
      let to = from;
      let size = 0;
      do size += this.#lines[to++]!.size;
      while (to < this.#spooledLines && size + this.#lines[to]!.size <= BLOCK_BYTES);
      yield slices(this.#lines.slice(from, to), await this.#readBack(at, size));
      at += size;
      from = to;
    }
    const inMemory = this.#spooledLines === 0 ? this.#lines : this.#lines.slice(this.#spooledLines);
    if (inMemory.length > 0) yield inMemory as readonly KeptResource[];
  }

  async #readBack(at: number, size: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(size);
    for (let done = 0; done < size;) {
      const { bytesRead } = await this.#spool!.read(bytes, done, size - done, at + done);
      if (bytesRead === 0) throw new RangeError('the spool ended early');
      done += bytesRead;
    }
    return bytes;
  }

  /** Lets go of everything, as if nothing had come: at a restart of the search, and when it was committed. */
  async clear(): Promise<void> {
    this.#freeMemory();
    this.#lines = [];
    this.#types = new Map();
    this.#spooledLines = 0;
    this.#bytes = 0;
    this.duplicates.same = 0;
    this.duplicates.differing = 0;
    if (this.#spool) {
      await this.#spool.close();
      this.#spool = undefined;
      await rm(this.#spoolFile(), { force: true });
    }
  }
}

/** The lines that a block holds, with their bytes. */
function slices(lines: readonly Line[], block: Buffer): readonly KeptResource[] {
  let at = 0;
  return lines.map((line) => ({ ...line, bytes: block.subarray(at, (at += line.size)) }));
}
