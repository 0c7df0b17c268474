import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import {
  assertionFor,
  codesOf,
  ecKey,
  getFhir,
  postToken,
  rsaKey,
  tokenFor,
  type AssertionChanges,
} from './support/client.ts';

const key = rsaKey();
let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await startSandbox({
    smtp: false,
    clients: [{ clientId: 'client-1', jwks: { keys: [key.jwk] } }],
  });
});
afterAll(() => sandbox.close());

const seconds = () => Math.floor(Date.now() / 1000);
const lastReason = () => sandbox.requests.findLast((request) => request.endpoint === 'token')?.reason;

/** The request is logged once its answer is over, a moment after the client has it. */
async function refusedFor(assertion: string, more?: Record<string, string>): Promise<string | undefined> {
  const before = sandbox.requests.length;
  const answer = await postToken(sandbox, assertion, more);
  expect(answer.status).toBe(400);
  const body = (await answer.json()) as { error: string; error_description: unknown };
  expect(body.error_description).toBeNull();
  await expect.poll(() => sandbox.requests.length).toBeGreaterThan(before);
  return `${body.error}: ${lastReason() ?? ''}`;
}

describe('a right assertion', () => {
  it('gets a long opaque token as Epic gives it', async () => {
    const answer = await postToken(sandbox, assertionFor(sandbox, key));
    const body = (await answer.json()) as Record<string, unknown>;
    expect(answer.status).toBe(200);
    expect(body).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'system/*.read' });
    expect(String(body['access_token']).length).toBeGreaterThan(1400);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it.each(['RS256', 'RS384', 'RS512'])('may be signed with %s', async (alg) => {
    expect((await postToken(sandbox, assertionFor(sandbox, { ...key, alg }))).status).toBe(200);
  });

  it('may be signed with ES384 or ES256 when the client has a key set', async () => {
    const [p384, p256] = [ecKey('p384'), ecKey('p256', 'P-256', 'ES256')];
    sandbox.registerClient({ clientId: 'ec', jwks: { keys: [p384.jwk, p256.jwk] } });
    const claims = () => ({ iss: 'ec', sub: 'ec', jti: randomUUID() });
    expect((await postToken(sandbox, assertionFor(sandbox, p384, { claims: claims() }))).status).toBe(200);
    expect((await postToken(sandbox, assertionFor(sandbox, p256, { claims: claims() }))).status).toBe(200);
  });

  it('may go without kid, typ, iat and nbf', async () => {
    const changes = { header: { kid: undefined, typ: undefined }, claims: { iat: undefined } };
    expect((await postToken(sandbox, assertionFor(sandbox, key, changes))).status).toBe(200);
  });

  it('of an uploaded public key needs no kid of that name, but RSA', async () => {
    const uploaded = rsaKey('any');
    const ec = ecKey();
    const pem = (k: typeof ec) => k.publicKey.export({ format: 'pem', type: 'spki' }).toString();
    sandbox.registerClient({ clientId: 'uploaded', certificatePem: pem(uploaded) });
    sandbox.registerClient({ clientId: 'uploaded-ec', certificatePem: pem(ec) });
    const claims = (id: string) => ({ iss: id, sub: id });
    const right = assertionFor(sandbox, uploaded, { header: { kid: 'AB12' }, claims: claims('uploaded') });
    expect((await postToken(sandbox, right)).status).toBe(200);
    const wrong = assertionFor(sandbox, ec, { claims: claims('uploaded-ec') });
    expect(await refusedFor(wrong)).toContain('signature');
  });
});

