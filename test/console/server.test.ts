import { createReadStream, type ReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoundsError } from '../../src/errors.ts';
import type { Route } from '../../src/console/exchange.ts';
import { startConsoleServer } from '../../src/console/server.ts';
import { makeLoginCode, Sessions } from '../../src/console/sessions.ts';
import { ConsoleClient } from '../support/consoleClient.ts';
import { createFakeClock, until } from '../support/fakeClock.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { logInto } from './support.ts';

const MINUTE_MS = 60_000;

/** A server of these routes and somebody who is logged in; `written`: what the audit had, by path and status. */
async function serve(routes: readonly Route[], auditFails = (): boolean => false) {
  const folder = await temporaryFolder();
  const clock = createFakeClock();
  const written: string[] = [];
  const server = await startConsoleServer({
    ...{ host: '127.0.0.1', port: 0, routes, log: logInto([]) },
    sessions: new Sessions(folder, clock, 15 * MINUTE_MS),
    audit: async ({ route, status }) => {
      if (auditFails()) throw new RoundsError('DISK_FULL', 'no space left for the audit file');
      written.push(`${route.path} ${status}`);
    },
  });
  onTestFinished(() => server.close());
  const client = new ConsoleClient(server.origin);
  await client.login(`${server.origin}/login?code=${await makeLoginCode(folder, clock)}`);
  written.length = 0;
  return { folder, clock, client, written };
}

const home: Route = {
  method: 'GET',
  path: '/',
  answer: ({ session }) => ({ status: 200, body: session!.csrfToken }),
};

describe('the console’s server', () => {
  it('audits what fails, since its words may quote a record', async () => {
    const fails = (): never => {
      throw new RoundsError('CONSOLE_ASK_INVALID', 'Could not convert string "Lopez"');
    };
    let isFull = false;
    const { client, written } = await serve(
      [home, { method: 'GET', path: '/x', answer: fails }],
      () => isFull,
    );
    const shown = await client.get('/x');
    expect([shown.status, shown.text.includes('Lopez')]).toEqual([400, true]);
    expect(written).toEqual(['/x 400']);
    isFull = true;
    const hidden = await client.get('/x');
    expect([hidden.status, hidden.text.includes('Lopez')]).toEqual([500, false]);
  });

  it('closes files that it does not send', async () => {
    const files: ReadStream[] = [];
    let isFull = false;
    const { client, folder } = await serve(
      [
        home,
        {
          method: 'GET',
          path: '/file',
          answer: () => {
            const body = createReadStream(path.join(folder, 'file'));
            files.push(body);
            return { status: 200, body };
          },
        },
      ],
      () => isFull,
    );
    await writeFile(path.join(folder, 'file'), 'text');
    expect((await client.send('/file', { method: 'HEAD' })).status).toBe(200);
    isFull = true;
    expect((await client.get('/file')).status).toBe(500);
    expect(files).toHaveLength(2);
    await until(() => files.every(({ closed }) => closed));
  });

  it('says why a body is too much, and keeps the connection', async () => {
    const { client } = await serve([
      home,
      { method: 'POST', path: '/json', answer: async (ask) => ({ status: (await ask.json()) ? 200 : 400 }) },
    ]);
    const headers = { origin: client.origin, 'x-csrf-token': (await client.get('/')).text };
    for (const size of [2_000_000, 8_000_000, 10]) {
      const body = JSON.stringify('x'.repeat(size));
      // Node's own agent uses the connection again.
      const reply = await client.send('/json', { method: 'POST', headers, body });
      expect.soft(reply.status, String(size)).toBe(size === 10 ? 200 : 400);
      expect.soft(reply.text).toContain(size === 10 ? '' : 'has more than');
    }
  });

  it('ends a session when nobody did anything, also where a page loads itself anew', async () => {
    const { client, clock } = await serve([home]);
    const byItself = { 'sec-fetch-mode': 'navigate' };
    const byClick = { ...byItself, 'sec-fetch-user': '?1' };
    const after = async (minutes: number, headers: Readonly<Record<string, string>>) => {
      await clock.advance(minutes * MINUTE_MS);
      return (await client.send('/', { headers })).status;
    };
    expect(await after(10, byClick)).toBe(200);
    expect(await after(10, byItself)).toBe(200);
    expect(await after(10, byItself)).toBe(401);
  });
});
