import { runCli } from '../support/cli.ts';

/** A command without subcommands: its words (`keys generate`) and the flags that its own help lists. */
export interface ProgramCommand {
  readonly words: readonly string[];
  readonly flags: ReadonlySet<string>;
}

/** Every command of the program, read from its `--help`. */
export async function programCommands(words: readonly string[] = []): Promise<readonly ProgramCommand[]> {
  const { code, stdout } = await runCli([...words, '--help']);
  if (code !== 0) throw new Error(`fhir-rounds ${words.join(' ')} --help ended with ${code}`);
  const names = subcommands(stdout);
  if (names.length === 0) {
    const flags = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z][a-z-]*)/gm)].map((m) => m[1]!);
    return [{ words, flags: new Set(flags) }];
  }
  const below: ProgramCommand[] = [];
  for (const name of names) below.push(...(await programCommands([...words, name])));
  return below;
}

function subcommands(help: string): readonly string[] {
  const listed = /^Commands:\n((?: {2}.*\n?)*)/m.exec(help)?.[1] ?? '';
  const names = [...listed.matchAll(/^ {2}([a-z][\w-]*)/gm)].map((m) => m[1]!);
  return names.filter((name) => name !== 'help');
}

/** The command lines `fhir-rounds ...` in a text: each as its words behind the program's name. */
export function commandLines(text: string): readonly (readonly string[])[] {
  const found = text.matchAll(/(?:^|[\s`(|])fhir-rounds ((?:(?!\s#|`|;|&&|\s\||\s>).)+)/gm);
  return [...found].map((m) => m[1]!.trim().split(/\s+/)).filter(([first]) => isWord(first));
}

/** Whether this can be a command at all: in `fhir-rounds ...` and `fhir-rounds [--config FILE]` nothing is claimed. */
function isWord(text: string | undefined): boolean {
  return text !== undefined && /^(?:-{1,2})?[a-z][a-z|-]*$/.test(text);
}

/** What the program does not know in a command line; empty when it would take it. */
export function complaints(line: readonly string[], commands: readonly ProgramCommand[]): readonly string[] {
  const said = `fhir-rounds ${line.join(' ')}`;
  const [first] = line;
  if (first === undefined || ['--help', '--version', 'help'].includes(first)) return [];
  // `keys generate|jwks` stands for two lines.
  const alternative = line.findIndex((word) => /^[a-z]+(\|[a-z]+)+$/.test(word));
  if (alternative >= 0) {
    return line[alternative]!.split('|').flatMap((word) =>
      complaints(line.with(alternative, word), commands),
    );
  }
  const command = commands.find(({ words }) => words.every((word, index) => line[index] === word));
  if (command === undefined) return [`${said}: no such command`];
  const flags = line.flatMap((word) => /^\[?(--[a-z][a-z-]*)/.exec(word)?.[1] ?? []);
  return flags
    .filter((flag) => flag !== '--help' && !command.flags.has(flag))
    .map((flag) => `${said}: ${command.words.join(' ')} has no ${flag}`);
}
