import { readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CliResult } from '../support/cli.ts';
import type { Site } from '../support/site.ts';

const PRELOAD = pathToFileURL(path.join(import.meta.dirname, 'preload.mjs')).href;

/** What preload.mjs reads from CRASH_PLAN. */
interface CrashPlan {
  /** What is watched; they lie in one folder. */
  readonly roots: readonly string[];
  readonly reportFile: string;
  /** Whether what is synced is kept account of, for images of power cuts. */
  readonly power: boolean;
  readonly shadowFolder: string;
  /** Where images of what a crash would leave go; without it none is taken. */
  readonly imageFolder?: string;
  /** Images of power cuts at each operation: the worst, then others. */
  readonly cuts?: number;
  readonly seed?: number;
  /** Number of the operation that ends the process, from 1. */
  readonly at?: number;
  readonly how?: 'before' | 'after';
}

/** What a crash at a durable operation leaves of the site's folders. */
export interface Image {
  /** Number of the operation, from 1. */
  readonly at: number;
  /** `rename exports/default/...`, `sql UPDATE ...` */
  readonly kind: string;
  readonly how: 'kill' | 'power';
  readonly folder: string;
}

export interface Watched {
  readonly result: CliResult;
  /** Every durable operation of the run in its order. */
  readonly kinds: readonly string[];
  /** What a crash leaves at each operation, in each way; those that leave the same share a folder. */
  readonly images: readonly Image[];
}

/** Runs the program to its end. Its images are all that a kill or power cuts at its durable operations can leave, each once. */
export async function photographRun(
  site: Site,
  args: readonly string[],
  { cuts, seed }: { readonly cuts: number; readonly seed: number },
): Promise<Watched> {
  const imageFolder = site.path('images');
  await rm(imageFolder, { recursive: true, force: true });
  const { images, ...watched } = await watch(site, args, { power: true, imageFolder, cuts, seed });
  const byFolder = new Map(images.toReversed().map((image) => [image.folder, image]));
  return { ...watched, images: [...byFolder.values()].toReversed() };
}

/** Runs the program as the plan says. */
export async function watch(
  site: Site,
  args: readonly string[],
  given: Omit<CrashPlan, 'roots' | 'reportFile' | 'shadowFolder'>,
): Promise<Watched> {
  const reportFile = site.path('crash.json');
  await rm(reportFile, { force: true });
  const shadowFolder = site.path('shadow');
  const roots = [site.exportFolder, site.stateFolder];
  const plan = { ...given, roots, shadowFolder, reportFile };
  const result = await site.run(args, {
    env: { NODE_OPTIONS: `--import ${PRELOAD}`, CRASH_PLAN: JSON.stringify(plan) },
  });
  await rm(shadowFolder, { recursive: true, force: true });
  return { result, ...(JSON.parse(await readFile(reportFile, 'utf8')) as Omit<Watched, 'result'>) };
}

/** Puts an image in the place of the site's folders, using it up; without one the site is as before its first run. */
export async function restore(site: Site, image?: Image): Promise<void> {
  for (const root of [site.exportFolder, site.stateFolder]) {
    await rm(root, { recursive: true, force: true });
    if (image === undefined) continue;
    await rename(path.join(image.folder, path.basename(root)), root).catch((error: NodeJS.ErrnoException) => {
      // The crash was before it was made, or the power cut took it.
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
