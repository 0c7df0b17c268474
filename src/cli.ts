import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from './commands/context.ts';
import { EXIT, programVersion } from './commands/context.ts';
import { asRoundsError, RoundsError } from './errors.ts';

/** The command line. Each command's code is loaded when it is called. */

// Every file this program makes is its owner's alone, unless a mode says otherwise.
process.umask(0o077);

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interrupted.abort(new RoundsError('INTERRUPTED', `interrupted by ${name}`)));
}

interface GlobalOptions {
  readonly config: string;
  readonly json: boolean;
  readonly quiet: boolean;
}

const program = new Command('fhir-rounds')
  .description(
    'Pulls every listed FHIR resource of every patient on a roster into NDJSON files, and mails a report.',
  )
  .version(programVersion())
  .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
  .showHelpAfterError('(see fhir-rounds --help)')
  .exitOverride();

type Run = (
  options: Record<string, unknown>,
  context: CommandContext,
  args: readonly string[],
) => Promise<number>;

/** Adds a command; `args` as commander writes them, `run` returning the exit code. */
function add(
  parent: Command,
  name: string,
  text: string,
  run: Run,
  options: readonly Option[] = [],
): Command {
  const command = parent.command(name).description(text).exitOverride();
  for (const option of [
    ...options,
    new Option('--config <file>', 'the INI').default('config/fhir-rounds.ini'),
    new Option('--json', 'print the result as JSON').default(false),
    new Option('--quiet', 'no progress and no remarks on stderr').default(false),
  ]) {
    command.addOption(option);
  }
  command.action(async (...given: unknown[]) => {
    const args = command.args;
    const values = given.at(-2) as Record<string, unknown>;
    process.exitCode = await run(values, contextOf(values as unknown as GlobalOptions), args);
  });
  return command;
}

function contextOf({ config, json, quiet }: GlobalOptions): CommandContext {
  return {
    configFile: config,
    env: process.env,
    json,
    quiet,
    signal: interrupted.signal,
    print: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
    isTerminal: process.stderr.isTTY,
    useColour: process.stderr.isTTY && !process.env['NO_COLOR'],
  };
}

const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a whole number.');
  return Number(text);
};
const optional = (value: unknown): string | undefined => value as string | undefined;
const number = (flags: string, text: string): Option => new Option(flags, text).argParser(wholeNumber);
const jobOption = new Option('--job <name>', 'the job whose settings count');

add(
  program,
  'demo',
  'start the sandbox, run one job against it into exports/demo, and show the report',
  async (_, context) => (await import('./commands/demo.ts')).demoCommand(context),
);

add(
  program,
  'run [job]',
  'one run now; goes on with an interrupted one',
  async (options, context, [jobName]) =>
    (await import('./commands/run.ts')).runCommand(
      {
        jobName,
        dryRun: options['dryRun'] === true,
        retryFailed: options['retryFailed'] === true,
        fresh: options['fresh'] === true,
        noMail: options['mail'] === false,
        acceptRoster: options['acceptRoster'] === true,
      },
      context,
    ),
  [
    new Option('--dry-run', 'check everything here and say what would be asked; no request is made'),
    new Option('--retry-failed', 'ask the last run’s failed searches again, from the same roster'),
    new Option('--fresh', 'close an interrupted run as abandoned and start anew'),
    new Option('--no-mail', 'leave the report in the outbox'),
    new Option('--accept-roster', 'take a roster that lost more than max_roster_drop_percent'),
  ],
);

add(program, 'daemon', 'the scheduler (PM2’s entry)', async (_, context) =>
  (await import('./daemon.ts')).daemonCommand(context),
);

add(
  program,
  'check',
  'configuration, CSVs, key, token, server, mail: each ok or what to do',
  async (options, context) =>
    (await import('./commands/check.ts')).checkCommand(
      { offline: options['offline'] === true, settings: options['settings'] === true },
      context,
    ),
  [
    new Option('--offline', 'make no connection'),
    new Option('--settings', 'print every setting and where it comes from, secrets left out'),
  ],
);

add(program, 'status', 'health of each job; exits 0 healthy, 1 warning, 2 critical', async (_, context) => {
  const { systemClock } = await import('./system/clock.ts');
  return (await import('./commands/history.ts')).statusCommand(context, systemClock);
});

add(
  program,
  'runs [job]',
  'the history, newest first',
  async (options, context, [jobName]) =>
    (await import('./commands/history.ts')).runsCommand(jobName, options['limit'] as number, context),
  [number('--limit <n>', 'at most so many').default(20)],
);

add(program, 'show <run>', 'one run: counts, gaps and failures by cause', async (_, context, [runId]) =>
  (await import('./commands/history.ts')).showCommand(runId!, context),
);

add(
  program,
  'verify [dir]',
  'hold a published folder against its manifest, or the audit file against itself and all that know it',
  async (options, context, [folder]) => {
    const { verifyAuditCommand, verifyCommand } = await import('./commands/verify.ts');
    return options['audit'] === true ? verifyAuditCommand(folder, context) : verifyCommand(folder, context);
  },
  [new Option('--audit', 'the audit file: the INI’s, or that of the state folder DIR')],
);

