import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError, type RoundsError } from '../../errors.ts';
import { ensureFolder } from '../../system/files.ts';
import { notFound } from '../exchange.ts';
import type { Site } from '../site.ts';
import { runIndexJob } from './indexJobs.ts';
import { isWhole, readMeta } from './indexFormat.ts';
import { isThere, type Source, type SourceTable } from './sources.ts';
import { TableIndex } from './tableIndex.ts';
import { tableOf } from './tables.ts';
import { forgetCutUploads } from './uploads.ts';

/** Tables that are being indexed. */
export interface Building {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** How many others are indexed before. */
  readonly waiting: number;
}

interface Build {
  doneBytes: number;
  readonly totalBytes: number;
  readonly ended: Promise<void>;
  failure: RoundsError | undefined;
}

/** Tables held open: what is kept of each is a few filters and an order, some megabytes at a million rows. */
const HELD = 40;
/** Small tables are indexed while their page is waited for. */
const PATIENCE_MS = 2_000;

/** The indexes of one console: made when they are first needed, one after the other, in threads of their own. */
export class Indexes {
  readonly #site: Site;
  readonly #held = new Map<string, TableIndex>();
  /** By the index's folder; several tables may share one. */
  readonly #builds = new Map<string, Build>();
  readonly #sorts = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();

  constructor(site: Site) {
    this.#site = site;
  }

  /** The index of a table, or how far it is. Throws CONSOLE_NOT_FOUND, and, once, what made its building fail. */
  async find(source: Source, resourceType: string): Promise<TableIndex | Building> {
    if (!source.tables.has(resourceType)) throw notFound(`${source.label} has no ${resourceType}`);
    const found = await this.findAll(source, [resourceType]);
    return 'totalBytes' in found ? found : found.get(resourceType)!;
  }

  /** The indexes of tables of a source, by type, or how far they are. */
  async findAll(
    source: Source,
    types: readonly string[],
  ): Promise<ReadonlyMap<string, TableIndex> | Building> {
    const before = await this.#openAll(source, types);
    if (before.size === types.length) return before;
    const isNeither = (type: string): boolean =>
      !before.has(type) && !this.#builds.has(this.#folderOf(source, type));
    this.#begin(source, types.filter(isNeither));
    const folders = types.map((type) => this.#folderOf(source, type));
    const builds = [...new Set(folders.flatMap((folder) => this.#builds.get(folder) ?? []))];
    await this.#wait(Promise.all(builds.map(({ ended }) => ended)));
    for (const { failure } of builds) {
      if (failure === undefined) continue;
      for (const folder of folders)
        if (this.#builds.get(folder)?.failure === failure) this.#builds.delete(folder);
      throw failure;
    }
    const after = await this.#openAll(source, types);
    if (after.size === types.length) return after;
    const queue = [...new Set(this.#builds.values())];
    return {
      doneBytes: builds.reduce((sum, build) => sum + build.doneBytes, 0),
      totalBytes: builds.reduce((sum, build) => sum + build.totalBytes, 0),
      waiting: Math.max(
        0,
        queue.findIndex((build) => builds.includes(build)),
      ),
    };
  }

  /** The index of a table, where there is one already. */
  async peek(source: Source, resourceType: string): Promise<TableIndex | undefined> {
    return (await this.#openAll(source, [resourceType])).get(resourceType);
  }

  #folderOf({ sourceId }: Source, resourceType: string): string {
    return path.join(this.#site.folder, 'indexes', sourceId, resourceType);
  }

  async #openAll(source: Source, types: readonly string[]): Promise<Map<string, TableIndex>> {
    const found = new Map<string, TableIndex>();
    for (const type of types) {
      const table = source.tables.get(type);
      const index = table && (await this.#open(this.#folderOf(source, type), source, table));
      if (index !== undefined) found.set(type, index);
    }
    return found;
  }

  async #open(
    folder: string,
    source: Source,
    { resourceType, files }: SourceTable,
  ): Promise<TableIndex | undefined> {
    const meta = await readMeta(folder, files);
    const held = this.#held.get(folder);
    this.#held.delete(folder);
    if (meta === undefined || (held === undefined && !(await isWhole(folder, meta)))) return undefined;
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

  /** Files that hold several types are read once for all of them. */
  #begin(source: Source, types: readonly string[]): void {
    if (types.length === 0) return;
    const tables = types.map((type) => source.tables.get(type)!);
    const isMixed = tables.some((table) => table.isMixed);
    const built = isMixed ? [...source.tables.values()] : tables;
    const place = ({ resourceType }: SourceTable) => ({
      resourceType,
      folder: this.#folderOf(source, resourceType),
    });
    const parts = isMixed
      ? [{ files: built[0]!.files, tables: built.map(place) }]
      : built.map((table) => ({ files: table.files, tables: [place(table)] }));
    const files = parts.flatMap((part) => part.files);
    const folders = parts.flatMap((part) => part.tables.map(({ folder }) => folder));
    const { folder: sourceFolder, base } = source;
    const ended = this.#last
      .then(() => ensureFolder(path.dirname(folders[0]!)))
      .then(() =>
        runIndexJob({ kind: 'build', sourceFolder, base, parts }, (bytes) => (build.doneBytes = bytes)),
      )
      .then(() => folders.forEach((folder) => this.#builds.delete(folder)))
      .catch((error: unknown) => {
        build.failure = asRoundsError(error);
      });
    const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const build: Build = { doneBytes: 0, totalBytes, ended, failure: undefined };
    for (const folder of folders) this.#builds.set(folder, build);
    this.#last = ended;
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

  async #wait(ended: Promise<unknown>): Promise<void> {
    const stop = new AbortController();
    const timeUp = this.#site.clock.sleep(PATIENCE_MS, stop.signal).catch(() => undefined);
    await Promise.race([ended, timeUp]);
    stop.abort();
  }
}

/** Deletes the indexes of sources that are gone, and uploads that were cut. To be called at the console's start, and now and then. */
export async function forgetLostIndexes(site: Site): Promise<void> {
  await forgetCutUploads(site);
  const folder = path.join(site.folder, 'indexes');
  const sourceIds = await readdir(folder).catch(() => []);
  for (const sourceId of sourceIds) {
    if (!(await isThere(site, sourceId)))
      await rm(path.join(folder, sourceId), { recursive: true, force: true });
  }
}
