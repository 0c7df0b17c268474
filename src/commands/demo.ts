import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { loadConfig } from '../config/load.ts';
import { RoundsError } from '../errors.ts';
import { readLines } from '../ndjson/reader.ts';
import { verifyFolder } from '../publish/verify.ts';
import { renderReport } from '../report/render.ts';
import type { RunSummary } from '../report/summary.ts';
import { startSandbox, writeRoster, type Sandbox } from '../sandbox/startSandbox.ts';
import { exists, writeDurable } from '../system/files.ts';
import { chooseJob, EXIT, type CommandContext } from './context.ts';
import { keysGenerate, keysJwks } from './keys.ts';
import { exitCodeOf, runOnce } from './run.ts';

/** Every type that the first users asked for; see the README. */
export const DEMO_TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Procedure',
  'DocumentReference',
  'Binary',
  'Appointment',
  'Coverage',
  'ExplanationOfBenefit',
  'CarePlan',
  'Organization',
  'Practitioner',
  'PractitionerRole',
  'Questionnaire',
  'QuestionnaireResponse',
  'List',
  'Consent',
  'Provenance',
  'DeviceUseStatement',
  'MedicationRequest',
  'Medication',
  'Immunization',
  'AllergyIntolerance',
  'DiagnosticReport',
  'Goal',
  'CareTeam',
  'Device',
  'Location',
  'ServiceRequest',
] as const;

const CLIENT_ID = 'fhir-rounds-demo';
const PATIENTS = 7;

/**
 * `demo`: starts the sandbox, runs one job against it into `exports/demo` below the working directory, and holds
 * what was published against what the sandbox says it serves. Everything it makes lies in `data/demo` and
 * `exports/demo`.
 */
export async function demoCommand(context: CommandContext): Promise<number> {
  const here = process.cwd();
  const work = path.join(here, 'data', 'demo');
  await mkdir(work, { recursive: true, mode: 0o700 });
  const jwks = await demoKeys(work);
  const sandbox = await startSandbox({
    patients: PATIENTS,
    clients: [{ clientId: CLIENT_ID, jwks }],
    smtp: { folder: path.join(work, 'mails') },
  });
  try {
    const configFile = await writeDemoFiles(work, here, sandbox);
    const config = await loadConfig({ file: configFile, env: {} });
    const job = chooseJob(config, 'demo');
    const fresh = { fresh: true, retryFailed: false, noMail: false, acceptRoster: true };
    const summary = await runOnce(config, job, fresh, context);
    const proof = await prove(summary, sandbox);
    if (context.json) context.print(JSON.stringify({ summary, proof }));
    else context.print(await describe(summary, proof, sandbox, work, here));
    return proof.differences === 0 && proof.damage === 0 && proof.mails > 0
      ? exitCodeOf(summary)
      : EXIT.failed;
  } finally {
    await sandbox.close();
  }
}

async function demoKeys(work: string): Promise<{ readonly keys: readonly object[] }> {
  const place = { privateKeyFile: path.join(work, 'private-key.pem'), algorithm: 'RS384' } as const;
  if (!(await exists(place.privateKeyFile))) {
    await keysGenerate({
      ...place,
      publicKeyFile: path.join(work, 'public-key.pem'),
      spec: { kind: 'RSA', bits: 2048 },
    });
  }
  const { jwks } = await keysJwks(place);
  return jwks!;
}

