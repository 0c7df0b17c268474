import { existsSync, readFileSync } from 'node:fs';
import { loadConfig } from '../config/load.ts';
import type { Config, JobConfig } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';

/** What every command is given by the entry point. */
export interface CommandContext {
  readonly configFile: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly json: boolean;
  readonly quiet: boolean;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Writes a result to stdout. */
  readonly print: (text: string) => void;
  /** Writes a line of progress or a remark to stderr; with --json as `{"event":"remark","text":...}`. */
  readonly note: (text: string) => void;
  /** Writes an event to stderr, as one JSON object a line. */
  readonly noteEvent: (event: object) => void;
  /** Whether stdout is a terminal: ids of patients are printed to nothing else. */
  readonly printsToTerminal: boolean;
  /** Whether a person can be asked: stdin and stderr are terminals. Absent: no. */
  readonly asksAtTerminal?: boolean;
  /** stderr, where it is a terminal that can move its cursor. */
  readonly terminal: Terminal | undefined;
  /** Whether colours are welcome on stderr (NO_COLOR). */
  readonly useColour: boolean;
}

/** A screen on which what was written can be written over. */
export interface Terminal {
  write(text: string): void;
  size(): { readonly columns: number; readonly rows: number };
  onResize(resized: () => void, signal: AbortSignal): void;
}

/** Exit codes (fixed): README, "Exit codes". */
export const EXIT = {
  complete: 0,
  failed: 1,
  usage: 2,
  partial: 3,
  damaged: 4,
  locked: 5,
  interrupted: 6,
} as const;

/** Loads the INI and notes its warnings. */
export async function loadCommandConfig(context: CommandContext, complete = true): Promise<Config> {
  if (!existsSync(context.configFile)) {
    throw new RoundsError('CONFIG_MISSING', `there is no configuration file ${context.configFile}`);
  }
  const config = await loadConfig({
    file: context.configFile,
    env: context.env,
    // The scheduler's own judgement: what it would refuse at night is refused now.
    validateCron: (await import('../schedule/cronSchedule.ts')).cronProblem,
    complete,
  });
  if (!context.quiet) for (const warning of config.warnings) context.note(`warning: ${warning}`);
  return config;
}

/** The job a command names; without a name, the only one there is. */
export function chooseJob(config: Config, jobName: string | undefined): JobConfig {
  const names = config.jobs.map((job) => job.jobName).join(', ');
  if (jobName === undefined) {
    const [only, ...others] = config.jobs;
    if (only && others.length === 0) return only;
    throw new RoundsError('USAGE', `name one of the jobs: ${names}`);
  }
  const job = config.jobs.find((one) => one.jobName === jobName);
  if (job === undefined) throw new RoundsError('USAGE', `there is no job ${jobName}; there are: ${names}`);
  return job;
}

/** The version in package.json. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
