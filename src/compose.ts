import { readFile } from 'node:fs/promises';
import type { TokenService } from './auth/accessToken.ts';
import type { Config, JobConfig } from './config/schema.ts';
import { RoundsError } from './errors.ts';
import type { ConsoleAdapters } from './console/parts.ts';
import type { FhirClient } from './fhir/client.ts';
import type { ServerGate, ServerLimits } from './fhir/serverGate.ts';
import type { UrlPolicy } from './fhir/urlPolicy.ts';
import type { Mailer } from './report/mail.ts';
import type { DrainResult } from './report/outbox.ts';
import type { RunTeller } from './report/teller.ts';
import type { Emit } from './run/events.ts';
import type { Ledger } from './run/ledger.ts';
import type { Access } from './run/preflight.ts';
import type { Server } from './run/deps.ts';
import type { ServerPause } from './run/serverPause.ts';
import type { StateLedger } from './run/stateLedger.ts';
import { createHours } from './schedule/hours.ts';
import type { Clock } from './system/clock.ts';
import type { Http } from './system/http.ts';
import type { Log } from './system/logger.ts';

/**
 * The only file that constructs adapters. Each is loaded when it is first needed, so that `status` pays for no
 * HTTP, mail or JOSE library.
 */

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** What of this machine a server's client needs. */
export type ServerAccess = Pick<Access, 'key' | 'keyId' | 'caPem'>;

/** How many failures in a row count as "the server is away": more than one round of all workers. */
const FAILURES_BEFORE_PROBING_FACTOR = 2;
const PROBE_TIMEOUT_MS = 30_000;

/** The ledger of an INI's jobs, replaced when it is damaged. `say` tells a person at once. */
export async function openStateLedger(
  { jobs }: Config,
  { clock, log }: Pick<Surroundings, 'clock' | 'log'>,
  say: (text: string) => void,
): Promise<StateLedger> {
  const { checkStateFolder } = await import('./run/preflight.ts');
  const { StateLedger } = await import('./run/stateLedger.ts');
  const stateFolder = jobs[0]!.settings.paths.state_folder;
  await checkStateFolder(stateFolder);
  return StateLedger.open({ stateFolder, jobs, clock, log, say });
}

/** A source of access tokens for a job; discovers the token endpoint where the INI names none. */
export async function openTokenService(
  job: JobConfig,
  access: ServerAccess,
  around: Surroundings,
): Promise<TokenService> {
  const { createHttp } = await import('./system/http.ts');
  const { AccessTokenSource } = await import('./auth/accessToken.ts');
  const { discoverTokenEndpoint } = await import('./auth/smartConfiguration.ts');
  const {
    api_settings: api,
    network,
    oauth_settings: oauth,
    jwt_settings: jwt,
    epic_settings: epic,
  } = job.settings;
  const http = createHttp({
    caPem: access.caPem,
    proxy: network.proxy,
    // One for each worker, and one for a token or a probe while they wait.
    connections: api.concurrency + 1,
    timeoutMs: api.timeout_seconds * 1000,
  });
  try {
    const tokenEndpoint =
      oauth.token_endpoint ??
      (await discoverTokenEndpoint({ fhirBase: epic.epic_endpoint, http, signal: around.signal }))
        .tokenEndpoint;
    const source = new AccessTokenSource({
      http,
      clock: around.clock,
      log: around.log,
      signal: around.signal,
      random: around.random,
      key: access.key,
      keyId: access.keyId,
      clientId: oauth.client_id,
      tokenEndpoint,
      scope: oauth.scope,
      assertionLifetimeSeconds: jwt.jwt_expiry_minutes * 60,
      maxAttempts: api.max_attempts,
    });
    return {
      source,
      tokenEndpoint,
      http,
      close: async () => {
        await source.close();
        await http.close();
      },
    };
  } catch (error) {
    await http.close();
    throw error;
  }
}

