import type { CommandSpec } from './commandSpec.ts';

/** Commands that pull. */
export const RUN_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'demo',
    text: 'start the sandbox, run one job against it into exports/demo, and show the report',
    examples: ['demo'],
    run: async (_, context) => (await import('../commands/demo.ts')).demoCommand(context),
  },
  {
    name: 'run',
    args: [{ name: 'job', optional: true, kind: 'job' }],
    text: 'one run now; goes on with an interrupted one',
    examples: ['run', 'run nightly --retry-failed', 'run --dry-run'],
    options: [
      { flags: '--dry-run', text: 'check everything here and say what would be asked; no request is made' },
      { flags: '--retry-failed', text: 'ask the last run’s failed searches again, from the same roster' },
      { flags: '--fresh', text: 'close an interrupted run as abandoned and start anew' },
      { flags: '--no-mail', text: 'leave the report in the outbox' },
      { flags: '--accept-roster', text: 'take a roster that lost more than max_roster_drop_percent' },
    ],
    run: async (given, context) => {
      const [jobName] = given.args;
      if (given.flag('dryRun')) {
        return (await import('../commands/dryRun.ts')).dryRunCommand(jobName, context);
      }
      return (await import('../commands/run.ts')).runCommand(
        {
          jobName,
          retryFailed: given.flag('retryFailed'),
          fresh: given.flag('fresh'),
          noMail: !given.flag('mail'),
          acceptRoster: given.flag('acceptRoster'),
        },
        context,
      );
    },
  },
  {
    name: 'cancel',
    args: [{ name: 'job', optional: true, kind: 'job' }],
    text: 'end the run that is under way or was interrupted, and delete its export at the server',
    examples: ['cancel', 'cancel nightly'],
    run: async (given, context) =>
      (await import('../commands/cancel.ts')).cancelCommand(given.args[0], context),
  },
  {
    name: 'daemon',
    text: 'the scheduler (PM2’s entry)',
    examples: ['daemon', 'daemon --config /etc/fhir-rounds/fhir-rounds.ini'],
    run: async (_, context) => (await import('../daemon.ts')).daemonCommand(context),
  },
];
