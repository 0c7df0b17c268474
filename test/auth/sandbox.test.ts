import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AccessTokenSource } from '../../src/auth/accessToken.ts';
import { publicJwks } from '../../src/auth/jwks.ts';
import { keyThumbprint, type SigningAlgorithm, type SigningKey } from '../../src/auth/keys.ts';
import { discoverTokenEndpoint } from '../../src/auth/smartConfiguration.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createHttp } from '../../src/system/http.ts';
import { silentLog } from '../../src/system/logger.ts';
import { createTestClock, rejection } from './support.ts';

/** Against the sandbox, whose judgement of assertions shares no code with ours. */
const http = createHttp({ timeoutMs: 5000 });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const signing: Readonly<Record<SigningAlgorithm, KeyObject>> = {
  RS256: rsa.privateKey,
  RS384: rsa.privateKey,
  RS512: rsa.privateKey,
  ES256: p256.privateKey,
  ES384: p384.privateKey,
};
const algorithms = Object.keys(signing) as SigningAlgorithm[];

let sandbox: Sandbox;
const open: AccessTokenSource[] = [];

async function startWith(options: { clockOffsetSeconds?: number } = {}): Promise<Sandbox> {
  const clients = await Promise.all(
    algorithms.map(async (algorithm) => {
      const { keys } = await publicJwks([{ key: signing[algorithm], algorithm, keyId: `kid-${algorithm}` }]);
      return { clientId: `client-${algorithm}`, jwks: { keys: keys.map((key) => ({ ...key })) } };
    }),
  );
  return startSandbox({ clients, smtp: false, patients: 1, ...options });
}

beforeAll(async () => {
  sandbox = await startWith();
});
afterEach(async () => {
  sandbox.setFaults([]);
  for (const source of open.splice(0)) await source.close();
});
afterAll(async () => {
  await sandbox.close();
  await http.close();
});

function source(
  algorithm: SigningAlgorithm,
  privateKey: KeyObject,
  at: Sandbox = sandbox,
): AccessTokenSource {
  const key: SigningKey = {
    privateKey,
    algorithm,
    keyId: undefined,
    thumbprint: keyThumbprint(privateKey),
    warnings: [],
  };
  const made = new AccessTokenSource({
    http,
    // The machine's time, since the sandbox judges by it, but no real sleep.
    clock: { ...createTestClock(), now: () => systemClock.now() },
    log: silentLog,
    random: () => 0,
    key,
    keyId: `kid-${algorithm}`,
    clientId: `client-${algorithm}`,
    tokenEndpoint: at.tokenEndpoint,
    scope: 'system/*.read',
  });
  open.push(made);
  return made;
}

describe('against the sandbox', () => {
  it('discovers the token endpoint', async () => {
    const found = await discoverTokenEndpoint({ fhirBase: sandbox.fhirBase, http });
    expect(found.tokenEndpoint).toBe(sandbox.tokenEndpoint);
  });

  it.each(algorithms)('gets a token by %s that opens the FHIR server', async (algorithm) => {
    const token = await source(algorithm, signing[algorithm]).getAccessToken();
    const url = `${sandbox.fhirBase}/Patient/${sandbox.patientIdAt(0)}`;
    const headers = { authorization: `Bearer ${token}`, accept: 'application/fhir+json' };
    expect((await http.request({ method: 'GET', url, headers })).status).toBe(200);
    expect((await http.request({ method: 'GET', url })).status).toBe(401);
  });

  it('is refused with a key that is not registered', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    expect((await rejection(source('ES384', privateKey).getAccessToken())).code).toBe('TOKEN_INVALID_CLIENT');
  });

  it('names the clock first when it is wrong', async () => {
    const ahead = await startWith({ clockOffsetSeconds: 900 });
    try {
      const tokens = source('ES384', p384.privateKey, ahead);
      const error = await rejection(tokens.getAccessToken());
      expect(error.code).toBe('TOKEN_INVALID_CLIENT');
      expect(error.hint).toMatch(/^This clock is (89|90)\d s behind/);
    } finally {
      await ahead.close();
    }
  });

  it('outlives resets, 503 and 429 with Retry-After', async () => {
    sandbox.setFaults([
      { match: { endpoint: 'token' }, when: { nth: [1] }, then: { reset: true } },
      { match: { endpoint: 'token' }, when: { nth: [2] }, then: { status: 503 } },
      { match: { endpoint: 'token' }, when: { nth: [3] }, then: { status: 429, retryAfter: 3 } },
    ]);
    expect(await source('ES384', p384.privateKey).getAccessToken()).toMatch(/./);
  });

  it('outlives a bare 400 on a re-authentication, but not on the first', async () => {
    const faults = [{ match: { endpoint: 'token' as const }, when: { first: 1 }, then: { status: 400 } }];
    const tokens = source('ES384', p384.privateKey);
    const first = await tokens.getAccessToken();
    tokens.invalidate(first);
    sandbox.setFaults(faults);
    expect(await tokens.getAccessToken()).not.toBe(first);
    sandbox.setFaults(faults);
    const error = await rejection(source('ES384', p384.privateKey).getAccessToken());
    expect(error.code).toBe('TOKEN_INVALID_CLIENT');
  });
});
