import { throwIfProblems, type Problem } from '../errors.ts';
import type { GivenKeys } from './assign.ts';
import { checkFolders, checkJob, type Findings } from './checks.ts';
import { layerJob, referenceFinder } from './layers.ts';
import { resolveSettings } from './resolve.ts';
import type { Config, JobConfig } from './schema.ts';

/** A setting that a program gives in place of an INI. */
export interface PlainSetting {
  /** `section.key` of the table. */
  readonly setting: string;
  /** As it would stand in the INI. */
  readonly text: string;
  /** How the program calls it, for messages. */
  readonly where: string;
}

/** What is read where there is no INI: no file, no environment. */
const NOTHING = { all: new Map(), overrides: new Map(), people: new Map(), problems: [], warnings: [] };
const NO_INI = {
  ...{ jobs: new Map(), environments: new Map(), present: new Set<string>(), ignored: new Map() },
  ...{ broken: new Set<string>(), problems: [], warnings: [] },
};

/**
 * A configuration of one job from a program's own values: judged by the same table as an INI, with the same defaults.
 * Paths are against `folder`, absolute. Reads no file. What is required, beyond what is given, is the caller's to say.
 * @throws RoundsError CONFIG_INVALID with all problems at once, `problems` found by the caller among them
 */
export async function plainConfig(
  { jobName, method }: Pick<JobConfig, 'jobName' | 'method'>,
  given: readonly PlainSetting[],
  folder: string,
  problems: readonly Problem[] = [],
): Promise<Config> {
  const base: GivenKeys = new Map();
  for (const { setting, text, where } of given) base.set(setting, { text, source: where, where });
  const { keys } = layerJob(new Map(), { ...NO_INI, base }, NOTHING);
  const resolved = await resolveSettings(keys, {
    appFolder: folder,
    iniName: 'options',
    validateCron: undefined,
    find: referenceFinder(keys, new Map(), new Map(), folder),
    isPresent: () => false,
    isBroken: () => false,
    complete: false,
    readSecretFile: async () => ({ problem: 'is no file that is read here' }),
  });
  const job: JobConfig = { jobName, method, settings: resolved.settings };
  const found: Findings = { problems: [...problems, ...resolved.problems], warnings: [] };
  const whereOf = (_: string, key: string): string => keys.get(key)?.where ?? key;
  if (found.problems.length === 0) {
    checkJob(job, whereOf, found);
    checkFolders([job], whereOf, found);
  }
  throwIfProblems('CONFIG_INVALID', found.problems);
  return {
    file: folder,
    files: [],
    jobs: [job],
    warnings: found.warnings,
    secrets: [],
    sources: { [jobName]: resolved.sources },
  };
}
