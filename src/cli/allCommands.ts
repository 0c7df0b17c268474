import type { CommandSpec } from './commandSpec.ts';
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
];
