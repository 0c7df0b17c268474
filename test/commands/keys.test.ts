import { X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto';
import { link, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { keysCertificate, keysGenerate, keysJwks, type KeyPlace } from '../../src/commands/keys.ts';
import { keysRotate, type RotateOptions } from '../../src/commands/keysRotate.ts';
import { RoundsError } from '../../src/errors.ts';
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

describe('keys rotate', () => {
  const step = (
    site: Site,
    name: RotateOptions['step'],
    prove: RotateOptions['proveToken'] = async () => undefined,
  ) => keysRotate({ ...site, step: name, proveToken: prove });

  it('publishes both, proves and switches, then publishes the new one alone', async () => {
    await withSite(async (site) => {
      const old = await text(site.privateKeyFile);
      const oldKid = (await keysJwks(site)).keyId;

      const { keyId: newKid } = await step(site, 'publish');
      expect(await kids(site.jwksFile)).toEqual([oldKid, newKid]);
      expect(await text(site.privateKeyFile)).toBe(old);
      expect((await step(site, 'publish')).keyId).toBe(newKid);
      expect((await rejection(step(site, 'finish'))).code).toBe('KEY_EXISTS');

      const proved: string[] = [];
      await step(site, 'switch', async (key, keyId) => {
        expect(key.thumbprint).toBe(newKid);
        proved.push(keyId);
      });
      expect(proved).toEqual([newKid]);
      expect((await keysJwks(site)).keyId).toBe(newKid);
      expect(await text(`${site.privateKeyFile}.previous`)).toBe(old);
      expect((await kids(site.jwksFile)).sort()).toEqual([oldKid, newKid].sort());
      const pair = createPublicKey(await text(site.privateKeyFile));
      expect(createPublicKey(await text(site.publicKeyFile)).equals(pair)).toBe(true);
      expect((await rejection(step(site, 'publish'))).code).toBe('KEY_EXISTS');

      await step(site, 'finish');
      expect(await kids(site.jwksFile)).toEqual([newKid]);
      expect((await readdir(site.folder)).sort()).toEqual(['jwks.json', 'private.pem', 'public.pem']);
      if (process.platform !== 'win32') expect((await stat(site.privateKeyFile)).mode & 0o777).toBe(0o600);
    });
  });

  it('changes nothing when the next key gets no token', async () => {
    await withSite(async (site) => {
      const old = await text(site.privateKeyFile);
      await step(site, 'publish');
      const files = (await readdir(site.folder)).sort();
      const refuse = async () => {
        throw new RoundsError('TOKEN_INVALID_CLIENT', 'refused');
      };
      expect((await rejection(step(site, 'switch', refuse))).code).toBe('TOKEN_INVALID_CLIENT');
      expect(await text(site.privateKeyFile)).toBe(old);
      expect((await readdir(site.folder)).sort()).toEqual(files);
    });
  });

  it('goes on where a switch was cut short, before and after the rename', async () => {
    await withSite(async (site) => {
      const oldKid = (await keysJwks(site)).keyId;
      const { keyId: newKid } = await step(site, 'publish');
      await link(site.privateKeyFile, `${site.privateKeyFile}.previous`);
      await step(site, 'switch');
      expect((await keysJwks(site)).keyId).toBe(newKid);

      await step(site, 'finish');
      const { keyId: thirdKid } = await step(site, 'publish');
      await link(site.privateKeyFile, `${site.privateKeyFile}.previous`);
      await rename(`${site.privateKeyFile}.next`, site.privateKeyFile);
      const done = await step(site, 'switch');
      expect(done.keyId).toBe(thirdKid);
      expect(await kids(site.jwksFile)).toEqual([thirdKid, newKid]);
      expect(await kids(site.jwksFile)).not.toContain(oldKid);
      const pair = createPublicKey(await text(site.privateKeyFile));
      expect(createPublicKey(await text(site.publicKeyFile)).equals(pair)).toBe(true);
    });
  });

  it('refuses a switch without a next key, and a kid that would not follow the key', async () => {
    await withSite(async (site) => {
      expect((await rejection(step(site, 'switch'))).code).toBe('KEY_INVALID');
      expect((await rejection(step({ ...site, keyId: 'pinned' }, 'publish'))).code).toBe('CONFIG_INVALID');
      const certificateFile = path.join(site.folder, 'certificate.pem');
      await step({ ...site, certificateFile }, 'publish');
      await writeFile(certificateFile, 'a certificate');
      expect((await rejection(step({ ...site, certificateFile }, 'switch'))).code).toBe('CONFIG_INVALID');
    });
  });
});
