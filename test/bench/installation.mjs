// An installation of the program in a temporary folder, as a hospital would have it: INI, roster, list and key.
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export function newPrivateKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}

/**
 * @param options patientIds: any iterable; caPem: where the server has a certificate of its own; settings: further keys of
 * the INI by `section.key`
 */
export async function install({ tokenEndpoint, base, privateKey, patientIds, types, caPem, settings = {} }) {
  const folder = await mkdtemp(path.join(tmpdir(), 'fhir-rounds-bench-'));
  const at = (...parts) => path.join(folder, ...parts);
  await writeFile(at('key.pem'), privateKey, { mode: 0o600 });
  await writeFile(at('resources.csv'), `${['resource', ...types].join('\n')}\n`);
  await writeRoster(at('roster.csv'), patientIds);
  if (caPem !== undefined) await writeFile(at('ca.pem'), caPem);
  const all = {
    'paths.private_key': 'key.pem',
    'paths.state_folder': 'state',
    'oauth_settings.client_id': 'bench',
    'oauth_settings.token_endpoint': tokenEndpoint,
    'epic_settings.epic_endpoint': base,
    'data_sources.epic_sandbox_roster': 'roster.csv',
    'data_sources.epic_sandbox_resources': 'resources.csv',
    ...(caPem === undefined ? {} : { 'network.ca_file': 'ca.pem' }),
    ...settings,
  };
  const config = at('fhir-rounds.ini');
  await writeFile(config, iniOf(all), { mode: 0o600 });
  return {
    folder,
    args: (...command) => [...command, '--config', config],
    /** Resources that the newest run has published. */
    published: async () => publishedCount(at('exports')),
    ledgerBytes: async () => (await stat(at('state', 'ledger.sqlite'))).size,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** By hand with backpressure: a million lines are no string to hold. */
async function writeRoster(file, patientIds) {
  const stream = createWriteStream(file);
  stream.write('fhir_id\n');
  for (const patientId of patientIds) {
    if (!stream.write(`${patientId}\n`)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
}

function iniOf(settings) {
  const sections = new Map();
  for (const [name, value] of Object.entries(settings)) {
    const [section, key] = name.split('.');
    sections.set(section, [...(sections.get(section) ?? []), `${key} = ${value}`]);
  }
  return [...sections].map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`).join('\n');
}

async function publishedCount(exportFolder) {
  const [jobName] = (await readdir(exportFolder, { withFileTypes: true })).filter((entry) =>
    entry.isDirectory(),
  );
  const current = JSON.parse(await readFile(path.join(exportFolder, jobName.name, 'current.json'), 'utf8'));
  const manifest = path.join(exportFolder, jobName.name, current.runId, 'manifest.json');
  const { output } = JSON.parse(await readFile(manifest, 'utf8'));
  return output.reduce((sum, { count }) => sum + count, 0);
}
