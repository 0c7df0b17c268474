import { request as forward, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { listenForTest } from './loopback.ts';

export interface RelayedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly authorization: string | undefined;
}

export interface Relay {
  readonly origin: string;
  readonly port: number;
  readonly requests: readonly RelayedRequest[];
}

export interface RelayOptions {
  /** Where requests go on to: `http://127.0.0.1:port`. */
  readonly to: string;
  /** Answers a request itself and returns true, or lets it pass. */
  readonly answer?: (request: RelayedRequest, response: ServerResponse) => boolean;
  /** Speaks https with this. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/**
 * A server in front of another one, which changes some of its answers, or speaks TLS for it. Gone when the running
 * test ends.
 */
export async function startRelay({ to, answer, tls }: RelayOptions): Promise<Relay> {
  const requests: RelayedRequest[] = [];
  const relay = (incoming: IncomingMessage, response: ServerResponse): void => {
    const { method = '', url = '', headers } = incoming;
    const request = { method, url, authorization: headers.authorization };
    requests.push(request);
    if (answer?.(request, response)) {
      incoming.resume();
      return;
    }
    const onward = forward(
      `${to}${url}`,
      { method, headers: { ...headers, host: new URL(to).host } },
      (back) => {
        response.writeHead(back.statusCode ?? 502, back.headers);
        back.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  };
  const server = tls ? createTlsServer(tls, relay) : createServer(relay);
  // A client that does not trust the certificate ends the connection.
  server.on('tlsClientError', () => undefined);
  const port = await listenForTest(server);
  return { origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, port, requests };
}
