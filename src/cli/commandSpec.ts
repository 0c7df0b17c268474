import type { CommandContext } from '../commands/context.ts';

/**
 * The command line as a table: what `--help` prints, what completion offers and what the program takes are all read
 * from it. Each command's code is loaded when it is called, so that `status` pays for no HTTP library.
 */
export interface CommandSpec {
  /** `run`, or `keys rotate` for a command of a group. */
  readonly name: string;
  readonly args?: readonly ArgumentSpec[];
  readonly text: string;
  /** Command lines behind the program's name that somebody would really type; `--help` shows them. */
  readonly examples: readonly string[];
  readonly options?: readonly OptionSpec[];
  /** Resolves to the exit code. */
  readonly run: (given: Given, context: CommandContext) => Promise<number>;
}

/** What a value names, so that completion can offer what there is. */
export type ValueKind = 'job' | 'run' | 'code' | 'file' | 'folder' | 'shell';

export interface ArgumentSpec {
  /** As help shows it: `job`, `run`, `dir`. */
  readonly name: string;
  readonly optional?: true;
  /** Takes all that follows. */
  readonly rest?: true;
  readonly kind?: ValueKind;
}

export interface OptionSpec {
  /** `--limit <n>`, `--no-mail`, `--json`. */
  readonly flags: string;
  readonly text: string;
  readonly number?: true;
  readonly default?: string | number | boolean;
  readonly choices?: readonly string[];
  readonly required?: true;
  /** Options that cannot be given together with this one, in camel case. */
  readonly conflicts?: readonly string[];
  readonly kind?: ValueKind;
}

/** What was given on the command line. Options stand under their names in camel case. */
export interface Given {
  readonly args: readonly string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  /** Of an option that has a default or has to be given. */
  textOf(name: string): string;
  number(name: string): number | undefined;
  numberOf(name: string): number;
}

/** Every command takes these. */
export const SHARED_OPTIONS: readonly OptionSpec[] = [
  { flags: '--config <file>', text: 'the INI', default: 'config/fhir-rounds.ini', kind: 'file' },
  { flags: '--json', text: 'print the result as JSON', default: false },
  { flags: '--quiet', text: 'no progress and no remarks on stderr', default: false },
];

/** Groups of commands: `keys generate`, `keys jwks` ... */
export const GROUPS: Readonly<Record<string, string>> = { keys: 'what Epic’s registration needs' };
