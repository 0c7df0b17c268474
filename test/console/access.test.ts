import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/cli.ts';
import { ConsoleClient, openConsole, startConsole } from '../support/consoleClient.ts';
import { makeSite, textsBelow, type Site } from '../support/site.ts';

describe('who may use the console', () => {
  let site: Site;
  beforeAll(async () => {
    site = await makeSite({ mail: false });
    expect((await site.run(['run'])).code).toBe(0);
  });
  afterAll(() => site.close());

  it('opens by a link, once, and gives a cookie that no script and no other site can use', async () => {
    const { client, link, origin } = await startConsole(site);
    const before = await client.get('/');
    expect(before.status).toBe(401);
    expect(before.text).toContain('fhir-rounds console --link');
    const first = await client.login(link);
    expect(first.status).toBe(303);
    expect(first.headers['set-cookie']).toEqual([
      expect.stringMatching(/^fhir-rounds=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
    expect((await client.get('/')).status).toBe(200);
    const again = await new ConsoleClient(origin).login(link);
    expect(again.status).toBe(401);
    expect(again.headers['set-cookie']).toBeUndefined();
  });

  it('makes new links while it runs, and none when none runs', async () => {
    const running = await startConsole(site);
    const { stdout } = await site.run(['console', '--link']);
    expect((await running.client.login(stdout.trim())).status).toBe(303);
    await running.stop();
    const none = await site.run(['console', '--link']);
    expect(none.code).toBe(2);
    expect(none.stderr).toContain('no console runs with this state folder');
  });

  it('makes links also after another one could not start beside it', async () => {
    const running = await startConsole(site);
    const { port } = new URL(running.origin);
    const second = await site.run(['console'], { env: { FHIR_ROUNDS_CONSOLE_PORT: port } });
    expect(second.code).toBe(2);
    expect(second.stderr).toContain('perhaps a console that runs already');
    const { stdout } = await site.run(['console', '--link']);
    expect((await running.client.login(stdout.trim())).status).toBe(303);
  });

  it('takes no guessed link, and no path for one', async () => {
    const { client } = await startConsole(site);
    for (const code of ['', 'a', '../address.json', '..%2f..%2fledger.sqlite', 'A'.repeat(43)]) {
      expect((await client.get(`/login?code=${code}`)).status).toBe(401);
    }
    expect(existsSync(site.path('state', 'console', 'address.json'))).toBe(true);
  });

  it('answers to its own name only, whatever a name server says of another', async () => {
    const { client, origin } = await openConsole(site);
    const { host, port } = new URL(origin);
    for (const name of [
      'evil.example',
      `evil.example:${port}`,
      `localhost:${port}`,
      `${host}.evil.example`,
    ]) {
      const { status, text } = await client.send('/', { headers: { host: name } });
      expect.soft(status, name).toBe(403);
      expect.soft(text).not.toContain('name="csrf"');
    }
    expect((await client.send('/', { headers: { host } })).status).toBe(200);
  });

  it('lets no other page ask for anything', async () => {
    const { client, origin } = await openConsole(site);
    for (const place of ['cross-site', 'same-site']) {
      expect((await client.send('/', { headers: { 'sec-fetch-site': place } })).status).toBe(403);
    }
    const form = new URLSearchParams({ kind: 'run', csrf: client.csrf }).toString();
    const post = (headers: Readonly<Record<string, string>>, body = form) =>
      client.send('/jobs/default/requests', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body,
      });
    expect((await post({})).status).toBe(403);
    for (const other of ['null', 'http://evil.example', `${origin}.evil.example`]) {
      expect((await post({ origin: other })).status).toBe(403);
    }
    expect((await post({ origin }, 'kind=run')).status).toBe(403);
    expect((await post({ origin }, `kind=run&csrf=${'A'.repeat(43)}`)).status).toBe(403);
    expect((await post({ origin })).status).toBe(303);
  });

  it('says nothing to who has another session’s cookie, or two', async () => {
    const { client } = await openConsole(site);
    const own = client.cookie!;
    for (const cookie of ['fhir-rounds=', `fhir-rounds=${'A'.repeat(43)}`, `${own}; ${own}`, `x${own}`]) {
      client.cookie = cookie;
      expect.soft((await client.get('/')).status, cookie).toBe(401);
    }
  });

  it('has every answer kept nowhere, framed nowhere, and free of inline scripts', async () => {
    const { client } = await openConsole(site);
    for (const path of ['/', '/runs', '/runs/latest', '/nope', '/sql']) {
      const { headers, text } = await client.get(path);
      expect.soft(headers['cache-control'], path).toBe('no-store');
      expect
        .soft(headers['content-security-policy'], path)
        .toContain("default-src 'none'; script-src 'self'");
      expect.soft(headers['content-security-policy'], path).not.toContain('unsafe');
      expect.soft(headers['x-content-type-options'], path).toBe('nosniff');
      expect
        .soft(text, path)
        .not.toMatch(/<script(?! type="module" src="\/assets\/)|\son\w+=|\sstyle=|https?:\/\/(?!127)/);
    }
  });

  it('shows the first page for a number that is none', async () => {
    const { client } = await openConsole(site);
    for (const page of ['1e308', '-5', 'x', '99999999999']) {
      expect.soft((await client.get(`/runs?page=${page}`)).status, page).toBe(200);
    }
  });

  it('ends a session at the log-out', async () => {
    const { client } = await openConsole(site);
    const kept = client.cookie;
    expect((await client.post('/logout')).status).toBe(303);
    client.cookie = kept;
    expect((await client.get('/')).status).toBe(401);
  });

  it('writes who looked at what into the audit file, which holds', async () => {
    const { client, link, stop } = await startConsole(site);
    await client.login(link);
    await client.get('/runs/latest');
    await client.post('/jobs/default/requests', { kind: 'dry-run' });
    await stop();
    const audit = await readFile(site.path('state', 'audit.ndjson'), 'utf8');
    const lines = audit
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const ours = lines.slice(lines.findLastIndex(({ event }) => event === 'console.opened'));
    expect(ours.map(({ event, route }) => [event, route])).toEqual([
      ['console.opened', 'GET /login'],
      ['console.read', 'GET /'],
      ['console.read', 'GET /runs/{runId}'],
      ['console.asked', 'POST /jobs/{job}/requests'],
    ]);
    expect(new Set(ours.map(({ session }) => session)).size).toBe(1);
    expect(audit).not.toContain(link.slice(-20));
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
  });

  it('leaves no secret and no link behind', async () => {
    const running = await openConsole(site);
    const { link, client, stop } = running;
    await stop();
    const secrets = [link.split('=')[1]!, client.cookie!.split('=')[1]!, client.csrf];
    for (const [file, text] of [
      ...(await textsBelow(site.stateFolder)),
      ...(await textsBelow(site.logFolder)),
    ]) {
      for (const secret of secrets) expect.soft(text.includes(secret), file).toBe(false);
    }
    const followed = createHash('sha256').update(link.split('=')[1]!).digest('hex');
    expect(await readdir(site.path('state', 'console', 'links'))).not.toContain(followed);
  });

  it('refuses a network address without TLS', async () => {
    await site.configure({ 'console.host': '0.0.0.0' });
    const refused = await site.run(['console']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('needs tls_certificate and tls_key');
    await site.configure({});
  });

  it('serves over TLS with a cookie that goes nowhere else', async () => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'rounds' }], {
      keySize: 2048,
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    await writeFile(site.path('console-cert.pem'), cert);
    await writeFile(site.path('console-key.pem'), key, { mode: 0o600 });
    await site.configure({
      'console.tls_certificate': 'console-cert.pem',
      'console.tls_key': 'console-key.pem',
    });
    const { origin, link } = await startConsole(site);
    await site.configure({});
    expect(origin).toMatch(/^https:/);
    const reply = await new Promise<IncomingMessage>((resolve, reject) =>
      get(link, { ca: cert }, resolve).on('error', reject),
    );
    reply.resume();
    expect(reply.statusCode).toBe(303);
    expect(reply.headers['set-cookie']).toEqual([
      expect.stringMatching(/^__Host-fhir-rounds=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/),
    ]);
    expect(reply.headers['strict-transport-security']).toBe('max-age=31536000');
  });

  it('serves the public keys alone where that is all that is wanted, and opens no private key for it', async () => {
    const keys = await site.run(['keys', 'jwks', '--out', site.path('jwks.json')]);
    expect(keys.code).toBe(0);
    await site.configure({ 'paths.public_key': 'jwks.json', 'paths.private_key': 'nowhere.pem' });
    const running = await site.start(['console', '--jwks-only', '--json'], {
      env: { FHIR_ROUNDS_CONSOLE_PORT: '0' },
    });
    try {
      await until('its address', () => running.output.stdout.includes('\n'));
      const { origin, link } = JSON.parse(running.output.stdout) as { origin: string; link?: string };
      expect(link).toBeUndefined();
      const client = new ConsoleClient(origin);
      for (const at of ['/jwks', '/.well-known/jwks.json']) {
        // By whatever name a reverse proxy asks for it.
        const { status, text } = await client.send(at, { headers: { host: 'keys.hospital.example' } });
        expect(status, text).toBe(200);
        const [key] = (JSON.parse(text) as { keys: Record<string, unknown>[] }).keys;
        expect(Object.keys(key!)).toEqual(expect.arrayContaining(['kty', 'n', 'e', 'kid']));
        expect(Object.keys(key!)).not.toContain('d');
      }
      for (const at of ['/', '/runs', '/login?code=x', '/api/v1/health', '/health', '/assets/console.css']) {
        expect.soft((await client.get(at)).status, at).toBe(404);
      }
    } finally {
      running.child.kill('SIGINT');
      expect((await running.ended).code).toBe(0);
      await site.configure({});
    }
  });
});
