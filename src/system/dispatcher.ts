import { createRequire } from 'node:module';
import { createSecureContext, rootCertificates } from 'node:tls';
import type * as Undici from 'undici';
import { asTransportError } from './httpError.ts';

export interface DispatcherOptions {
  /** A private authority's certificates (PEM), trusted beside the public ones. */
  readonly caPem?: string | undefined;
  /** `http://host:port`; undefined: HTTPS_PROXY and NO_PROXY decide. */
  readonly proxy?: string | undefined;
  readonly connectTimeoutMs: number;
  /** See HttpOptions. */
  readonly connections?: number | undefined;
  /** For the head of an answer, and for each wait for more of its body. */
  readonly timeoutMs: number;
}

const KEEP_ALIVE_MS = 30_000;

/**
 * undici by its parts: its index loads fetch, caches, cookies, WebSockets and mocks too, which no run needs and which
 * cost a start 100 ms of CPU. Only this file knows the paths within the package; each test of http.ts goes through them.
 */
const load = createRequire(import.meta.url);
const AGENT = 'undici/lib/dispatcher/agent.js';
const REQUEST = 'undici/lib/api/api-request.js';

/** Opens a pool of keep-alive connections, by a proxy where one is named. */
export function openDispatcher(options: DispatcherOptions): Undici.Dispatcher {
  const tls = {
    // Said, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in somebody's environment does not switch the check off.
    rejectUnauthorized: true,
    // Made once: to read 150 certificates takes longer than many a request, and each connection would do it.
    ...(options.caPem === undefined
      ? {}
      : { secureContext: createSecureContext({ ca: [...rootCertificates, options.caPem] }) }),
  };
  const shared = {
    connect: { ...tls, timeout: options.connectTimeoutMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: options.timeoutMs,
    bodyTimeout: options.timeoutMs,
  };
  if (options.proxy === undefined && !hasProxyEnvironment()) {
    const Agent = load(AGENT) as typeof Undici.Agent;
    // undici gives a connection back a turn of the event loop after its answer: without a bound, whoever asks before that
    // gets another one. By a proxy there is none: a tunnel that it never opens would keep its place for ever.
    return new Agent(
      options.connections === undefined ? shared : { ...shared, connections: options.connections },
    );
  }
  const { EnvHttpProxyAgent, Pool, ProxyAgent } = load('undici') as typeof Undici;
  const clientFactory = (origin: URL, given: object): Undici.Dispatcher =>
    proxyClient(new Pool(origin, given));
  const proxied = { ...shared, requestTls: tls, proxyTls: tls, clientFactory };
  return options.proxy === undefined
    ? new EnvHttpProxyAgent(proxied)
    : new ProxyAgent({ ...proxied, uri: options.proxy });
}

/** `dispatcher.request`, which undici's index alone adds to dispatchers. */
export function requestBy(
  dispatcher: Undici.Dispatcher,
  options: Undici.Dispatcher.RequestOptions,
): Promise<Undici.Dispatcher.ResponseData> {
  const request = load(REQUEST) as (
    this: Undici.Dispatcher,
    options: Undici.Dispatcher.RequestOptions,
  ) => Promise<Undici.Dispatcher.ResponseData>;
  return request.call(dispatcher, options);
}

/**
 * The connections to a proxy. undici takes one that ends before the tunnel stands (UND_ERR_SOCKET) for a connection
 * to the server that was idle too long, and connects again without end, thousands of times a second (seen in 7.30).
 */
function proxyClient(pool: Undici.Pool): Undici.Dispatcher {
  type Connect = (to: Undici.Dispatcher.ConnectOptions) => Promise<Undici.Dispatcher.ConnectData>;
  const connect: Connect = pool.connect.bind(pool);
  return Object.assign(pool, {
    connect: async (to: Undici.Dispatcher.ConnectOptions) => {
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
