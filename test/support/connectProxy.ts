import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { listenForTest } from './loopback.ts';

/**
 * A proxy that knows CONNECT alone, and remembers where it was asked to go.
 * @param refusal what it does instead of connecting
 */
export async function startConnectProxy(
  refusal?: (client: Socket) => void,
): Promise<{ readonly url: string; readonly targets: readonly string[] }> {
  const targets: string[] = [];
  const server = createServer((_, response) => void response.writeHead(405).end());
  server.on('connect', (request, client: Socket, head) => {
    const target = request.url ?? '';
    targets.push(target);
    if (refusal) return refusal(client);
    const [host = '', port = ''] = target.split(':');
    const onward = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      onward.pipe(client).pipe(onward);
    });
    onward.on('error', () => client.destroy());
    client.on('close', () => onward.destroy());
  });
  const port = await listenForTest(server);
  return { url: `http://127.0.0.1:${port}`, targets };
}
