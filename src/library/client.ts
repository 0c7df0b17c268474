import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { TokenService } from '../auth/accessToken.ts';
import { keyIdFor } from '../auth/keyId.ts';
import { loadPrivateKey, readPrivateKey } from '../auth/keys.ts';
import {
  openClient,
  openTokenService,
  type Asker,
  type ServerAccess,
  type Surroundings,
} from '../compose.ts';
import type { JobConfig } from '../config/schema.ts';
import { RoundsError } from '../errors.ts';
import type { Capability } from '../fhir/capability.ts';
import type { FhirClient, SearchParameters } from '../fhir/client.ts';
import { referenceReader } from '../fhir/references.ts';
import { dialectOf, reachOf } from '../fhir/searchRules.ts';
import { isResourceId } from '../fhir/searchset.ts';
import { serverPause, type ServerPause } from '../run/serverPause.ts';
import { systemClock } from '../system/clock.ts';
import { asFileError } from '../system/files.ts';
import { silentLog } from '../system/logger.ts';
import { systemRandom } from '../system/random.ts';
import type { ClientOptions } from './options.ts';
import { resourceOf } from './resource.ts';
import { pullPlan, type SearchDeps, type SearchPlan } from './search.ts';
import type { Client, SearchQuery, SearchResults } from './types.ts';

export interface LibraryClientOptions extends Pick<ClientOptions, 'signal'> {
  /** In place of the job's key file. */
  readonly privateKey?: ClientOptions['privateKey'];
  /** The job is one of an INI: pauses that the server asks for are shared with its runs. */
  readonly isOfConfig: boolean;
}

/** A client of a job's server. */
export async function openLibraryClient(
  job: JobConfig,
  { privateKey, signal, isOfConfig }: LibraryClientOptions,
): Promise<Client> {
  const ended = new AbortController();
  const signals = [ended.signal, ...(signal ? [signal] : [])];
  const around: Surroundings = {
    ...{ clock: systemClock, log: silentLog, random: systemRandom },
    signal: AbortSignal.any(signals),
  };
  around.signal.throwIfAborted();
  const access = await accessOf(job, privateKey);
  const tokens = await openTokenService(job, access, around);
  const pauseOf = (fhirBase: string): ServerPause =>
    serverPause(job.settings.paths.state_folder, fhirBase, around.clock);
  const connect = (): Promise<Asker> =>
    openClient(job, tokens, around, () => undefined, 'SERVER_AWAY', isOfConfig ? pauseOf : undefined);
  try {
    return clientOf(new Server(tokens, around, connect, await connect()), job, ended);
  } catch (error) {
    await tokens.close();
    throw error;
  }
}

async function accessOf(job: JobConfig, privateKey: ClientOptions['privateKey']): Promise<ServerAccess> {
  const { paths, jwt_settings: jwt, network } = job.settings;
  const how = { algorithm: jwt.jwt_algorithm, keyId: jwt.key_id };
  const key =
    privateKey === undefined
      ? await loadPrivateKey(paths.private_key, how)
      : readPrivateKey(textOfKey(privateKey), 'privateKey', how);
  const certificatePem = await readText(paths.certificate);
  return {
    key,
    keyId: keyIdFor(key, { configured: jwt.key_id, certificatePem }),
    caPem: await readText(network.ca_file),
  };
}

function textOfKey(key: string | KeyObject): string {
  if (typeof key === 'string') return key;
  if (key.type === 'private') return key.export({ type: 'pkcs8', format: 'pem' }) as string;
  throw new RoundsError('KEY_INVALID', 'privateKey holds a public or a secret key, not a private key');
}

async function readText(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw asFileError(error, file);
  });
}

/** The server of a client for all its life: whoever was given up, an outage's end included, is asked afresh. */
class Server {
  readonly #tokens: TokenService;
  readonly #around: Surroundings;
  readonly #connect: () => Promise<Asker>;
  #asker: Asker;
  #capability: Capability | undefined;

  constructor(tokens: TokenService, around: Surroundings, connect: () => Promise<Asker>, asker: Asker) {
    this.#tokens = tokens;
    this.#around = around;
    this.#connect = connect;
    this.#asker = asker;
  }

  get base(): string {
    return this.#asker.urlPolicy.base;
  }

  signalOf(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#around.signal : AbortSignal.any([this.#around.signal, signal]);
  }

