import { createHash } from 'node:crypto';
import { watch, type FSWatcher } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../system/clock.ts';
import { Bell } from './bell.ts';

/** Where the system tells of no change (a network share), the files' dates are looked at so often. */
const LOOK_EVERY_MS = 60_000;
/** Editors write a file in several steps, or put another one in its place. */
const SETTLE_MS = 200;

/** Watches the contents of a few files, which need not exist, nor stay the same file; nor need the list stay the same. */
export class FileWatch {
  readonly #files: () => readonly string[];
  readonly #bell: Bell;
  readonly #clock: Clock;

  constructor(files: () => readonly string[], clock: Clock) {
    this.#files = files;
    this.#clock = clock;
    this.#bell = new Bell(clock);
  }

  /** sha256 of all contents. */
  async contentHash(): Promise<string> {
    const hash = createHash('sha256');
    for (const file of this.#files()) {
      const content = await readFile(file).catch(() => undefined);
      hash.update(content === undefined ? '-' : `${content.length}:`).update(content ?? '');
    }
    return hash.digest('hex');
  }

  /** Calls `changed` with the new hash, each time that the contents are other ones, until the signal is aborted. */
  async run(known: string, signal: AbortSignal, changed: (hash: string) => Promise<void>): Promise<void> {
    const watchers = this.#watchFolders();
    let hash = known;
    let seen = '';
    try {
      while (!signal.aborted) {
        const dates = await this.#dates();
        if (dates === seen) await this.#bell.sleep(LOOK_EVERY_MS, signal);
        else {
          if (seen !== '') await this.#clock.sleep(SETTLE_MS, signal).catch(() => undefined);
          seen = dates;
          const now = await this.contentHash();
          if (now !== hash && !signal.aborted) await changed((hash = now));
        }
      }
    } finally {
      for (const watcher of watchers) watcher.close();
    }
  }

  /** The folders, since a file that is replaced is another one. Only ever a help: none is needed. */
  #watchFolders(): readonly FSWatcher[] {
    return [...new Set(this.#files().map((file) => path.dirname(file)))].flatMap((folder) => {
      try {
        const watcher = watch(folder, { persistent: false }, (_, name) => {
          if (name === null || this.#files().some((file) => path.basename(file) === name)) this.#bell.ring();
        });
        watcher.on('error', () => watcher.close());
        return [watcher];
      } catch {
        return [];
      }
    });
  }

  async #dates(): Promise<string> {
    const all = await Promise.all(this.#files().map((file) => stat(file).catch(() => undefined)));
    return all.map((found) => (found ? `${found.ino} ${found.size} ${found.mtimeMs}` : '-')).join();
  }
}
