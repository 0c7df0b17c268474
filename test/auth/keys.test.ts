import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmod, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCertificate } from '../../src/auth/certificate.ts';
import { isExposed } from '../../src/auth/keyFile.ts';
import { generateKeyPair } from '../../src/auth/keyPair.ts';
import { keyThumbprint, loadPrivateKey, type SigningAlgorithm } from '../../src/auth/keys.ts';
import { systemClock } from '../../src/system/clock.ts';
import { rejection, withFolder } from './support.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });

const pem = (key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'sec1' | 'spki'): string =>
  key.export({ type, format: 'pem' } as never).toString();
const jwk = (key: KeyObject, extra: object = {}): object => ({ ...key.export({ format: 'jwk' }), ...extra });

/** `openssl ecparam -name secp384r1` writes the curve's OID in a block of its own. */
const EC_PARAMETERS = '-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n';

async function load(content: string, algorithm: SigningAlgorithm, keyId?: string, mode = 0o600) {
  return withFolder(async (folder) => {
    const file = path.join(folder, 'key');
    await writeFile(file, content, { mode });
    await chmod(file, mode);
    return loadPrivateKey(file, { algorithm, keyId });
  });
}

describe('loadPrivateKey reads', () => {
  it.each<[string, string, SigningAlgorithm, KeyObject]>([
    ['PKCS#1', pem(rsa.privateKey, 'pkcs1'), 'RS384', rsa.publicKey],
    ['PKCS#8 RSA', pem(rsa.privateKey, 'pkcs8'), 'RS256', rsa.publicKey],
    ['PKCS#8 EC', pem(p384.privateKey, 'pkcs8'), 'ES384', p384.publicKey],
    ['SEC1 EC', pem(p256.privateKey, 'sec1'), 'ES256', p256.publicKey],
    ['JWK', JSON.stringify(jwk(p384.privateKey)), 'ES384', p384.publicKey],
    [
      'CRLF and a BOM',
      `\uFEFF${pem(rsa.privateKey, 'pkcs8').replaceAll('\n', '\r\n')}`,
      'RS512',
      rsa.publicKey,
    ],
    ['openssl ecparam’s two blocks', EC_PARAMETERS + pem(p384.privateKey, 'sec1'), 'ES384', p384.publicKey],
    [
      'a private key beside its public one',
      pem(rsa.publicKey, 'spki') + pem(rsa.privateKey, 'pkcs8'),
      'RS384',
      rsa.publicKey,
    ],
  ])('%s', async (_name, content, algorithm, publicKey) => {
    const key = await load(content, algorithm);
    expect(createPublicKey(key.privateKey).equals(publicKey)).toBe(true);
    expect(key).toMatchObject({ algorithm, keyId: undefined, warnings: [] });
  });

  it('the one private key of a JWK Set, and its kid', async () => {
    const set = { keys: [jwk(p256.publicKey, { kid: 'pub' }), jwk(rsa.privateKey, { kid: 'mine' })] };
    expect((await load(JSON.stringify(set), 'RS384')).keyId).toBe('mine');
  });

  it('the private key of a JWK Set that key_id names', async () => {
    const set = { keys: [jwk(p256.privateKey, { kid: 'a' }), jwk(rsa.privateKey, { kid: 'b' })] };
    expect((await load(JSON.stringify(set), 'ES256', 'a')).keyId).toBe('a');
    expect((await rejection(load(JSON.stringify(set), 'ES256'))).code).toBe('KEY_INVALID');
  });
});

