import { createServer } from 'node:net';
import { readFile, writeFile } from 'node:fs/promises';
import { generate } from 'selfsigned';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startSmtpServer } from '../../src/sandbox/smtp.ts';
import { startSandbox } from '../../src/sandbox/startSandbox.ts';
import { listenForTest } from '../support/loopback.ts';
import { newestRun, runsOf } from '../support/publishedRun.ts';
import { startRelay } from '../support/relay.ts';
import { siteForTest, type Site } from '../support/site.ts';

interface Pair {
  readonly key: string;
  readonly cert: string;
}

const FHIR = '/interconnect-fhir-oauth/api/FHIR/R4';
const DAY_MS = 86_400_000;
const forLoopback = { name: 'subjectAltName' as const, altNames: [{ type: 7 as const, ip: '127.0.0.1' }] };

let authority: Pair;
let ofAuthority: Pair;
let other: Pair;
let pinned: Pair;
let expired: Pair;
let elsewhere: Pair;

async function makeAuthority(name: string): Promise<Pair> {
  const made = await generate([{ name: 'commonName', value: name }], {
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { key: made.private, cert: made.cert };
}

async function issue(by: Pair | undefined, given: object = {}): Promise<Pair> {
  const made = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    algorithm: 'sha256',
    ...(by === undefined ? {} : { ca: by }),
    extensions: [forLoopback],
    ...given,
  });
  return { key: made.private, cert: made.cert };
}

beforeAll(async () => {
  [authority, other] = await Promise.all([makeAuthority('Hospital CA'), makeAuthority('Another CA')]);
  const past = {
    notBeforeDate: new Date(Date.now() - 30 * DAY_MS),
    notAfterDate: new Date(Date.now() - DAY_MS),
  };
  const names = {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'elsewhere.example' }] }],
  };
  [ofAuthority, pinned, expired, elsewhere] = await Promise.all([
    issue(authority),
    issue(undefined),
    issue(authority, past),
    issue(authority, names),
  ]);
});

/** A site whose FHIR server speaks https with `tls` (the token endpoint too), and trusts `caPem`. */
async function tlsSite(tls: Pair, caPem: string | undefined) {
  const sandbox = await startSandbox({ patients: 2, smtp: false });
  onTestFinished(() => sandbox.close());
  const relay = await startRelay({ to: sandbox.origin, tls });
  const site = await siteForTest({
    sandbox,
    resources: ['Patient', 'Condition'],
    mail: false,
    settings: {
      'epic_settings.epic_endpoint': `${relay.origin}${FHIR}`,
      'api_settings.max_attempts': 2,
      ...(caPem === undefined ? {} : { 'network.ca_file': 'ca.pem' }),
    },
  });
  if (caPem !== undefined) await writeFile(site.path('ca.pem'), caPem);
  return { site, relay };
}

describe('the FHIR server’s certificate', () => {
  it('is taken from an authority of the site’s own, given by file', async () => {
    const { site, relay } = await tlsSite(ofAuthority, authority.cert);
    expect((await site.run(['run'])).code).toBe(0);
    expect((await newestRun(site)).lines.length).toBeGreaterThan(2);
    expect(relay.requests.some(({ authorization }) => authorization?.startsWith('Bearer '))).toBe(true);
  });

  it('is taken when it is pinned itself, given by file', async () => {
    const { site } = await tlsSite(pinned, pinned.cert);
    expect((await site.run(['run'])).code).toBe(0);
  });

  it.each([
    ['without ca_file', (): Pair => ofAuthority, (): string | undefined => undefined],
    ['by another authority', () => ofAuthority, () => other.cert],
    ['another than the pinned one', () => pinned, () => other.cert],
    ['expired', () => expired, () => authority.cert],
    ['of another host', () => elsewhere, () => authority.cert],
  ] as const)(
    'is refused %s: nothing is sent, nothing published, and it is said',
    async (_name, tls, caPem) => {
      const { site, relay } = await tlsSite(tls(), caPem());
      const { code, stdout } = await site.run(['run']);
      expect(code).toBe(1);
      expect(stdout).toContain('TLS_UNTRUSTED');
      expect(stdout).toContain('ca_file');
      expect(relay.requests).toEqual([]);
      expect(await runsOf(site)).toEqual([]);
    },
  );

  it('is checked whatever the environment says: NODE_TLS_REJECT_UNAUTHORIZED is no way around', async () => {
    const { site, relay } = await tlsSite(ofAuthority, undefined);
    const { code, stdout } = await site.run(['run'], { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
    expect(code).toBe(1);
    expect(stdout).toContain('TLS_UNTRUSTED');
    expect(relay.requests).toEqual([]);
  });
});

/** A mail server as somebody in between makes it look: without STARTTLS; what it hears is kept. */
async function startStripped(): Promise<{ readonly port: number; readonly heard: () => string }> {
  let heard = '';
  const server = createServer((socket) => {
    socket.write('220 bridge ESMTP\r\n');
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
      if (/^EHLO/im.test(chunk.toString('latin1')))
        socket.write('250-bridge\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n');
      else if (/^STARTTLS/im.test(chunk.toString('latin1'))) socket.write('502 command not implemented\r\n');
      else if (/^QUIT/im.test(chunk.toString('latin1'))) socket.end('221 bye\r\n');
      else socket.write('250 ok\r\n');
    });
  });
  return { port: await listenForTest(server), heard: () => heard };
}

