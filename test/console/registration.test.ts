import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { jwksRoutes } from '../../src/console/jwks.ts';
import { registrationRoutes } from '../../src/console/registrationRoutes.ts';
import { rejection } from '../support/rejection.ts';
import {
  setMode,
  siteForTest,
  siteKey,
  type Site,
  type SiteOptions,
  type SiteSettings,
} from '../support/site.ts';
import { ask, consoleOf } from './support.ts';

const certificateSettings: SiteSettings = {
  'paths.certificate': 'certificate.pem',
  'jwt_settings.key_id': null,
};

async function siteWithPublicKey(options: SiteOptions = {}): Promise<Site> {
  const site = await siteForTest({ mail: false, ...options });
  const pem = createPublicKey(siteKey().pem).export({ type: 'spki', format: 'pem' });
  await writeFile(site.path('public-key.pem'), pem);
  return site;
}

/** The test's steps as the page shows them: `token: ok`. */
function stepsIn(html: string): readonly string[] {
  return [...html.matchAll(/<strong>([^<]+)<\/strong>\s*<span class="verdict">([^<]+)</g)].map(
    ([, step, verdict]) => `${step}: ${verdict}`,
  );
}

async function tested(site: Site): Promise<{ readonly text: string; readonly steps: readonly string[] }> {
  const { site: own, parts } = await consoleOf(site);
  const { text } = await ask(registrationRoutes(own, parts), 'POST', '/registration/test', {
    job: 'default',
  });
  return { text, steps: stepsIn(text) };
}

describe('the Registration page', () => {
  it('shows what Epic has to be given, and nothing private', async () => {
    const site = await siteWithPublicKey({ settings: certificateSettings });
    expect((await site.run(['keys', 'certificate'])).code).toBe(0);
    const { site: own, parts } = await consoleOf(site);
    const routes = registrationRoutes(own, parts);
    const { text } = await ask(routes, 'GET', '/registration');
    const pem = await readFile(site.path('certificate.pem'), 'utf8');
    const sha1 = new X509Certificate(pem).fingerprint.replaceAll(':', '');
    expect(text).toContain(sha1);
    expect(text).toContain('e2e-client');
    expect(text).toContain('SANDBOX');
    expect(text).toContain('Patient.Read (Demographics) (R4)');
    expect(text).toContain('keys jwks --out');
    expect(text).not.toMatch(/PRIVATE KEY|&quot;d&quot;/);
    const { text: downloaded, headers } = await ask(routes, 'GET', '/registration/certificate');
    expect(downloaded).toBe(pem);
    // As some tools write it: both in one file.
    const key = await readFile(site.path('private-key.pem'), 'utf8');
    await writeFile(site.path('certificate.pem'), key + pem);
    expect((await ask(routes, 'GET', '/registration')).text).not.toContain('PRIVATE KEY');
    expect((await ask(routes, 'GET', '/registration/certificate')).text).toBe(pem);
    expect(headers).toMatchObject({ 'content-disposition': 'attachment; filename="certificate.pem"' });
  });

  it('says what is missing in its place, and shows the rest', async () => {
    const site = await siteForTest({ mail: false });
    await rm(site.resourcesFile);
    const { site: own, parts } = await consoleOf(site);
    const routes = registrationRoutes(own, parts);
    const { status, text } = await ask(routes, 'GET', '/registration');
    expect(status).toBe(200);
    expect(text).toContain('KEY_INVALID');
    expect(text).toContain('INPUT_INVALID');
    expect(text).toContain('keys certificate');
    expect((await rejection(ask(routes, 'GET', '/registration/certificate'))).code).toBe('CONSOLE_NOT_FOUND');
    expect((await rejection(ask(routes, 'GET', '/registration?job=nope'))).code).toBe('CONSOLE_ASK_INVALID');
  });
});

