import type { CommandSpec } from './commandSpec.ts';

/** Commands that make a site, show it in the browser, and the sandbox to try it against. */
export const SITE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'init',
    text: 'a new site: commented INI, sample CSVs, key, certificate, and what to do at Epic; asks at a terminal',
    examples: ['init --client-id YOUR-CLIENT-ID --base https://fhir.example.org/interconnect/api/FHIR/R4'],
    options: [
      { flags: '--folder <dir>', text: 'where', default: '.', kind: 'folder' },
      { flags: '--client-id <id>', text: 'of Epic’s registration' },
      { flags: '--base <url>', text: 'the site’s FHIR R4 base' },
      { flags: '--roster <file>', text: 'a roster CSV that is there already', kind: 'file' },
    ],
    run: async (given, context) =>
      (await import('../commands/init.ts')).initCommand(
        {
          folder: given.textOf('folder'),
          clientId: given.text('clientId'),
          fhirBase: given.text('base'),
          rosterFile: given.text('roster'),
        },
        context,
      ),
  },
  {
    name: 'console',
    text: 'the web console on loopback: runs, data, registration; prints a link that opens it once',
    examples: ['console', 'console --link', 'console --jwks-only'],
    options: [
      {
        flags: '--link',
        text: 'print a new link to the console that runs',
        conflicts: ['jwksOnly', 'ifEnabled'],
      },
      { flags: '--jwks-only', text: 'serve the public keys alone, at /jwks and /.well-known/jwks.json' },
      { flags: '--if-enabled', text: 'end at once unless [console] enabled = true; for PM2' },
    ],
    run: async (given, context) =>
      (await import('../commands/console.ts')).consoleCommand(
        {
          link: given.flag('link'),
          jwksOnly: given.flag('jwksOnly'),
          ifEnabled: given.flag('ifEnabled'),
        },
        context,
      ),
  },
  {
    name: 'sandbox',
    text: 'the sandbox as a server on loopback: FHIR, OAuth and mail, with synthetic patients',
    examples: ['sandbox --port 8080 --jwks jwks.json', 'sandbox --patients 100 --special'],
    options: [
      { flags: '--port <n>', text: 'of FHIR and OAuth; 0 = any', number: true, default: 0 },
      { flags: '--dialect <name>', text: 'how strict', choices: ['epic', 'us-core'], default: 'epic' },
      { flags: '--patients <n>', text: 'generated patients (7 are Epic’s test patients)', number: true },
      { flags: '--seed <n>', text: 'of the generated population', number: true, default: 1 },
      {
        flags: '--data <dir>',
        text: 'serve these NDJSON files or Bundles (plain or .gz) instead',
        kind: 'folder',
      },
      { flags: '--special', text: 'add a merged, a deleted, a Break-the-Glass and other special patients' },
      { flags: '--faults <file>', text: 'a fault script (JSON)', kind: 'file' },
      { flags: '--latency <ms>', text: 'added to each answer', number: true, default: 0 },
      { flags: '--export-seconds <s>', text: 'how long a bulk export takes', number: true, default: 0 },
      {
        flags: '--group-wait <s>',
        text: 'between two exports of a group by a client (24 h as at Epic)',
        number: true,
      },
      { flags: '--token-life <s>', text: 'life of access tokens', number: true, default: 3600 },
      { flags: '--smtp-port <n>', text: 'of the mail server; 0 = any', number: true, default: 0 },
      { flags: '--mails <dir>', text: 'keep the mails there, too', kind: 'folder' },
      { flags: '--client-id <id>', text: 'the registered client', default: 'sandbox-client' },
      { flags: '--jwks <file>', text: 'its public keys', kind: 'file' },
      { flags: '--jwks-url <url>', text: 'its public keys, hosted on loopback' },
    ],
    run: async (given, context) =>
      (await import('../commands/sandbox.ts')).sandboxCommand(
        {
          port: given.numberOf('port'),
          dialect: given.textOf('dialect') as 'epic' | 'us-core',
          patients: given.number('patients'),
          seed: given.numberOf('seed'),
          dataDir: given.text('data'),
          special: given.flag('special'),
          faultsFile: given.text('faults'),
          latencyMs: given.numberOf('latency'),
          exportSeconds: given.numberOf('exportSeconds'),
          groupWaitSeconds: given.number('groupWait'),
          tokenLifeSeconds: given.numberOf('tokenLife'),
          smtpPort: given.numberOf('smtpPort'),
          mailFolder: given.text('mails'),
          clientId: given.textOf('clientId'),
          jwksFile: given.text('jwks'),
          jwksUrl: given.text('jwksUrl'),
        },
        context,
      ),
  },
];
