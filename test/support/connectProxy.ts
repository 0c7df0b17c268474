import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A proxy that knows CONNECT alone, and remembers where it was asked to go.
 * @param refusal what it does instead of connecting
 */
export async function startConnectProxy(
  refusal?: (client: Socket) => void,
): Promise<{ readonly url: string; readonly targets: readonly string[] }> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, response) => void response.writeHead(405).end());
  server.on('connect', (request, client: Socket, head) => {
    const target = request.url ?? '';
    targets.push(target);
    if (refusal) {
      sockets.add(client);
      return refusal(client);
    }
    const [host = '', port = ''] = target.split(':');
    const onward = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      onward.pipe(client).pipe(onward);
    });
    for (const socket of [client, onward]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, targets };
}