async function writeDemoFiles(work: string, here: string, sandbox: Sandbox): Promise<string> {
  const smtp = sandbox.smtp!;
  await rm(path.join(work, 'mails'), { recursive: true, force: true });
  await mkdir(path.join(work, 'mails'), { mode: 0o700 });
  await writeDurable(path.join(work, 'bridge-cert.pem'), smtp.certificatePem);
  await writeDurable(path.join(work, 'smtp-pass'), smtp.pass);
  await writeRoster({ path: path.join(work, 'roster.csv'), patients: PATIENTS });
  await writeDurable(path.join(work, 'resources.csv'), ['resource', ...DEMO_TYPES, ''].join('\n'));
  const ini = `; Written by \`fhir-rounds demo\` at each start.
[paths]
epic_data_export_folder = ${path.join(here, 'exports')}
private_key = private-key.pem
state_folder = state
log_folder = logs

[oauth_settings]
client_id = ${CLIENT_ID}
token_endpoint = ${sandbox.tokenEndpoint}

[epic_settings]
epic_endpoint = ${sandbox.fhirBase}

[data_sources]
epic_sandbox_roster = roster.csv
epic_sandbox_resources = resources.csv

[api_settings]
concurrency = 8

[email]
smtp_host = ${smtp.host}
smtp_port = ${smtp.port}
smtp_user = ${smtp.user}
smtp_pass_file = smtp-pass
smtp_tls_ca = bridge-cert.pem
notification_from = ${smtp.user}
notification_to = oncall@hospital.example

[job demo]
`;
  const file = path.join(work, 'fhir-rounds.ini');
  await writeFile(file, ini, { mode: 0o600 });
  return file;
}

interface Proof {
  /** Resources that the sandbox says it serves. */
  readonly expected: number;
  /** Missing, changed, repeated or added resources. */
  readonly differences: number;
  readonly damage: number;
  readonly mails: number;
  readonly overTls: boolean;
}

/** Holds the published lines against the sandbox's own list of what it serves, by sha256. */
async function prove(summary: RunSummary, sandbox: Sandbox): Promise<Proof> {
  if (summary.folder === undefined) throw new RoundsError('INTERNAL', 'the demo run published nothing');
  const expected = new Map<string, string>();
  const list = DEMO_TYPES.map((resource) => ({ resource }));
  for await (const { type, id, sha256 } of sandbox.oracle(list)) expected.set(`${type}/${id}`, sha256);
  const total = expected.size;
  let differences = 0;
  for (const name of await readdir(summary.folder)) {
    if (!name.endsWith('.ndjson') || name === 'log.ndjson') continue;
    for await (const line of readLines(path.join(summary.folder, name))) {
      const { resourceType, id } = JSON.parse(line.toString('utf8')) as { resourceType: string; id: string };
      const key = `${resourceType}/${id}`;
      if (expected.get(key) !== createHash('sha256').update(line).digest('hex')) differences++;
      expected.delete(key);
    }
  }
  const { damage } = await verifyFolder(summary.folder);
  const { mails } = sandbox.smtp!;
  return {
    expected: total,
    differences: differences + expected.size,
    damage: damage.length,
    mails: mails.length,
    overTls: mails.every((mail) => mail.secure),
  };
}

async function describe(
  summary: RunSummary,
  proof: Proof,
  sandbox: Sandbox,
  work: string,
  here: string,
): Promise<string> {
  const { text } = renderReport(summary, { timezone: 'UTC', locale: 'en', full: true });
  const at = (file: string): string => path.relative(here, file) || '.';
  const folder = summary.folder!;
  const same = proof.differences === 0 ? 'all of them byte for byte' : `${proof.differences} of them DIFFER`;
  const mail =
    proof.mails > 0 ? `arrived${proof.overTls ? ' over STARTTLS' : ' WITHOUT TLS'}` : 'did NOT arrive';
  const lines = [
    text.trimEnd(),
    '',
    `Proof    the sandbox serves ${proof.expected} resources for this list; the folder holds ${same}`,
    `         verify: ${proof.damage === 0 ? 'every file is as its manifest says' : `${proof.damage} files are DAMAGED`}`,
    `         the mail ${mail} at ${sandbox.smtp!.host}:${sandbox.smtp!.port}`,
    '',
    `Data     ${at(folder)}`,
    `Report   ${at(path.join(folder, 'report.html'))}`,
    `Manifest ${at(path.join(folder, 'manifest.json'))}`,
    `Mail     ${at(path.join(work, 'mails'))}`,
    `INI      ${at(path.join(work, 'fhir-rounds.ini'))}, with roster, list, key, state and log beside it`,
    `Look     npx fhir-rounds console --config ${at(path.join(work, 'fhir-rounds.ini'))}`,
  ];
  return lines.join('\n');
}
