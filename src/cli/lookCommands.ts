import type { CommandSpec, OptionSpec } from './commandSpec.ts';

const JOB_OF_RUN: OptionSpec = { flags: '--job <name>', text: 'the job of latest and current', kind: 'job' };

/** Commands that look and change nothing. */
export const LOOK_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'check',
    text: 'configuration, CSVs, key, token, server, mail: each ok or what to do',
    examples: ['check', 'check --offline', 'check --settings'],
    options: [
      { flags: '--offline', text: 'make no connection' },
      { flags: '--no-probe', text: 'ask for no record: not one of each type' },
      { flags: '--settings', text: 'print every setting and where it comes from, secrets left out' },
    ],
    run: async (given, context) =>
      (await import('../commands/check.ts')).checkCommand(
        { offline: given.flag('offline'), settings: given.flag('settings'), probe: given.flag('probe') },
        context,
      ),
  },
  {
    name: 'status',
    text: 'health of the whole and of each job; exits 0 healthy, 1 warning, 2 critical',
    examples: ['status', 'status --json'],
    run: async (_, context) => {
      const { systemClock } = await import('../system/clock.ts');
      return (await import('../commands/status.ts')).statusCommand(context, systemClock);
    },
  },
  {
    name: 'runs',
    args: [{ name: 'job', optional: true, kind: 'job' }],
    text: 'the history, newest first',
    examples: ['runs', 'runs nightly --limit 5'],
    options: [{ flags: '--limit <n>', text: 'at most so many', number: true, default: 20 }],
    run: async (given, context) =>
      (await import('../commands/history.ts')).runsCommand(given.args[0], given.numberOf('limit'), context),
  },
  {
    name: 'show',
    args: [{ name: 'run', kind: 'run' }],
    text: 'one run: counts, gaps and failures by cause and roster line',
    examples: ['show latest', 'show 20261122', 'show latest --job nightly --ids'],
    options: [
      JOB_OF_RUN,
      { flags: '--ids', text: 'the ids of the patients behind them, too; to a terminal, and audited' },
    ],
    run: async (given, context) =>
      (await import('../commands/show.ts')).showCommand(
        { run: given.args[0]!, jobName: given.text('job'), ids: given.flag('ids') },
        context,
      ),
  },
  {
    name: 'diff',
    args: [
      { name: 'before', kind: 'run' },
      { name: 'after', kind: 'run' },
    ],
    text: 'what changed between two published runs: records by type',
    examples: [
      'diff 20261121 latest',
      'diff current latest --content',
      'diff current latest --ids --out changes.ndjson',
    ],
    options: [
      JOB_OF_RUN,
      { flags: '--content', text: 'read both: how many records were added, changed, and are absent' },
      { flags: '--ids', text: 'which ones; to a terminal or with --out, and audited' },
      { flags: '--out <file>', text: 'a new file for the ids (NDJSON, mode 0600)', kind: 'file' },
    ],
    run: async (given, context) =>
      (await import('../commands/diff.ts')).diffCommand(
        {
          before: given.args[0]!,
          after: given.args[1]!,
          jobName: given.text('job'),
          content: given.flag('content'),
          ids: given.flag('ids'),
          outFile: given.text('out'),
        },
        context,
      ),
  },
  {
    name: 'verify',
    args: [{ name: 'dir', optional: true, kind: 'folder' }],
    text: 'hold a published folder against its manifest, or the audit file against itself and all that know it',
    examples: ['verify latest', 'verify exports/default/current', 'verify --audit'],
    options: [{ flags: '--audit', text: 'the audit file: the INI’s, or that of the state folder DIR' }],
    run: async (given, context) => {
      const { verifyAuditCommand, verifyCommand } = await import('../commands/verify.ts');
      return given.flag('audit')
        ? verifyAuditCommand(given.args[0], context)
        : verifyCommand(given.args[0], context);
    },
  },
  {
    name: 'explain',
    args: [{ name: 'code', optional: true, kind: 'code' }],
    text: 'cause and remedy of an error code: ours, Epic’s or OAuth’s; without one, all of them',
    examples: ['explain TOKEN_INVALID_CLIENT', 'explain 59108', 'explain'],
    run: async (given, context) =>
      (await import('../commands/explain.ts')).explainCommand(given.args[0], context),
  },
];
