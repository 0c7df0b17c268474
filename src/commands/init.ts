import { chmod, copyFile, constants } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exampleIni } from '../config/reference.ts';
import { RoundsError } from '../errors.ts';
import { readResourceList } from '../inputs/resourceList.ts';
import { ensureFolder, errno, exists, PRIVATE_MODES, writeDurable } from '../system/files.ts';
import { systemClock } from '../system/clock.ts';
import { EXIT, type CommandContext } from './context.ts';
import { epicApis, type EpicApi } from '../views/epicApis.ts';
import { epicSteps } from '../views/epicSteps.ts';
import { askForSite, baseProblem, type SiteAnswers } from './initQuestions.ts';
import { keysCertificate, keysGenerate } from './keys.ts';

export interface InitCommand {
  /** The folder that becomes the site's; its `config` and `data` are made when missing. */
  readonly folder: string;
  readonly clientId: string | undefined;
  readonly fhirBase: string | undefined;
  /** A roster that is there already; without it, a sample is written. */
  readonly rosterFile: string | undefined;
}

/**
 * `init`: a new site. Writes a commented INI, sample CSVs, a key pair and its certificate; replaces nothing that is
 * there, and says what to do at Epic. At a terminal it asks for what was not given. Throws USAGE.
 */
export async function initCommand(given: InitCommand, context: CommandContext): Promise<number> {
  const command = { ...given, ...(await answersOf(given, context)) };
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
  const samples = command.rosterFile === undefined ? ['roster', 'resources'] : ['resources'];
  for (const name of samples) {
    const to = path.join(data, `${name}.csv`);
    if (await copyNew(fileURLToPath(new URL(`../../data/${name}.example.csv`, import.meta.url)), to))
      made.push(to);
  }
  const known: Record<string, string> = {};
  if (command.clientId !== undefined) known['oauth_settings.client_id'] = command.clientId;
  if (command.fhirBase !== undefined) known['epic_settings.epic_endpoint'] = command.fhirBase;
  if (command.rosterFile !== undefined) {
    known['data_sources.epic_sandbox_roster'] = path.resolve(command.rosterFile);
  }
  await writeDurable(ini, exampleIni(known));
  made.push(ini);
  const apis = epicApis(await readResourceList(path.join(data, 'resources.csv')));
  if (context.json) context.print(JSON.stringify({ files: made, thumbprint, apis }));
  else {
    for (const file of made) context.print(`made ${file}`);
    for (const line of nextSteps(command, ini, thumbprint, apis)) context.print(line);
  }
  return EXIT.complete;
}

async function answersOf(given: InitCommand, context: CommandContext): Promise<SiteAnswers> {
  if (given.fhirBase !== undefined) {
    const problem = baseProblem(given.fhirBase);
    if (problem !== undefined) throw new RoundsError('USAGE', `--base: ${problem}`);
  }
  const asks = context.asksAtTerminal && !context.json && !context.quiet;
  const answers = asks ? await askForSite(given, context) : given;
  if (answers.rosterFile !== undefined && !(await exists(answers.rosterFile))) {
    throw new RoundsError('USAGE', `there is no roster ${answers.rosterFile}`);
  }
  return answers;
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

function* nextSteps(
  { clientId, fhirBase, rosterFile }: SiteAnswers,
  ini: string,
  thumbprint: string | undefined,
  apis: readonly EpicApi[],
): Generator<string> {
  const certificateFile = 'config/certificate.pem';
  const atEpic = epicSteps({ iniFile: ini, certificateFile, thumbprint, isConfigured: false });
  const steps = [
    ...(clientId === undefined
      ? [`Put the client ID of Epic's registration into ${ini}: [oauth_settings] client_id.`]
      : []),
    ...(fhirBase === undefined ? [`Put the site's R4 base into ${ini}: [epic_settings] epic_endpoint.`] : []),
    ...atEpic.map(({ text, ways }) => [text, ...ways.map((way) => `   - ${way}`)].join('\n')),
    rosterFile === undefined
      ? 'Write the patients into data/roster.csv and the resource types into data/resources.csv.'
      : 'Write the resource types into data/resources.csv.',
    `See whether all is well: fhir-rounds check --config ${ini}`,
  ];
  yield '';
  for (const [index, step] of steps.entries()) yield `${index + 1}. ${step}`;
  yield '';
  yield 'APIs to tick for data/resources.csv as it is (names as the portal had them lately; it renames some):';
  for (const { name, certainty } of apis) {
    yield `  ${name}${certainty === 'L' ? '   (a guess: look for what the portal calls it)' : ''}`;
  }
}
