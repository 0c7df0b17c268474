import { appendFileSync } from 'node:fs';

const BUFFER_BYTES = 32 * 1024;

/**
 * A file that is written from its beginning on, for a thread that does nothing else. It is open only while something is
 * written: there may be more of them than a process may have open.
 */
export class FlatFile {
  readonly #file: string;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #length = 0;
  #written = 0;

  /** There has to be no such file yet. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#written + this.#length;
  }

  /** `text` is of BUFFER_BYTES / 4 characters at most. */
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

  /** Writes what is left; the file is there also when nothing was written. */
  close(): void {
    this.#flush();
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes > BUFFER_BYTES) this.#flush();
  }

  #flush(): void {
    appendFileSync(this.#file, this.#buffer.subarray(0, this.#length), { mode: 0o600 });
    this.#written += this.#length;
    this.#length = 0;
  }
}