describe('a wrong assertion gets invalid_client and no cause', () => {
  const cases: [string, AssertionChanges, string][] = [
    ['exp past', { claims: { exp: seconds() - 1 } }, 'exp is past'],
    ['exp too far ahead', { claims: { exp: seconds() + 400, iat: seconds() } }, 'more than 5 minutes ahead'],
    ['too long a life', { claims: { iat: seconds() - 200, exp: seconds() + 200 } }, 'after iat'],
    ['iat in the future', { claims: { iat: seconds() + 60 } }, 'iat is in the future'],
    ['nbf in the future', { claims: { nbf: seconds() + 60 } }, 'nbf'],
    ['no exp', { claims: { exp: undefined } }, 'exp missing'],
    ['another aud', { claims: { aud: 'https://example.org/token' } }, 'aud'],
    ['a list as aud', { claims: { aud: ['x'] } }, 'aud'],
    ['iss not sub', { claims: { sub: 'other' } }, 'iss and sub'],
    ['an unknown client', { claims: { iss: 'nobody', sub: 'nobody' } }, 'not registered'],
    ['a long jti', { claims: { jti: 'x'.repeat(152) } }, 'jti'],
    ['no jti', { claims: { jti: undefined } }, 'jti'],
    ['another typ', { header: { typ: 'at+jwt' } }, 'typ'],
    ['an unknown kid', { header: { kid: 'other' } }, 'kid'],
    ['crit', { header: { crit: ['exp'] } }, 'crit'],
  ];
  it.each(cases)('%s', async (_name, changes, reason) => {
    expect(await refusedFor(assertionFor(sandbox, key, changes))).toMatch(/^invalid_client: /);
    expect(lastReason()).toContain(reason);
  });

  it('a jti used twice', async () => {
    const assertion = assertionFor(sandbox, key);
    expect((await postToken(sandbox, assertion)).status).toBe(200);
    expect(await refusedFor(assertion)).toContain('jti was used before');
  });

  it('alg none and HS256', async () => {
    const [, claims = ''] = assertionFor(sandbox, key).split('.');
    for (const alg of ['none', 'HS256', 'PS256']) {
      const header = Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url');
      expect(await refusedFor(`${header}.${claims}.AAAA`)).toContain('alg not allowed');
    }
    expect(await refusedFor('nonsense')).toContain('not a JWT');
  });

  it('a signature by another key, or with a byte changed', async () => {
    expect(await refusedFor(assertionFor(sandbox, rsaKey()))).toContain('signature');
    const assertion = assertionFor(sandbox, key);
    const at = assertion.lastIndexOf('.') + 5;
    const flipped = assertion.slice(0, at) + (assertion[at] === 'A' ? 'B' : 'A') + assertion.slice(at + 1);
    expect(await refusedFor(flipped)).toContain('signature');
  });

  it('RSA under 2048 bits', async () => {
    const weak = rsaKey('weak', 1024);
    sandbox.registerClient({ clientId: 'weak', jwks: { keys: [weak.jwk] } });
    const assertion = assertionFor(sandbox, weak, { claims: { iss: 'weak', sub: 'weak' } });
    expect(await refusedFor(assertion)).toContain('signature');
  });

  it('a key set that holds the private key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    sandbox.registerClient({ clientId: 'leaky', jwks: { keys: [privateKey.export({ format: 'jwk' })] } });
    const leaky = { ...key, privateKey, publicKey };
    const assertion = assertionFor(sandbox, leaky, { claims: { iss: 'leaky', sub: 'leaky' } });
    expect(await refusedFor(assertion)).toContain('no registered key');
  });

  it('a wrong form', async () => {
    const assertion = assertionFor(sandbox, key);
    expect(await refusedFor(assertion, { grant_type: 'password' })).toContain('unsupported_grant_type');
    expect(await refusedFor(assertion, { client_assertion_type: 'x' })).toContain('client_assertion_type');
    const json = await fetch(sandbox.tokenEndpoint, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(json.status).toBe(400);
    expect((await fetch(sandbox.tokenEndpoint)).status).toBe(405);
  });
});

