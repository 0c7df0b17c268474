import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Answer, Exchange, Route } from './exchange.ts';
import { outcomeAnswer } from './fhirHandlers.ts';
import type { FaultAction } from './faults.ts';
import type { FaultScript, FaultSubject } from './faultScript.ts';
import type { AuthorizationServer } from './oauth.ts';
import { issueOf } from './outcomes.ts';
import type { RequestLog } from './requestLog.ts';
import type { Parameters } from './search.ts';
import { answerOfFault, sendAnswer } from './transport.ts';

/** What the server needs to answer: a table of routes, and what is asked of every request. */
export interface ServerOptions {
  readonly routes: readonly Route[];
  readonly log: RequestLog;
  readonly authorization: AuthorizationServer;
  readonly latencyMs: number;
  /** The script in force: it can be replaced while the server runs. */
  faults(): FaultScript;
  origin(): string;
  now(): number;
  /** Requests wait for it: the port is open before the routes are known, as on a restart. */
  readonly ready: Promise<void>;
}

const LONGEST_BODY = 8 * 1024 * 1024;
const LOGGED_HEADERS = [
  'accept',
  'accept-encoding',
  'prefer',
  'range',
  'if-range',
  'epic-client-id',
  'user-agent',
  'host',
];

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > LONGEST_BODY) throw new Error('the request body is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function decodedPath(rawPath: string): string | undefined {
  try {
    return decodeURIComponent(rawPath);
  } catch {
    return undefined;
  }
}

function exchangeOf(request: IncomingMessage, body: string, options: ServerOptions): Exchange {
  const rawUrl = request.url ?? '/';
  const mark = rawUrl.indexOf('?');
  const path = decodedPath(mark < 0 ? rawUrl : rawUrl.slice(0, mark)) ?? '';
  const header = (name: string) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const query: Parameters = [...new URLSearchParams(mark < 0 ? '' : rawUrl.slice(mark + 1))];
  const isSearchForm = request.method === 'POST' && path.endsWith('/_search');
  const form: Parameters = isSearchForm ? [...new URLSearchParams(body)] : [];
  const searchPath = rawUrl.slice(0, mark < 0 ? undefined : mark).replace(/\/_search$/, '');
  return {
    method: request.method ?? 'GET',
    path,
    query: [...query, ...form],
    // A posted search names itself by the GET that asks for the same.
    url: isSearchForm ? `${options.origin()}${searchPath}?${body}` : `${options.origin()}${rawUrl}`,
    header,
    body,
    grant: options.authorization.grantOf(header('authorization')),
  };
}

interface Routed {
  readonly route: Route | undefined;
  readonly groups: readonly string[];
  readonly wrongMethod: boolean;
}

function routeOf(routes: readonly Route[], exchange: Exchange): Routed {
  let wrongMethod = false;
  for (const route of routes) {
    const match = route.pattern.exec(exchange.path);
    if (!match) continue;
    if (route.methods.includes(exchange.method)) return { route, groups: match.slice(1), wrongMethod: false };
    wrongMethod = true;
  }
  return { route: undefined, groups: [], wrongMethod };
}

async function answerOf(
  exchange: Exchange,
  routed: Routed,
  fault: FaultAction | undefined,
  nowMs: number,
): Promise<Answer> {
  if (!routed.route) {
    const diagnostics = routed.wrongMethod ? 'The method is not allowed here.' : 'There is nothing here.';
    return outcomeAnswer(routed.wrongMethod ? 405 : 404, [
      { ...issueOf('59100', diagnostics), severity: 'fatal' },
    ]);
  }
  const instead = fault === undefined ? undefined : answerOfFault(fault, nowMs);
  return instead ?? (await routed.route.handle(exchange, routed.groups, fault));
}

/** The HTTP server: routes, counts faults, logs each request once its answer is over. Not yet listening. */
export function sandboxServer(options: ServerOptions): Server {
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const atMs = options.now();
    options.log.opened();
    // Filled in as far as the request gets: the log is written when it is over, however it ends.
    const known: { exchange?: Exchange; subject?: FaultSubject; answer?: Answer } = {};
    response.once('close', () => {
      const { exchange, subject, answer } = known;
      const mark = (request.url ?? '').indexOf('?');
      const headers = LOGGED_HEADERS.flatMap((name) => {
        const value = exchange?.header(name);
        return value === undefined ? [] : [[name, value] as const];
      });
      const isForm = exchange !== undefined && subject?.endpoint === 'search' && exchange.body !== '';
      options.log.closed({
        method: request.method ?? '',
        path: exchange?.path ?? '',
        query: mark < 0 ? '' : (request.url ?? '').slice(mark + 1),
        ...(isForm ? { body: exchange?.body ?? '' } : {}),
        endpoint: subject?.endpoint ?? 'other',
        ...(subject?.type === undefined ? {} : { type: subject.type }),
        status: response.headersSent ? response.statusCode : 0,
        authorized: exchange?.grant !== undefined,
        ...(exchange?.grant === undefined ? {} : { clientId: exchange.grant.clientId }),
        ...(answer?.reason === undefined ? {} : { reason: answer.reason }),
        headers: Object.fromEntries(headers),
        atMs,
      });
    });

    const body = await bodyOf(request);
    await options.ready;
    const exchange = exchangeOf(request, body, options);
    known.exchange = exchange;
    const routed = routeOf(options.routes, exchange);
    const subject = routed.route?.subject?.(exchange, routed.groups);
    if (subject) known.subject = subject;
    const fault = subject === undefined ? undefined : options.faults().decide(subject);
    if (fault && 'reset' in fault) {
      request.socket.resetAndDestroy();
      return;
    }
    if (fault && 'hang' in fault) return;
    if (options.latencyMs > 0 && subject !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, options.latencyMs));
    }
    const answer = await answerOf(exchange, routed, fault, options.now());
    known.answer = answer;
    const acceptsGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/i.test(
      exchange.header('accept-encoding') ?? '',
    );
    response.setHeader('Date', new Date(options.now()).toUTCString());
    await sendAnswer(response, answer, acceptsGzip, fault);
  }

  return createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    handle(request, response).catch(() => {
      // A defect of the sandbox, or the client left: never half an answer that looks whole.
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'Content-Type': 'text/plain' }).end('sandbox error');
    });
  });
}
