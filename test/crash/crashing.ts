import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CliResult } from '../support/cli.ts';
import type { Site } from '../support/site.ts';

const PRELOAD = pathToFileURL(path.join(import.meta.dirname, 'preload.mjs')).href;

/** How the process ends at its n-th durable operation. */
export type How =
  /** SIGKILL before it. */
  | 'before'
  /** SIGKILL right after it. */
  | 'after'
  /** Before it, and what was not synced is dropped or torn. */
  | 'power';

export interface CrashPlan {
  /** Number of the durable operation, from 1; 0: none. */
  readonly at: number;
  readonly how: How;
  /** Of what a power cut takes. */
  readonly seed: number;
}

export interface Crash {
  /** false: the run came to its end, having fewer durable operations. */
  readonly crashed: boolean;
  /** Number of the operation, or of all operations of a run that ended. */
  readonly at: number;
  /** `rename exports/default/...`, `sql UPDATE ...` */
  readonly kind: string;
  readonly result: CliResult;
}

/** Runs the program until the operation that the plan names, or to its end. */
export async function runToCrash(
  site: Site,
  crash: CrashPlan,
  args: readonly string[] = ['run', '--quiet'],
): Promise<Crash> {
  const reportFile = site.path('crash.json');
  await rm(reportFile, { force: true });
  const plan = {
    ...crash,
    roots: [site.exportFolder, site.stateFolder],
    shadowFolder: site.path('shadow'),
    reportFile,
  };
  const result = await site.run(args, {
    env: { NODE_OPTIONS: `--import ${PRELOAD}`, CRASH_PLAN: JSON.stringify(plan) },
  });
  await rm(plan.shadowFolder, { recursive: true, force: true });
  const report = JSON.parse(await readFile(reportFile, 'utf8')) as { at: number; kind?: string };
  return {
    crashed: result.signal === 'SIGKILL',
    at: report.at,
    kind: report.kind ?? 'the end',
    result,
  };
}
