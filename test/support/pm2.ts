import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { ensureBuilt } from './built.ts';
import type { Site } from './site.ts';
import { temporaryFolder } from './temporaryFolder.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const PM2 = path.join(ROOT, 'node_modules', 'pm2', 'bin', 'pm2');

/** A process as `pm2 jlist` tells of it. */
export interface Pm2Process {
  readonly name: string;
  readonly pid: number;
  readonly pm2_env: {
    readonly status: string;
    readonly restart_time: number;
    readonly exit_code?: number;
    readonly pm_out_log_path: string;
    readonly pm_err_log_path: string;
  };
}

/** The program installed in a folder of its own, whose INI is a site's, and a PM2 that knows of nothing else. */
export interface Pm2Installation {
  readonly folder: string;
  readonly home: string;
  pm2(...args: readonly string[]): Promise<string>;
  /** That of the daemon, or of another name. */
  process(name?: string): Promise<Pm2Process>;
}

/** `env`: what the operator's shell holds beside PATH. */
export async function installUnderPm2(
  site: Site,
  env: Readonly<Record<string, string>> = {},
): Promise<Pm2Installation> {
  await ensureBuilt();
  const folder = await temporaryFolder();
  // As `npm run release` lays it out; without tsconfig.json nothing is built, and a later build cannot disturb it.
  for (const name of ['ecosystem.config.cjs', 'package.json', 'src/bootstrap.mjs', 'dist']) {
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  }
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  await useIni(folder, site);
  const home = path.join(folder, 'pm2');
  const { PATH = '', HOME = '' } = process.env;
  const pm2 = async (...args: readonly string[]): Promise<string> => {
    const options = {
      // From any folder but its own.
      cwd: site.folder,
      env: { PATH, HOME, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', ...env },
    };
    return (await promisify(execFile)(process.execPath, [PM2, ...args], options)).stdout;
  };
  onTestFinished(async () => {
    // Ends this PM2 and its children alone: PM2_HOME names it.
    await pm2('kill');
  });
  const list = async (): Promise<readonly Pm2Process[]> => JSON.parse(await pm2('jlist')) as Pm2Process[];
  return {
    folder,
    home,
    pm2,
    process: async (name = 'fhir-rounds') => {
      const [only, ...others] = (await list()).filter((one) => one.name === name);
      if (only === undefined || others.length > 0) throw new Error(`PM2 does not have one process ${name}`);
      return only;
    },
  };
}

/** The site's INI at its usual place in an installation. */
export async function useIni(folder: string, site: Site): Promise<void> {
  const ini = await readFile(site.configFile, 'utf8');
  await mkdir(path.join(folder, 'config'), { recursive: true });
  await writeFile(
    path.join(folder, 'config', 'fhir-rounds.ini'),
    ini.replace('[paths]\n', `[paths]\napp_folder_name = ${site.folder}\n`),
    { mode: 0o600 },
  );
}
