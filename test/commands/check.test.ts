import { generateKeyPairSync } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cloudServiceOf } from '../../src/commands/checkMachine.ts';
import { bulkSite } from '../support/bulkSite.ts';
import type { CliOptions } from '../support/cli.ts';
import { CLIENT_ID, makeSite, siteForTest, siteKey, type Site } from '../support/site.ts';

interface Step {
  readonly step: string;
  readonly verdict: string;
  readonly detail: string;
  readonly hint?: string;
}

async function check(site: Site, args: readonly string[] = [], options: CliOptions = {}) {
  const { code, stdout, stderr } = await site.run(['check', '--json', ...args], options);
  expect(stdout, stderr).toMatch(/^\[/);
  const steps = JSON.parse(stdout) as Step[];
  const of = (step: string): readonly Step[] => steps.filter((one) => one.step === step);
  return { code, steps, of, problems: steps.filter(({ verdict }) => verdict === 'problem') };
}

describe('check of a site where all is well', () => {
  it('tells each step ok, and asks for one record of each type', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2 },
      resources: ['Patient', 'Condition', 'Observation', 'Practitioner'],
    });
    const { code, steps, of, problems } = await check(site);
    expect(code, JSON.stringify(problems)).toBe(0);
    for (const step of [
      ...[
        'configuration',
        'key and folders',
        'registered key',
        'roster and list',
        'folders',
        'disk',
        'proxy',
      ],
      ...['token endpoint', 'clock', 'scopes', 'token and server', 'resource types', 'probe', 'mail'],
    ]) {
      expect(
        of(step).map(({ verdict }) => verdict),
        step,
      ).toEqual(['ok']);
    }
    expect(of('registered key')[0]!.detail).toMatch(/^RSA 2048 bits, .* old; .*kid is e2e-key .*thumbprint/);
    expect(of('probe patient')[0]!.detail).toBe('roster:2');
    expect(of('probe')[0]!.detail).toBe('3 of 3 types answered a search for one record');
    expect(of('mail certificate')[0]!.detail).toMatch(/^good for \d+ more days$/);
    const asked = site.sandbox.requests.filter(({ endpoint }) => ['search', 'read'].includes(endpoint));
    expect(asked.length).toBeGreaterThanOrEqual(8);
    expect(JSON.stringify(steps)).not.toContain(site.sandbox.patientIdAt(0));
    expect(site.sandbox.smtp!.mails).toEqual([]);
  });
});

it('checks a bulk job without a roster, and begins no export', async () => {
  const site = await bulkSite();
  await rm(site.rosterFile);
  const { code, of, problems } = await check(site);
  expect(code, JSON.stringify(problems)).toBe(0);
  expect(of('roster and list')[0]!.detail).toBe('all patients that the server exports, 8 types');
  expect(of('resource types')[0]!.detail).toBe('8 of 8 offered');
  expect(of('probe').map(({ verdict }) => verdict)).toEqual(['skipped']);
  expect(site.sandbox.requests.filter(({ endpoint }) => endpoint === 'kickoff')).toEqual([]);
});

describe('check says why no token comes', () => {
  let site: Site;
  const { jwks } = siteKey();
  const [jwk] = jwks.keys as readonly [object];
  beforeAll(async () => {
    site = await makeSite({ sandbox: { patients: 1, smtp: false }, mail: false });
  });
  beforeEach(async () => {
    await site.configure({});
    site.sandbox.registerClient({ clientId: CLIENT_ID, jwks });
  });
  afterAll(() => site.close());

  const causeOf = async (options: CliOptions = {}): Promise<Step> => {
    const { code, of } = await check(site, ['--no-probe'], options);
    expect(code).toBe(2);
    const [refused, cause, ...others] = of('token');
    expect(refused?.detail).toContain('TOKEN_INVALID_CLIENT');
    expect(others).toEqual([]);
    return cause!;
  };

  it('a key id that is not in the registered key set', async () => {
    site.sandbox.registerClient({ clientId: CLIENT_ID, jwks: { keys: [{ ...jwk, kid: 'another' }] } });
    const { detail, hint } = await causeOf();
    expect(detail).toContain('its id (kid) e2e-key is not known');
    expect(hint).toContain('keys jwks');
  });

  it('an algorithm that the registered key does not allow', async () => {
    site.sandbox.registerClient({ clientId: CLIENT_ID, jwks: { keys: [{ ...jwk, alg: 'RS256' }] } });
    const { hint } = await causeOf();
    expect(hint).toBe('Set [jwt_settings] jwt_algorithm = RS256.');
  });

  it('an audience that is not the token endpoint', async () => {
    await site.configure({
      'oauth_settings.token_endpoint': site.sandbox.tokenEndpoint.replace('127.0.0.1', 'localhost'),
    });
    const { detail, hint } = await causeOf();
    expect(detail).toContain('token_endpoint');
    expect(hint).toContain(site.sandbox.tokenEndpoint);
  });

  it('a clock that is wrong', async () => {
    const shifted = pathToFileURL(path.join(import.meta.dirname, '..', 'crash', 'shiftedClock.mjs')).href;
    for (const [minutes, word] of [
      [12, 'ahead of'],
      [-12, 'behind'],
    ] as const) {
      const env = { NODE_OPTIONS: `--import ${shifted}`, CLOCK_SHIFT_MS: String(minutes * 60_000) };
      expect((await causeOf({ env })).detail).toMatch(new RegExp(`clock is 7[12]\\d s ${word} the server’s`));
    }
  });

  it('a key that a rotation has replaced', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = site.path('private-key.pem');
    await rename(key, `${key}.previous`);
    await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    site.sandbox.registerClient({ clientId: CLIENT_ID, jwks: { keys: [{ ...jwk, kid: undefined }] } });
    try {
      expect((await causeOf()).detail).toContain('the key before the last rotation is the registered one');
    } finally {
      await rename(`${key}.previous`, key);
    }
  });

  it.each([
    { how: 'another client id', change: () => site.configure({ 'oauth_settings.client_id': 'mistyped' }) },
    {
      how: 'another key',
      change: async () => {
        const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
        const other = { ...publicKey.export({ format: 'jwk' }), kid: 'e2e-key', use: 'sig' };
        site.sandbox.registerClient({ clientId: CLIENT_ID, jwks: { keys: [other] } });
      },
    },
  ])('and lists what cannot be told apart ($how), with few requests', async ({ change }) => {
    await change();
    const from = site.sandbox.requests.length;
    const { detail, hint } = await causeOf();
    expect(detail).toContain('left are, in order of likelihood');
    for (const cause of ['client id', 'registered key', 'Epic user']) expect(hint).toContain(cause);
    const asked = site.sandbox.requests.slice(from).filter(({ endpoint }) => endpoint === 'token');
    expect(asked.length).toBeLessThanOrEqual(8);
  });
});