/** What asks a FHIR server; nothing was asked yet. */
export interface Asker {
  readonly client: FhirClient;
  readonly gate: ServerGate;
  readonly urlPolicy: UrlPolicy;
}

/** Opens no connection; the token service stays the caller's. `pause`: a pause that others heard of, and whom to tell. */
export async function openClient(
  job: JobConfig,
  tokens: TokenService,
  around: Surroundings,
  emit: Emit,
  afterOutage: 'SERVER_AWAY' | 'RUN_PAUSED',
  pauseOf?: (fhirBase: string) => ServerPause,
): Promise<Asker> {
  const { FhirClient } = await import('./fhir/client.ts');
  const { ServerGate } = await import('./fhir/serverGate.ts');
  const { createUrlPolicy } = await import('./fhir/urlPolicy.ts');
  const { api_settings: api, epic_settings: epic, oauth_settings: oauth } = job.settings;
  const urlPolicy = createUrlPolicy({
    fhirBase: epic.epic_endpoint,
    tokenEndpoint: tokens.tokenEndpoint,
    fileOrigins: job.settings.bulk.file_origins ?? [],
  });
  const pause = pauseOf?.(urlPolicy.base);
  const gate = new ServerGate({
    ...around,
    emit: (event) => {
      pause?.hear(event);
      emit(event);
    },
    limits: limitsOf(job, around.clock),
    maxOutageMs: api.max_outage_minutes * 60_000,
    afterOutage,
    failuresBeforeProbing: Math.max(5, FAILURES_BEFORE_PROBING_FACTOR * api.concurrency),
    probe: (signal) => probe(tokens.http, `${urlPolicy.base}/metadata`, signal),
  });
  gate.pauseFor((await pause?.left()) ?? 0);
  const client = new FhirClient({
    ...around,
    http: tokens.http,
    gate,
    urlPolicy,
    fhirBase: urlPolicy.base,
    clientId: oauth.client_id,
    getAccessToken: () => tokens.source.getAccessToken(),
    invalidateToken: (token) => tokens.source.invalidate(token),
    maxAttempts: api.max_attempts,
    searchMethod: api.search_method,
  });
  return { client, gate, urlPolicy };
}

/** Gets a token, reads the CapabilityStatement and hands back the server as a run uses it. */
export async function connectServer(
  job: JobConfig,
  access: ServerAccess,
  around: Surroundings,
  emit: Emit,
  afterOutage: 'SERVER_AWAY' | 'RUN_PAUSED' = 'SERVER_AWAY',
): Promise<Server> {
  const tokens = await openTokenService(job, access, around);
  try {
    const { serverPause } = await import('./run/serverPause.ts');
    const { dialectOf } = await import('./fhir/searchRules.ts');
    const { missingScopes } = await import('./auth/scopes.ts');
    const { state_folder: stateFolder } = job.settings.paths;
    const { client, urlPolicy } = await openClient(job, tokens, around, emit, afterOutage, (fhirBase) =>
      serverPause(stateFolder, fhirBase, around.clock),
    );
    await tokens.source.getAccessToken();
    const capability = await client.capability();
    const { requestedScopes, grantedScopes } = tokens.source;
    const missing = grantedScopes ? missingScopes(requestedScopes, grantedScopes) : [];
    return {
      client,
      urlPolicy,
      capability,
      dialect: dialectOf(capability, urlPolicy.base),
      notes: missing.length > 0 ? [`Scopes asked for and not granted: ${missing.join(', ')}.`] : [],
      close: () => tokens.close(),
    };
  } catch (error) {
    await tokens.close();
    throw error;
  }
}

/** What the console reaches FHIR servers and token endpoints by; each is opened when it is first used. */
export function consoleAdapters(around: Surroundings): ConsoleAdapters {
  return {
    connect: async (job) => connectServer(job, await accessOf(job, around), around, () => undefined),
    openTokens: async (job, access) => {
      const { network } = job.settings;
      if (access === undefined) return openTokenService(job, await accessOf(job, around), around);
      const caPem = network.ca_file === undefined ? undefined : await readFile(network.ca_file, 'utf8');
      return openTokenService(job, { ...access, caPem }, around);
    },
  };
}

