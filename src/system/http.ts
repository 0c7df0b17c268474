import { promisify } from 'node:util';
import { rootCertificates } from 'node:tls';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import axios, { type AxiosAdapter, type AxiosInstance, type InternalAxiosRequestConfig } from 'axios';
import { Agent, EnvHttpProxyAgent, Pool, ProxyAgent, type Dispatcher } from 'undici';
import { RoundsError, type ErrorCode } from '../errors.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** For the whole exchange, connecting and body included. */
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
    request: (request) => exchange(client, request, timeoutMs),
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
    const answer = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: (config.method ?? 'get').toUpperCase(),
      headers: config.headers.toJSON() as Record<string, string>,
      body: (config.data as string | undefined) ?? null,
      signal: config.signal,
    });
    const body = await readBody(answer.body, config.maxContentLength ?? MAX_BODY_BYTES);
    return {
      data: body,
      status: answer.statusCode,
      statusText: '',
      headers: flatten(answer.headers),
      config,
    };
  };
}

async function readBody(stream: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      size += chunk.length;
      if (size > maxBytes) throw new RoundsError('BODY_TOO_LARGE', `an answer exceeds ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    // The head had come: whatever ended the connection now has cut the body.
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (error instanceof RoundsError || code in TRANSPORT_CODES) throw error;
    throw new RoundsError('BODY_CUT', 'the connection ended before the answer did');
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size);
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
  defaultTimeoutMs: number,
): Promise<HttpResponse> {
  request.signal?.throwIfAborted();
  const deadline = new AbortController();
  const timer = setTimeout(
    () => deadline.abort(new RoundsError('TIMEOUT', 'the server did not answer in time')),
    request.timeoutMs ?? defaultTimeoutMs,
  );
  // AbortSignal.any would keep every request's signal reachable from the run's signal (nodejs/node#54614).
  const forward = () => deadline.abort(request.signal?.reason);
  request.signal?.addEventListener('abort', forward, { once: true });
  const maxBytes = request.maxBytes ?? MAX_BODY_BYTES;
  try {
    const asked = client.request<Buffer>({
      url: request.url,
      method: request.method,
      headers: { 'accept-encoding': 'gzip', ...request.headers },
      data: request.body,
      signal: deadline.signal,
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
    clearTimeout(timer);
    request.signal?.removeEventListener('abort', forward);
  }
}

/** Rejects at the abort: undici sees one only once the connection stands, which a proxy can put off for ever. */
function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

const decoders = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
};

async function decompress(body: Buffer, encoding: string | undefined, maxBytes: number): Promise<Buffer> {
  const name = encoding?.trim().toLowerCase() ?? 'identity';
  if (name === '' || name === 'identity' || body.length === 0) return body;
  const decoder = decoders[name as keyof typeof decoders];
  if (decoder === undefined) throw new RoundsError('BODY_CUT', 'an answer has an unknown content-encoding');
  try {
    return await decoder(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new RoundsError('BODY_TOO_LARGE', `an answer exceeds ${maxBytes} bytes when decompressed`);
    }
    throw new RoundsError('BODY_CUT', 'an answer’s compressed body is damaged or cut short');
  }
}

/** Node's, OpenSSL's and undici's codes, by what an operator would do about them. */
const TRANSPORT_CODES: Readonly<Record<string, ErrorCode>> = {
  UND_ERR_CONNECT_TIMEOUT: 'TIMEOUT',
  UND_ERR_HEADERS_TIMEOUT: 'TIMEOUT',
  UND_ERR_BODY_TIMEOUT: 'TIMEOUT',
  ETIMEDOUT: 'TIMEOUT',
  ENOTFOUND: 'NAME_NOT_RESOLVED',
  EAI_AGAIN: 'NAME_NOT_RESOLVED',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'BODY_CUT',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'BODY_TOO_LARGE',
  ERR_TLS_CERT_ALTNAME_INVALID: 'TLS_UNTRUSTED',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'TLS_UNTRUSTED',
  SELF_SIGNED_CERT_IN_CHAIN: 'TLS_UNTRUSTED',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'TLS_UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT: 'TLS_UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'TLS_UNTRUSTED',
  CERT_HAS_EXPIRED: 'TLS_UNTRUSTED',
  CERT_NOT_YET_VALID: 'TLS_UNTRUSTED',
  CERT_UNTRUSTED: 'TLS_UNTRUSTED',
  CERT_REJECTED: 'TLS_UNTRUSTED',
  CERT_SIGNATURE_FAILURE: 'TLS_UNTRUSTED',
};

function asTransportError(error: unknown): RoundsError {
  if (error instanceof RoundsError) return error;
  const cause = (error as { cause?: unknown }).cause;
  const codes = [error, cause].map((e) => (e as NodeJS.ErrnoException | undefined)?.code ?? '');
  const known = codes.find((code) => code in TRANSPORT_CODES);
  // The foreign error goes no further: axios' holds the request with its token, undici's the socket's addresses.
  if (known !== undefined) return new RoundsError(TRANSPORT_CODES[known]!, `the exchange failed (${known})`);
  const code = codes.find((c) => /^[A-Z][A-Z0-9_]+$/.test(c)) ?? 'unknown';
  return new RoundsError('NETWORK', `the exchange failed (${code})`);
}