describe('loadPrivateKey refuses', () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const ed = generateKeyPairSync('ed25519');
  const secret = { cipher: 'aes-256-cbc', passphrase: 'x', format: 'pem' } as const;
  const cases: [string, string, SigningAlgorithm, string, RegExp][] = [
    ['a weak key', pem(weak.privateKey, 'pkcs8'), 'RS384', 'KEY_WEAK', /1024 bits/],
    ['a public key', pem(rsa.publicKey, 'spki'), 'RS384', 'KEY_INVALID', /a public key, not/],
    ['a PKCS#1 public key', pem(rsa.publicKey, 'pkcs1'), 'RS384', 'KEY_INVALID', /a public key, not/],
    ['a public JWK', JSON.stringify(jwk(rsa.publicKey)), 'RS384', 'KEY_INVALID', /public JWK/],
    [
      'encrypted PKCS#8',
      rsa.privateKey.export({ type: 'pkcs8', ...secret }).toString(),
      'RS384',
      'KEY_INVALID',
      /passphrase/,
    ],
    [
      'encrypted PKCS#1',
      rsa.privateKey.export({ type: 'pkcs1', ...secret }).toString(),
      'RS384',
      'KEY_INVALID',
      /passphrase/,
    ],
    ['EC for RS384', pem(p384.privateKey, 'pkcs8'), 'RS384', 'CONFIG_INVALID', /signs with RSA/],
    ['RSA for ES384', pem(rsa.privateKey, 'pkcs8'), 'ES384', 'CONFIG_INVALID', /signs with EC P-384/],
    ['P-256 for ES384', pem(p256.privateKey, 'pkcs8'), 'ES384', 'CONFIG_INVALID', /another curve/],
    ['P-384 for ES256', pem(p384.privateKey, 'pkcs8'), 'ES256', 'CONFIG_INVALID', /another curve/],
    ['Ed25519', pem(ed.privateKey, 'pkcs8'), 'RS384', 'KEY_INVALID', /ed25519/],
    [
      'two private keys',
      pem(rsa.privateKey, 'pkcs8') + pem(p384.privateKey, 'pkcs8'),
      'RS384',
      'KEY_INVALID',
      /several/,
    ],
    ['a cut PEM', pem(rsa.privateKey, 'pkcs8').slice(0, 300), 'RS384', 'KEY_INVALID', /no complete PEM/],
    [
      'a damaged PEM',
      pem(rsa.privateKey, 'pkcs8').replace(/\n.{64}\n/, '\nAAAA\n'),
      'RS384',
      'KEY_INVALID',
      /damaged/,
    ],
    ['JSON that is none', '{"kty":"RSA", "d": SECRETTEXT', 'RS384', 'KEY_INVALID', /not JSON/],
    ['an empty file', '', 'RS384', 'KEY_INVALID', /no complete PEM/],
  ];
  it.each(cases)('%s', async (_name, content, algorithm, code, message) => {
    const error = await rejection(load(content, algorithm));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.cause).toBeUndefined();
    expect(error.message).not.toContain('SECRETTEXT');
  });

  it('a certificate, named as such', async () => {
    const certificate = await makeCertificate({
      key: rsa.privateKey,
      subjectCommonName: 'x',
      days: 1,
      clock: systemClock,
    });
    expect((await rejection(load(certificate, 'RS384'))).message).toMatch(/a certificate, not a private key/);
  });

  it('a file that is not there, and a folder', async () => {
    await withFolder(async (folder) => {
      const missing = await rejection(loadPrivateKey(path.join(folder, 'none'), { algorithm: 'RS384' }));
      expect(missing).toMatchObject({ code: 'KEY_INVALID', failure: 'config' });
      expect((await rejection(loadPrivateKey(folder, { algorithm: 'RS384' }))).message).toMatch(/not a file/);
    });
  });
});

describe.runIf(process.platform !== 'win32')('a key file’s mode', () => {
  const text = pem(p384.privateKey, 'pkcs8');

  it.each([0o640, 0o604, 0o620, 0o601])('%i is refused with the octal mode in the message', async (mode) => {
    const error = await rejection(load(text, 'ES384', undefined, mode));
    expect(error.code).toBe('KEY_EXPOSED');
    expect(error.message).toContain(mode.toString(8));
  });

  it('0400 will do', async () => {
    expect((await load(text, 'ES384', undefined, 0o400)).thumbprint).toBe(keyThumbprint(p384.publicKey));
  });

  it('of a Kubernetes secret (a link into ..data) is not judged', async () => {
    await withFolder(async (folder) => {
      await mkdir(path.join(folder, '..2026'));
      await symlink('..2026', path.join(folder, '..data'));
      await writeFile(path.join(folder, '..2026', 'key.pem'), text, { mode: 0o644 });
      await symlink('..data/key.pem', path.join(folder, 'key.pem'));
      const key = await loadPrivateKey(path.join(folder, 'key.pem'), { algorithm: 'ES384' });
      expect(key.algorithm).toBe('ES384');
    });
  });

  it('a folder that others can write to is a warning', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'key.pem');
      await writeFile(file, text, { mode: 0o600 });
      await chmod(folder, 0o770);
      const { warnings } = await loadPrivateKey(file, { algorithm: 'ES384' });
      expect(warnings).toEqual([expect.stringContaining('chmod go-w')]);
    });
  });

  it('isExposed: whose file, which mount', () => {
    const own = { mode: 0o600, ownerUid: 1000, ourUid: 1000, readOnlyMount: false, projectedSecret: false };
    expect(isExposed(own)).toBe(false);
    expect(isExposed({ ...own, mode: 0o640 })).toBe(true);
    expect(isExposed({ ...own, mode: 0o444, readOnlyMount: true })).toBe(false);
    expect(isExposed({ ...own, mode: 0o644, projectedSecret: true })).toBe(false);
    expect(isExposed({ ...own, mode: 0o640, ownerUid: 0 })).toBe(false);
    expect(isExposed({ ...own, mode: 0o660, ownerUid: 0 })).toBe(true);
    expect(isExposed({ ...own, mode: 0o644, ownerUid: 0 })).toBe(true);
    expect(isExposed({ ...own, mode: 0o640, ownerUid: 0, ourUid: 0 })).toBe(true);
  });
});

