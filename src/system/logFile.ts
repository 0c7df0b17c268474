import { closeSync, fchmodSync, fstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { isWindows } from './files.ts';

export interface LogFileOptions {
  /** A file that would grow past this is set aside, as `name1.log`, `name2.log` ... from the newest to the oldest. */
  readonly maxBytes: number;
  /** Files kept, the one that is written included. */
  readonly maxFiles: number;
  readonly mode: number;
}

/**
 * A log file that is appended to line by line and set aside when it is full. Writing is synchronous: lines are few,
 * none is lost when the process ends, and a full file needs no waiting (winston's own file transport crashed the
 * process with "write after end" when it was closed while it rotated; seen in 3.19).
 */
export class LogFile {
  readonly #file: string;
  readonly #options: LogFileOptions;
  #handle: number | undefined;
  #bytes = 0;

  /** Opens or makes the file. Throws what the file system throws. */
  constructor(file: string, options: LogFileOptions) {
    this.#file = file;
    this.#options = options;
    this.#open();
  }

  #open(): number {
    this.#handle = openSync(this.#file, 'a', this.#options.mode);
    if (!isWindows) fchmodSync(this.#handle, this.#options.mode);
    this.#bytes = fstatSync(this.#handle).size;
    return this.#handle;
  }

  /** Appends a line. Never throws: a log that cannot be written must not end a run. */
  write(line: string): void {
    try {
      const bytes = Buffer.from(line);
      if (this.#bytes > 0 && this.#bytes + bytes.length > this.#options.maxBytes) this.#setAside();
      const handle = this.#handle ?? this.#open();
      for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done);
      this.#bytes += bytes.length;
    } catch {
      // A full disk, say: the ledger and the mail tell of that.
    }
  }

  #setAside(): void {
    this.close();
    const last = this.#options.maxFiles - 1;
    rmSync(this.#numbered(last), { force: true });
    for (let number = last - 1; number >= 0; number--) {
      try {
        renameSync(this.#numbered(number), this.#numbered(number + 1));
      } catch {
        // There are not that many yet.
      }
    }
  }

  #numbered(number: number): string {
    const { dir, name, ext } = path.parse(this.#file);
    return path.join(dir, number === 0 ? `${name}${ext}` : `${name}${number}${ext}`);
  }

  /** May be repeated. */
  close(): void {
    if (this.#handle !== undefined) closeSync(this.#handle);
    this.#handle = undefined;
  }
}
