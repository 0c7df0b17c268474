import { chmod, copyFile, constants } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exampleIni } from '../config/reference.ts';
import { RoundsError } from '../errors.ts';
import { ensureFolder, errno, exists, PRIVATE_MODES, writeDurable } from '../system/files.ts';
import { systemClock } from '../system/clock.ts';
import { EXIT, type CommandContext } from './context.ts';
import { keysCertificate, keysGenerate } from './keys.ts';

export interface InitCommand {
  /** The folder that becomes the site's; its `config` and `data` are made when missing. */
  readonly folder: string;
  readonly clientId: string | undefined;
  readonly fhirBase: string | undefined;
}

/**
 * `init`: a new site. Writes a commented INI, sample CSVs, a key pair and its certificate; replaces nothing that is
 * there. Works without a terminal.
 */
export async function initCommand(command: InitCommand, context: CommandContext): Promise<number> {
  const folder = path.resolve(command.folder);
  const config = path.join(folder, 'config');
  const data = path.join(folder, 'data');
  const ini = path.join(config, 'fhir-rounds.ini');
  if (await exists(ini)) {
    throw new RoundsError('USAGE', `${ini} exists already`, {
      hint: 'Edit it, or name another folder with --folder.',
    });
  }
  await ensureFolder(config);
  await ensureFolder(data);
  const place = { privateKeyFile: path.join(config, 'private-key.pem'), algorithm: 'RS384' } as const;
  const made: string[] = [];
  if (!(await exists(place.privateKeyFile))) {
    const keys = await keysGenerate({
      ...place,
      publicKeyFile: path.join(config, 'public-key.pem'),
      spec: { kind: 'RSA', bits: 2048 },
    });
    made.push(...keys.files.map((file) => file.path));
  }
  const certificate = path.join(config, 'certificate.pem');
  let thumbprint: string | undefined;
  if (!(await exists(certificate))) {
    const result = await keysCertificate({
      ...place,
      outFile: certificate,
      subjectCommonName: 'fhir-rounds',
      days: 730,
      clock: systemClock,
    });
    thumbprint = result.certificate?.sha1;
    made.push(certificate);
  }
  for (const name of ['roster', 'resources']) {
    const to = path.join(data, `${name}.csv`);
    if (await copyNew(fileURLToPath(new URL(`../../data/${name}.example.csv`, import.meta.url)), to))
      made.push(to);
  }
  const known: Record<string, string> = {};
  if (command.clientId !== undefined) known['oauth_settings.client_id'] = command.clientId;
  if (command.fhirBase !== undefined) known['epic_settings.epic_endpoint'] = command.fhirBase;
  await writeDurable(ini, exampleIni(known));
  made.push(ini);
  if (context.json) context.print(JSON.stringify({ files: made, thumbprint }));
  else context.print(nextSteps(made, thumbprint, command, folder));
  return EXIT.complete;
}

async function copyNew(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL);
    // Patients will be written into it; the copy has the mode of the sample.
    await chmod(to, PRIVATE_MODES.file);
    return true;
  } catch (error) {
    if (errno(error) === 'EEXIST') return false;
    throw error;
  }
}

function nextSteps(
  made: readonly string[],
  thumbprint: string | undefined,
  command: InitCommand,
  folder: string,
): string {
  const ini = path.join(folder, 'config', 'fhir-rounds.ini');
  const steps = [
    ...(command.clientId === undefined
      ? [`Put the client ID of Epic's registration into ${ini}: [oauth_settings] client_id.`]
      : []),
    ...(command.fhirBase === undefined
      ? [`Put the site's R4 base into ${ini}: [epic_settings] epic_endpoint.`]
      : []),
    `Register the key at Epic: host a JWKS (fhir-rounds keys jwks --out jwks.json), or upload config/certificate.pem` +
      (thumbprint === undefined ? '.' : `; its thumbprint is ${thumbprint}.`),
    'Write the patients into data/roster.csv and the resource types into data/resources.csv.',
    `Try it: fhir-rounds check --config ${ini}`,
  ];
  return [
    ...made.map((file) => `made ${file}`),
    '',
    ...steps.map((step, index) => `${index + 1}. ${step}`),
  ].join('\n');
}
