import type { CommandSpec, OptionSpec } from './commandSpec.ts';

const JOB_OPTION: OptionSpec = { flags: '--job <name>', text: 'the job whose settings count', kind: 'job' };

/** Commands for keys, certificates and tokens. */
export const KEY_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'keys generate',
    text: 'a new key pair at the INI’s paths; replaces nothing',
    examples: ['keys generate', 'keys generate --ec'],
    options: [{ flags: '--ec', text: 'EC P-384 (jwt_algorithm = ES384) in place of RSA' }, JOB_OPTION],
    run: async (given, context) =>
      (await import('../commands/keysCommands.ts')).generateCommand(
        { jobName: given.text('job'), kind: given.flag('ec') ? 'EC' : 'RSA' },
        context,
      ),
  },
  {
    name: 'keys jwks',
    text: 'the public keys as a JWK Set, to be hosted',
    examples: ['keys jwks --out /var/www/fhir-rounds/jwks.json'],
    options: [{ flags: '--out <file>', text: 'write it there', kind: 'file' }, JOB_OPTION],
    run: async (given, context) =>
      (await import('../commands/keysCommands.ts')).jwksCommand(
        { jobName: given.text('job'), outFile: given.text('out') },
        context,
      ),
  },
  {
    name: 'keys certificate',
    text: 'a self-signed certificate of the key, to be uploaded',
    examples: ['keys certificate', 'keys certificate --cn rounds.hospital.example --days 365'],
    options: [
      { flags: '--out <file>', text: 'in place of [paths] certificate', kind: 'file' },
      { flags: '--cn <name>', text: 'subject common name', default: 'fhir-rounds' },
      { flags: '--days <n>', text: 'validity', number: true, default: 730 },
      { flags: '--replace', text: 'replace a certificate that is there' },
      JOB_OPTION,
    ],
    run: async (given, context) =>
      (await import('../commands/keysCommands.ts')).certificateCommand(
        {
          jobName: given.text('job'),
          outFile: given.text('out'),
          commonName: given.textOf('cn'),
          days: given.numberOf('days'),
          replace: given.flag('replace'),
        },
        context,
      ),
  },
  {
    name: 'keys rotate',
    text: 'a new key in steps: make and publish it; --switch once Epic takes it; --finish drops the old one',
    examples: [
      'keys rotate --jwks /var/www/fhir-rounds/jwks.json',
      'keys rotate --certificate',
      'keys rotate --switch',
      'keys rotate --finish',
    ],
    options: [
      {
        flags: '--jwks <file>',
        text: 'the file behind the JWKS URL; remembered till the end',
        kind: 'file',
        conflicts: ['certificate'],
      },
      { flags: '--certificate', text: 'for sites that upload: make the next certificate' },
      {
        flags: '--switch',
        text: 'use the next key, once a token was had with it',
        conflicts: ['finish', 'back'],
      },
      { flags: '--finish', text: 'drop the old key, 30 hours after the switch', conflicts: ['back'] },
      { flags: '--now', text: 'with --finish: do not wait' },
      { flags: '--back', text: 'one step back: the old key in use again, or the rotation given up' },
      { flags: '--cn <name>', text: 'subject common name of the certificate', default: 'fhir-rounds' },
      { flags: '--days <n>', text: 'validity of the certificate', number: true, default: 730 },
      JOB_OPTION,
    ],
    run: async (given, context) =>
      (await import('../commands/keysCommands.ts')).rotateCommand(
        {
          jobName: given.text('job'),
          jwksFile: given.text('jwks'),
          way: given.flag('certificate') ? 'certificate' : 'jwks',
          step: given.flag('switch')
            ? 'switch'
            : given.flag('finish')
              ? 'finish'
              : given.flag('back')
                ? 'back'
                : 'prepare',
          now: given.flag('now'),
          commonName: given.textOf('cn'),
          days: given.numberOf('days'),
        },
        context,
      ),
  },
  {
    name: 'token',
    text: 'one access token',
    examples: ['token --out token.txt'],
    options: [
      { flags: '--out <file>', text: 'write it there (mode 0600), and not to stdout', kind: 'file' },
      JOB_OPTION,
    ],
    run: async (given, context) =>
      (await import('../commands/keysCommands.ts')).tokenCommand(
        { jobName: given.text('job'), outFile: given.text('out') },
        context,
      ),
  },
];
