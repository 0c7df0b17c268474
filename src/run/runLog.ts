import { open, readFile, truncate, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { isoInstant, type Clock } from '../system/clock.ts';
import { PRIVATE_MODES } from '../system/files.ts';
import type { RunEvent } from './events.ts';
import { RUN_LOG } from './snapshot.ts';

/**
 * `log.ndjson`: the run's own log in the format of the SMART bulk data client's export log (a line each of
 * `exportId, timestamp, eventId, eventDetail`), with the events of a crawl added. Holds no PHI. It gathers in the
 * run's state, goes on after a resume, and is copied into the folder when that is published.
 * Source: smart-on-fhir/bulk-data-client wiki, "Bulk Data Export Log Items".
 */
export class RunLog {
  readonly #handle: FileHandle;
  readonly #runId: string;
  readonly #clock: Clock;
  #waiting: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(handle: FileHandle, runId: string, clock: Clock) {
    this.#handle = handle;
    this.#runId = runId;
    this.#clock = clock;
  }

  static async open(snapshotFolder: string, runId: string, clock: Clock): Promise<RunLog> {
    const file = path.join(snapshotFolder, RUN_LOG);
    await cutTornLine(file);
    const handle = await open(file, 'a', PRIVATE_MODES.file);
    return new RunLog(handle, runId, clock);
  }

  /** Adds a line; written soon, in order. */
  add(eventId: string, eventDetail: Readonly<Record<string, unknown>>): void {
    const timestamp = isoInstant(this.#clock.now());
    this.#waiting.push(`${JSON.stringify({ exportId: this.#runId, timestamp, eventId, eventDetail })}\n`);
    if (this.#waiting.length > 1) return;
    this.#writing = this.#writing.then(() => this.#write());
    // A failure is thrown by `close`; unheard of till then, it would end the process.
    this.#writing.catch(() => undefined);
  }

  /** The log's first line of an attempt: what is asked of whom. */
  kickoff(
    exportUrl: string,
    softwareVersion: string,
    fhirVersion: string,
    requestParameters: { readonly patients: number; readonly types: readonly string[] },
  ): void {
    this.add('kickoff', {
      exportUrl,
      softwareName: 'fhir-rounds',
      softwareVersion,
      fhirVersion,
      requestParameters,
    });
  }

  /** A run's event, by its own name: `search_failed` and the like. Its start is what `kickoff` tells. */
  tell({ event, ...eventDetail }: RunEvent): void {
    if (event === 'run.progress' || event === 'run.started') return;
    this.add(event.replace('.', '_'), eventDetail);
  }

  async #write(): Promise<void> {
    const lines = this.#waiting.join('');
    this.#waiting = [];
    await this.#handle.writeFile(lines);
  }

  /** Throws what a write threw, such as a full disk. May be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#writing;
    } finally {
      await this.#handle.close();
    }
  }
}

/** An attempt that died, or met a full disk, may have left half a line: what follows must not be joined to it. */
async function cutTornLine(file: string): Promise<void> {
  const content = await readFile(file).catch(() => Buffer.alloc(0));
  const end = content.lastIndexOf(10) + 1;
  if (end < content.length) await truncate(file, end);
}