describe('keyThumbprint', () => {
  it('is that of RFC 7638, 3.1', () => {
    const key = createPublicKey({
      format: 'jwk',
      key: {
        kty: 'RSA',
        n:
          '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi' +
          'FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb' +
          '9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls' +
          '1jF44-csFCur-kEgU8awapJzKnqDKgw',
        e: 'AQAB',
      },
    });
    expect(keyThumbprint(key)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  it('is the same for both halves', () => {
    const { crv, kty, x, y } = p384.publicKey.export({ format: 'jwk' });
    const expected = createHash('sha256').update(`{"crv":"${crv}","kty":"${kty}","x":"${x}","y":"${y}"}`);
    expect(keyThumbprint(p384.privateKey)).toBe(keyThumbprint(p384.publicKey));
    expect(keyThumbprint(p384.publicKey)).toBe(expected.digest('base64url'));
  });
});

describe('generateKeyPair', () => {
  it('writes a pair that fits and can be loaded, the private half for its owner alone', async () => {
    await withFolder(async (folder) => {
      const files = [
        path.join(folder, 'keys', 'private.pem'),
        path.join(folder, 'keys', 'public.pem'),
      ] as const;
      const made = await generateKeyPair({ kind: 'EC', curve: 'P-384' }, ...files);
      const loaded = await loadPrivateKey(files[0], { algorithm: 'ES384' });
      expect(loaded.thumbprint).toBe(made.thumbprint);
      if (process.platform !== 'win32') {
        expect((await stat(files[0])).mode & 0o777).toBe(0o600);
        expect((await stat(path.dirname(files[0]))).mode & 0o777).toBe(0o700);
      }
    });
  });

  it('makes RSA of the bits asked for', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'private.pem');
      const { privateKey } = await generateKeyPair(
        { kind: 'RSA', bits: 2048 },
        file,
        path.join(folder, 'public.pem'),
      );
      expect(privateKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
    });
  });

  it('never overwrites, whichever file is there, and leaves no half', async () => {
    await withFolder(async (folder) => {
      const privateFile = path.join(folder, 'private.pem');
      const publicFile = path.join(folder, 'public.pem');
      await writeFile(publicFile, 'mine');
      const spec = { kind: 'EC', curve: 'P-256' } as const;
      expect((await rejection(generateKeyPair(spec, privateFile, publicFile))).code).toBe('KEY_EXISTS');
      await expect(stat(privateFile)).rejects.toMatchObject({ code: 'ENOENT' });
      expect((await rejection(generateKeyPair(spec, publicFile, privateFile))).code).toBe('KEY_EXISTS');
      // One name for both: the second exclusive create fails, and takes the first file back with it.
      expect((await rejection(generateKeyPair(spec, privateFile, privateFile))).code).toBe('KEY_EXISTS');
      await expect(stat(privateFile)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });

  it('refuses weak and absurd sizes', async () => {
    await withFolder(async (folder) => {
      const files = [path.join(folder, 'a'), path.join(folder, 'b')] as const;
      expect((await rejection(generateKeyPair({ kind: 'RSA', bits: 1024 }, ...files))).code).toBe('KEY_WEAK');
      expect((await rejection(generateKeyPair({ kind: 'RSA', bits: 2048.5 }, ...files))).code).toBe('USAGE');
      expect((await rejection(generateKeyPair({ kind: 'RSA', bits: 99999 }, ...files))).code).toBe('USAGE');
    });
  });
});
