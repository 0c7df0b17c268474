import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { errno, type FileModes } from '../system/files.ts';

/**
 * The side file of an NDJSON file: the key of each line in 8 bytes (low half first, in this machine's byte order; 0 for a
 * line without an id), and a CRC-32 of them all. It is not made durable: one that a crash tore is seen by its length or
 * its CRC, and made anew from the file itself.
 */

const KEY_BYTES = 8;
const CRC_BYTES = 4;
const WRITE_BYTES = 64 * 1024;
const READ_BYTES = 8 * WRITE_BYTES;

/** Writes a side file. Opens it when there is something to write; `close` lets go of it in any state. */
export class KeysWriter {
  readonly #file: string;
  readonly #modes: FileModes;
  #handle: FileHandle | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #crc = 0;

  constructor(file: string, modes: FileModes) {
    this.#file = file;
    this.#modes = modes;
  }

  /** Remembers the keys of the next lines, in halves as FileJudge gives them. */
  add(keys: Uint32Array): void {
    // zlib's CRC of nothing, whatever came before, is that of the beginning.
    if (keys.length === 0) return;
    const bytes = bytesOf(keys);
    this.#crc = crc32(bytes, this.#crc);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  /** Hands what is remembered to the operating system where it is worth a write. */
  async write(): Promise<void> {
    if (this.#pendingBytes >= WRITE_BYTES) await this.#append();
  }

  /** Writes the rest and the CRC, and closes. */
  async finish(): Promise<void> {
    const crc = Buffer.alloc(CRC_BYTES);
    crc.writeUInt32LE(this.#crc);
    this.#pending.push(crc);
    await this.#append();
    await this.close();
  }

  async #append(): Promise<void> {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
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
  const bytes = Buffer.alloc(Math.min(count * KEY_BYTES, READ_BYTES));
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
