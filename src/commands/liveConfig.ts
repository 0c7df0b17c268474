import type { Config, JobConfig } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import type { JobRules } from '../schedule/jobLoop.ts';
import { loadCommandConfig, type CommandContext } from './context.ts';
import { rulesOf } from './scheduledRuns.ts';

/** The daemon's configuration: the last good one, while the INI is edited. A run keeps what it began with. */
export class LiveConfig {
  readonly #context: CommandContext;
  #config: Config;
  /** The rules of each job with a schedule: the same object until the next reload. */
  #rules: ReadonlyMap<string, JobRules>;

  private constructor(context: CommandContext, config: Config) {
    this.#context = context;
    this.#config = config;
    this.#rules = rulesByJob(config);
  }

  /** Throws CONFIG_MISSING, CONFIG_INVALID: also when no job has a schedule. */
  static async load(context: CommandContext): Promise<LiveConfig> {
    return new LiveConfig(context, await loadScheduled(context));
  }

  get current(): Config {
    return this.#config;
  }

  /** Jobs that have a schedule. */
  get scheduled(): readonly string[] {
    return [...this.#rules.keys()];
  }

  job(jobName: string): JobConfig | undefined {
    return this.#config.jobs.find((job) => job.jobName === jobName);
  }

  rules(jobName: string): JobRules | undefined {
    return this.#rules.get(jobName);
  }

  /** Reads the INI again; when it throws, all stays as it was. Throws as `load` does. */
  async reload(): Promise<void> {
    const next = await loadScheduled({ ...this.#context, quiet: true });
    const [now, then] = [this.#config, next].map(({ jobs }) => jobs[0]!.settings.paths.state_folder);
    if (now !== then) {
      throw new RoundsError('CONFIG_INVALID', '[paths] state_folder cannot change while the daemon runs', {
        hint: 'Restart the daemon, or put the old state_folder back.',
      });
    }
    this.#rules = rulesByJob(next);
    this.#config = next;
  }
}

async function loadScheduled(context: CommandContext): Promise<Config> {
  const config = await loadCommandConfig(context);
  if (config.jobs.some(({ settings }) => settings.schedule.cron !== undefined)) return config;
  throw new RoundsError('CONFIG_INVALID', 'no job has a [schedule] cron, so the daemon has nothing to do', {
    hint: 'Set [schedule] cron = 0 2 * * *, or run by hand with `fhir-rounds run`.',
  });
}

function rulesByJob({ jobs }: Config): ReadonlyMap<string, JobRules> {
  return new Map(
    jobs.flatMap((job) => {
      const rules = rulesOf(job);
      return rules === undefined ? [] : [[job.jobName, rules] as const];
    }),
  );
}
