import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { RoundsError } from '../errors.ts';
import { adminRoutes } from './adminRoutes.ts';
import type { RegisteredClient } from './clientKeys.ts';
import { dataDirPopulation } from './dataDir.ts';
import { faultScript, parseFaults, smtpFaultsOf, type FaultRule } from './faults.ts';
import { fhirHandlers } from './fhirHandlers.ts';
import { authorizationServer } from './oauth.ts';
import { oracleLines, rowsOfList, type OracleLine, type OracleRow } from './oracle.ts';
import { pagingSessions } from './paging.ts';
import { generatedPopulation } from './population/generated.ts';
import type { Population } from './population/types.ts';
import { requestLog, type RecordedRequest, type RequestCounts } from './requestLog.ts';
import { FHIR_PATH, fhirRoutes, TOKEN_PATH } from './routes.ts';
import type { Route } from './exchange.ts';
import { rulesOf, type Dialect } from './rules.ts';
import type { SearchContext } from './search.ts';
import { sandboxServer } from './server.ts';
import type { RunningSmtp, SmtpOptions } from './smtp.ts';

export type { RegisteredClient } from './clientKeys.ts';
export type { FaultAction, FaultRule } from './faults.ts';
export type { OracleLine, OracleRow } from './oracle.ts';
export type { RecordedRequest, RequestCounts } from './requestLog.ts';
export { mrnOf, patientIdOf } from './population/ids.ts';
export { writeRoster } from './population/roster.ts';

export interface SandboxOptions {
  /** Default 127.0.0.1. Anything but a loopback address is refused. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default `epic`. */
  readonly dialect?: Dialect;
  /** Generated patients. Default 7, Epic's test patients. */
  readonly patients?: number;
  /** Default 1. The same seed, the same bytes. */
  readonly seed?: number;
  /** Appends the special patients: merged, deleted, Break-the-Glass, partial, two with one MRN. */
  readonly special?: boolean;
  /** Instead of generated patients: a folder of NDJSON files and JSON Bundles, plain or gzipped. */
  readonly dataDir?: string;
  readonly clients?: readonly RegisteredClient[];
  /** Default 3600. */
  readonly tokenLifeSeconds?: number;
  /** Life of a paging session. Default 600. */
  readonly pageSessionSeconds?: number;
  /** Added to each FHIR and token answer. Default 0. */
  readonly latencyMs?: number;
  /** The server's own cap on `_count`. Default 1000; without `_count` a page holds 100. */
  readonly maxPageSize?: number;
  readonly faults?: readonly FaultRule[];
  /** Default on, with STARTTLS and a certificate of its own, as Proton Bridge has. */
  readonly smtp?: SmtpOptions | false;
  /** The server's clock against ours. Default 0. */
  readonly clockOffsetSeconds?: number;
  /** The server's time in ms since 1970, for tests that hold the clock. Default the machine's. */
  readonly now?: () => number;
}

export interface Sandbox {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  readonly fhirBase: string;
  readonly tokenEndpoint: string;
  readonly smtp: RunningSmtp | undefined;
  /** The last 100,000 requests, each recorded once its answer is over. */
  readonly requests: readonly RecordedRequest[];
  counts(): RequestCounts;
  /** Number of patients, special ones included. */
  readonly patientCount: number;
  patientIdAt(ordinal: number): string | undefined;
  /** What a perfect client obtains for a list (rows, or the CSV's text): for these patients, or for all. */
  oracle(list: readonly OracleRow[] | string, patientIds?: readonly string[]): AsyncIterable<OracleLine>;
  /** Replaces the fault script; counting starts again. Throws CONFIG_INVALID for a script that is wrong. */
  setFaults(faults: readonly FaultRule[]): void;
  /** How often each rule of the script has struck; those of the mail server are not counted. */
  faultsStruck(): readonly number[];
  registerClient(client: RegisteredClient): void;
  /** Ends all connections and stops. May be called twice. */
  close(): Promise<void>;
}