async function accessOf(job: JobConfig, { signal }: Surroundings): Promise<Access> {
  const { checkAccess } = await import('./run/preflight.ts');
  return checkAccess(job, signal, 'look');
}

/** What the server may be asked at this moment: less in its peak hours. */
function limitsOf({ settings }: JobConfig, clock: Clock): () => ServerLimits {
  const { api_settings: api, schedule } = settings;
  const usual = { concurrency: api.concurrency, requestsPerSecond: api.requests_per_second };
  if (api.peak_hours === undefined) return () => usual;
  const peak = createHours(api.peak_hours, schedule.timezone);
  const lower = {
    concurrency: api.peak_concurrency ?? usual.concurrency,
    requestsPerSecond: api.peak_requests_per_second ?? usual.requestsPerSecond,
  };
  return () => (peak.isOpen(clock.now()) ? lower : usual);
}

async function probe(http: Http, url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { status } = await http.request({ method: 'GET', url, signal, timeoutMs: PROBE_TIMEOUT_MS });
    return status < 500;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RoundsError) return false;
    throw error;
  }
}

/** The mailer of a job as configured now; undefined without an [email] section. */
export async function openMailer(job: JobConfig): Promise<Mailer | undefined> {
  const { email } = job.settings;
  if (email === undefined) return undefined;
  const { createMailer } = await import('./report/mail.ts');
  const caPem = email.smtp_tls_ca === undefined ? undefined : await readFile(email.smtp_tls_ca, 'utf8');
  return createMailer({
    host: email.smtp_host,
    port: email.smtp_port,
    secure: email.smtp_secure,
    auth: email.smtp_auth,
    ...(email.smtp_user === undefined ? {} : { user: email.smtp_user }),
    ...(email.smtp_pass === undefined ? {} : { pass: email.smtp_pass }),
    ...(caPem === undefined ? {} : { caPem }),
    from: email.notification_from,
    to: email.notification_to,
  });
}

/** Who is told of a job's runs beside the mail: a watchdog's URL, a program of the site's. */
export async function openTeller(
  { settings }: JobConfig,
  { clock, log, signal }: Pick<Surroundings, 'clock' | 'log' | 'signal'>,
): Promise<RunTeller> {
  const { RunTeller } = await import('./report/teller.ts');
  const { notify, network } = settings;
  let http: Http | undefined;
  if (notify.ping_url !== undefined) {
    const { createHttp } = await import('./system/http.ts');
    const caPem = network.ca_file === undefined ? undefined : await readFile(network.ca_file, 'utf8');
    http = createHttp({ caPem, proxy: network.proxy });
  }
  return new RunTeller({
    http,
    pingUrl: notify.ping_url,
    command: notify.notify_command,
    clock,
    log,
    signal,
  });
}

/** Sends what waits in the outbox, of all jobs of this configuration. Never fails a run. `atOnce`: see DrainOptions. */
export async function sendWaitingMail(
  config: Config,
  ledger: Ledger,
  around: Surroundings,
  atOnce = false,
): Promise<DrainResult> {
  const { drainOutbox } = await import('./report/outbox.ts');
  const mailers = new Map<string, Promise<Mailer | undefined>>();
  try {
    return await drainOutbox({
      ...around,
      store: ledger.outbox,
      atOnce,
      mailerFor: (jobName) => {
        const job = config.jobs.find((one) => one.jobName === jobName);
        if (job === undefined) return undefined;
        const mailer = mailers.get(jobName) ?? openMailer(job);
        mailers.set(jobName, mailer);
        return mailer;
      },
    });
  } finally {
    for (const mailer of mailers.values()) (await mailer.catch(() => undefined))?.close();
  }
}
