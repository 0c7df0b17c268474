/**
 * fhir-rounds as a library. Importing it loads nothing but these lines: each function loads what it needs when it is called.
 * Nothing here prints, exits or listens to signals, but for what {@link startSandbox} listens on.
 *
 * @packageDocumentation
 */
import path from 'node:path';
import type { Config } from './config/schema.ts';
import type { BulkExportOptions, CallOptions, ClientOptions } from './library/options.ts';
import type { Resource } from './library/resource.ts';
import type { RunJobOptions } from './library/runs.ts';
import type { Client } from './library/types.ts';
import type { RunSummary } from './report/summary.ts';
import type { Sandbox, SandboxOptions } from './sandbox/sandboxTypes.ts';

export { RoundsError } from './errors.ts';
export type { Config, JobConfig } from './config/schema.ts';
export type { ErrorCode, FailureClass, Problem } from './errors.ts';
export type {
  BulkExportOptions,
  CallOptions,
  ClientOptions,
  RunTold,
  ServerOptions,
} from './library/options.ts';
export type { FoundResource, Resource, ServedResource } from './library/resource.ts';
export type { RunJobOptions } from './library/runs.ts';
export type { Client, SearchQuery, SearchResults } from './library/types.ts';
export type { RunSummary } from './report/summary.ts';
export type { Sandbox, SandboxOptions } from './sandbox/sandboxTypes.ts';

