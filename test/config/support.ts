import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { LoadOptions } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { RoundsError } from '../../src/errors.ts';

/** An INI that is complete and right. */
export const MINIMAL = `[paths]
private_key = key.pem
[oauth_settings]
client_id = abc
[epic_settings]
epic_endpoint = https://fhir.example/api/FHIR/R4
`;

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

/** A real folder that is gone after the test. */
async function makeFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'rounds-')));
  folders.push(folder);
  return folder;
}

export type Env = Readonly<Record<string, string>>;

/** Files by name below a new folder; `config/rounds.ini` is the INI of `load`. */
export async function writeFiles(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const folder = await makeFolder();
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o600 });
  }
  return folder;
}

/** Loads `rounds.ini` of a new folder. Messages name it `rounds.ini`. */
export async function load(
  ini: string | Buffer,
  env: Env = {},
  files: Readonly<Record<string, string>> = {},
  options: Partial<LoadOptions> = {},
): Promise<Config & { readonly folder: string }> {
  const folder = await writeFiles({ 'rounds.ini': ini, ...files });
  return { ...(await loadConfig({ file: 'rounds.ini', cwd: folder, env, ...options })), folder };
}

/** The problems as lines `where: what`; fails when the configuration loads. */
export async function problemsOf(
  ini: string | Buffer,
  env: Env = {},
  files: Readonly<Record<string, string>> = {},
): Promise<readonly string[]> {
  try {
    await load(ini, env, files);
  } catch (error) {
    if (!(error instanceof RoundsError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.problems.map(({ where, what }) => `${where}: ${what}`);
  }
  throw new Error('the configuration loaded');
}

/** The settings of the only job. */
export async function settingsOf(ini: string, env: Env = {}, files: Readonly<Record<string, string>> = {}) {
  return (await load(ini, env, files)).jobs[0]!.settings;
}
