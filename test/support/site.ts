import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/startSandbox.ts';
import { runCli, startCli, stopCliWhen, type CliOptions, type CliResult, type RunningCli } from './cli.ts';

/** Keys of the INI: `section.key`, or `[job NAME] key`. null takes a key away. */
export type SiteSettings = Readonly<Record<string, string | number | null>>;

export interface SiteOptions {
  /** A sandbox of its own with these options, or one that is there and stays the caller's. */
  readonly sandbox?: SandboxOptions | Sandbox;
  /** Text of the roster CSV; default: every patient of the sandbox by id. */
  readonly roster?: string;
  /** Text of the list CSV, or its types. */
  readonly resources?: string | readonly string[];
  readonly settings?: SiteSettings;
  /** Whether the INI has an [email] section for the sandbox's mail server. Default true. */
  readonly mail?: boolean;
}

/** A hospital's installation in a temporary folder: INI, CSVs, key, and a sandbox as its Epic. */
export interface Site {
  readonly folder: string;
  readonly configFile: string;
  readonly exportFolder: string;
  readonly stateFolder: string;
  readonly logFolder: string;
  readonly rosterFile: string;
  readonly resourcesFile: string;
  readonly sandbox: Sandbox;
  /** Writes the INI anew with these changes beside the settings that the site began with. */
  configure(changes: SiteSettings): Promise<void>;
  /** `fhir-rounds ARGS --config ...`, to its end. */
  run(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  start(args: readonly string[], options?: CliOptions): Promise<RunningCli>;
  /** Runs it and sends a signal once the condition holds. */
  stopWhen(
    condition: () => boolean | Promise<boolean>,
    signal: NodeJS.Signals,
    args: readonly string[],
  ): Promise<CliResult>;
  path(...parts: readonly string[]): string;
  close(): Promise<void>;
}

export const CLIENT_ID = 'e2e-client';
const KEY_ID = 'e2e-key';

let pair: { readonly jwk: object; readonly pem: string } | undefined;

/** One pair for a test file: making a pair takes longer than most tests. */
export function siteKey(): { readonly jwks: { readonly keys: readonly object[] }; readonly pem: string } {
  pair ??= makePair();
  return { jwks: { keys: [pair.jwk] }, pem: pair.pem };
}

function makePair(): { readonly jwk: object; readonly pem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, use: 'sig' },
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

/** A site that is gone when the running test ends. */
export async function siteForTest(options: SiteOptions = {}): Promise<Site> {
  const site = await makeSite(options);
  onTestFinished(() => site.close());
  return site;
}

export async function makeSite(options: SiteOptions = {}): Promise<Site> {
  const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-e2e-'));
  const { jwks, pem } = siteKey();
  const own = options.sandbox === undefined || !('origin' in options.sandbox);
  const sandbox = own
    ? await startSandbox({ ...(options.sandbox as SandboxOptions), clients: [{ clientId: CLIENT_ID, jwks }] })
    : options.sandbox;
  if (!own) sandbox.registerClient({ clientId: CLIENT_ID, jwks });
  const at = (...parts: readonly string[]) => path.join(folder, ...parts);

  const { resources = ['Patient', 'Condition'] } = options;
  await writeFile(at('roster.csv'), options.roster ?? rosterOf(sandbox));
  await writeFile(at('resources.csv'), typeof resources === 'string' ? resources : listOf(resources));
  await writeFile(at('private-key.pem'), pem, { mode: 0o600 });
  const settings: SiteSettings = {
    'paths.epic_data_export_folder': 'exports',
    'paths.private_key': 'private-key.pem',
    'paths.state_folder': 'state',
    'paths.log_folder': 'logs',
    'oauth_settings.client_id': CLIENT_ID,
    'oauth_settings.token_endpoint': sandbox.tokenEndpoint,
    'jwt_settings.key_id': KEY_ID,
    'epic_settings.epic_endpoint': sandbox.fhirBase,
    'data_sources.epic_sandbox_roster': 'roster.csv',
    'data_sources.epic_sandbox_resources': 'resources.csv',
    ...(options.mail === false ? {} : await mailSettings(folder, sandbox)),
    ...options.settings,
  };
  const configFile = at('fhir-rounds.ini');
  const configure = async (changes: SiteSettings): Promise<void> => {
    await writeFile(configFile, iniOf({ ...settings, ...changes }), { mode: 0o600 });
  };
  await configure({});
  const withConfig = (args: readonly string[]) => [...args, '--config', configFile];
  return {
    folder,
    configFile,
    exportFolder: at('exports'),
    stateFolder: at('state'),
    logFolder: at('logs'),
    rosterFile: at('roster.csv'),
    resourcesFile: at('resources.csv'),
    sandbox,
    configure,
    run: (args, given) => runCli(withConfig(args), { cwd: folder, ...given }),
    start: (args, given) => startCli(withConfig(args), { cwd: folder, ...given }),
    stopWhen: (condition, signal, args) => stopCliWhen(condition, signal, withConfig(args), { cwd: folder }),
    path: at,
    close: async () => {
      if (own) await sandbox.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function mailSettings(folder: string, { smtp }: Sandbox): Promise<SiteSettings> {
  if (smtp === undefined) return {};
  await writeFile(path.join(folder, 'bridge-cert.pem'), smtp.certificatePem);
  await writeFile(path.join(folder, 'smtp-pass'), `${smtp.pass}\n`, { mode: 0o600 });
  return {
    'email.smtp_host': smtp.host,
    'email.smtp_port': smtp.port,
    'email.smtp_user': smtp.user,
    'email.smtp_pass_file': 'smtp-pass',
    'email.smtp_tls_ca': 'bridge-cert.pem',
    'email.notification_from': smtp.user,
    'email.notification_to': 'oncall@hospital.example',
  };
}

/** A roster of the sandbox's patients by id: of all, or of those at these ordinals. */
export function rosterOf(sandbox: Sandbox, ordinals?: readonly number[]): string {
  const chosen = ordinals ?? Array.from({ length: sandbox.patientCount }, (_, ordinal) => ordinal);
  return ['fhir_id', ...chosen.map((ordinal) => sandbox.patientIdAt(ordinal)!), ''].join('\n');
}

export function listOf(types: readonly string[]): string {
  return ['resource', ...types, ''].join('\n');
}

/** Types of every kind: by patient, Observation with several filters, Appointment shared, two by reference. */
export const TYPES_OF_EVERY_KIND = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Appointment',
  'MedicationRequest',
  'Medication',
  'Practitioner',
  'Procedure',
  'DiagnosticReport',
] as const;

/** True once the sandbox was asked so many more times. */
export function afterRequests(sandbox: Sandbox, count: number): () => boolean {
  const from = sandbox.counts().total;
  return () => sandbox.counts().total - from >= count;
}

/** The rows that the sandbox's oracle takes. */
export function oracleRows(types: readonly string[]): readonly { readonly resource: string }[] {
  return types.map((resource) => ({ resource }));
}

function iniOf(settings: SiteSettings): string {
  const sections = new Map<string, string[]>();
  for (const [name, value] of Object.entries(settings)) {
    if (value === null) continue;
    const job = /^\[(job [^\]]+)\] ?(.*)$/.exec(name);
    const dot = name.indexOf('.');
    const section = job ? job[1]! : name.slice(0, dot);
    const keyName = job ? job[2]! : name.slice(dot + 1);
    const lines = sections.get(section) ?? [];
    sections.set(section, lines);
    if (keyName !== '') lines.push(`${keyName} = ${value}`);
  }
  return [...sections].map(([section, lines]) => `[${section}]\n${lines.join('\n')}\n`).join('\n');
}

/** Makes a file or folder as someone careless would have left it. */
export async function setMode(file: string, mode: number): Promise<void> {
  await chmod(file, mode);
}

/** Every file below a folder with its content as text; a folder that is not there has none. */
export async function textsBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    texts.set(path.relative(folder, file), await readFile(file, 'latin1'));
  }
  return texts;
}
