import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ALL_COMMANDS } from './cli/allCommands.ts';
import { GROUPS, SHARED_OPTIONS, type CommandSpec, type Given, type OptionSpec } from './cli/commandSpec.ts';
import type { CommandContext, Terminal } from './commands/context.ts';
import { EXIT, programVersion } from './commands/context.ts';
import { asRoundsError, RoundsError, type ErrorCode } from './errors.ts';

/** The program's entry: the table of commands (src/cli) becomes a command line, and errors become exit codes. */

// Every file this program makes is its owner's alone, unless a mode says otherwise.
process.umask(0o077);

// undici parses HTTP by WebAssembly, one great function, which V8 compiles anew with all its optimisations after some 30
// answers: 150 ms of CPU and more, which the end of a short run waits for. The parser's share of a run is too small to earn
// that back before some thousands of answers; so it comes then. V8 reads this before the first answer.
setFlagsFromString('--wasm-tiering-budget=1000000000');

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interrupted.abort(new RoundsError('INTERRUPTED', `interrupted by ${name}`)));
}

type Values = Readonly<Record<string, unknown>>;

function buildProgram(): Command {
  const program = new Command('fhir-rounds')
    .description(
      'Pulls every listed FHIR resource of every patient on a roster into NDJSON files, and mails a report.',
    )
    .version(programVersion())
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(see fhir-rounds --help)')
    .exitOverride();
  const groups = new Map<string, Command>();
  for (const spec of ALL_COMMANDS) {
    const [first = '', second] = spec.name.split(' ');
    if (second === undefined) addCommand(program, first, spec);
    else {
      const group =
        groups.get(first) ??
        program
          .command(first)
          .description(GROUPS[first] ?? '')
          .exitOverride();
      groups.set(first, group);
      addCommand(group, second, spec);
    }
  }
  return program;
}

function addCommand(parent: Command, name: string, spec: CommandSpec): void {
  const args = (spec.args ?? []).map((arg) => {
    const name = arg.rest ? `${arg.name}...` : arg.name;
    return arg.optional ? `[${name}]` : `<${name}>`;
  });
  const command = parent
    .command([name, ...args].join(' '))
    .description(spec.text)
    .exitOverride();
  for (const option of [...(spec.options ?? []), ...SHARED_OPTIONS]) command.addOption(asOption(option));
  const examples = spec.examples.map((line) => `  $ fhir-rounds ${line}`);
  command.addHelpText(
    'after',
    `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.join('\n')}`,
  );
  command.action(async (...given: unknown[]) => {
    const values = given.at(-2) as Values;
    process.exitCode = await spec.run(asGiven(command.args, values), contextOf(values));
  });
}

function asOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.text);
  if (spec.number) option.argParser(wholeNumber);
  if (spec.default !== undefined) option.default(spec.default);
  if (spec.choices) option.choices(spec.choices);
  if (spec.required) option.makeOptionMandatory();
  if (spec.conflicts) option.conflicts([...spec.conflicts]);
  return option;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a whole number.');
  return Number(text);
}

function asGiven(args: readonly string[], values: Values): Given {
  return {
    args,
    flag: (name) => values[name] === true,
    text: (name) => values[name] as string | undefined,
    textOf: (name) => values[name] as string,
    number: (name) => values[name] as number | undefined,
    numberOf: (name) => values[name] as number,
  };
}

function contextOf(values: Values): CommandContext {
  return {
    configFile: values['config'] as string,
    env: process.env,
    json: values['json'] === true,
    quiet: values['quiet'] === true,
    signal: interrupted.signal,
    print: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => (values['json'] === true ? noteEvent({ event: 'remark', text }) : note(text)),
    noteEvent,
    printsToTerminal: process.stdout.isTTY,
    asksAtTerminal: process.stdin.isTTY && process.stderr.isTTY,
    terminal: terminalOf(process.stderr),
    useColour: process.stderr.isTTY && !process.env['NO_COLOR'],
  };
}

const note = (text: string): void => void process.stderr.write(`${text}\n`);
const noteEvent = (event: object): void => note(JSON.stringify(event));

/** stderr as a screen; undefined for a pipe, a dumb terminal, and one without a width (some CI systems). */
function terminalOf(stream: NodeJS.WriteStream): Terminal | undefined {
  if (!stream.isTTY || process.env['TERM'] === 'dumb' || !stream.columns) return undefined;
  return {
    write: (text) => void stream.write(text),
    size: () => ({ columns: stream.columns, rows: stream.rows }),
    onResize: (resized, signal) => {
      stream.on('resize', resized);
      signal.addEventListener('abort', () => stream.off('resize', resized), { once: true });
    },
  };
}

/** What ends with a run that goes on later. */
const PAUSES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['INTERRUPTED', 'RUN_PAUSED', 'DISK_FULL']);

/** The exit code of a failure (fixed: README, "Exit codes"). */
function exitCodeFor(error: RoundsError): number {
  if (error.code === 'LOCK_HELD') return EXIT.locked;
  if (error.code === 'VERIFY_DAMAGED') return EXIT.damaged;
  if (PAUSES.has(error.code)) return EXIT.interrupted;
  return error.failure === 'config' ? EXIT.usage : EXIT.failed;
}

/** Where a defect struck. Without the message: JSON.parse's and others' quote what they were given. */
function framesOf(cause: unknown): string {
  const stack = cause instanceof Error ? (cause.stack ?? '') : '';
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

try {
  await buildProgram().parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : EXIT.usage;
  else {
    const error = asRoundsError(interrupted.signal.aborted ? interrupted.signal.reason : thrown);
    process.exitCode = exitCodeFor(error);
    const wantsJson = process.argv.includes('--json');
    const { code, failure, message, hint, problems } = error;
    const frames = code === 'INTERNAL' ? framesOf(error.cause) : '';
    if (wantsJson) {
      process.stdout.write(`${JSON.stringify({ error: { code, failure, message, hint, problems } })}\n`);
      noteEvent({ event: 'error', code, message, hint, ...(frames === '' ? {} : { frames }) });
    } else process.stderr.write(`fhir-rounds: ${code}: ${message}\n${hint}\n${frames}`);
  }
}

// PM2 listens on the channel to its children, and an open one would keep this process alive.
if (process.connected) process.disconnect();
