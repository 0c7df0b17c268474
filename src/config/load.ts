import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'ini';
import { RoundsError, throwIfProblems } from '../errors.ts';
import type { Problem } from '../errors.ts';
import { errno, isWindows } from '../system/files.ts';
import { assignEntries } from './assign.ts';
import type { GivenKeys, IniContent } from './assign.ts';
import { checkFolders, checkJob } from './checks.ts';
import type { Findings, WhereOf } from './checks.ts';
import { parseDotEnv } from './dotEnv.ts';
import type { DotEnv } from './dotEnv.ts';
import { scanIni } from './iniText.ts';
import { interpolate } from './interpolate.ts';
import { layerJob, referenceFinder } from './layers.ts';
import { didYouMean } from './nearest.ts';
import { resolveSettings } from './resolve.ts';
import { KEYS, METHODS } from './schema.ts';
import type { Config, JobConfig, Settings } from './schema.ts';
import { pathProblem } from './values.ts';
import type { ReadValue } from './values.ts';
import { readVariables } from './variables.ts';
import type { Variables } from './variables.ts';

export interface LoadOptions {
  /** The INI, absolute or relative to `cwd`; named in messages as it is given here. */
  readonly file: string;
  /** The process environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** The scheduler's judgement of a cron expression: what is wrong, or undefined. Default: a check of the syntax. */
  readonly validateCron?: (text: string) => string | undefined;
  /** false: required keys may be missing and are then empty text, for commands that reach no server. Default true. */
  readonly complete?: boolean;
}

