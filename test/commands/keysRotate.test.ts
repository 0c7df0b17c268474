import { spawnSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { keysCertificate, keysGenerate, keysJwks, type KeyPlace } from '../../src/commands/keys.ts';
import { keysRotate, type RotateOptions } from '../../src/commands/keysRotate.ts';
import { RoundsError } from '../../src/errors.ts';
import { rejection, withFolder } from '../auth/support.ts';
import { ensureBuilt } from '../support/built.ts';
import { createFakeClock } from '../support/fakeClock.ts';
import { CLIENT_ID, siteForTest } from '../support/site.ts';

const HOUR_MS = 3_600_000;
const text = (file: string): Promise<string> => readFile(file, 'utf8');
const kids = async (file: string): Promise<string[]> =>
  (JSON.parse(await text(file)) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);

/** A folder with an EC key pair, and one rotation's steps in it. */
async function withKey(
  use: (
    place: KeyPlace & { folder: string; publicKeyFile: string; jwksFile: string },
    step: Step,
    clock: ReturnType<typeof createFakeClock>,
  ) => Promise<void>,
  way: RotateOptions['way'] = 'jwks',
): Promise<void> {
  await withFolder(async (folder) => {
    const clock = createFakeClock();
    const place = {
      folder,
      privateKeyFile: path.join(folder, 'private.pem'),
      publicKeyFile: path.join(folder, 'public.pem'),
      jwksFile: path.join(folder, 'jwks.json'),
      algorithm: 'ES384',
      ...(way === 'certificate' ? { certificateFile: path.join(folder, 'certificate.pem') } : {}),
    } as const;
    await keysGenerate({ ...place, spec: { kind: 'EC', curve: 'P-384' } });
    const step: Step = (name, changes = {}) =>
      keysRotate({
        ...place,
        jwksFile: way === 'jwks' && name === 'prepare' ? place.jwksFile : undefined,
        step: name,
        way: name === 'prepare' ? way : 'jwks',
        now: false,
        clock,
        certificateName: 'fhir-rounds',
        certificateDays: 365,
        proveToken: async () => undefined,
        ...changes,
      });
    await use(place, step, clock);
  });
}
type Step = (name: RotateOptions['step'], changes?: Partial<RotateOptions>) => ReturnType<typeof keysRotate>;

describe('keys rotate with a JWKS', () => {
  it('publishes both, proves and switches, and drops the old one 30 hours later', async () => {
    await withKey(async (place, step, clock) => {
      const old = await text(place.privateKeyFile);
      const oldKid = (await keysJwks(place)).keyId;
      const { keyId: newKid } = await step('prepare');
      expect(await kids(place.jwksFile)).toEqual([oldKid, newKid]);
      expect(await text(place.privateKeyFile)).toBe(old);
      expect((await step('prepare')).keyId).toBe(newKid);
      expect((await rejection(step('finish'))).code).toBe('KEY_ROTATION');

      const proved: string[] = [];
      await step('switch', { proveToken: async (key, keyId) => void proved.push(keyId, key.thumbprint) });
      expect(proved).toEqual([newKid, newKid]);
      expect((await keysJwks(place)).keyId).toBe(newKid);
      expect(await text(`${place.privateKeyFile}.previous`)).toBe(old);
      expect((await kids(place.jwksFile)).sort()).toEqual([oldKid, newKid].sort());
      const pair = createPublicKey(await text(place.privateKeyFile));
      expect(createPublicKey(await text(place.publicKeyFile)).equals(pair)).toBe(true);
      expect((await step('prepare')).nextSteps.join()).toContain('The switch was made');

      await clock.advance(29 * HOUR_MS);
      // Said again, it does not begin the wait anew.
      await step('switch');
      const early = await rejection(step('finish'));
      expect(early.code).toBe('KEY_ROTATION');
      expect(early.hint).toContain('1 h 00 min');
      await clock.advance(HOUR_MS);
      await step('finish');
      // It is over, so it does not know the file any more.
      await step('finish', { jwksFile: place.jwksFile });
      expect(await kids(place.jwksFile)).toEqual([newKid]);
      expect((await readdir(place.folder)).sort()).toEqual(['jwks.json', 'private.pem', 'public.pem']);
      if (process.platform !== 'win32') expect((await stat(place.privateKeyFile)).mode & 0o777).toBe(0o600);
    });
  });

  it('does not wait with --now', async () => {
    await withKey(async (place, step) => {
      const { keyId } = await step('prepare');
      await step('switch');
      await step('finish', { now: true });
      expect(await kids(place.jwksFile)).toEqual([keyId]);
    });
  });

  it('changes nothing when the next key gets no token', async () => {
    await withKey(async (place, step) => {
      const old = await text(place.privateKeyFile);
      await step('prepare');
      const files = (await readdir(place.folder)).sort();
      const refuse = async () => {
        throw new RoundsError('TOKEN_INVALID_CLIENT', 'refused');
      };
      expect((await rejection(step('switch', { proveToken: refuse }))).code).toBe('TOKEN_INVALID_CLIENT');
      expect(await text(place.privateKeyFile)).toBe(old);
      expect((await readdir(place.folder)).sort()).toEqual(files);
    });
  });

  it('goes back, step by step, and forward again with the same key', async () => {
    await withKey(async (place, step) => {
      const old = await text(place.privateKeyFile);
      const oldKid = (await keysJwks(place)).keyId;
      const { keyId: newKid } = await step('prepare');
      await step('switch');
      await step('back');
      expect(await text(place.privateKeyFile)).toBe(old);
      expect((await kids(place.jwksFile)).sort()).toEqual([oldKid, newKid].sort());
      expect((await step('switch')).keyId).toBe(newKid);
      await step('back');
      await step('back');
      expect(await text(place.privateKeyFile)).toBe(old);
      expect(await kids(place.jwksFile)).toEqual([oldKid]);
      expect((await readdir(place.folder)).sort()).toEqual(['jwks.json', 'private.pem', 'public.pem']);
      expect((await rejection(step('back', { jwksFile: place.jwksFile }))).code).toBe('KEY_ROTATION');
    });
  });

  it('refuses a switch without a next key, a kid that would not follow the key, and to guess the way', async () => {
    await withKey(async (place, step) => {
      const { jwksFile } = place;
      expect((await rejection(step('switch', { jwksFile }))).code).toBe('KEY_ROTATION');
      expect((await rejection(step('prepare', { keyId: 'pinned' }))).code).toBe('CONFIG_INVALID');
      expect((await rejection(step('prepare', { jwksFile: undefined }))).code).toBe('USAGE');
      const certificateFile = path.join(place.folder, 'certificate.pem');
      await step('prepare', { certificateFile });
      await writeFile(certificateFile, 'a certificate');
      expect((await rejection(step('switch', { certificateFile }))).code).toBe('CONFIG_INVALID');
      await writeFile(`${place.privateKeyFile}.rotation.json`, '{}');
      expect((await rejection(step('switch', { jwksFile }))).code).toBe('KEY_ROTATION');
    });
  });
});

describe('keys rotate with an uploaded certificate', () => {
  it('makes the next certificate, proves it, and keeps the old one to go back to', async () => {
    await withKey(async (place, step, clock) => {
      const certificateFile = place.certificateFile!;
      const named = { subjectCommonName: 'old', days: 100, clock };
      const { keyId: oldKid } = await keysCertificate({ ...place, ...named, outFile: certificateFile });
      const before = { key: await text(place.privateKeyFile), certificate: await text(certificateFile) };
      const { keyId: newKid, certificate } = await step('prepare');
      expect(newKid).toBe(certificate!.sha1);
      expect((await step('prepare')).keyId).toBe(newKid);
      expect((await keysJwks(place)).keyId).toBe(oldKid);
      const proved: string[] = [];
      await step('switch', { proveToken: async (_, keyId) => void proved.push(keyId) });
      expect(proved).toEqual([newKid]);
      expect((await keysJwks(place)).keyId).toBe(newKid);
      await step('back');
      expect({ key: await text(place.privateKeyFile), certificate: await text(certificateFile) }).toEqual(
        before,
      );
      await step('switch');
      await step('finish');
      expect((await keysJwks(place)).keyId).toBe(newKid);
      expect((await readdir(place.folder)).sort()).toEqual(['certificate.pem', 'private.pem', 'public.pem']);
    }, 'certificate');
  });
});

describe('keys rotate, killed anywhere', () => {
  const at = (name: string): string => path.join(import.meta.dirname, name);
  const DIE_AT = pathToFileURL(at('dieAt.mjs')).href;

  it('always has a key, with a certificate that fits it, and ends when it is said again', async () => {
    await ensureBuilt();
    await withKey(async (place, step, clock) => {
      const named = { subjectCommonName: 'old', days: 100, clock, outFile: place.certificateFile! };
      const { keyId: oldKid } = await keysCertificate({ ...place, ...named });
      const { keyId: newKid } = await step('prepare');
      for (const [name, wanted] of [
        ['switch', newKid],
        ['back', oldKid],
      ] as const) {
        let died = 0;
        for (let dieAt = 1; ; dieAt++) {
          const { status, signal, stderr } = spawnSync(
            process.execPath,
            ['--import', DIE_AT, at('rotateOnce.mjs'), name, JSON.stringify(place)],
            { env: { ...process.env, DIE_AT: String(dieAt) }, encoding: 'utf8' },
          );
          // Its kid would be refused if the certificate were another key's.
          expect([oldKid, newKid], `${name} killed at ${dieAt}`).toContain((await keysJwks(place)).keyId);
          if (signal !== 'SIGKILL') {
            expect(status, stderr).toBe(0);
            break;
          }
          died++;
        }
        expect(died).toBeGreaterThan(3);
        expect((await keysJwks(place)).keyId).toBe(wanted);
      }
      await step('back');
      // Drafts of what is no secret may stay.
      const files = (await readdir(place.folder)).filter((name) => !name.startsWith('.'));
      expect(files.sort()).toEqual(['certificate.pem', 'private.pem', 'public.pem']);
    }, 'certificate');
  });
});

describe('keys rotate as a command', () => {
  it('takes a real site from one key to the next, with the JWKS that the server reads', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'jwt_settings.key_id': null },
    });
    const jwksFile = site.path('jwks.json');
    expect((await site.run(['keys', 'jwks', '--out', jwksFile])).code).toBe(0);
    site.sandbox.registerClient({ clientId: CLIENT_ID, jwksFile });
    expect((await site.run(['keys', 'rotate', '--jwks', jwksFile])).code).toBe(0);
    const switched = await site.run(['keys', 'rotate', '--switch']);
    expect(switched.code, switched.stderr).toBe(0);
    expect((await site.run(['token', '--out', 'token.txt'])).code).toBe(0);
    const early = await site.run(['keys', 'rotate', '--finish']);
    expect(early.code).toBe(2);
    expect(early.stderr).toContain('KEY_ROTATION');
    expect((await site.run(['keys', 'rotate', '--finish', '--now'])).code).toBe(0);
    expect(await kids(jwksFile)).toHaveLength(1);
  });
});
