import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signClientAssertion } from '../../src/auth/clientAssertion.ts';
import type { SigningAlgorithm } from '../../src/auth/keys.ts';
import { createTestClock, rejection, START_MS, verifyAssertion } from './support.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pairs = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
};
const nowSeconds = START_MS / 1000;
const base = {
  key: rsa.privateKey,
  algorithm: 'RS384' as SigningAlgorithm,
  clientId: 'client-1',
  tokenEndpoint: 'https://epic.example/oauth2/token',
  clock: createTestClock(START_MS + 999),
};

describe('signClientAssertion', () => {
  it.each(Object.keys(pairs) as SigningAlgorithm[])('is verified by %s', async (algorithm) => {
    const { privateKey, publicKey } = pairs[algorithm];
    const jws = await signClientAssertion({ ...base, algorithm, key: privateKey, keyId: 'k1' });
    expect(verifyAssertion(jws, publicKey)?.header).toEqual({ alg: algorithm, typ: 'JWT', kid: 'k1' });
  });

  it('has Epic’s claims and no others, and no kid where none is known', async () => {
    const parts = verifyAssertion(
      await signClientAssertion({ ...base, randomUuid: () => 'u-1' }),
      rsa.publicKey,
    );
    expect(parts?.header).toEqual({ alg: 'RS384', typ: 'JWT' });
    expect(parts?.claims).toEqual({
      iss: 'client-1',
      sub: 'client-1',
      aud: 'https://epic.example/oauth2/token',
      jti: 'u-1',
      iat: nowSeconds - 10,
      exp: nowSeconds + 240,
    });
  });

  it('has a jti of its own each time', async () => {
    const signed = await Promise.all([signClientAssertion(base), signClientAssertion(base)]);
    const ids = signed.map((jws) => verifyAssertion(jws, rsa.publicKey)?.claims['jti']);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('never spans more than five minutes', async () => {
    const parts = verifyAssertion(
      await signClientAssertion({ ...base, lifetimeSeconds: 300 }),
      rsa.publicKey,
    );
    expect(Number(parts?.claims['exp']) - Number(parts?.claims['iat'])).toBe(300);
  });

  it.each([0, -5, 301, Number.NaN])('refuses a lifetime of %d s', async (lifetimeSeconds) => {
    expect((await rejection(signClientAssertion({ ...base, lifetimeSeconds }))).code).toBe('CONFIG_INVALID');
  });
});