describe('key sets from elsewhere', () => {
  it('reads a file again, and a URL again for an unknown kid', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sandbox-jwks-'));
    const [first, second] = [rsaKey('first'), rsaKey('second')];
    let served: object = { keys: [first.jwk] };
    let fetches = 0;
    const host: Server = createServer((_, response) => {
      fetches += 1;
      response.end(JSON.stringify(served));
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    try {
      const file = join(folder, 'jwks.json');
      await writeFile(file, JSON.stringify(served));
      const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}/jwks.json`;
      sandbox.registerClient({ clientId: 'file', jwksFile: file });
      sandbox.registerClient({ clientId: 'url', jwksUrl: url });
      const status = async (id: string, k: typeof first) =>
        (await postToken(sandbox, assertionFor(sandbox, k, { claims: { iss: id, sub: id } }))).status;
      expect(await status('file', first)).toBe(200);
      expect(await status('file', second)).toBe(400);
      expect([await status('url', first), await status('url', first)]).toEqual([200, 200]);
      expect(fetches).toBe(1);
      served = { keys: [second.jwk] };
      await writeFile(file, JSON.stringify(served));
      expect(await status('file', second)).toBe(200);
      // Still cached: Epic goes on taking the old key until it looks again.
      expect(await status('url', first)).toBe(200);
      expect(await status('url', second)).toBe(200);
      expect(fetches).toBe(2);
    } finally {
      await new Promise((resolve) => host.close(resolve));
      await rm(folder, { recursive: true });
    }
  });
});

describe('tokens and scopes', () => {
  it('narrows the request to the registration and answers 403 outside of it', async () => {
    const scopes = 'system/Patient.read system/Observation.rs';
    sandbox.registerClient({ clientId: 'client-2', jwks: { keys: [key.jwk] }, scopes });
    const claims = { iss: 'client-2', sub: 'client-2' };
    const ask = async (scope?: string) => {
      const assertion = assertionFor(sandbox, key, { claims: { ...claims, jti: randomUUID() } });
      return (await (await postToken(sandbox, assertion, scope ? { scope } : {})).json()) as Record<
        string,
        string
      >;
    };
    expect((await ask())['scope']).toBe(scopes);
    expect((await ask('system/*.read'))['scope']).toBe(scopes);
    expect((await ask('system/Patient.r system/Condition.read'))['scope']).toBe('system/Patient.r');
    expect((await ask('system/Condition.read'))['error']).toBe('invalid_scope');
    const token = (await ask('system/Patient.r'))['access_token'] ?? '';
    const id = sandbox.patientIdAt(0) ?? '';
    expect((await getFhir(sandbox, token, `Patient/${id}`)).status).toBe(200);
    expect((await getFhir(sandbox, token, `Patient?_id=${id}`)).status).toBe(403);
    const refused = await getFhir(sandbox, token, `Condition?patient=${id}`);
    expect([refused.status, codesOf(refused.json)]).toEqual([403, ['4118']]);
  });

  it('answers 401 without a token, with an unknown and with an expired one', async () => {
    const short = await startSandbox({ smtp: false, tokenLifeSeconds: 1 });
    try {
      const path = `Patient/${short.patientIdAt(0) ?? ''}`;
      const bare = await fetch(`${short.fhirBase}/${path}`);
      expect(bare.status).toBe(401);
      expect(bare.headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect((await bare.json()) as object).toMatchObject({ resourceType: 'OperationOutcome' });
      expect((await getFhir(short, 'nonsense', path)).status).toBe(401);
      const token = await tokenFor(short, key);
      expect((await getFhir(short, token, path)).status).toBe(200);
      await expect.poll(async () => (await getFhir(short, token, path)).status, { timeout: 5000 }).toBe(401);
    } finally {
      await short.close();
    }
  });

  it('judges an assertion by its own clock', async () => {
    const ahead = await startSandbox({ smtp: false, clockOffsetSeconds: 600 });
    try {
      ahead.registerClient({ clientId: 'client-1', jwks: { keys: [key.jwk] } });
      expect((await postToken(ahead, assertionFor(ahead, key))).status).toBe(400);
      const claims = { iat: seconds() + 590, exp: seconds() + 800 };
      expect((await postToken(ahead, assertionFor(ahead, key, { claims }))).status).toBe(200);
    } finally {
      await ahead.close();
    }
  });
});
