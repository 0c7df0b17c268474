import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { loadConfig } from '../../../src/config/load.ts';
import type { Answer, Ask, Route } from '../../../src/console/exchange.ts';
import { recordRoutes } from '../../../src/console/records/recordRoutes.ts';
import type { Site } from '../../../src/console/site.ts';
import { openLedgerForReading } from '../../../src/run/ledger.ts';
import { systemClock } from '../../../src/system/clock.ts';
import { silentLog } from '../../../src/system/logger.ts';
import type { Site as Installation } from '../../support/site.ts';

/** The record pages of an installation, asked without a server. */
export interface Console {
  readonly site: Site;
  readonly routes: readonly Route[];
  get(path: string): Promise<Page>;
  post(path: string, body?: string | Buffer | Readable): Promise<Page>;
  /** Uploads a file's text; returns its source. */
  upload(name: string, text: string | Buffer): Promise<string>;
}

export interface Page extends Answer {
  readonly text: string;
  /** As the audit would have it. */
  readonly patientId: string | undefined;
}

export async function consoleOf(installation: Installation): Promise<Console> {
  const config = await loadConfig({ file: installation.configFile, env: {} });
  const folder = path.join(installation.stateFolder, 'console');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const site: Site = {
    config: () => config,
    clock: systemClock,
    log: silentLog,
    programVersion: '0.0.0',
    folder,
    async read(work) {
      const ledger = openLedgerForReading(installation.stateFolder);
      try {
        return await work(ledger);
      } finally {
        ledger?.close();
      }
    },
    write: () => Promise.reject(new Error('these pages write nothing into the ledger')),
  };
  return consoleOn(site);
}

function consoleOn(site: Site): Console {
  const routes = recordRoutes(site);
  const ask = async (method: Ask['method'], target: string, body: Readable): Promise<Page> => {
    const url = new URL(target, 'http://127.0.0.1');
    const { route, params } = matchOf(routes, method, url);
    const given: Ask = {
      ...{ method, url, params, body, signal: new AbortController().signal },
      session: { name: 'tester', csrfToken: 'csrf' },
      form: () => Promise.reject(new Error('no form')),
      json: () => Promise.reject(new Error('no JSON')),
    };
    const answer = await route.answer(given);
    const text = (await bytesOf(answer)).toString('utf8');
    return { ...answer, text, patientId: route.patientId?.(given) };
  };
  const post = (target: string, body: string | Buffer | Readable = ''): Promise<Page> =>
    ask('POST', target, body instanceof Readable ? body : Readable.from([Buffer.from(body)]));
  return {
    site,
    routes,
    get: (target) => ask('GET', target, Readable.from([])),
    post,
    upload: async (name, text) => {
      const answer = await post(`/uploads?name=${encodeURIComponent(name)}`, text);
      return (JSON.parse(answer.text) as { readonly uploadId: string }).uploadId;
    },
  };
}

/** The most exact route of a path: a fixed segment goes before a parameter. */
function matchOf(routes: readonly Route[], method: Ask['method'], { pathname }: URL) {
  const given = pathname.split('/').map(decodeURIComponent);
  const fits = routes.flatMap((route) => {
    const segments = route.path.split('/');
    if (route.method !== method || segments.length !== given.length) return [];
    const params: Record<string, string> = {};
    for (const [at, segment] of segments.entries()) {
      if (segment.startsWith('{')) params[segment.slice(1, -1)] = given[at]!;
      else if (segment !== given[at]) return [];
    }
    return [{ route, params }];
  });
  const [best] = fits.toSorted((a, b) => Object.keys(a.params).length - Object.keys(b.params).length);
  if (best === undefined) throw new Error(`no route for ${method} ${pathname}`);
  return best;
}

async function bytesOf({ body }: Answer): Promise<Buffer> {
  if (body === undefined) return Buffer.alloc(0);
  if (typeof body === 'string' || body instanceof Uint8Array) return Buffer.from(body);
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}