/** How {@link loadConfig} reads. */
export interface LoadConfigOptions {
  /** In place of the process's environment, for `FHIR_ROUNDS_*`, `${NAME}` and the names that people have. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * Reads an INI, the `.env` beside it and the environment, as the command line does; `config.warnings` has what it would say
 * to a person. Opens no other file but those that hold secrets, and asks no server.
 *
 * Rejects with CONFIG_MISSING, or CONFIG_INVALID with all problems at once in `problems`.
 *
 * @example
 * import { loadConfig } from 'fhir-rounds';
 *
 * const config = await loadConfig('config/fhir-rounds.ini');
 * console.log(config.jobs.map(({ jobName, method }) => `${jobName}: ${method}`)); //=> [ 'nightly: crawl' ]
 */
export async function loadConfig(file: string, options: LoadConfigOptions = {}): Promise<Config> {
  const { loadConfig } = await import('./config/load.ts');
  const { cronProblem } = await import('./schedule/cronSchedule.ts');
  return loadConfig({ file, env: options.env ?? process.env, validateCron: cronProblem });
}

/**
 * A client of a FHIR server by SMART Backend Services: from options, or as a job of a configuration asks its server. It asks
 * the server nothing yet, but for its token endpoint where none is given. The client's limits (`concurrency` and its like) hold
 * for it alone, it takes no lock, and what it reads does not stand in the audit file: that is of runs. With a configuration's
 * runs it shares the pauses that the server asks for.
 *
 * Answers that pass by themselves (408, 429, 5xx, resets, cut bodies) are asked again up to `maxAttempts` times, a pause
 * that the server asks for is kept, and redirects are never followed. While the server is away calls wait for
 * `maxOutageMinutes` and then reject with SERVER_AWAY; later calls ask it again.
 *
 * Rejects with CONFIG_INVALID, KEY_INVALID, KEY_WEAK, KEY_EXPOSED, PATH_UNUSABLE, SMART_DISCOVERY_FAILED; USAGE for a job
 * that there is not. Call `close()` at the end.
 *
 * @example
 * import { createClient } from 'fhir-rounds';
 *
 * const client = await createClient({
 *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
 *   clientId: 'my-client-id',
 *   privateKeyFile: 'private-key.pem',
 *   concurrency: 2,
 * });
 * for await (const { type, text } of client.search('Encounter', { patient: 'erXuFYUfucBZaryVksYEcMg3' })) {
 *   if (!text.startsWith('{')) throw new Error(`no ${type}`);
 * }
 * await client.close();
 *
 * @example
 * import { createClient, loadConfig } from 'fhir-rounds';
 *
 * const config = await loadConfig('config/fhir-rounds.ini');
 * const client = await createClient(config, 'nightly');
 * const { id } = await client.read('Patient', 'erXuFYUfucBZaryVksYEcMg3');
 * console.log(id); //=> erXuFYUfucBZaryVksYEcMg3
 * await client.close();
 */
export async function createClient(options: ClientOptions): Promise<Client>;
export async function createClient(config: Config, jobName?: string, options?: CallOptions): Promise<Client>;
export async function createClient(
  from: ClientOptions | Config,
  jobName?: string,
  options: CallOptions = {},
): Promise<Client> {
  const { openLibraryClient } = await import('./library/client.ts');
  const { chooseJob } = await import('./commands/context.ts');
  if ('jobs' in from) return openLibraryClient(chooseJob(from, jobName), { ...options, isOfConfig: true });
  const { configOfClient } = await import('./library/options.ts');
  const { privateKey, signal } = from;
  const [job] = (await configOfClient(from, path.resolve())).jobs;
  return openLibraryClient(job!, { privateKey, signal, isOfConfig: false });
}

/**
 * One whole run of a job, as `fhir-rounds run JOB` does it: locks, ledger, resuming what was interrupted, publishing, and
 * the mail unless told otherwise. The job's name may be left out where there is one job. What the command shows, `onEvent` is
 * told; the log goes into `log_folder` (with `target = stdout` nowhere).
 *
 * Resolves with the run's summary: `status` is `complete`, `partial` (published, and some searches failed), `failed` or
 * `abandoned` (nothing was published; `failure` says why). Rejects before a run begins with CONFIG_INVALID, INPUT_INVALID
 * and their like, or LOCK_HELD; with INTERRUPTED, DISK_FULL ... when it stopped and goes on at the next call. An abort is such
 * a stop: what was pulled is kept.
 *
 * @example
 * import { loadConfig, runJob } from 'fhir-rounds';
 *
 * const config = await loadConfig('config/fhir-rounds.ini');
 * const summary = await runJob(config, 'nightly', {
 *   mail: false,
 *   onEvent: (told) => {
 *     if (told.event === 'search.failed') console.error(told.resourceType, told.code);
 *   },
 * });
 * console.log(summary.status, summary.searches.failed); //=> complete 0
 */
export async function runJob(
  config: Config,
  jobName?: string,
  options: RunJobOptions = {},
): Promise<RunSummary> {
  const { runInProcess } = await import('./library/runs.ts');
  const { chooseJob } = await import('./commands/context.ts');
  const job = chooseJob(config, jobName);
  return runInProcess(config, job, `runJob ${job.jobName}`, options);
}

/**
 * A Bulk Data export without an INI: kick-off, waiting, download, and a published folder `exports/bulk/<runId>` below
 * `options.folder`. It is a run like any other, with ledger and lock in `state/` there: after a crash or an abort the same call
 * goes on with the same export, however many days that takes. For `_typeFilter`, a roster's patients, mails and all else, write
 * a job with `method = bulk` and use {@link runJob}.
 *
 * Resolves and rejects as {@link runJob} does.
 *
 * @example
 * import { bulkExport, readNdjson } from 'fhir-rounds';
 *
 * const { status, folder } = await bulkExport({
 *   endpoint: 'https://ehr.example.org/api/FHIR/R4',
 *   clientId: 'my-client-id',
 *   privateKeyFile: 'private-key.pem',
 *   groupId: 'e3iabhmS8rsueyz7vaimuiaSmfGvi.QwjVXJANlPOgR83',
 *   types: ['Patient', 'Condition'],
 *   folder: 'bulk',
 * });
 * let patients = 0;
 * if (folder !== undefined) for await (const _ of readNdjson(folder, 'Patient')) patients++;
 * console.log(status, patients); //=> complete 7
 */
export async function bulkExport(options: BulkExportOptions): Promise<RunSummary> {
  const { runInProcess } = await import('./library/runs.ts');
  const { configOfExport } = await import('./library/options.ts');
  const config = await configOfExport(options, path.resolve());
  return runInProcess(config, config.jobs[0]!, 'bulkExport', {
    signal: options.signal,
    onEvent: options.onEvent,
  });
}

/**
 * The resources of an NDJSON file, or of a run's published folder (`exports/<job>/<runId>`, or `current`): all of them, or
 * those of a type. Lines end at 0x0A only, and may be of any length; memory stays flat. A folder's files are those that its
 * manifest names as output, and each is held against the manifest at its end, so that whoever gets to the end without an
 * error has read what was published.
 *
 * Throws VERIFY_DAMAGED: a line that is no JSON or was cut off, a file that is not as its manifest says, a folder without a
 * manifest. PATH_UNUSABLE: it cannot be read.
 *
 * @example
 * import { readNdjson } from 'fhir-rounds';
 *
 * const byType = new Map<string, number>();
 * for await (const { type } of readNdjson('exports/nightly/current')) {
 *   byType.set(type, (byType.get(type) ?? 0) + 1);
 * }
 * console.log(byType.get('Patient')); //=> 7
 *
 * @example
 * import { readNdjson } from 'fhir-rounds';
 *
 * let confirmed = 0;
 * for await (const condition of readNdjson('exports/nightly/current/Condition.ndjson')) {
 *   const { verificationStatus } = condition.json<{ verificationStatus?: { coding?: { code?: string }[] } }>();
 *   if (verificationStatus?.coding?.some(({ code }) => code === 'confirmed')) confirmed++;
 * }
 * console.log(confirmed > 0); //=> true
 */
export async function* readNdjson(
  fileOrFolder: string,
  type?: string,
  options: CallOptions = {},
): AsyncGenerator<Resource, void, undefined> {
  const { readResources } = await import('./library/ndjson.ts');
  yield* readResources(fileOrFolder, type, options.signal);
}

/**
 * Starts the Epic-like server that fhir-rounds is tested against: FHIR R4, OAuth and, unless `smtp` is false, a mail server,
 * on a free port of 127.0.0.1, with generated patients (the first seven have the ids of Epic's own test patients) and
 * scripted faults. For tests: it holds no real data.
 *
 * Rejects with CONFIG_INVALID for another address than loopback or a wrong fault script, and as the system does for a port
 * in use.
 *
 * @example
 * import { generateKeyPairSync } from 'node:crypto';
 * import { createClient, startSandbox } from 'fhir-rounds';
 *
 * const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
 * const sandbox = await startSandbox({
 *   smtp: false,
 *   clients: [{ clientId: 'test', jwks: { keys: [publicKey.export({ format: 'jwk' })] } }],
 * });
 * const client = await createClient({ endpoint: sandbox.fhirBase, clientId: 'test', privateKey });
 * const { id } = await client.read('Patient', sandbox.patientIdAt(0)!);
 * console.log(id === sandbox.patientIdAt(0)); //=> true
 * await client.close();
 * await sandbox.close();
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { startSandbox } = await import('./sandbox/startSandbox.ts');
  return startSandbox(options);
}