const keys = program.command('keys').description('what Epic’s registration needs').exitOverride();
add(
  keys,
  'generate',
  'a new key pair at the INI’s paths; replaces nothing',
  async (options, context) =>
    (await import('./commands/keysCommands.ts')).generateCommand(
      { jobName: optional(options['job']), kind: options['ec'] === true ? 'EC' : 'RSA' },
      context,
    ),
  [new Option('--ec', 'EC P-384 (jwt_algorithm = ES384) in place of RSA'), jobOption],
);
add(
  keys,
  'jwks',
  'the public keys as a JWK Set, to be hosted',
  async (options, context) =>
    (await import('./commands/keysCommands.ts')).jwksCommand(
      { jobName: optional(options['job']), outFile: optional(options['out']) },
      context,
    ),
  [new Option('--out <file>', 'write it there'), jobOption],
);
add(
  keys,
  'certificate',
  'a self-signed certificate of the key, to be uploaded',
  async (options, context) =>
    (await import('./commands/keysCommands.ts')).certificateCommand(
      {
        jobName: optional(options['job']),
        outFile: optional(options['out']),
        commonName: options['cn'] as string,
        days: options['days'] as number,
        replace: options['replace'] === true,
      },
      context,
    ),
  [
    new Option('--out <file>', 'in place of [paths] certificate'),
    new Option('--cn <name>', 'subject common name').default('fhir-rounds'),
    number('--days <n>', 'validity').default(730),
    new Option('--replace', 'replace a certificate that is there'),
    jobOption,
  ],
);
add(
  keys,
  'rotate',
  'publish the next key in the JWKS; later --switch, and at last --finish',
  async (options, context) =>
    (await import('./commands/keysCommands.ts')).rotateCommand(
      {
        jobName: optional(options['job']),
        jwksFile: options['jwks'] as string,
        step: options['switch'] === true ? 'switch' : options['finish'] === true ? 'finish' : 'publish',
      },
      context,
    ),
  [
    new Option('--jwks <file>', 'the file behind the JWKS URL').makeOptionMandatory(),
    new Option('--switch', 'use the next key, once a token was had with it').conflicts('finish'),
    new Option('--finish', 'drop the key before'),
    jobOption,
  ],
);

add(
  program,
  'token',
  'one access token',
  async (options, context) =>
    (await import('./commands/keysCommands.ts')).tokenCommand(
      { jobName: optional(options['job']), outFile: optional(options['out']) },
      context,
    ),
  [new Option('--out <file>', 'write it there (mode 0600), and not to stdout'), jobOption],
);

add(
  program,
  'init',
  'a new site: commented INI, sample CSVs, key and certificate',
  async (options, context) =>
    (await import('./commands/init.ts')).initCommand(
      {
        folder: options['folder'] as string,
        clientId: optional(options['clientId']),
        fhirBase: optional(options['base']),
      },
      context,
    ),
  [
    new Option('--folder <dir>', 'where').default('.'),
    new Option('--client-id <id>', 'of Epic’s registration'),
    new Option('--base <url>', 'the site’s FHIR R4 base'),
  ],
);

add(
  program,
  'sandbox',
  'the sandbox as a server on loopback: FHIR, OAuth and mail, with synthetic patients',
  async (options, context) =>
    (await import('./commands/sandbox.ts')).sandboxCommand(
      {
        port: options['port'] as number,
        dialect: options['dialect'] as 'epic' | 'us-core',
        patients: options['patients'] as number | undefined,
        seed: options['seed'] as number,
        dataDir: optional(options['data']),
        special: options['special'] === true,
        faultsFile: optional(options['faults']),
        latencyMs: options['latency'] as number,
        tokenLifeSeconds: options['tokenLife'] as number,
        smtpPort: options['smtpPort'] as number,
        mailFolder: optional(options['mails']),
        clientId: options['clientId'] as string,
        jwksFile: optional(options['jwks']),
        jwksUrl: optional(options['jwksUrl']),
      },
      context,
    ),
  [
    number('--port <n>', 'of FHIR and OAuth; 0 = any').default(0),
    new Option('--dialect <name>', 'how strict').choices(['epic', 'us-core']).default('epic'),
    number('--patients <n>', 'generated patients (7 are Epic’s test patients)'),
    number('--seed <n>', 'of the generated population').default(1),
    new Option('--data <dir>', 'serve these NDJSON files or Bundles (plain or .gz) instead'),
    new Option('--special', 'add a merged, a deleted, a Break-the-Glass and other special patients'),
    new Option('--faults <file>', 'a fault script (JSON)'),
    number('--latency <ms>', 'added to each answer').default(0),
    number('--token-life <s>', 'life of access tokens').default(3600),
    number('--smtp-port <n>', 'of the mail server; 0 = any').default(0),
    new Option('--mails <dir>', 'keep the mails there, too'),
    new Option('--client-id <id>', 'the registered client').default('sandbox-client'),
    new Option('--jwks <file>', 'its public keys'),
    new Option('--jwks-url <url>', 'its public keys, hosted on loopback'),
  ],
);

/** The exit code of a failure (fixed: README, "Exit codes"). */
function exitCodeFor(error: RoundsError): number {
  if (error.code === 'LOCK_HELD') return EXIT.locked;
  if (error.code === 'VERIFY_DAMAGED') return EXIT.damaged;
  if (error.code === 'INTERRUPTED' || error.code === 'DISK_FULL') return EXIT.interrupted;
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
  await program.parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : EXIT.usage;
  else {
    const error = asRoundsError(interrupted.signal.aborted ? interrupted.signal.reason : thrown);
    process.exitCode = exitCodeFor(error);
    const wantsJson = process.argv.includes('--json');
    const { code, failure, message, hint, problems } = error;
    if (wantsJson)
      process.stdout.write(`${JSON.stringify({ error: { code, failure, message, hint, problems } })}\n`);
    process.stderr.write(`fhir-rounds: ${code}: ${message}\n${hint}\n`);
    if (code === 'INTERNAL') process.stderr.write(framesOf(error.cause));
  }
}

// PM2 listens on the channel to its children, and an open one would keep this process alive.
if (process.connected) process.disconnect();
