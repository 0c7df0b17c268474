import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { consoleAdapters, openStateLedger } from '../compose.ts';
import type { Config, Settings } from '../config/schema.ts';
import { accessLog } from '../console/accessLog.ts';
import { apiRoutes } from '../console/apiRoutes.ts';
import { assetRoutes } from '../console/assetRoutes.ts';
import { gatewayRoutes } from '../console/gatewayRoutes.ts';
import { jwksRoutes } from '../console/jwks.ts';
import { openConsoleParts } from '../console/parts.ts';
import { forgetLostIndexes } from '../console/records/indexes.ts';
import { recordRoutes } from '../console/records/recordRoutes.ts';
import { registrationRoutes } from '../console/registrationRoutes.ts';
import { overviewRoutes } from '../console/runs/overviewRoutes.ts';
import { runRoutes } from '../console/runs/runRoutes.ts';
import { forgetQueries } from '../console/sql/runQuery.ts';
import { sqlRoutes } from '../console/sql/sqlRoutes.ts';
import { startConsoleServer, type ConsoleServer } from '../console/server.ts';
import { forgetOldLinks, LINK_LIFE_MS, makeLoginCode, Sessions } from '../console/sessions.ts';
import type { Site } from '../console/site.ts';
import { asRoundsError, RoundsError } from '../errors.ts';
import { openLedgerForReading } from '../run/ledger.ts';
import { FileWatch } from '../schedule/fileWatch.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { ensureFolder, errno, writeAtomic } from '../system/files.ts';
import { sayReady, serveUnderPm2 } from '../system/pm2.ts';
import { openLog, type Log } from '../system/logger.ts';
import { EXIT, loadCommandConfig, programVersion, type CommandContext } from './context.ts';

export interface ConsoleCommand {
  /** Print a link for the console that runs already, and end. */
  readonly link: boolean;
  /** Serve the public keys alone. */
  readonly jwksOnly: boolean;
  /** End at once where [console] enabled is not set: for PM2. */
  readonly ifEnabled: boolean;
}

/** Where a running console says how browsers reach it. */
const ADDRESS_FILE = 'address.json';
const LINKS = 'links';
/** How often indexes are looked for whose runs retention has taken. */
const HOUSEKEEPING_MS = 600_000;

/** `console`: serves the web console until it is interrupted. */
export async function consoleCommand(command: ConsoleCommand, context: CommandContext): Promise<number> {
  const config = await loadCommandConfig(context, false);
  const settings = config.jobs[0]!.settings;
  const folder = path.join(settings.paths.state_folder, 'console');
  if (command.link) return printLink(folder, context);
  if (command.ifEnabled && !settings.console.enabled) {
    context.note('[console] enabled is not set: the console is not started');
    sayReady();
    return EXIT.complete;
  }
  const log = await openLog({
    ...{ level: settings.logging.level, target: settings.logging.target },
    folder: settings.paths.log_folder,
    human: context.terminal !== undefined,
  });
  try {
    await (command.jwksOnly
      ? serveKeys(config, folder, log, context)
      : serveConsole(config, folder, log, context));
    return EXIT.complete;
  } finally {
    await log.close();
  }
}

async function serveConsole(first: Config, folder: string, log: Log, context: CommandContext): Promise<void> {
  const clock = systemClock;
  const { paths, console: settings } = first.jobs[0]!.settings;
  await ensureFolder(folder);
  await forgetOldLinks(path.join(folder, LINKS), clock);
  let config = first;
  const stopped = new AbortController();
  const around = { clock, log, random: systemRandom, signal: stopped.signal };
  const state = await openStateLedger(config, around, context.note);
  const site: Site = {
    ...{ config: () => config, clock, log, folder, programVersion: programVersion() },
    read: async (work) => {
      const ledger = openLedgerForReading(paths.state_folder);
      try {
        return await work(ledger);
      } finally {
        ledger?.close();
      }
    },
    write: (work) => state.use(async (ledger) => work(ledger)),
  };
  const parts = await openConsoleParts(site, consoleAdapters(around));
  const watching = watchConfig(config, context, stopped.signal, log, (next) => (config = next));
  let server: ConsoleServer | undefined;
  try {
    server = await startConsoleServer({
      ...(await serverOptions(settings)),
      routes: [
        ...assetRoutes(),
        ...overviewRoutes(site),
        ...runRoutes(site),
        ...recordRoutes(site),
        ...sqlRoutes(site),
        ...registrationRoutes(site, parts),
        ...apiRoutes(site, parts),
        ...gatewayRoutes(site, parts),
      ],
      sessions: new Sessions(path.join(folder, LINKS), clock, settings.idle_minutes * 60_000),
      log,
      audit: accessLog(site, parts.hash),
    });
    // Not before it has the port: till then another console may be at work here.
    await forgetQueries(site);
    await forgetLostIndexes(site);
    const address = { origin: server.origin, pid: process.pid };
    await writeAtomic(path.join(folder, ADDRESS_FILE), JSON.stringify(address));
    log.info('console.started', { origin: server.origin });
    await tellAddress(server.origin, folder, context);
    await untilStopped(context, () => forgetLostIndexes(site));
  } finally {
    stopped.abort();
    await server?.close();
    const known = await runningConsole(folder).catch(() => undefined);
    if (known?.pid === process.pid) await rm(path.join(folder, ADDRESS_FILE), { force: true });
    await Promise.all([watching, parts.close()]);
    state.close();
    log.info('console.stopped');
  }
}