const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/**
 * Starts an Epic-like server for FHIR, OAuth and mail on a loopback address. Throws CONFIG_INVALID for another
 * address or a wrong fault script, and what the system throws for a port in use or a data folder it cannot read.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { host = '127.0.0.1', dialect = 'epic', patients = 7, seed = 1 } = options;
  if (!isLoopback(host)) {
    throw new RoundsError('CONFIG_INVALID', 'the sandbox listens on a loopback address only');
  }
  const now = () => (options.now ?? Date.now)() + (options.clockOffsetSeconds ?? 0) * 1000;
  const log = requestLog();
  const routes: Route[] = [];
  let origin = '';
  let open = () => {};
  const ready = new Promise<void>((resolve) => (open = resolve));
  let script = faultScript([], seed, () => undefined, now);
  // The port is part of URLs inside the resources, so it listens first and learns its routes after.
  const tokenEndpointOf = () => `${origin}${TOKEN_PATH}`;
  const authorization = authorizationServer({
    get tokenEndpoint() {
      return tokenEndpointOf();
    },
    tokenLifeSeconds: options.tokenLifeSeconds ?? 3600,
    now,
  });
  const server = sandboxServer({
    routes,
    log,
    authorization,
    latencyMs: options.latencyMs ?? 0,
    faults: () => script,
    origin: () => origin,
    now,
    ready,
  });
  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  origin = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const fhirBase = `${origin}${FHIR_PATH}`;

  let smtp: RunningSmtp | undefined;
  let population: Population;
  const closeAll = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    const mailServer = smtp;
    smtp = undefined;
    await mailServer?.close();
  };
  try {
    population =
      options.dataDir === undefined
        ? generatedPopulation({ seed, patients, special: options.special ?? false, fhirBase })
        : await dataDirPopulation(options.dataDir);
    if (options.smtp !== false) {
      // Loaded only when wanted: making its certificate takes longer than all the rest.
      const { SMTP_USER, startSmtpServer } = await import('./smtp.ts');
      // As strict as Bridge, whose only enabled address here is the account's own.
      smtp = await startSmtpServer({ now, addresses: [options.smtp?.user ?? SMTP_USER], ...options.smtp });
    }
    if (options.faults) setFaults(options.faults);
  } catch (error) {
    await closeAll();
    throw error;
  }
  const running = smtp;

  function setFaults(faults: readonly FaultRule[]): void {
    const rules = parseFaults(faults);
    script = faultScript(rules, seed, (ordinal) => population.patientIdAt(ordinal), now);
    smtp?.setFaults(smtpFaultsOf(rules));
  }

  const context: SearchContext = {
    dialect,
    fhirBase,
    population,
    rules: rulesOf(dialect, population.types),
    maxPageSize: options.maxPageSize ?? 1000,
  };
  const sessions = pagingSessions((options.pageSessionSeconds ?? 600) * 1000, now);
  const fhir = fhirHandlers(context, sessions, seed);
  const oracle: Sandbox['oracle'] = (list, patientIds) =>
    oracleLines(context, typeof list === 'string' ? rowsOfList(list) : list, patientIds);
  routes.push(
    ...fhirRoutes({ context, tokenEndpoint: tokenEndpointOf(), authorization, fhir, sessions }),
    ...adminRoutes({ log, mails: () => running?.mails ?? [], faults: () => script.rules, setFaults, oracle }),
  );
  for (const client of options.clients ?? []) authorization.register(client);
  open();

  return {
    origin,
    fhirBase,
    tokenEndpoint: tokenEndpointOf(),
    smtp: running,
    requests: log.requests,
    counts: () => log.counts(),
    patientCount: population.size,
    patientIdAt: (ordinal) => population.patientIdAt(ordinal),
    oracle,
    setFaults,
    faultsStruck: () => script.struck,
    registerClient: (client) => authorization.register(client),
    close: closeAll,
  };
}