interface Status {
  readonly outbox: { readonly mails: number; readonly held: number; readonly lastCode?: string };
}

const outboxOf = async (site: Site): Promise<Status['outbox']> =>
  (JSON.parse((await site.run(['status', '--json'])).stdout) as Status).outbox;

describe('the mail server', () => {
  it('that lost its STARTTLS gets no password and no mail in clear; the mail waits, and goes when TLS is back', async () => {
    const stripped = await startStripped();
    const site = await siteForTest({ sandbox: { patients: 2 }, resources: ['Patient'] });
    const { smtp } = site.sandbox;
    await site.configure({ 'email.smtp_port': stripped.port });
    const { code } = await site.run(['run']);
    expect(code).toBe(0);
    expect(stripped.heard()).toMatch(/EHLO/i);
    expect(stripped.heard()).not.toMatch(/AUTH |MAIL FROM|RCPT|DATA|Subject/i);
    for (const form of ['utf8', 'base64'] as const) {
      expect(stripped.heard()).not.toContain(Buffer.from(smtp!.pass).toString(form));
    }
    expect(await outboxOf(site)).toMatchObject({ mails: 1, lastCode: 'MAIL_INSECURE' });

    await site.configure({});
    expect((await site.run(['run'])).code).toBe(0);
    expect(smtp!.mails.map(({ secure }) => secure)).toEqual([true, true]);
    expect(await outboxOf(site)).toMatchObject({ mails: 0 });
  });

  it('with a certificate that is not the one given gets no password and no mail, whatever the environment says', async () => {
    const site = await siteForTest({ sandbox: { patients: 2 }, resources: ['Patient'] });
    const imposter = await startSmtpServer({ user: site.sandbox.smtp!.user, pass: site.sandbox.smtp!.pass });
    onTestFinished(() => imposter.close());
    await site.configure({ 'email.smtp_port': imposter.port });
    expect((await site.run(['run'], { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } })).code).toBe(0);
    expect(imposter.logins).toEqual([]);
    expect(imposter.mails).toEqual([]);
    expect(await outboxOf(site)).toMatchObject({ mails: 1, lastCode: 'TLS_UNTRUSTED' });
  });
});

describe('the code', () => {
  it('never switches a check of certificates off', async () => {
    const { readdir } = await import('node:fs/promises');
    const path = await import('node:path');
    const root = path.join(import.meta.dirname, '../../src');
    const names = (await readdir(root, { recursive: true })).filter((name) => /\.(ts|mjs)$/.test(name));
    expect(names.length).toBeGreaterThan(50);
    for (const name of names) {
      const text = await readFile(path.join(root, name), 'utf8');
      expect(`${name}: ${/rejectUnauthorized\s*[:=]\s*false|checkServerIdentity/.exec(text)?.[0]}`).toBe(
        `${name}: undefined`,
      );
    }
  });
});
