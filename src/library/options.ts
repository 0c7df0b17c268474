import type { KeyObject } from 'node:crypto';
import path from 'node:path';
import { didYouMean } from '../config/nearest.ts';
import { plainConfig, type PlainSetting } from '../config/plainJob.ts';
import type { Config } from '../config/schema.ts';
import type { Problem } from '../errors.ts';
import type { RunEvent } from '../run/events.ts';

/** What a call can be given beside what it asks. */
export interface CallOptions {
  /** Ends the call, whatever it waits for: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A FHIR server and how it is asked, in place of an INI: its keys under names of a program, with the same defaults. */
export interface ServerOptions {
  /** R4 base URL. https; plain http is taken towards loopback only. */
  readonly endpoint: string;
  /** Client id of the registration. */
  readonly clientId: string;
  /** The exact token URL. Default: asked of the FHIR server (`.well-known/smart-configuration`). */
  readonly tokenEndpoint?: string | undefined;
  /** Scopes to ask for, separated by spaces. Default: none, and Epic derives them from the registration. */
  readonly scope?: string | undefined;
  /** Default RS384. ES256 and ES384 need a registered JWKS URL. */
  readonly algorithm?: 'RS256' | 'RS384' | 'RS512' | 'ES256' | 'ES384' | undefined;
  /** `kid` of the key in the JWKS. Default: the one a JWK names, else the key's RFC 7638 thumbprint. */
  readonly keyId?: string | undefined;
  /** PEM file of certificate authorities to trust besides the known ones. */
  readonly caFile?: string | undefined;
  /** Proxy for https. Default: HTTPS_PROXY and NO_PROXY of the environment. */
  readonly proxy?: string | undefined;
  /** Resources asked for in one page (`_count`), 1 to 1000. Default 100. */
  readonly pageSize?: number | undefined;
  /** `post` keeps patients' ids out of URLs and proxies' logs. Default `get`. */
  readonly searchMethod?: 'get' | 'post' | undefined;
  /** Requests under way at once, at most, 1 to 64. Default 5, what Epic sites are used to. */
  readonly concurrency?: number | undefined;
  /** Requests started in a second, at most. Default 0: only `concurrency` limits. */
  readonly requestsPerSecond?: number | undefined;
  /** How long one request may take, in seconds. Default 300: Epic searches can take minutes. */
  readonly timeoutSeconds?: number | undefined;
  /** Tries of one request, 1 to 20. Default 5. */
  readonly maxAttempts?: number | undefined;
  /** How long a server that is away is waited for, in minutes. Default 60. */
  readonly maxOutageMinutes?: number | undefined;
}

/** What {@link createClient} is given where there is no INI: one of `privateKeyFile` and `privateKey`. */
export interface ClientOptions extends ServerOptions, CallOptions {
  /** PEM (PKCS#1, PKCS#8, SEC1) or JWK, readable by its owner alone. */
  readonly privateKeyFile?: string | undefined;
  /** The key itself: text of such a file, or Node's object. */
  readonly privateKey?: string | KeyObject | undefined;
}

/** What {@link bulkExport} is given. */
export interface BulkExportOptions extends ServerOptions, CallOptions {
  /** PEM (PKCS#1, PKCS#8, SEC1) or JWK, readable by its owner alone. */
  readonly privateKeyFile: string;
  /** Where `exports/`, `state/` and `logs/` of this export are kept; made when missing. */
  readonly folder: string;
  /** Id of the Group that is exported; needed with `level: 'group'`. */
  readonly groupId?: string | undefined;
  /** Which `$export` is asked for. Default `group`, the only one at Epic. */
  readonly level?: 'group' | 'patient' | 'system' | undefined;
  /** Resource types (`_type`). */
  readonly types: readonly string[];
  /** Only what changed since (`_since`): an instant, or `last` for the last complete export into this folder. */
  readonly since?: string | undefined;
  /** First wait for the export, in seconds, where the server names none; further ones are longer. Default 30. */
  readonly firstPollSeconds?: number | undefined;
  /** An export that is not done after so many hours is given up. Default 336. */
  readonly maxWaitHours?: number | undefined;
  /** Is told how far it is. Must not throw. */
  readonly onEvent?: ((event: RunTold) => void) | undefined;
}

/** What a run tells while it works, with no PHI in it. Events may be added: pass over those that you do not know. */
export type RunTold = RunEvent | { readonly event: 'remark'; readonly text: string };

const OF_SERVER: Readonly<Record<string, string>> = {
  endpoint: 'epic_settings.epic_endpoint',
  clientId: 'oauth_settings.client_id',
  tokenEndpoint: 'oauth_settings.token_endpoint',
  scope: 'oauth_settings.scope',
  algorithm: 'jwt_settings.jwt_algorithm',
  keyId: 'jwt_settings.key_id',
  caFile: 'network.ca_file',
  proxy: 'network.proxy',
  pageSize: 'api_settings.page_size',
  searchMethod: 'api_settings.search_method',
  concurrency: 'api_settings.concurrency',
  requestsPerSecond: 'api_settings.requests_per_second',
  timeoutSeconds: 'api_settings.timeout_seconds',
  maxAttempts: 'api_settings.max_attempts',
  maxOutageMinutes: 'api_settings.max_outage_minutes',
  privateKeyFile: 'paths.private_key',
} satisfies Record<Exclude<keyof ClientOptions, 'privateKey' | 'signal'>, string>;

const OF_EXPORT: Readonly<Record<string, string>> = {
  ...OF_SERVER,
  groupId: 'bulk.group_id',
  level: 'bulk.level',
  types: 'bulk.types',
  since: 'bulk.since',
  firstPollSeconds: 'bulk.first_poll_seconds',
  maxWaitHours: 'bulk.max_wait_hours',
};

/** A client's options as a configuration. `folder`: what relative paths are against. @throws RoundsError CONFIG_INVALID */
export async function configOfClient(options: ClientOptions, folder: string): Promise<Config> {
  const { settings, problems } = settingsOf({ ...options }, OF_SERVER, ['privateKey', 'signal']);
  for (const name of ['endpoint', 'clientId'] as const) {
    if (!options[name]) problems.push({ where: name, what: 'is not set' });
  }
  if ((options.privateKey === undefined) === (options.privateKeyFile === undefined)) {
    problems.push({
      where: 'privateKey',
      what: 'is not set, or stands beside privateKeyFile; give one of the two',
    });
  }
  return plainConfig({ jobName: 'client', method: 'crawl' }, settings, folder, problems);
}

/** An export's options as a configuration whose only job is that export. @throws RoundsError CONFIG_INVALID */
export async function configOfExport(options: BulkExportOptions, folder: string): Promise<Config> {
  const { settings, problems } = settingsOf({ ...options }, OF_EXPORT, ['folder', 'signal', 'onEvent']);
  for (const name of ['endpoint', 'clientId', 'privateKeyFile', 'folder'] as const) {
    if (!options[name]) problems.push({ where: name, what: 'is not set' });
  }
  const { level = 'group' } = options;
  if (level === 'group' && !options.groupId) {
    problems.push({ where: 'groupId', what: 'is not set, which level group needs' });
  }
  if (!options.types?.length) problems.push({ where: 'types', what: 'names no resource type' });
  const places = { epic_data_export_folder: 'exports', state_folder: 'state', log_folder: 'logs' };
  const folders = Object.entries(places).map(([key, place]): PlainSetting => {
    return {
      setting: `paths.${key}`,
      text: path.resolve(folder, options.folder ?? '', place),
      where: 'folder',
    };
  });
  return plainConfig({ jobName: 'bulk', method: 'bulk' }, [...settings, ...folders], folder, problems);
}

function settingsOf(
  options: Readonly<Record<string, unknown>>,
  names: Readonly<Record<string, string>>,
  others: readonly string[],
): { readonly settings: readonly PlainSetting[]; readonly problems: Problem[] } {
  const settings: PlainSetting[] = [];
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || others.includes(name)) continue;
    const setting = Object.hasOwn(names, name) ? names[name] : undefined;
    if (setting === undefined) {
      problems.push({
        where: name,
        what: `is no option${didYouMean(name, [...Object.keys(names), ...others])}`,
      });
    } else settings.push({ setting, text: textOf(value), where: name });
  }
  return { settings, problems };
}

/** As it would stand in the INI, where a list is separated by commas. */
function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}
