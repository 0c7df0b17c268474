import { X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { keysCertificate, keysGenerate, keysJwks, type KeyPlace } from '../../src/commands/keys.ts';
import { createTestClock, rejection, withFolder } from '../auth/support.ts';

interface Site extends KeyPlace {
  readonly folder: string;
  readonly publicKeyFile: string;
  readonly jwksFile: string;
}

/** A folder with an EC key pair made by `keys generate`. */
async function withSite(use: (site: Site) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const site: Site = {
      folder,
      privateKeyFile: path.join(folder, 'private.pem'),
      publicKeyFile: path.join(folder, 'public.pem'),
      jwksFile: path.join(folder, 'jwks.json'),
      algorithm: 'ES384',
    };
    await keysGenerate({ ...site, spec: { kind: 'EC', curve: 'P-384' } });
    await use(site);
  });
}

const text = (file: string): Promise<string> => readFile(file, 'utf8');
const kids = async (file: string): Promise<string[]> =>
  (JSON.parse(await text(file)) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);

describe('keys generate, jwks, certificate', () => {
  it('agree on the kid, and put no private member anywhere but into the private key', async () => {
    await withSite(async (site) => {
      const jwks = await keysJwks({ ...site, outFile: site.jwksFile });
      expect(jwks.keyId).toBe(jwks.thumbprint);
      expect(await kids(site.jwksFile)).toEqual([jwks.keyId]);
      const { d } = createPrivateKey(await text(site.privateKeyFile)).export({ format: 'jwk' });
      expect(JSON.stringify(jwks)).not.toContain(d);
      expect(await text(site.jwksFile)).not.toContain(d);
      const fromPublic = createPublicKey(await text(site.publicKeyFile)).export({ format: 'jwk' });
      expect(jwks.jwks?.keys[0]).toMatchObject({ x: fromPublic.x, y: fromPublic.y });
    });
  });

  it('use a configured key_id, and the thumbprint of the configured certificate', async () => {
    await withSite(async (site) => {
      const outFile = path.join(site.folder, 'certificate.pem');
      const place = { ...site, certificateFile: outFile };
      expect((await keysJwks(place)).certificate).toBeUndefined();
      const options = {
        ...place,
        outFile,
        subjectCommonName: 'fhir-rounds',
        days: 365,
        clock: createTestClock(),
      };
      const made = await keysCertificate(options);
      expect(made.certificate?.sha1).toMatch(/^[0-9A-F]{40}$/);
      expect(made.keyId).toBe(made.certificate?.sha1);
      expect(made.warnings).toEqual([expect.stringContaining('JWKS URL only')]);
      expect((await keysJwks(place)).keyId).toBe(made.certificate?.sha1);
      expect((await keysJwks({ ...place, keyId: 'mine' })).keyId).toBe('mine');
      expect((await rejection(keysCertificate(options))).code).toBe('KEY_EXISTS');
      await keysCertificate({ ...options, replace: true });
      const key = createPublicKey(await text(site.publicKeyFile));
      expect(new X509Certificate(await text(outFile)).publicKey.equals(key)).toBe(true);
    });
  });

  it('never overwrite a key, and write none that jwt_algorithm cannot use', async () => {
    await withSite(async (site) => {
      const before = await text(site.privateKeyFile);
      const again = keysGenerate({ ...site, spec: { kind: 'EC', curve: 'P-384' } });
      expect((await rejection(again)).code).toBe('KEY_EXISTS');
      expect(await text(site.privateKeyFile)).toBe(before);
      const elsewhere = {
        ...site,
        privateKeyFile: path.join(site.folder, 'b.pem'),
        publicKeyFile: path.join(site.folder, 'c.pem'),
      };
      for (const spec of [
        { kind: 'EC', curve: 'P-256' },
        { kind: 'RSA', bits: 2048 },
      ] as const) {
        expect((await rejection(keysGenerate({ ...elsewhere, spec }))).code).toBe('CONFIG_INVALID');
      }
      expect((await readdir(site.folder)).sort()).toEqual(['private.pem', 'public.pem']);
    });
  });
});
