import { generateKeyPairSync } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { runsOf } from '../support/publishedRun.ts';
import { CLIENT_ID, siteForTest } from '../support/site.ts';

/** A port of this machine where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('a run that cannot begin', () => {
  it('because the server is away exits 1, publishes nothing and mails FAILED', async () => {
    const port = await closedPort();
    const site = await siteForTest({
      sandbox: { patients: 2 },
      settings: {
        'epic_settings.epic_endpoint': `http://127.0.0.1:${port}/api/FHIR/R4`,
        'oauth_settings.token_endpoint': `http://127.0.0.1:${port}/oauth2/token`,
        'api_settings.max_attempts': 2,
      },
    });
    const { code, stdout } = await site.run(['run']);
    expect(code).toBe(1);
    expect(stdout).toContain('NETWORK');
    expect(await runsOf(site)).toEqual([]);
    expect(await readdir(`${site.exportFolder}/default/.staging`)).toEqual([]);
    const [mail] = site.sandbox.smtp!.mails;
    expect(mail!.subject).toMatch(/^FAILED: network.*, default \[/);
    const status = await site.run(['status']);
    expect(status.code).toBe(2);
    expect(status.stdout).toContain('NETWORK');
  });

  it('because the client is refused exits 1, and says what may be the cause, on the screen and in the mail', async () => {
    const site = await siteForTest({ sandbox: { patients: 2 } });
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(site.path('private-key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const { code, stdout } = await site.run(['run']);
    expect(code).toBe(1);
    // Once and no more: a wrong client that keeps asking gets locked out.
    expect(site.sandbox.requests.filter(({ endpoint }) => endpoint === 'token')).toHaveLength(1);
    const [mail] = site.sandbox.smtp!.mails;
    expect(mail!.subject).toMatch(/^FAILED: token invalid client, default \[/);
    const flat = stdout.replace(/\s+/g, ' ');
    for (const cause of ['client id', 'public key', '`aud`', 'clock', 'key_id', 'Epic user']) {
      expect(flat).toContain(cause);
    }
    expect(stdout).not.toContain(CLIENT_ID);
    expect(await runsOf(site)).toEqual([]);
  });

  it('because the token endpoint is broken for a while goes on when it is back', async () => {
    const site = await siteForTest({ sandbox: { patients: 2, smtp: false } });
    site.sandbox.setFaults([{ match: { endpoint: 'token' }, when: { first: 2 }, then: { status: 503 } }]);
    const { code, stderr } = await site.run(['run']);
    expect(code, stderr).toBe(0);
  });

  it('because every search fails exits 1 and publishes nothing', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      settings: { 'api_settings.max_attempts': 1 },
    });
    site.sandbox.setFaults([
      { match: { endpoint: 'search' }, then: { badJson: true } },
      { match: { endpoint: 'read' }, then: { badJson: true } },
    ]);
    const { code, stdout } = await site.run(['run']);
    expect(code).toBe(1);
    expect(stdout).toContain('FHIR_NOT_JSON');
    expect(await runsOf(site)).toEqual([]);
  });
});
