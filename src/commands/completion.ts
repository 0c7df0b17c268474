import type { CommandSpec, OptionSpec, ValueKind } from '../cli/commandSpec.ts';
import { RoundsError } from '../errors.ts';
import type { Config } from '../config/schema.ts';
import { EXIT, loadCommandConfig, type CommandContext } from './context.ts';

/** Shell completion: a script for the shell, which asks this program for the words that fit. */

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** The commands and the options of each, as the command line has them. */
export interface CommandTable {
  readonly commands: readonly CommandSpec[];
  readonly shared: readonly OptionSpec[];
}

/** Run ids that are offered, newest first. */
const RUNS_OFFERED = 20;

const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `_fhir_rounds() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(fhir-rounds completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _fhir_rounds fhir-rounds`,
  zsh: `#compdef fhir-rounds
_fhir_rounds() {
  local -a words_found
  words_found=(\${(f)"$(fhir-rounds completion words -- "\${words[@]:1:$((CURRENT-1))}" 2>/dev/null)"})
  if (( \${#words_found} )); then compadd -- $words_found; else _files; fi
}
compdef _fhir_rounds fhir-rounds`,
  fish: `complete -c fhir-rounds -f -a '(fhir-rounds completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
complete -c fhir-rounds -F -n '__fish_contains_opt config out jwks data faults roster'`,
};

/**
 * `completion SHELL` prints the script; `completion words -- WORDS` the words that can stand in the last one's place,
 * one a line. Throws USAGE for a shell that there is none for.
 */
export async function completionCommand(
  [shell, ...words]: readonly string[],
  table: CommandTable,
  context: CommandContext,
): Promise<number> {
  if (shell === 'words') {
    for (const word of await wordsFor(words, table, context)) context.print(word);
    return EXIT.complete;
  }
  const script = SCRIPTS[shell as Shell] as string | undefined;
  if (script === undefined) throw new RoundsError('USAGE', `there is completion for ${SHELLS.join(', ')}`);
  context.print(script);
  return EXIT.complete;
}

/** What fits in the place of the last word. */
async function wordsFor(
  words: readonly string[],
  table: CommandTable,
  context: CommandContext,
): Promise<readonly string[]> {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const candidates = await candidatesFor(before, typed, table, context);
  return [...new Set(candidates)].filter((word) => word.startsWith(typed));
}

async function candidatesFor(
  before: readonly string[],
  typed: string,
  { commands, shared }: CommandTable,
  context: CommandContext,
): Promise<readonly string[]> {
  const command = commands.find(({ name }) => name.split(' ').every((word, n) => before[n] === word));
  if (command === undefined) {
    return commands
      .map(({ name }) => name.split(' '))
      .filter((name) => before.every((word, n) => name[n] === word))
      .map((name) => name[before.length] ?? '');
  }
  const options = [...(command.options ?? []), ...shared];
  const opened = options.find((option) => takesValue(option) && flagOf(option) === before.at(-1));
  if (opened) return opened.choices ?? valuesOf(opened.kind, context);
  if (typed.startsWith('-')) return options.map(flagOf);
  const given = argumentsGiven(before.slice(command.name.split(' ').length), options);
  return valuesOf(command.args?.[given]?.kind, context);
}

function argumentsGiven(words: readonly string[], options: readonly OptionSpec[]): number {
  const withValue = new Set(options.filter(takesValue).map(flagOf));
  return words.filter((word, n) => !word.startsWith('-') && !withValue.has(words[n - 1] ?? '')).length;
}

const flagOf = ({ flags }: OptionSpec): string => flags.split(' ')[0]!;
const takesValue = ({ flags }: OptionSpec): boolean => flags.includes('<');

async function valuesOf(kind: ValueKind | undefined, context: CommandContext): Promise<readonly string[]> {
  switch (kind) {
    case 'shell':
      return SHELLS;
    case 'code':
      return (await import('./explain.ts')).explainedCodes().map(({ code }) => code);
    case 'job':
      return fromSite(context, async ({ jobs }) => jobs.map(({ jobName }) => jobName));
    case 'run':
      return fromSite(context, async (config) => {
        const { withLedger } = await import('../views/chooseRun.ts');
        const runs = await withLedger(config, async (ledger) => ledger?.runs({ limit: RUNS_OFFERED }) ?? []);
        return ['latest', 'current', ...runs.map(({ runId }) => runId)];
      });
    case 'file':
    case 'folder':
    case undefined:
      // The shell knows files better.
      return [];
  }
}

/** What only the INI and the ledger know; nothing where they cannot be read. */
async function fromSite(
  context: CommandContext,
  read: (config: Config) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  try {
    return await read(await loadCommandConfig({ ...context, quiet: true }, false));
  } catch {
    return [];
  }
}
