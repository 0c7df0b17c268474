import { createRequire } from 'node:module';
import type * as AxiosModule from 'axios';
import type { Dispatcher } from 'undici';
import { openDispatcher, requestBy } from './dispatcher.ts';
import { flatten, gather, type Gathering, type WholeAnswer } from './httpAnswer.ts';
import { decompress, streamBody } from './httpBody.ts';
import { startDeadline } from './httpDeadline.ts';
import { asTransportError } from './httpError.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** For the whole exchange, connecting and body included (of `open`: see there). */
  readonly timeoutMs?: number;
  /** Of the body after decompression; more is BODY_TOO_LARGE. */
  readonly maxBytes?: number;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case; a repeated header is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** The whole body, decompressed. Its memory is the caller's: nothing is written to it any more. */
  readonly body: Buffer;
}

/** An answer whose body is still to come. Whoever does not read it to its end has to close it. */
export interface HttpStream {
  readonly status: number;
  /** Names in lower case; a repeated header is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * The decompressed chunks, once; the next is not fetched before it is asked for. Throws RoundsError BODY_CUT (shorter
   * than announced, connection lost, compression damaged or unknown), TIMEOUT (nothing came for `timeoutMs`), or the
   * signal's reason.
   */
  readonly body: AsyncIterable<Buffer>;
  /** Lets go: what was not read is abandoned with its connection. May be repeated. */
  close(): void;
}

/**
 * One request, one whole answer.
 *
 * Promises: no redirect is followed (a 3xx is returned, since whoever sends a token decides where it goes); no
 * status throws; a body shorter than announced or cut in its gzip stream is an error, never a short body.
 * Throws RoundsError NETWORK, NAME_NOT_RESOLVED, TIMEOUT, TLS_UNTRUSTED, BODY_CUT, BODY_TOO_LARGE, or the
 * signal's reason. No error holds a URL's path, a header or a body.
 */
export interface Http {
  request(request: HttpRequest): Promise<HttpResponse>;
  /**
   * The same for answers of any size: resolves with the head. `timeoutMs` bounds connecting and head, then each wait for
   * more of the body, not the whole; `maxBytes` does not count.
   */
  open(request: HttpRequest): Promise<HttpStream>;
  /** Closes idle connections and waits for none. */
  close(): Promise<void>;
}

export interface HttpOptions {
  /** A private authority's certificates (PEM), trusted beside the public ones. */
  readonly caPem?: string | undefined;
  /** `http://host:port`; undefined: HTTPS_PROXY and NO_PROXY decide. */
  readonly proxy?: string | undefined;
  /** To one origin, at most; a request beyond waits for its turn. Unset, and by a proxy: as many as there are requests. */
  readonly connections?: number;
  readonly timeoutMs?: number;
  readonly connectTimeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 300_000;
const CONNECT_TIMEOUT_MS = 20_000;
/** One page's bound: also what keeps "64 MB of pages in flight" true. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/**
 * axios as one file, and as browsers get it: the same but for the adapters, of which ours takes the place. Node's adapter
 * would bring 70 more files, and cost a start 50 ms of CPU; axios as modules costs 60 ms more again.
 */
const axios = createRequire(import.meta.url)('axios/dist/browser/axios.cjs') as typeof AxiosModule;

/** What requests go through. */
interface Via {
  readonly dispatcher: Dispatcher;
  /**
   * Without axios' defaults: they would parse JSON (and so change decimals), throw errors that hold the bearer token, and
   * be merged into each request.
   */
  readonly client: AxiosModule.Axios;
}

/** Opens a pool of keep-alive connections behind one axios instance. */
export function createHttp(options: HttpOptions = {}): Http {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const dispatcher = openDispatcher({ ...options, timeoutMs, connectTimeoutMs });
  const via = { dispatcher, client: new axios.Axios({}) };
  return {
    request: (request) => exchange(via, request, request.timeoutMs ?? timeoutMs),
    open: (request) => openExchange(via, request, request.timeoutMs ?? timeoutMs),
    close: async () => dispatcher.destroy(),
  };
}

async function exchange(via: Via, request: HttpRequest, timeoutMs: number): Promise<HttpResponse> {
  request.signal?.throwIfAborted();
  const maxBytes = request.maxBytes ?? MAX_BODY_BYTES;
  const { headers, status, body } = await new Promise<WholeAnswer>((resolve, reject) => {
    let gathering: Gathering | undefined;
    // Rejects at once: undici hears of an abort only once the connection stands, which a proxy can put off for ever.
    const deadline = startDeadline(timeoutMs, request.signal, (reason) => {
      reject(reason);
      gathering?.abort();
    });
    const asked = ask(via, request, (options) => {
      gathering = gather(via.dispatcher, options, maxBytes);
      return gathering.answer;
    });
    asked
      .then(resolve, (error: unknown) => reject(asTransportError(error)))
      .finally(() => deadline.release());
  });
  return { status, headers, body: decompress(body, headers['content-encoding'], maxBytes) };
}

async function openExchange(via: Via, request: HttpRequest, timeoutMs: number): Promise<HttpStream> {
  request.signal?.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const deadline = startDeadline(timeoutMs, request.signal, (reason) => controller.abort(reason));
  try {
    // A stream's waits are bounded where they are waited for: a slow reader is no slow server.
    const asked = ask(via, request, (options) =>
      requestBy(via.dispatcher, { ...options, signal, bodyTimeout: 0 }),
    );
    const answer = await Promise.race([asked, whenAborted(signal)]);
    deadline.stop();
    const headers = flatten(answer.headers);
    return {
      status: answer.statusCode,
      headers,
      ...streamBody(answer.body, headers['content-encoding'], deadline, signal),
    };
  } catch (error) {
    deadline.release();
    if (signal.aborted) throw signal.reason;
    throw asTransportError(error);
  }
}

/**
 * A request through axios, over undici's pool: a third of the cost a request of axios' own adapter over a keep-alive
 * agent. What `send` resolves with passes axios as it is: its own form of headers costs more than the request.
 */
async function ask<T>(
  { client }: Via,
  request: HttpRequest,
  send: (options: Dispatcher.RequestOptions) => Promise<T>,
): Promise<T> {
  const { data } = await client.request<T>({
    url: request.url,
    method: request.method,
    headers: { 'accept-encoding': 'gzip', ...request.headers },
    data: request.body,
    adapter: async (config) => {
      const url = new URL(config.url ?? '');
      const answer = await send({
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: config.headers.toJSON() as Record<string, string>,
        body: (config.data as string | undefined) ?? null,
      });
      return { data: answer, status: 0, statusText: '', headers: {}, config };
    },
  });
  return data;
}

/** Rejects at the abort, also while no connection stands; see `exchange`. */
function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