/**
 * Reads the INI, the `.env` beside it and the environment into the settings of every job. Opens no other file but
 * those that hold secrets; whether paths exist is for the preflight to say.
 *
 * @throws RoundsError CONFIG_MISSING: there is no such file. CONFIG_INVALID: with all problems at once, each as
 *   `file:line [section] key: what is wrong, and what to write`; no message holds a secret.
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  const file = path.resolve(options.cwd ?? '.', options.file);
  const folder = path.dirname(file);
  const name = options.file;
  const dotEnvFile = path.join(folder, '.env');
  const files = new Set([file, dotEnvFile]);
  const text = await readIni(file, name);
  const lines = scanIni(text, name);
  const content = assignEntries(lines, parse(text), name);
  const dotEnvName = path.join(path.dirname(name), '.env');
  const variables = readVariables(options.env, await readDotEnv(dotEnvFile, dotEnvName), dotEnvName);
  const found: Findings = {
    problems: [...content.problems, ...variables.problems],
    warnings: [...content.warnings, ...variables.warnings],
  };

  const appFolder = findAppFolder(folder, content, variables, found);
  const jobs: JobConfig[] = [];
  const sources: Record<string, Readonly<Record<string, string>>> = {};
  const wheres = new Map<string, string>();
  const named = content.jobs.size > 0 ? content.jobs : new Map<string, GivenKeys>([['default', new Map()]]);
  for (const [jobName, own] of named) {
    const layered = layerJob(own, content, variables);
    found.problems.push(...layered.problems);
    found.warnings.push(...layered.warnings);
    const app = layered.keys.get('paths.app_folder_name');
    if (app !== undefined) layered.keys.set('paths.app_folder_name', { ...app, text: appFolder });
    for (const [key, given] of layered.keys) wheres.set(`${jobName} ${key}`, given.where);
    const resolved = await resolveSettings(layered.keys, {
      appFolder,
      validateCron: options.validateCron,
      iniName: name,
      find: referenceFinder(layered.keys, content.ignored, variables.all, appFolder),
      isPresent: (section) => content.present.has(section) || isGiven(section, layered.keys),
      isBroken: (key) => content.broken.has(key),
      complete: options.complete ?? true,
      readSecretFile: (secretFile) => {
        files.add(secretFile);
        return readSecretFile(secretFile);
      },
    });
    found.problems.push(...resolved.problems);
    sources[jobName] = resolved.sources;
    jobs.push({ jobName, method: readMethod(own, found), settings: resolved.settings });
  }

  const whereOf: WhereOf = (jobName, key) =>
    wheres.get(`${jobName} ${key}`) ?? `${name} [${key.replace('.', '] ')}`;
  // Rules between keys mean nothing while a key itself is wrong.
  if (found.problems.length === 0) {
    for (const job of jobs) checkJob(job, whereOf, found);
    checkFolders(jobs, whereOf, found);
  }
  throwIfProblems('CONFIG_INVALID', sorted(found.problems));
  const secrets = [...new Set(jobs.flatMap(({ settings }) => secretValues(settings)))];
  if (await isReadByOthers(file)) {
    const inClear = [...KEYS.values()].filter(
      ({ name: key, spec }) => spec.secret === true && content.base.has(key),
    );
    for (const { key } of inClear)
      found.warnings.push(`${name}: others can read ${key} here; chmod 600 ${name}`);
  }
  return { file, files: [...files], jobs, warnings: [...new Set(found.warnings)], secrets, sources };
}

async function readIni(file: string, name: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new RoundsError('CONFIG_MISSING', `${name} cannot be read: ${errno(error) ?? 'unknown'}`, {
      cause: error,
    });
  }
  const text = decodeText(bytes);
  if (text !== undefined) return text;
  throwIfProblems('CONFIG_INVALID', [{ where: name, what: 'is not UTF-8 text; save it as UTF-8' }]);
  return '';
}

/** UTF-8 text without its byte order mark; undefined for anything else (Notepad's UTF-16, say). */
function decodeText(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

async function readDotEnv(file: string, name: string): Promise<DotEnv> {
  try {
    const text = decodeText(await readFile(file));
    if (text !== undefined) return parseDotEnv(text, name);
    return { values: new Map(), problems: [{ where: name, what: 'is not UTF-8 text; save it as UTF-8' }] };
  } catch (error) {
    if (errno(error) === 'ENOENT') return { values: new Map(), problems: [] };
    return {
      values: new Map(),
      problems: [{ where: name, what: `cannot be read: ${errno(error) ?? 'unknown'}` }],
    };
  }
}

/** app_folder_name, absolute. Unset it is the INI's folder, or the one above when that is named `config`. */
function findAppFolder(folder: string, content: IniContent, variables: Variables, found: Findings): string {
  const unset = path.basename(folder) === 'config' ? path.dirname(folder) : folder;
  const given = variables.overrides.get('paths.app_folder_name') ?? content.base.get('paths.app_folder_name');
  if (given === undefined || given.text === '') return unset;
  const { keys } = layerJob(new Map(), content, variables);
  const find = referenceFinder(keys, content.ignored, variables.all, undefined);
  const result = interpolate(given.text, 'paths', find, new Set());
  const problem = 'problem' in result ? result.problem : pathProblem(result.text.trim());
  if (problem !== undefined) found.problems.push({ where: given.where, what: problem });
  return 'text' in result && problem === undefined ? path.resolve(folder, result.text.trim()) : unset;
}

function isGiven(section: string, keys: GivenKeys): boolean {
  return [...keys].some(([key, { source }]) => source !== 'default' && key.startsWith(`${section}.`));
}

function readMethod(job: GivenKeys, found: Findings): JobConfig['method'] {
  const given = job.get('method');
  if (given === undefined || given.text === '') return 'crawl';
  const method = METHODS.find((word) => word === given.text.toLowerCase());
  if (method !== undefined) return method;
  const what = `is "${given.text}"${didYouMean(given.text, METHODS)}; write ${METHODS.join(' or ')}`;
  found.problems.push({ where: given.where, what });
  return 'crawl';
}

async function readSecretFile(file: string): Promise<ReadValue> {
  try {
    const text = decodeText(await readFile(file));
    // The line end that editors and `echo` add is not part of a password.
    const value = text?.replace(/\r?\n$/, '');
    if (value === undefined || /[\r\n]/.test(value))
      return { problem: `names ${file}, which is not one line of text` };
    return value === '' ? { problem: `names ${file}, which is empty; write the secret into it` } : { value };
  } catch (error) {
    return { problem: `names ${file}, which cannot be read: ${errno(error) ?? 'unknown'}` };
  }
}

function secretValues({ email, network, notify }: Settings): string[] {
  const { password } = network.proxy === undefined ? { password: '' } : new URL(network.proxy);
  let decoded = password;
  try {
    decoded = decodeURIComponent(password);
  } catch {
    // A stray % stands for itself.
  }
  return [email?.smtp_pass, notify.ping_url, password, decoded].filter(
    (value) => value !== undefined && value !== '',
  ) as string[];
}

async function isReadByOthers(file: string): Promise<boolean> {
  return !isWindows && ((await stat(file)).mode & 0o077) !== 0;
}

/** Each problem once (jobs share sections), by line where there is one. */
function sorted(problems: readonly Problem[]): Problem[] {
  const unique = new Map(problems.map((problem) => [`${problem.where}\n${problem.what}`, problem]));
  const lineOf = ({ where }: Problem): number => Number(/:(\d+)/.exec(where)?.[1] ?? Infinity);
  return [...unique.values()].sort((a, b) => (lineOf(a) === lineOf(b) ? 0 : lineOf(a) - lineOf(b)));
}