describe('check says what else is not well', () => {
  it('a type that the registration or the user does not allow, a scope, a refused filter', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      mail: false,
      resources: 'resource,query\nPatient,\nCondition,\nEncounter,\nObservation,category=procedure\n',
    });
    site.sandbox.setFaults([
      { match: { endpoint: 'search', type: 'Condition' }, then: { status: 403 } },
      { match: { endpoint: 'token' }, then: { dropScope: 'system/Encounter.read' } },
    ]);
    const { code, of, problems } = await check(site);
    expect(code).toBe(2);
    expect(problems.map(({ step }) => step).toSorted()).toEqual(['probe Condition', 'probe Observation']);
    expect(of('probe Condition')[0]!.detail).toContain('HTTP_FORBIDDEN');
    expect(of('probe Observation')[0]!.detail).toContain('(category=procedure)');
    expect(of('probe')[0]!.detail).toBe('2 of 4 types answered a search for one record');
  });

  it('folders that a cloud service copies, a certificate that ends soon, no room', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'paths.certificate': 'certificate.pem', 'paths.log_folder': 'OneDrive - Hospital/logs' },
    });
    await mkdir(site.path('OneDrive - Hospital'));
    expect((await site.run(['keys', 'certificate', '--days', '20'])).code).toBe(0);
    const { code, of, problems } = await check(site, ['--offline']);
    expect(code).toBe(2);
    expect(problems.map(({ step }) => step)).toEqual(['folders']);
    expect(of('folders')[0]!.detail).toMatch(/^logs: .* is copied to OneDrive$/);
    expect(of('certificate')).toMatchObject([
      {
        verdict: 'warning',
        detail: expect.stringMatching(/^thumbprint [0-9A-F]{40}, .*\((19|20) days left\)/) as string,
      },
    ]);
  });

  it('a proxy of the environment, without its password, and who keeps the daemon', async () => {
    const site = await siteForTest({
      sandbox: { patients: 1, smtp: false },
      mail: false,
      settings: { 'schedule.cron': '0 2 * * *' },
    });
    const env = { HTTP_PROXY: 'http://user:secret@proxy.hospital.example:3128' };
    const { steps, of } = await check(site, ['--offline'], { env });
    expect(of('proxy')[0]!.detail).toBe('proxy.hospital.example:3128, from the environment');
    expect(JSON.stringify(steps)).not.toContain('secret');
    expect(of('daemon')).toHaveLength(1);
    const direct = await check(site, ['--offline'], { env: { ...env, NO_PROXY: '127.0.0.1' } });
    expect(direct.of('proxy')[0]!.detail).toMatch(/^none/);
  });
});

it.each([
  ['/home/ann/OneDrive - St. Mary/exports', 'OneDrive'],
  ['/Users/ann/Library/Mobile Documents/com~apple~CloudDocs/x', 'iCloud'],
  ['/Users/ann/Dropbox/x', 'Dropbox'],
  ['/Users/ann/Library/CloudStorage/GoogleDrive-ann@x.example/My Drive', 'Google Drive'],
  ['/srv/dropbox-exports/boxes', undefined],
  ['/srv/exports', undefined],
])('%s is carried away by %s', (folder, service) => {
  expect(cloudServiceOf(folder)).toBe(service);
});
