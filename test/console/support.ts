import { Readable } from 'node:stream';
import { mkdir } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import { consoleAdapters, type Surroundings } from '../../src/compose.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import type { Answer, Ask, Route } from '../../src/console/exchange.ts';
import { openConsoleParts, type ConsoleAdapters, type ConsoleParts } from '../../src/console/parts.ts';
import type { Session } from '../../src/console/sessions.ts';
import type { Site as ConsoleSite } from '../../src/console/site.ts';
import { openLedger, openLedgerForReading } from '../../src/run/ledger.ts';
import { systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import type { Log } from '../../src/system/logger.ts';
import type { Site } from '../support/site.ts';

export const SESSION: Session = { name: 'session-1', csrfToken: 'csrf-1' };

/** A console over a test's site, with the real adapters unless others are given. */
export interface TestConsole {
  readonly site: ConsoleSite;
  readonly parts: ConsoleParts;
  /** All that was logged, as text. */
  readonly logged: readonly string[];
}

export async function consoleOf(
  site: Site,
  given: { readonly adapters?: (around: Surroundings, config: Config) => ConsoleAdapters } = {},
): Promise<TestConsole> {
  const config = await loadConfig({
    file: site.configFile,
    env: {},
    validateCron: () => undefined,
    complete: true,
  });
  const folder = site.path('state', 'console');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const logged: string[] = [];
  const log = logInto(logged);
  const stopped = new AbortController();
  const consoleSite: ConsoleSite = {
    config: () => config,
    clock: systemClock,
    log,
    programVersion: '0.0.0-test',
    folder,
    read: async (work) => {
      const ledger = openLedgerForReading(site.stateFolder);
      try {
        return await work(ledger);
      } finally {
        ledger?.close();
      }
    },
    write: async (work) => {
      const ledger = await openLedger(site.stateFolder);
      try {
        return work(ledger);
      } finally {
        ledger.close();
      }
    },
  };
  const around = { clock: systemClock, log, random: systemRandom, signal: stopped.signal };
  const parts = await openConsoleParts(consoleSite, (given.adapters ?? consoleAdapters)(around, config));
  onTestFinished(async () => {
    stopped.abort();
    await parts.close();
  });
  return { site: consoleSite, parts, logged };
}

export function logInto(lines: string[]): Log {
  const write = (event: string, fields?: object): void =>
    void lines.push(JSON.stringify({ event, ...fields }));
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  return log;
}

/** An answer with its body as text. */
export interface Got extends Omit<Answer, 'body'> {
  readonly text: string;
}

/** Asks the route of a path as the server would; a fixed segment goes before a parameter. */
export async function ask(
  routes: readonly Route[],
  method: Ask['method'],
  pathAndQuery: string,
  form: Readonly<Record<string, string>> = {},
): Promise<Got> {
  const url = new URL(`http://127.0.0.1:8787${pathAndQuery}`);
  const given = url.pathname.split('/').map(decodeURIComponent);
  const [found] = routes
    .flatMap((route) => {
      const segments = route.path.split('/');
      if (route.method !== method || segments.length !== given.length) return [];
      const params: Record<string, string> = {};
      let rank = '';
      for (const [index, segment] of segments.entries()) {
        const [, name] = /^\{(\w+)\}$/.exec(segment) ?? [];
        if (name !== undefined) params[name] = given[index]!;
        else if (segment !== given[index]) return [];
        rank += name === undefined ? '0' : '1';
      }
      return [{ route, params, rank }];
    })
    .toSorted((a, b) => a.rank.localeCompare(b.rank));
  if (found === undefined) throw new Error(`no route for ${method} ${url.pathname}`);
  const answer = await found.route.answer({
    method,
    url,
    params: found.params,
    session: SESSION,
    signal: new AbortController().signal,
    body: Readable.from([]),
    form: async () => new URLSearchParams(form),
    json: async () => ({}),
  });
  return { ...answer, text: await textOf(answer.body) };
}

async function textOf(body: Answer['body']): Promise<string> {
  if (body === undefined) return '';
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8');
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
