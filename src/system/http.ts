import { rootCertificates } from 'node:tls';
import axios, {
  type AxiosAdapter,
  type AxiosInstance,
  type AxiosRequestConfig,
  type InternalAxiosRequestConfig,
} from 'axios';
import { Agent, EnvHttpProxyAgent, Pool, ProxyAgent, type Dispatcher } from 'undici';
import { decompress, readBody, streamBody, type ReceivedBody } from './httpBody.ts';
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
  /** The whole body, decompressed. */
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
  readonly timeoutMs?: number;
  readonly connectTimeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 300_000;
const CONNECT_TIMEOUT_MS = 20_000;
const KEEP_ALIVE_MS = 30_000;
/** One page's bound: also what keeps "64 MB of pages in flight" true. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** Opens a pool of keep-alive connections behind one axios instance. */
export function createHttp(options: HttpOptions = {}): Http {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const dispatcher = openDispatcher(options, timeoutMs);
  const client = axios.create({
    adapter: undiciAdapter(dispatcher),
    // The defaults would parse JSON (and so change decimals) and throw errors that hold the bearer token.
    responseType: 'arraybuffer',
    transformRequest: [(body: unknown) => body],
    transformResponse: [(body: unknown) => body],
    validateStatus: () => true,
  });
  return {
    request: (request) => exchange(client, request, request.timeoutMs ?? timeoutMs),
    open: (request) => openExchange(client, request, request.timeoutMs ?? timeoutMs),
    close: async () => dispatcher.destroy(),
  };
}

function openDispatcher(options: HttpOptions, timeoutMs: number): Dispatcher {
  const tls = {
    // Said, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in somebody's environment does not switch the check off.
    rejectUnauthorized: true,
    ...(options.caPem === undefined ? {} : { ca: [...rootCertificates, options.caPem] }),
  };
  const connectTimeout = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const shared = {
    connect: { ...tls, timeout: connectTimeout },
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  };
  const proxied = { ...shared, requestTls: tls, proxyTls: tls, clientFactory: proxyClient };
  if (options.proxy !== undefined) return new ProxyAgent({ ...proxied, uri: options.proxy });
  return hasProxyEnvironment() ? new EnvHttpProxyAgent(proxied) : new Agent(shared);
}

/**
 * The connections to a proxy. undici takes one that ends before the tunnel stands (UND_ERR_SOCKET) for a connection
 * to the server that was idle too long, and connects again without end, thousands of times a second (seen in 7.30).
 */
function proxyClient(origin: URL, options: object): Dispatcher {
  const pool = new Pool(origin, options);
  const connect: (to: Dispatcher.ConnectOptions) => Promise<Dispatcher.ConnectData> = pool.connect.bind(pool);
  return Object.assign(pool, {
    connect: async (to: Dispatcher.ConnectOptions) => {
      try {
        return await connect(to);
      } catch (error) {
        throw asTransportError(error);
      }
    },
  });
}

function hasProxyEnvironment(): boolean {
  return ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].some((name) => process.env[name]);
}

/** axios over undici's pool: a third of the cost a request of axios' own adapter over a keep-alive agent. */
function undiciAdapter(dispatcher: Dispatcher): AxiosAdapter {
  return async (config: InternalAxiosRequestConfig) => {
    const url = new URL(config.url ?? '');
    const isStream = config.responseType === 'stream';
    const answer = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: (config.method ?? 'get').toUpperCase(),
      headers: config.headers.toJSON() as Record<string, string>,
      body: (config.data as string | undefined) ?? null,
      signal: config.signal,
      // A stream's waits are bounded where they are waited for: a slow reader is no slow server.
      ...(isStream ? { bodyTimeout: 0 } : {}),
    });
    return {
      data: isStream ? answer.body : await readBody(answer.body, config.maxContentLength ?? MAX_BODY_BYTES),
      status: answer.statusCode,
      statusText: '',
      headers: flatten(answer.headers),
      config,
    };
  };
}

function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

async function exchange(
  client: AxiosInstance,
  request: HttpRequest,
  timeoutMs: number,
): Promise<HttpResponse> {
  request.signal?.throwIfAborted();
  const deadline = startDeadline(timeoutMs, request.signal);
  const maxBytes = request.maxBytes ?? MAX_BODY_BYTES;
  try {
    const asked = client.request<Buffer>({
      ...asConfig(request, deadline.signal),
      maxContentLength: maxBytes,
    });
    const answer = await Promise.race([asked, whenAborted(deadline.signal)]);
    const headers = answer.headers as Record<string, string>;
    return {
      status: answer.status,
      headers,
      body: await decompress(answer.data, headers['content-encoding'], maxBytes),
    };
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw asTransportError(error);
  } finally {
    deadline.release();
  }
}

async function openExchange(
  client: AxiosInstance,
  request: HttpRequest,
  timeoutMs: number,
): Promise<HttpStream> {
  request.signal?.throwIfAborted();
  const deadline = startDeadline(timeoutMs, request.signal);
  try {
    const asked = client.request<ReceivedBody>({
      ...asConfig(request, deadline.signal),
      responseType: 'stream',
    });
    const answer = await Promise.race([asked, whenAborted(deadline.signal)]);
    deadline.stop();
    const headers = answer.headers as Record<string, string>;
    return {
      status: answer.status,
      headers,
      ...streamBody(answer.data, headers['content-encoding'], deadline),
    };
  } catch (error) {
    deadline.release();
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw asTransportError(error);
  }
}

function asConfig(request: HttpRequest, signal: AbortSignal): AxiosRequestConfig {
  return {
    url: request.url,
    method: request.method,
    headers: { 'accept-encoding': 'gzip', ...request.headers },
    data: request.body,
    signal,
  };
}

/** Rejects at the abort: undici sees one only once the connection stands, which a proxy can put off for ever. */
function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
