import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { RoundsError } from '../../errors.ts';
import { ensureFolder } from '../../system/files.ts';
import { notFound } from '../exchange.ts';
import type { Site } from '../site.ts';
import { runIndexJob } from './indexJobs.ts';
import { readMeta } from './indexFormat.ts';
import { isThere, type Source, type SourceTable } from './sources.ts';
import { TableIndex } from './tableIndex.ts';
import { tableOf } from './tables.ts';

/** A table that is being indexed. */
export interface Building {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** How many others are indexed before it. */
  readonly waiting: number;
}

interface Build {
  doneBytes: number;
  readonly totalBytes: number;
  readonly ended: Promise<void>;
  failure: RoundsError | undefined;
}

/** Tables held open: what is kept of each is a few filters and an order, some megabytes at a million rows. */
const HELD = 6;
/** A small table is indexed while its page is waited for. */
export const PATIENCE_MS = 2_000;

/** The indexes of one console: made when they are first needed, one after the other, each in a thread of its own. */
export class Indexes {
  readonly #site: Site;
  readonly #held = new Map<string, TableIndex>();
  readonly #builds = new Map<string, Build>();
  readonly #sorts = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();

  constructor(site: Site) {
    this.#site = site;
  }

  /** The index of a table, or how far it is. Throws CONSOLE_NOT_FOUND, and, once, what made its building fail. */
  async find(source: Source, resourceType: string, patienceMs = PATIENCE_MS): Promise<TableIndex | Building> {
    const table = source.tables.get(resourceType);
    if (table === undefined) throw notFound(`${source.label} has no ${resourceType}`);
    const folder = this.#folderOf(source, resourceType);
    const ready = await this.#open(folder, source, table);
    if (ready !== undefined) return ready;
    const build = this.#builds.get(folder) ?? this.#begin(folder, source, table);
    await this.#wait(build.ended, patienceMs);
    if (build.failure !== undefined) {
      this.#builds.delete(folder);
      throw build.failure;
    }
    if (!this.#builds.has(folder)) {
      const built = await this.#open(folder, source, table);
      if (built !== undefined) return built;
    }
    const { doneBytes, totalBytes } = build;
    return { doneBytes, totalBytes, waiting: [...this.#builds.keys()].indexOf(folder) };
  }

  /** The index of a table, where there is one already. */
  async peek(source: Source, resourceType: string): Promise<TableIndex | undefined> {
    const table = source.tables.get(resourceType);
    return table && this.#open(this.#folderOf(source, resourceType), source, table);
  }

  #folderOf({ sourceId }: Source, resourceType: string): string {
    return path.join(this.#site.folder, 'indexes', sourceId, resourceType);
  }

  async #open(
    folder: string,
    source: Source,
    { resourceType, files }: SourceTable,
  ): Promise<TableIndex | undefined> {
    const meta = await readMeta(folder, files);
    const held = this.#held.get(folder);
    this.#held.delete(folder);
    if (meta === undefined) return undefined;
    const place = { folder, sourceFolder: source.folder };
    const sort = (column: string): Promise<void> => this.#sort(folder, column);
    const index = held ?? new TableIndex(place, meta, tableOf(resourceType), sort);
    this.#held.set(folder, index);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= HELD) break;
      this.#held.delete(oldest);
    }
    return index;
  }

  #begin(folder: string, source: Source, { resourceType, files, isMixed }: SourceTable): Build {
    const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const job = { sourceFolder: source.folder, files, resourceType, isMixed, base: source.base, folder };
    const ended = this.#last.then(async () => {
      await ensureFolder(path.dirname(folder));
      await runIndexJob({ kind: 'build', ...job }, (bytes) => (build.doneBytes = bytes));
      this.#builds.delete(folder);
    });
    const build: Build = {
      doneBytes: 0,
      totalBytes,
      ended: ended.catch(() => undefined),
      failure: undefined,
    };
    ended.catch((error: unknown) => {
      build.failure =
        error instanceof RoundsError
          ? error
          : new RoundsError('INTERNAL', 'an index was not built', { cause: error });
    });
    this.#builds.set(folder, build);
    this.#last = build.ended;
    return build;
  }

  /** Sorting takes a second or two: it waits for no build. */
  #sort(folder: string, column: string): Promise<void> {
    const key = path.join(folder, column);
    let sort = this.#sorts.get(key);
    if (sort === undefined) {
      sort = runIndexJob({ kind: 'sort', folder, column }, () => undefined).finally(() =>
        this.#sorts.delete(key),
      );
      this.#sorts.set(key, sort);
    }
    return sort;
  }

  async #wait(ended: Promise<void>, ms: number): Promise<void> {
    const stop = new AbortController();
    const timeUp = this.#site.clock.sleep(ms, stop.signal).catch(() => undefined);
    await Promise.race([ended, timeUp]);
    stop.abort();
  }
}

/** Deletes the indexes of sources that are gone. To be called at the console's start, and now and then. */
export async function forgetLostIndexes(site: Site): Promise<void> {
  const folder = path.join(site.folder, 'indexes');
  const sourceIds = await readdir(folder).catch(() => []);
  for (const sourceId of sourceIds) {
    if (!(await isThere(site, sourceId)))
      await rm(path.join(folder, sourceId), { recursive: true, force: true });
  }
}