/** `--jwks-only`: no pages, no sessions, and neither ledger nor private key is opened. */
async function serveKeys(config: Config, folder: string, log: Log, context: CommandContext): Promise<void> {
  const server = await startConsoleServer({
    ...(await serverOptions(config.jobs[0]!.settings.console)),
    answersToAnyName: true,
    routes: jwksRoutes({ config: () => config }),
    sessions: new Sessions(path.join(folder, LINKS), systemClock, 0),
    log,
    audit: async () => undefined,
  });
  try {
    log.info('console.started', { origin: server.origin, what: 'public keys' });
    const { origin } = server;
    if (context.json) context.print(JSON.stringify({ origin, pid: process.pid }));
    else context.print(`The public keys: ${origin}/jwks and ${origin}/.well-known/jwks.json`);
    await untilStopped(context);
  } finally {
    await server.close();
  }
}

/** Till then does `work` now and then; a failure of it is none of the console's. */
async function untilStopped(
  { signal }: CommandContext,
  work = async (): Promise<void> => undefined,
): Promise<void> {
  serveUnderPm2();
  while (!signal.aborted) {
    await systemClock.sleep(HOUSEKEEPING_MS, signal).catch(() => undefined);
    if (!signal.aborted) await work().catch(() => undefined);
  }
}

async function serverOptions(settings: Settings['console']) {
  const { host, port, url, tls_certificate: certificate, tls_key: key } = settings;
  const tls =
    certificate === undefined || key === undefined
      ? undefined
      : { certificatePem: await readFile(certificate, 'utf8'), keyPem: await readFile(key, 'utf8') };
  return { host, port, url, tls };
}

/** A good INI counts at once, but for where and how the console listens; with a bad one all stays. */
async function watchConfig(
  config: Config,
  context: CommandContext,
  signal: AbortSignal,
  log: Log,
  take: (config: Config) => void,
): Promise<void> {
  const files = new FileWatch(() => config.files, systemClock);
  await files.run(await files.contentHash(), signal, async () => {
    try {
      take(await loadCommandConfig({ ...context, quiet: true }, false));
      log.info('config.reloaded');
    } catch (thrown) {
      const { code, message } = asRoundsError(thrown);
      log.error('config.not_taken', { code, why: message });
    }
  });
}

/** At a terminal, or for a program that reads JSON, with a link; a log (PM2's) gets none. */
async function tellAddress(origin: string, folder: string, context: CommandContext): Promise<void> {
  const isHeard = context.printsToTerminal || context.json;
  const link = isHeard ? await makeLink(origin, folder) : undefined;
  if (context.json) context.print(JSON.stringify({ origin, link, pid: process.pid }));
  else if (link === undefined) {
    context.note(`the console is at ${origin}; a link to log in: fhir-rounds console --link`);
  } else
    context.print(
      `The console: ${link}\n(good once, for ${LINK_LIFE_MS / 60_000} minutes; another one: fhir-rounds console --link)`,
    );
}

async function makeLink(origin: string, folder: string): Promise<string> {
  const code = await makeLoginCode(path.join(folder, LINKS), systemClock);
  return `${origin}/login?code=${code}`;
}

async function printLink(folder: string, context: CommandContext): Promise<number> {
  const link = await makeLink((await runningConsole(folder)).origin, folder);
  context.print(context.json ? JSON.stringify({ link }) : link);
  return EXIT.complete;
}

interface RunningAddress {
  readonly origin: string;
  readonly pid: number;
}

/** Throws CONSOLE_UNAVAILABLE when none runs. */
async function runningConsole(folder: string): Promise<RunningAddress> {
  const text = await readFile(path.join(folder, ADDRESS_FILE), 'utf8').catch((error: unknown) => {
    if (errno(error) === 'ENOENT') return undefined;
    throw error;
  });
  const found = text === undefined ? undefined : (JSON.parse(text) as RunningAddress);
  if (found !== undefined && isAlive(found.pid)) return found;
  throw new RoundsError('CONSOLE_UNAVAILABLE', 'no console runs with this state folder', {
    hint: 'Start it: fhir-rounds console, or with PM2 and [console] enabled = true.',
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errno(error) === 'EPERM';
  }
}
