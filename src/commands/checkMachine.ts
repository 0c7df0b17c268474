import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JobConfig } from '../config/schema.ts';
import { byteSize } from '../report/format.ts';
import { openLedgerForReading } from '../run/ledger.ts';
import { freeBytes, networkFileSystem } from '../system/files.ts';
import type { CommandContext } from './context.ts';
import type { Teller } from '../views/checkStep.ts';

/** Steps of `check` that look at this machine alone. */

/** Folders that a program copies into somebody's cloud, by the names their clients give them. */
const CLOUD_FOLDERS: readonly (readonly [RegExp, string])[] = [
  [/^OneDrive( - .+)?$/i, 'OneDrive'],
  [/^Dropbox( \(.+\))?$/i, 'Dropbox'],
  [/^(iCloud ?Drive|Mobile Documents|com~apple~CloudDocs)$/i, 'iCloud'],
  [/^(Google ?Drive|GoogleDrive-.+|My Drive)$/i, 'Google Drive'],
  [/^(Box|Box Sync|Nextcloud|ownCloud|pCloud ?Drive|SynologyDrive)$/i, 'a cloud service'],
];

/** The service that carries a folder away, judged by the names on its path. */
export function cloudServiceOf(folder: string): string | undefined {
  for (const name of path.resolve(folder).split(/[/\\]/)) {
    const found = CLOUD_FOLDERS.find(([pattern]) => pattern.test(name));
    if (found) return found[1];
  }
  return undefined;
}

/** Patient data and keys stay on this machine: no cloud folder, and on a share only on purpose. */
export async function checkFolders(job: JobConfig, to: Teller): Promise<void> {
  const { paths } = job.settings;
  const places = [
    ['exports', paths.epic_data_export_folder],
    ['state', paths.state_folder],
    ['logs', paths.log_folder],
    ['private key', path.dirname(paths.private_key)],
  ] as const;
  const found: string[] = [];
  for (const [what, folder] of places) {
    const cloud = cloudServiceOf(folder);
    if (cloud !== undefined) {
      found.push(what);
      to.tell(
        'folders',
        'problem',
        `${what}: ${folder} is copied to ${cloud}`,
        'Patient data and keys must not leave this machine: name a folder outside it.',
      );
      continue;
    }
    const share = await networkFileSystem(folder);
    if (share !== undefined) {
      found.push(what);
      to.tell(
        'folders',
        'warning',
        `${what}: ${folder} lies on ${share}`,
        'Others may read it there, and it may be away at night; a local disk is better.',
      );
    }
  }
  if (found.length === 0)
    to.tell('folders', 'ok', 'on local disks, and in no folder that a cloud service copies');
}

/** Room for the next run, as large as the last one was. */
export async function checkRoom(job: JobConfig, to: Teller): Promise<void> {
  const { paths } = job.settings;
  const free = await freeBytes(paths.epic_data_export_folder);
  const last = lastBytes(job);
  if (last === undefined) {
    to.tell('disk', 'ok', `${byteSize(free)} free; no run yet to compare with`);
    return;
  }
  const runs = Math.floor(free / Math.max(1, last));
  const detail = `${byteSize(free)} free, the last run took ${byteSize(last)}: room for ${runs} more`;
  if (runs >= 3) to.tell('disk', 'ok', detail);
  else
    to.tell(
      'disk',
      runs < 1 ? 'problem' : 'warning',
      detail,
      'Free space, or keep fewer runs: [retention] keep_runs and keep_days.',
    );
}

function lastBytes({ jobName, settings }: JobConfig): number | undefined {
  const ledger = openLedgerForReading(settings.paths.state_folder);
  try {
    return ledger?.lastPublished(jobName)?.summary?.bytes;
  } finally {
    ledger?.close();
  }
}

/** Which proxy requests to the FHIR server take: the host alone, since its URL may hold a password. */
export function checkProxy(job: JobConfig, { env }: CommandContext, to: Teller): void {
  const { network, epic_settings: epic } = job.settings;
  const variable = (name: string): string | undefined => env[name.toLowerCase()] ?? env[name];
  const host = new URL(epic.epic_endpoint).hostname;
  const passedBy = (variable('NO_PROXY') ?? '')
    .split(/[\s,]+/)
    .map((entry) => entry.replace(/^\*?\./, ''))
    .some((entry) => entry === '*' || (entry !== '' && (host === entry || host.endsWith(`.${entry}`))));
  const isHttps = epic.epic_endpoint.startsWith('https:');
  const fromEnvironment = passedBy ? undefined : variable(isHttps ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  const proxy = network.proxy ?? fromEnvironment;
  if (proxy === undefined) to.tell('proxy', 'ok', 'none: the server is asked directly');
  else {
    const from = network.proxy === undefined ? 'the environment' : '[network] proxy';
    const name = URL.canParse(proxy) ? new URL(proxy).host : 'one that cannot be read';
    to.tell('proxy', 'ok', `${name}, from ${from}`);
  }
}

/** What keeps the daemon alive; only where there is a schedule to keep. */
export function checkKeeper(job: JobConfig, { env }: CommandContext, to: Teller): void {
  if (job.settings.schedule.cron === undefined) return;
  const ecosystem = fileURLToPath(new URL('../../ecosystem.config.cjs', import.meta.url));
  const names = process.platform === 'win32' ? ['pm2.cmd', 'pm2.exe'] : ['pm2'];
  const folders = (env['PATH'] ?? env['Path'] ?? '').split(path.delimiter).filter(Boolean);
  const pm2 = folders
    .flatMap((folder) => names.map((name) => path.join(folder, name)))
    .find((file) => existsSync(file));
  if (pm2 !== undefined) to.tell('daemon', 'ok', `PM2 is there: \`pm2 start ${ecosystem}\``);
  else {
    to.tell(
      'daemon',
      'skipped',
      'a schedule is set, and PM2 is not in PATH',
      `Something has to keep \`fhir-rounds daemon\` alive: PM2 (npm install --global pm2, then pm2 start ${ecosystem}), systemd or another.`,
    );
  }
}