  async getAccessToken(signal: AbortSignal): Promise<string> {
    return untilAborted(() => this.#tokens.source.getAccessToken(), signal);
  }

  async ask<T>(question: (client: FhirClient) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#asker.gate.isStopped) this.#asker = await this.#connect();
    return untilAborted(() => question(this.#asker.client), signal);
  }

  async capability(signal: AbortSignal): Promise<Capability> {
    this.#capability ??= await this.ask((client) => client.capability(signal), signal);
    return this.#capability;
  }

  async close(): Promise<void> {
    await this.#tokens.close();
  }
}

/** What `work` says, or the signal's reason as soon as it is aborted. */
async function untilAborted<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}

function clientOf(server: Server, { settings }: JobConfig, ended: AbortController): Client {
  const { page_size: pageSize, max_pages: maxPages } = settings.api_settings;
  const readReferences = referenceReader(server.base);
  const results = (
    planOf: (signal: AbortSignal) => Promise<SearchPlan>,
    given?: AbortSignal,
  ): SearchResults => {
    const warnings = new Set<string>();
    const signal = server.signalOf(given);
    const deps: SearchDeps = {
      ...{ pageSize, maxPages, readReferences, signal },
      ask: (question) => server.ask(question, signal),
    };
    return {
      get warnings() {
        return [...warnings];
      },
      async *[Symbol.asyncIterator]() {
        warnings.clear();
        yield* pullPlan(await planOf(signal), deps, warnings);
      },
    };
  };
  return {
    getAccessToken: async ({ signal } = {}) => server.getAccessToken(server.signalOf(signal)),
    read: async (type, id, { signal: given } = {}) => {
      demandType(type);
      const signal = server.signalOf(given);
      const { resourceType, resourceId, bytes } = await server.ask(
        (client) => client.read(type, id, signal),
        signal,
      );
      return resourceOf(resourceType, resourceId, bytes);
    },
    search: (type, query = {}, { signal } = {}) => {
      demandType(type);
      const parameters = parametersOf(query);
      const filters = [{ parameters, assumed: false }];
      return results(async () => ({ resourceType: type, filters, patientId: patientOf(parameters) }), signal);
    },
    observations: (patientId, categories = [], { signal } = {}) => {
      const named = typeof categories === 'string' ? [categories] : categories;
      return results(async (signal) => observationPlan(server, patientId, named, signal), signal);
    },
    close: async () => {
      ended.abort(new RoundsError('INTERRUPTED', 'the client is closed'));
      await server.close();
    },
  };
}

async function observationPlan(
  server: Server,
  patientId: string,
  categories: readonly string[],
  signal: AbortSignal,
): Promise<SearchPlan> {
  const resourceType = 'Observation';
  const queries = categories.map((category) => String(new URLSearchParams({ category })));
  const capability = await server.capability(signal);
  const reach = reachOf({ resourceType, queries }, capability, dialectOf(capability, server.base));
  if (reach.how !== 'search') {
    throw new RoundsError('TYPE_NOT_OFFERED', 'the server offers no search of Observation by patient');
  }
  const filters = reach.filters.map((filter) => ({
    parameters: [[reach.parameter, patientId] as const, ...new URLSearchParams(filter)],
    assumed: reach.assumed.includes(filter),
  }));
  return { resourceType, filters, patientId };
}

function demandType(type: string): void {
  if (/^[A-Z][A-Za-z]{0,63}$/.test(type)) return;
  throw new RoundsError('USAGE', 'a resource type is a word such as Patient', {
    hint: 'Name one type of FHIR R4.',
  });
}

function parametersOf(query: SearchQuery): SearchParameters {
  const entries =
    query instanceof URLSearchParams
      ? [...query]
      : Object.entries(query).flatMap(([name, value]) =>
          (Array.isArray(value) ? (value as readonly string[]) : [value])
            .filter((one) => one !== undefined)
            .map((one): [string, string] => [name, String(one)]),
        );
  if (entries.every(([name]) => /^[A-Za-z_][A-Za-z0-9_:.-]*$/.test(name))) return entries;
  throw new RoundsError(
    'USAGE',
    'a search parameter’s name is a word such as category or _id, with or without modifiers',
    {
      hint: 'Name search parameters as FHIR R4 does.',
    },
  );
}

/** The one patient that a search is about, where it says so plainly. */
function patientOf(parameters: SearchParameters): string | undefined {
  const named = parameters.filter(([name]) => name === 'patient');
  const patientId = named[0]?.[1].replace(/^Patient\//, '');
  return named.length === 1 && isResourceId(patientId) ? patientId : undefined;
}
