import { X509Certificate, createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { certificateThumbprint, fittingCertificate, makeCertificate } from '../../src/auth/certificate.ts';
import { publicJwks, writeJwks } from '../../src/auth/jwks.ts';
import { keyIdFor } from '../../src/auth/keyId.ts';
import { keyThumbprint, type SigningKey } from '../../src/auth/keys.ts';
import { createTestClock, rejection, START_MS, withFolder } from './support.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const clock = createTestClock();

describe('publicJwks', () => {
  it('publishes public members alone, also of private keys', async () => {
    const { keys } = await publicJwks([
      { key: rsa.privateKey, algorithm: 'RS384' },
      { key: p384.privateKey, algorithm: 'ES384', keyId: 'chosen' },
    ]);
    const [first, second] = keys;
    const common = ['alg', 'key_ops', 'kid', 'kty', 'use'];
    expect(Object.keys(first!).sort()).toEqual([...common, 'e', 'n'].sort());
    expect(Object.keys(second!).sort()).toEqual([...common, 'crv', 'x', 'y'].sort());
    expect(first).toMatchObject({ kty: 'RSA', alg: 'RS384', use: 'sig', kid: keyThumbprint(rsa.publicKey) });
    expect(second).toMatchObject({ kty: 'EC', crv: 'P-384', key_ops: ['verify'], kid: 'chosen' });
    expect(createPublicKey({ format: 'jwk', key: { ...first } as never }).equals(rsa.publicKey)).toBe(true);
    expect(createPublicKey({ format: 'jwk', key: { ...second } as never }).equals(p384.publicKey)).toBe(true);
  });

  it('refuses two keys of one kid', async () => {
    const keys = [
      { key: rsa.publicKey, algorithm: 'RS384', keyId: 'k' },
      { key: p384.publicKey, algorithm: 'ES384', keyId: 'k' },
    ] as const;
    expect((await rejection(publicJwks(keys))).code).toBe('CONFIG_INVALID');
  });

  it('is written whole and replaced', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'web', 'jwks.json');
      await writeJwks(file, { keys: [] });
      const set = await publicJwks([{ key: rsa.publicKey, algorithm: 'RS384' }]);
      await writeJwks(file, set);
      expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(set);
    });
  });
});

describe('makeCertificate', () => {
  it.each([
    ['RSA', rsa],
    ['EC P-384', p384],
    ['EC P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ])('certifies the existing %s key', async (_name, { privateKey, publicKey }) => {
    const pem = await makeCertificate({
      key: privateKey,
      subjectCommonName: 'fhir-rounds St. Mary',
      days: 400,
      clock,
    });
    const certificate = new X509Certificate(pem);
    expect(certificate.publicKey.equals(publicKey)).toBe(true);
    expect(certificate.verify(publicKey)).toBe(true);
    expect(certificate.subject).toBe('CN=fhir-rounds St. Mary');
    expect(certificate.issuer).toBe(certificate.subject);
    expect(certificate.ca).toBe(false);
    expect(Date.parse(certificate.validTo)).toBe(START_MS + 400 * 86_400_000);
    expect(fittingCertificate(pem, privateKey)).toBe(pem);
  });

  it('signs with SHA-256 (RSA) and SHA-384 (EC), never SHA-1', async () => {
    const oids = { rsa: '2a864886f70d01010b', ec: '2a8648ce3d040303' };
    const options = { subjectCommonName: 'a', days: 1, clock };
    const ofRsa = new X509Certificate(await makeCertificate({ key: rsa.privateKey, ...options }));
    const ofEc = new X509Certificate(await makeCertificate({ key: p384.privateKey, ...options }));
    expect(ofRsa.raw.toString('hex')).toContain(oids.rsa);
    expect(ofEc.raw.toString('hex')).toContain(oids.ec);
  });

  it.each(['', 'a,O=b', 'a=b', 'a\nb', ' a', 'x'.repeat(65)])(
    'refuses the name %j',
    async (subjectCommonName) => {
      const promise = makeCertificate({ key: rsa.privateKey, subjectCommonName, days: 1, clock });
      expect((await rejection(promise)).code).toBe('USAGE');
    },
  );

  it.each([0, -1, 1.5, 100_000])('refuses %d days', async (days) => {
    const promise = makeCertificate({ key: rsa.privateKey, subjectCommonName: 'a', days, clock });
    expect((await rejection(promise)).code).toBe('USAGE');
  });
});

describe('certificateThumbprint', () => {
  it('is the upper-case hex digest of the DER', async () => {
    const pem = await makeCertificate({ key: p384.privateKey, subjectCommonName: 'a', days: 10, clock });
    const der = Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64');
    expect(certificateThumbprint(pem)).toEqual({
      sha1: createHash('sha1').update(der).digest('hex').toUpperCase(),
      sha256: createHash('sha256').update(der).digest('hex').toUpperCase(),
      notAfter: '2026-12-02T02:00:00.000Z',
    });
  });

  it('refuses what is no certificate', () => {
    expect(() => certificateThumbprint('nothing')).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }));
  });
});

describe('keyIdFor', () => {
  const key = (keyId?: string): SigningKey => ({
    privateKey: p384.privateKey,
    algorithm: 'ES384',
    keyId,
    thumbprint: keyThumbprint(p384.privateKey),
    warnings: [],
  });

  it('takes the configured, the certificate’s, the JWK’s, the key’s own, in this order', async () => {
    const pem = await makeCertificate({ key: p384.privateKey, subjectCommonName: 'a', days: 1, clock });
    expect(keyIdFor(key('jwk'), { configured: 'set', certificatePem: pem })).toBe('set');
    expect(keyIdFor(key('jwk'), {})).toBe('jwk');
    expect(keyIdFor(key('jwk'), { certificatePem: pem })).toBe(certificateThumbprint(pem).sha1);
    expect(keyIdFor(key(), {})).toBe(keyThumbprint(p384.publicKey));
  });

  it('refuses the certificate of another key', async () => {
    const pem = await makeCertificate({ key: rsa.privateKey, subjectCommonName: 'a', days: 1, clock });
    expect(() => keyIdFor(key(), { certificatePem: pem })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});
