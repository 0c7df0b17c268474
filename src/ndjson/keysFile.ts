import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { errno, type FileModes } from '../system/files.ts';
import type { LineKey } from './lineKey.ts';

/**
 * The side file of an NDJSON file: the key of each line in 8 bytes (low half first, in this machine's byte order; 0 for a
 * line without an id), and a CRC-32 of them all. It is not made durable: one that a crash tore is seen by its length or
 * its CRC, and made anew from the file itself.
 */

const KEY_BYTES = 8;
const CRC_BYTES = 4;
const BLOCK_KEYS = 8192;

/** Writes a side file. Opens it when there is something to write; `close` lets go of it in any state. */
export class KeysWriter {
  readonly #file: string;
  readonly #modes: FileModes;
  #handle: FileHandle | undefined;
  #full: Uint32Array[] = [];
  #block = new Uint32Array(0);
  #length = 0;
  #crc = 0;

  constructor(file: string, modes: FileModes) {
    this.#file = file;
    this.#modes = modes;
  }

  /** Remembers the key of the next line. */
  add(key: LineKey | undefined): void {
    if (this.#length === this.#block.length) {
      if (this.#length > 0) this.#full.push(this.#block);
      this.#block = new Uint32Array(2 * Math.min(BLOCK_KEYS, Math.max(256, 2 * this.#block.length)));
      this.#length = 0;
    }
    this.#block[this.#length++] = key?.[1] ?? 0;
    this.#block[this.#length++] = key?.[0] ?? 0;
  }

  /** Hands the full blocks of what is remembered to the operating system. */
  async write(): Promise<void> {
    for (const block of this.#full.splice(0)) await this.#append(bytesOf(block));
  }

  /** Writes the rest and the CRC, and closes. */
  async finish(): Promise<void> {
    await this.write();
    await this.#append(bytesOf(this.#block.subarray(0, this.#length)));
    const crc = Buffer.alloc(CRC_BYTES);
    crc.writeUInt32LE(this.#crc);
    await this.#append(crc);
    await this.close();
  }

  async #append(bytes: Buffer): Promise<void> {
    this.#crc = crc32(bytes, this.#crc);
    this.#handle ??= await open(this.#file, 'w', this.#modes.file);
    await this.#handle.writeFile(bytes);
  }

  /** May be repeated. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

function bytesOf(block: Uint32Array): Buffer {
  return Buffer.from(block.buffer, block.byteOffset, block.byteLength);
}

/** Whether the side file is there, has `count` keys, and its CRC fits. */
export async function isWhole(keysFile: string, count: number): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(keysFile, 'r');
  } catch (error) {
    if (errno(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    if ((await handle.stat()).size !== count * KEY_BYTES + CRC_BYTES) return false;
    let crc = 0;
    for await (const block of blocksOf(handle, count)) crc = crc32(bytesOf(block), crc);
    const last = Buffer.alloc(CRC_BYTES);
    await handle.read(last, 0, CRC_BYTES, count * KEY_BYTES);
    return last.readUInt32LE() === crc;
  } finally {
    await handle.close();
  }
}

/** The keys of a side file that is whole: low half, high half, low half ... The memory is used again. */
export async function* readKeys(
  keysFile: string,
  count: number,
): AsyncGenerator<Uint32Array, void, undefined> {
  const handle = await open(keysFile, 'r');
  try {
    yield* blocksOf(handle, count);
  } finally {
    await handle.close();
  }
}

async function* blocksOf(handle: FileHandle, count: number): AsyncGenerator<Uint32Array, void, undefined> {
  const bytes = Buffer.alloc(Math.min(count, 8 * BLOCK_KEYS) * KEY_BYTES);
  const end = count * KEY_BYTES;
  for (let at = 0; at < end;) {
    const size = Math.min(bytes.length, end - at);
    for (let done = 0; done < size;) {
      const { bytesRead } = await handle.read(bytes, done, size - done, at + done);
      if (bytesRead === 0) throw new RangeError('a side file ended early');
      done += bytesRead;
    }
    yield new Uint32Array(bytes.buffer, bytes.byteOffset, size / 4);
    at += size;
  }
}
