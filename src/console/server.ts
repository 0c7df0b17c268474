import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asRoundsError, RoundsError } from '../errors.ts';
import type { Log } from '../system/logger.ts';
import { RequestBody } from './body.ts';
import { errorAnswer, errorStatus, isForProgram, loginAnswer } from './errorPage.ts';
import { discard, notFound, type Answer, type Ask, type Route } from './exchange.ts';
import { demandOwnPage, isByPerson, readCookie, safeHeaders, sessionCookie, type Address } from './guard.ts';
import { listen } from './listen.ts';
import { Router, type Match } from './router.ts';
import type { Session, Sessions } from './sessions.ts';

/** What is written down of every request of a session, before its answer goes out. */
export interface Access {
  readonly session: Session;
  readonly route: Route;
  readonly ask: Ask;
  readonly status: number;
}

export interface ConsoleServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** The address by which browsers come, where it is not host and port. */
  readonly url?: string | undefined;
  readonly tls?: { readonly certificatePem: string; readonly keyPem: string } | undefined;
  /** For public keys alone: behind a reverse proxy they are asked for by any name. */
  readonly answersToAnyName?: true;
  readonly routes: readonly Route[];
  readonly sessions: Sessions;
  readonly log: Log;
  /** Throws: then nothing is shown. */
  readonly audit: (access: Access) => Promise<void>;
}

export interface ConsoleServer {
  /** `http://127.0.0.1:8787` */
  readonly origin: string;
  close(): Promise<void>;
}

/** An upload may take a while; who sends no headers is let go sooner. */
const REQUEST_MS = 3_600_000;
const HEADERS_MS = 20_000;