describe('the token test', () => {
  it('goes from the key to the scopes, and shows no token', async () => {
    const { steps, text } = await tested(await siteWithPublicKey());
    expect(steps).toEqual([
      ...['private key: ok', 'key id: ok', 'registered key: ok', 'published key: ok'],
      ...['token endpoint: ok', 'clock: ok', 'token: ok', 'scopes: ok'],
    ]);
    expect(text).toContain('All is well.');
    expect(text).not.toMatch(/eyJ|access_token|Bearer/);
  });

  it('names a key that others can read, and one that is not there', async () => {
    const site = await siteWithPublicKey();
    if (process.platform !== 'win32') {
      await setMode(site.path('private-key.pem'), 0o644);
      const exposed = await tested(site);
      expect(exposed.steps).toEqual(['private key: problem']);
      expect(exposed.text).toContain('chmod 600');
    }
    await rename(site.path('private-key.pem'), site.path('elsewhere.pem'));
    const { steps, text } = await tested(site);
    expect(steps).toEqual(['private key: problem']);
    expect(text).toContain('fhir-rounds keys generate');
  });

  it('names a public key of another pair, and a JWKS that calls the key otherwise', async () => {
    const site = await siteWithPublicKey();
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(site.path('public-key.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    expect((await tested(site)).steps).toContain('published key: problem');
    await site.configure({ 'paths.public_key': 'jwks.json' });
    const [jwk] = siteKey().jwks.keys;
    await writeFile(site.path('jwks.json'), JSON.stringify({ keys: [{ ...jwk, kid: 'another' }] }));
    const { steps, text } = await tested(site);
    expect(steps).toContain('published key: problem');
    expect(text).toContain('another');
  });

  it('names a clock that is wrong, and finds out why no token comes', async () => {
    const slow = await siteWithPublicKey({ sandbox: { clockOffsetSeconds: 400 } });
    const early = await tested(slow);
    expect(early.steps).toContain('clock: problem');
    expect(early.text).toContain('cause found');
    const stranger = await siteWithPublicKey({ settings: { 'oauth_settings.client_id': 'nobody' } });
    const { steps, text } = await tested(stranger);
    expect(steps).toContain('token: problem');
    expect(text).toContain('the client id is of the other environment');
  });

  it('names a certificate of another key', async () => {
    const site = await siteWithPublicKey({ settings: certificateSettings });
    const other = await siteForTest({
      mail: false,
      settings: { ...certificateSettings, 'paths.private_key': 'new.pem' },
    });
    expect((await other.run(['keys', 'generate'])).code).toBe(0);
    expect((await other.run(['keys', 'certificate'])).code).toBe(0);
    await writeFile(site.path('certificate.pem'), await readFile(other.path('certificate.pem')));
    const { steps, text } = await tested(site);
    expect(steps).toEqual(['private key: ok', 'key id: problem']);
    expect(text).toContain('was not made from the key');
  });

  it('names scopes that were not granted', async () => {
    const site = await siteWithPublicKey({
      settings: { 'oauth_settings.scope': 'system/Patient.read system/Condition.read' },
      sandbox: { faults: [{ match: { endpoint: 'token' }, then: { dropScope: 'system/Condition.read' } }] },
    });
    const { steps, text } = await tested(site);
    expect(steps).toContain('scopes: look');
    expect(text).toContain('system/Condition.read');
  });
});

describe('the public keys', () => {
  it('are those of keys jwks, by both paths, without the private key being there', async () => {
    for (const settings of [{}, { 'jwt_settings.key_id': null }, certificateSettings]) {
      const site = await siteWithPublicKey({ settings });
      if (settings === certificateSettings) expect((await site.run(['keys', 'certificate'])).code).toBe(0);
      const made = JSON.parse((await site.run(['keys', 'jwks'])).stdout) as object;
      await rm(site.path('private-key.pem'));
      const { site: own } = await consoleOf(site);
      const routes = jwksRoutes(own);
      expect(routes.every(({ open }) => open === true)).toBe(true);
      const answers = await Promise.all(
        ['/jwks', '/.well-known/jwks.json'].map((path) => ask(routes, 'GET', path)),
      );
      for (const { text, headers, contentType } of answers) {
        expect(JSON.parse(text)).toEqual(made);
        expect(headers!['cache-control']).toBe('public, max-age=3600');
        expect(headers!.etag).toMatch(/^"[0-9a-f]{32}"$/);
        expect(contentType).toMatch(/^application\/json/);
      }
      expect(answers[0]!.text).toBe(answers[1]!.text);
    }
  });

  it('are those that a rotation publishes, while there is one', async () => {
    const site = await siteWithPublicKey({ settings: { 'jwt_settings.key_id': null } });
    const { site: own } = await consoleOf(site);
    const routes = jwksRoutes(own);
    expect((await site.run(['keys', 'rotate', '--jwks', site.path('hosted.json')])).code).toBe(0);
    const hosted = JSON.parse(await readFile(site.path('hosted.json'), 'utf8')) as { keys: object[] };
    expect(hosted.keys).toHaveLength(2);
    expect(JSON.parse((await ask(routes, 'GET', '/jwks')).text)).toEqual(hosted);
  });

  it('are never a private one, whatever the file holds', async () => {
    const site = await siteWithPublicKey({ settings: { 'paths.public_key': 'given' } });
    const { site: own } = await consoleOf(site);
    const routes = jwksRoutes(own);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const secret = privateKey.export({ format: 'jwk' });
    const files = [
      siteKey().pem,
      JSON.stringify(secret),
      JSON.stringify({ keys: [...siteKey().jwks.keys, secret] }),
      'nothing',
      '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}',
      '{',
    ];
    for (const content of files) {
      await writeFile(site.path('given'), content);
      const error = await rejection(ask(routes, 'GET', '/jwks'));
      expect.soft(error.code, content.slice(0, 20)).toBe('KEY_INVALID');
      expect.soft(error.message + error.hint).not.toContain(String(secret.d));
    }
    await writeFile(site.path('given'), await certificatePem(site));
    const { text } = await ask(routes, 'GET', '/jwks');
    expect((JSON.parse(text) as { keys: object[] }).keys).toHaveLength(1);
    expect(text).not.toContain('"d"');
  });
});

async function certificatePem(site: Site): Promise<string> {
  expect((await site.run(['keys', 'certificate', '--out', site.path('cert.pem')])).code).toBe(0);
  return readFile(site.path('cert.pem'), 'utf8');
}
