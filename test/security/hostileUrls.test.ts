import type { ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { startConnectProxy } from '../support/connectProxy.ts';
import { errorsOf, newestRun } from '../support/publishedRun.ts';
import { startRelay, type Relay, type RelayedRequest } from '../support/relay.ts';
import { siteForTest, type Site } from '../support/site.ts';

/**
 * Whole runs against a server that names hostile URLs: one patient for each. Whatever it names, nothing is connected
 * to but the server itself and its token endpoint, and the token goes to the FHIR base alone.
 */

const FHIR = '/interconnect-fhir-oauth/api/FHIR/R4';

/** A listener that nobody may connect to. */
interface Trap {
  readonly port: number;
  readonly connections: () => number;
}

async function openTrap(host: string): Promise<Trap | undefined> {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  const isOpen = await new Promise<boolean>((resolve) => {
    server.on('error', () => resolve(false));
    server.listen(0, host, () => resolve(true));
  });
  if (!isOpen) return undefined;
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

/** `home`: host and port of the FHIR server; `evil`: of a listener beside it. */
function hostileLinks(home: string, evil: string, evilPort: number): readonly string[] {
  const path = `${FHIR}/Condition?page=2`;
  return [
    // Another port, scheme, host
    `http://${evil}${path}`,
    `HTTP://${evil}${path}`,
    `http://localhost:${evilPort}${path}`,
    `http://LOCALHOST:${evilPort}${path}`,
    `http://127.1:${evilPort}${path}`,
    `http://2130706433:${evilPort}${path}`,
    `http://0x7f000001:${evilPort}${path}`,
    `http://0177.0.0.1:${evilPort}${path}`,
    `http://0:${evilPort}${path}`,
    `http://0.0.0.0:${evilPort}${path}`,
    `http://127.0.0.2:${evilPort}${path}`,
    `http://[::1]:${evilPort}${path}`,
    `http://[::ffff:127.0.0.1]:${evilPort}${path}`,
    `http://[::ffff:7f00:1]:${evilPort}${path}`,
    `http://[0:0:0:0:0:0:0:1]:${evilPort}${path}`,
    `http://127.0.0.1${path}`,
    `https://${home}${path}`,
    `https://${evil}${path}`,
    `http://localhost:${home.split(':')[1]}${path}`,
    `http://127.0.0.1.:${home.split(':')[1]}${path}`,
    `http://127.0.0.1.:${evilPort}${path}`,
    `http://localhost.:${evilPort}${path}`,
    `http://${home}.evil.example${path}`,
    `http://evil.example${path}`,
    `https://evil.example${path}`,
    `https://fhir.example.evil.example${path}`,
    'http://169.254.169.254/latest/meta-data/iam/security-credentials/',
    `ws://${evil}${path}`,
    `ftp://${evil}${path}`,
    'file:///etc/passwd',
    'data:application/fhir+json,{}',
    'javascript:alert(1)',
    // Protocol-relative and half-absolute
    `//${evil}${path}`,
    `///${evil}${path}`,
    `////${evil}${path}`,
    `http:/${evil}${path}`,
    `http:${evil}${path}`,
    `http:///${evil}${path}`,
    '//',
    'http://',
    // Users
    `http://${home}@${evil}${path}`,
    `http://user:pass@${home}${path}`,
    `http://user@${evil}${path}`,
    `http://@${evil}${path}`,
    `//user@${home}${path}`,
    `http://${home}%40${evil}${path}`,
    `http://${home}#@${evil}${path}`,
    `http://${home}?@${evil}${path}`,
    // What parsers read in several ways
    `http://${home}\\@${evil}${path}`,
    `http:\\\\${evil}\\x`,
    `/\\${evil}${path}`,
    `\\\\${evil}${path}`,
    `http://${home} @${evil}${path}`,
    ` http://${evil}${path}`,
    `http://${evil}${path}\r\nX-Evil: 1`,
    `http://${home}${path}\r\nHost: ${evil}`,
    `ht\ntp://${evil}${path}`,
    `http://${home}\t.evil.example${path}`,
    `http://${home}/\u0000`,
    `http://１２７.0.0.1:${evilPort}${path}`,
    `http://127。0。0。1:${evilPort}${path}`,
    `http://127%2e0%2e0%2e1:${evilPort}${path}`,
    // Out of the base's path
    `http://${home}/oauth2/token`,
    `http://${home}/admin/requests`,
    '/admin/requests',
    '../../../../../admin/requests',
    `http://${home}${FHIR}x/Condition`,
    `http://${home}${FHIR.toLowerCase()}/Condition`,
    `http://${home}${FHIR}/../STU3/Condition`,
    `http://${home}${FHIR}/%2e%2e/STU3/Condition`,
    `http://${home}${FHIR}/.%2E/STU3/Condition`,
    `http://${home}${FHIR}/..%2fSTU3/Condition`,
    `http://${home}${FHIR}/..%5cSTU3/Condition`,
    `http://${home}${FHIR}%2fCondition`,
    `http://${home}${FHIR}/%252e%252e/STU3`,
    `http://${home}${FHIR}/..;/STU3`,
    `http://${home}/${FHIR}/Condition`,
    `http://${home}${FHIR}/%00`,
    `${FHIR}/Condition?a=${'x'.repeat(70_000)}`,
  ];
}

/** Hostile ways to name a record: none of these is asked for. */
const hostileReferences = (home: string, evil: string): readonly string[] => [
  `http://${evil}${FHIR}/Practitioner/stolen`,
  `https://evil.example${FHIR}/Practitioner/stolen`,
  `//${evil}${FHIR}/Practitioner/stolen`,
  `http://user@${home}${FHIR}/Practitioner/stolen`,
  'Practitioner/../../../admin/requests',
  'Practitioner/..',
  'Practitioner/%2e%2e%2fadmin',
  'Practitioner/a?x=1',
  'Practitioner/a#/b',
  'Practitioner/a\r\nX-Evil: 1',
  '../Practitioner/stolen',
  '/admin/requests',
];

const REDIRECTS = [301, 302, 303, 307, 308] as const;

interface Stage {
  readonly site: Site;
  readonly relay: Relay;
  readonly sandbox: Sandbox;
  readonly links: readonly string[];
  readonly traps: readonly Trap[];
}

/**
 * Patients by their ordinal: one for each hostile link, then one redirected by each status, one for each status whose
 * next link is good and redirects, and a last one whose next link is good.
 */
async function setStage(settings: Readonly<Record<string, string | number>>): Promise<Stage> {
  const evil = (await openTrap('127.0.0.1'))!;
  const others = await Promise.all([openTrap('127.0.0.2'), openTrap('::1')]);
  let links: readonly string[] = hostileLinks('h:1', 'e:1', 1);
  const patients = links.length + 2 * REDIRECTS.length + 1;
  const sandbox = await startSandbox({ patients, smtp: false });
  onTestFinished(() => sandbox.close());
  const ordinals = new Map(Array.from({ length: patients }, (_, at) => [sandbox.patientIdAt(at)!, at]));

  const answer = (request: RelayedRequest, response: ServerResponse): boolean => {
    const url = new URL(request.url, 'http://relay');
    if (url.pathname !== `${FHIR}/Condition`) return false;
    const home = `127.0.0.1:${relay.port}`;
    const secondPageOf = url.searchParams.get('second');
    const ordinal = ordinals.get(url.searchParams.get('patient') ?? '') ?? Number(secondPageOf);
    const afterLinks = ordinal - links.length;
    const status = REDIRECTS[afterLinks % REDIRECTS.length]!;
    const redirects = secondPageOf === null ? afterLinks >= 0 && afterLinks < 5 : afterLinks < 10;
    if (redirects) {
      response.writeHead(status, { location: `http://127.0.0.1:${evil.port}${FHIR}/Condition` });
      response.end();
      return true;
    }
    const good = `http://${home}${FHIR}/Condition?second=${ordinal}`;
    const next = secondPageOf !== null ? undefined : (links[ordinal] ?? good);
    const references = hostileReferences(home, `127.0.0.1:${evil.port}`);
    const condition = {
      resourceType: 'Condition',
      id: `c-${ordinal}-${secondPageOf === null ? 1 : 2}`,
      subject: { reference: `Patient/${sandbox.patientIdAt(ordinal)}` },
      recorder: { reference: references[ordinal % references.length] },
    };
    response.writeHead(200, { 'content-type': 'application/fhir+json', 'content-location': links[0] });
    response.end(
      JSON.stringify({
        resourceType: 'Bundle',
        type: 'searchset',
        link: next === undefined ? [] : [{ relation: 'next', url: next }],
        entry: [{ fullUrl: links[0], resource: condition, search: { mode: 'match' } }],
      }),
    );
    return true;
  };
  const relay = await startRelay({ to: sandbox.origin, answer });
  links = hostileLinks(`127.0.0.1:${relay.port}`, `127.0.0.1:${evil.port}`, evil.port);
  const site = await siteForTest({
    sandbox,
    resources: ['Condition', 'Practitioner'],
    mail: false,
    settings: { 'epic_settings.epic_endpoint': `${relay.origin}${FHIR}`, ...settings },
  });
  const traps = [evil, ...others].filter((trap) => trap !== undefined);
  return { site, relay, sandbox, links, traps };
}

/** What holds after a run against that stage. */
async function expectNothingLeaked({ site, relay, links, traps }: Stage): Promise<void> {
  expect(links.length).toBeGreaterThanOrEqual(60);
  const published = await newestRun(site);
  const errors = await errorsOf(published);
  const refused = errors.filter(({ code }) => code === 'URL_REFUSED').map(({ rosterLine }) => rosterLine);
  // Roster line 2 is the first patient: each link and each redirect is refused, and nothing else is.
  const hostile = links.length + 2 * REDIRECTS.length;
  expect(refused.toSorted((a, b) => a! - b!)).toEqual(Array.from({ length: hostile }, (_, at) => at + 2));
  expect(errors.filter(({ code }) => code !== 'URL_REFUSED')).toEqual([]);
  // The good link was followed: the last patient's second page is there.
  expect(published.lines.map(({ id }) => id)).toContain(`c-${hostile}-2`);

  for (const trap of traps) expect(trap.connections()).toBe(0);
  const paths = relay.requests.map(({ url }) => new URL(url, 'http://relay').pathname);
  expect([...new Set(paths)].toSorted()).toEqual([`${FHIR}/Condition`, `${FHIR}/metadata`]);
  for (const { url, authorization } of relay.requests) {
    expect(authorization === undefined).toBe(url.endsWith('/metadata'));
    expect(url).not.toMatch(/evil|stolen|page=2/i);
  }
}

describe('a server that names hostile URLs', () => {
  it('gets no connection and no token anywhere else', async () => {
    const stage = await setStage({});
    const { code, stderr } = await stage.site.run(['run']);
    expect([0, 3]).toContain(code);
    expect(stderr).not.toMatch(/evil\.example|security-credentials|passwd|stolen/);
    await expectNothingLeaked(stage);
  });

  it('gets the proxy to connect to nothing else, either', async () => {
    const proxy = await startConnectProxy();
    const stage = await setStage({ 'network.proxy': proxy.url });
    const { code } = await stage.site.run(['run']);
    expect([0, 3]).toContain(code);
    await expectNothingLeaked(stage);
    const allowed = [stage.relay.origin, stage.sandbox.origin].map((origin) => new URL(origin).host);
    expect([...new Set(proxy.targets)].toSorted()).toEqual(allowed.toSorted());
  });
});
