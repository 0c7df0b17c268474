import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';

const BUFFER_BYTES = 256 * 1024;

/** A file that is written from its beginning on, for a thread that does nothing else. */
export class FlatFile {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #length = 0;
  #written = 0;

  constructor(file: string) {
    this.#fd = openSync(file, 'w', 0o600);
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#written + this.#length;
  }

  /** `text` is of BUFFER_BYTES / 3 characters at most. */
  line(text: string): void {
    this.#makeRoom(text.length * 3 + 1);
    this.#length += this.#buffer.write(text, this.#length);
    this.#buffer[this.#length++] = 0x0a;
  }

  uint32(value: number): void {
    this.#makeRoom(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  float64(value: number): void {
    this.#makeRoom(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  /** Durable, and not to be written to any more. */
  close(): void {
    this.#flush();
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes > BUFFER_BYTES) this.#flush();
  }

  #flush(): void {
    for (let from = 0; from < this.#length;) {
      from += writeSync(this.#fd, this.#buffer, from, this.#length - from);
    }
    this.#written += this.#length;
    this.#length = 0;
  }
}
