import { SHARED_OPTIONS, type CommandSpec } from './commandSpec.ts';
import { KEY_COMMANDS } from './keyCommands.ts';
import { LOOK_COMMANDS } from './lookCommands.ts';
import { RUN_COMMANDS } from './runCommands.ts';
import { SITE_COMMANDS } from './siteCommands.ts';

/** Every command, in the order of `--help`. */
export const ALL_COMMANDS: readonly CommandSpec[] = [
  ...RUN_COMMANDS,
  ...LOOK_COMMANDS,
  ...KEY_COMMANDS,
  ...SITE_COMMANDS,
  {
    name: 'completion',
    args: [
      { name: 'shell', kind: 'shell' },
      { name: 'words', optional: true, rest: true },
    ],
    text: 'completion of commands, options, jobs and runs for bash, zsh or fish',
    examples: ['completion bash > ~/.local/share/bash-completion/completions/fhir-rounds'],
    run: async (given, context) =>
      (await import('../commands/completion.ts')).completionCommand(
        given.args,
        { commands: ALL_COMMANDS, shared: SHARED_OPTIONS },
        context,
      ),
  },
];