/** Serves the routes until it is closed. Throws PATH_UNUSABLE or CONFIG_INVALID where it cannot listen. */
export async function startConsoleServer(options: ConsoleServerOptions): Promise<ConsoleServer> {
  const { tls, host, port } = options;
  const server =
    tls === undefined
      ? createServer()
      : createSecureServer({ cert: tls.certificatePem, key: tls.keyPem, minVersion: 'TLSv1.2' });
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = HEADERS_MS;
  await listen(server, host, port);
  const address = addressOf(server, options);
  const stopped = new AbortController();
  const desk = new Desk(options, address, stopped.signal);
  server.on('request', (message, response) => void desk.serve(message, response));
  return {
    origin: address.origin,
    close: async () => {
      stopped.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function addressOf(server: Server, { host, url, tls }: ConsoleServerOptions): Address {
  if (url !== undefined) {
    const { origin, host } = new URL(url);
    return { origin, host };
  }
  const { port } = server.address() as { readonly port: number };
  const name = host.includes(':') ? `[${host}]` : host;
  const { origin, host: named } = new URL(`${tls === undefined ? 'http' : 'https'}://${name}:${port}`);
  return { origin, host: named };
}

/** Takes requests in and sees answers out. */
class Desk {
  readonly #options: ConsoleServerOptions;
  readonly #address: Address;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #router: Router;
  readonly #stopped: AbortSignal;

  constructor(options: ConsoleServerOptions, address: Address, stopped: AbortSignal) {
    this.#options = options;
    this.#address = address;
    this.#headers = safeHeaders(address);
    this.#stopped = stopped;
    const doors = options.answersToAnyName === true ? [] : [this.#loginRoute(), this.#logoutRoute()];
    this.#router = new Router([...options.routes, ...doors]);
  }

  /** Never throws. */
  async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, this.#stopped]);
    try {
      await this.#send(await this.#answer(message, signal), message, response, signal);
    } catch (thrown) {
      // The answer was under way already: all that is left is to let the other side see that it is cut.
      if (!signal.aborted) this.#options.log.error('console.failed', { code: asRoundsError(thrown).code });
      response.destroy();
    } finally {
      // What nobody wanted of the body, so that the connection may be used again.
      message.resume();
    }
  }

  async #answer(message: IncomingMessage, signal: AbortSignal): Promise<Answer> {
    let session: Session | undefined;
    const url = urlOf(message, this.#address);
    const asJson = isForProgram(url?.pathname ?? '/', message.headers.accept);
    try {
      const match = url && this.#router.find(methodOf(message), url.pathname);
      if (this.#options.answersToAnyName !== true) {
        demandOwnPage(message, this.#address, match?.route.open === true);
      }
      const secret = readCookie(message.headers.cookie, this.#address);
      const touches = match?.route.quiet !== true && isByPerson(message);
      session = secret === undefined ? undefined : this.#options.sessions.find(secret, touches);
      const isOpen = match?.route.open === true || this.#options.answersToAnyName === true;
      if (session === undefined && !isOpen) return loginAnswer(asJson);
      if (url === undefined || match === undefined) throw notFound('there is no such page');
      return await this.#ask(message, url, match, session, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asRoundsError(thrown);
      if (error.code === 'INTERNAL')
        this.#options.log.error('console.failed', { code: error.code, why: whyOf(error) });
      return errorAnswer(error, asJson, { session });
    }
  }

  async #ask(
    message: IncomingMessage,
    url: URL,
    { route, params }: Match,
    session: Session | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const body = new RequestBody(message);
    const ask: Ask = {
      ...{ method: route.method, url, params, session, signal, body: message },
      form: () => body.form(),
      json: () => body.json(),
    };
    // Also of what fails: its words may quote a record.
    const audit = async (status: number): Promise<void> => {
      if (session === undefined || route.quiet === true) return;
      await this.#options.audit({ session, route, ask, status });
    };
    let answer: Answer;
    try {
      if (route.method !== 'GET' && route.open !== true) await demandToken(message, body, session);
      answer = await route.answer(ask);
    } catch (thrown) {
      signal.throwIfAborted();
      await audit(errorStatus(asRoundsError(thrown)));
      throw thrown;
    }
    try {
      await audit(answer.status);
    } catch (thrown) {
      discard(answer);
      throw thrown;
    }
    return answer;
  }

  async #send(
    answer: Answer,
    message: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { status, contentType, headers, body } = answer;
    response.writeHead(status, {
      ...this.#headers,
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
      ...(body === undefined || typeof body === 'string' || body instanceof Uint8Array
        ? { 'content-length': Buffer.byteLength(body ?? '') }
        : {}),
      ...headers,
    });
    if (message.method === 'HEAD' || body === undefined) {
      discard(answer);
      response.end();
    } else if (typeof body === 'string' || body instanceof Uint8Array) response.end(body);
    else await pipeline(Readable.from(body, { objectMode: true }), response, { signal });
  }

  #loginRoute(): Route {
    return {
      method: 'GET',
      path: '/login',
      open: true,
      answer: async ({ url, params, signal, body, form, json }) => {
        const opened = await this.#options.sessions.open(url.searchParams.get('code') ?? '');
        if (opened === undefined) return loginAnswer(false);
        const { session, secret } = opened;
        const route: Route = { method: 'GET', path: '/login', answer: () => loginAnswer(false) };
        // The link's secret has no place in any record.
        const ask: Ask = {
          method: 'GET',
          url: new URL('/login', url),
          params,
          session,
          signal,
          body,
          form,
          json,
        };
        await this.#options.audit({ session, route, ask, status: 303 });
        return {
          status: 303,
          headers: { location: '/', 'set-cookie': sessionCookie(this.#address, secret) },
        };
      },
    };
  }

  #logoutRoute(): Route {
    return {
      method: 'POST',
      path: '/logout',
      answer: ({ session }) => {
        this.#options.sessions.close(session!);
        return {
          status: 303,
          headers: {
            location: '/',
            'set-cookie': sessionCookie(this.#address, undefined),
            'clear-site-data': '"cache"',
          },
        };
      },
    };
  }
}

/** Throws CONSOLE_REFUSED unless the request carries its session's token, as a header or in its form. */
async function demandToken(
  message: IncomingMessage,
  body: RequestBody,
  session: Session | undefined,
): Promise<void> {
  const header = message.headers['x-csrf-token'];
  const token = header ?? (body.isForm ? (await body.form()).get('csrf') : undefined);
  if (session !== undefined && token === session.csrfToken) return;
  throw new RoundsError('CONSOLE_REFUSED', 'the request does not carry its session’s token', {
    hint: 'Load the page again, and send it from there.',
  });
}

function urlOf({ url = '' }: IncomingMessage, { origin }: Address): URL | undefined {
  return url.startsWith('/') && URL.canParse(`${origin}${url}`) ? new URL(`${origin}${url}`) : undefined;
}

/** HEAD is a GET whose body is not sent; what is no method of ours finds no route. */
function methodOf({ method }: IncomingMessage): Route['method'] {
  return (method === 'HEAD' ? 'GET' : method) as Route['method'];
}

/** Of a mistake of ours, the place in the code; never its message, which may quote what it was given. */
function whyOf({ cause }: RoundsError): string | undefined {
  return cause instanceof Error
    ? cause.stack
        ?.split('\n')
        .find((line) => line.trim().startsWith('at '))
        ?.trim()
    : undefined;
}
