import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RoundsError } from '../errors.ts';
import { adminRoutes } from './adminRoutes.ts';
import { bulkServer } from './bulk/bulkServer.ts';
import { changesOf, type Changes } from './bulk/changes.ts';
import { bulkSettings } from './bulk/options.ts';
import { dataDirPopulation } from './dataDir.ts';
import { parseFaults, smtpFaultsOf, type FaultRule } from './faults.ts';
import { faultScript } from './faultScript.ts';
import { fhirHandlers } from './fhirHandlers.ts';
import { authorizationServer } from './oauth.ts';
import { oracleLines, rowsOfList } from './oracle.ts';
import { pagingSessions } from './paging.ts';
import { generatedPopulation } from './population/generated.ts';
import { requestLog } from './requestLog.ts';
import { FHIR_PATH, fhirRoutes, TOKEN_PATH } from './routes.ts';
import type { Route } from './exchange.ts';
import { rulesOf } from './rules.ts';
import type { Sandbox, SandboxOptions } from './sandboxTypes.ts';
import type { SearchContext } from './search.ts';
import { sandboxServer } from './server.ts';
import type { RunningSmtp } from './smtp.ts';

export type { BulkOracle, OracleKickoff } from './bulk/bulkOracle.ts';
export { EPIC_SANDBOX_GROUP, type BulkOptions } from './bulk/options.ts';
export type { RegisteredClient } from './clientKeys.ts';
export type { FaultAction, FaultRule } from './faults.ts';
export type { OracleLine, OracleRow } from './oracle.ts';
export type { RecordedRequest, RequestCounts } from './requestLog.ts';
export type { Sandbox, SandboxBulk, SandboxOptions } from './sandboxTypes.ts';
export { mrnOf, patientIdOf } from './population/ids.ts';
export { writeRoster } from './population/roster.ts';

const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/** Listens, and gives the origin. */
async function listening(server: Server, port: number, host: string): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening');
  const { port: given } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${given}`;
}

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
  const shared = { log, authorization, latencyMs: options.latencyMs ?? 0, faults: () => script, now, ready };
  const server = sandboxServer({ ...shared, routes, origin: () => origin });
  origin = await listening(server, options.port ?? 0, host);
  const settings = bulkSettings(options.bulk ?? {}, dialect);
  const otherRoutes: Route[] = [];
  let otherOrigin: string | undefined;
  const otherServer = settings.otherOrigin
    ? sandboxServer({ ...shared, routes: otherRoutes, origin: () => otherOrigin ?? '' })
    : undefined;
  if (otherServer) otherOrigin = await listening(otherServer, 0, host);
  const fhirBase = `${origin}${FHIR_PATH}`;

  let smtp: RunningSmtp | undefined;
  let changes: Changes;
  let endExports = async () => {};
  const closeAll = async () => {
    for (const one of otherServer ? [server, otherServer] : [server]) {
      one.closeAllConnections();
      if (one.listening) await new Promise((resolve) => one.close(resolve));
    }
    await endExports();
    const mailServer = smtp;
    smtp = undefined;
    await mailServer?.close();
  };
  try {
    changes = changesOf(
      options.dataDir === undefined
        ? generatedPopulation({ seed, patients, special: options.special ?? false, fhirBase })
        : await dataDirPopulation(options.dataDir),
      now,
    );
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
  const { population } = changes;

  function setFaults(faults: readonly FaultRule[]): void {
    const rules = parseFaults(faults);
    script = faultScript(rules, seed, (ordinal) => changes.population.patientIdAt(ordinal), now);
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
  const bulk = bulkServer({
    context,
    changes,
    settings,
    origin,
    otherOrigin: otherOrigin ?? 'http://foreign.invalid',
    now,
  });
  endExports = () => bulk.close();
  otherRoutes.push(...bulk.otherRoutes);
  routes.push(
    ...bulk.routes,
    ...fhirRoutes({ context, tokenEndpoint: tokenEndpointOf(), authorization, fhir, sessions }),
    ...adminRoutes({
      log,
      mails: () => running?.mails ?? [],
      faults: () => script.rules,
      setFaults,
      oracle,
      bulkOracle: bulk.oracle,
    }),
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
    bulk: {
      otherOrigin,
      oracle: (kickoff) => bulk.oracle(kickoff),
      touch: (type, id) => changes.touch(type, id),
      remove: (type, id) => changes.remove(type, id),
    },
    close: closeAll,
  };
}
