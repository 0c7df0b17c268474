import { readFile, stat } from 'node:fs/promises';
import { beforeAll, afterAll, describe, expect, it } from 'vitest';
import { gatewayRoutes } from '../../src/console/gatewayRoutes.ts';
import { verifyAudit } from '../../src/run/auditVerify.ts';
import { rejection } from '../support/rejection.ts';
import { startRelay } from '../support/relay.ts';
import { makeSite, siteForTest, TYPES_OF_EVERY_KIND, type Site } from '../support/site.ts';
import { ask, consoleOf, type Got } from './support.ts';

const CAMILA = 'erXuFYUfucBZaryVksYEcMg3';

interface Bundle {
  readonly resourceType: string;
  readonly type: string;
  readonly entry?: readonly {
    readonly link?: readonly { readonly url: string }[];
    readonly resource: { readonly resourceType: string; readonly id?: string; readonly type?: string };
    readonly response?: { readonly status: string };
  }[];
}
const parsed = ({ text }: Got): Bundle => JSON.parse(text) as Bundle;

describe('the gateway at a sandbox', () => {
  let shared: Site;
  beforeAll(async () => {
    shared = await makeSite({ sandbox: { special: true }, resources: TYPES_OF_EVERY_KIND });
  });
  afterAll(() => shared.close());

  it('hands on the server’s bytes, status and FHIR content type', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    const { accessToken } = JSON.parse((await ask(routes, 'POST', '/auth/token?show=true')).text) as {
      accessToken: string;
    };
    const pairs = [
      [`/fhir/patient/${CAMILA}`, `Patient/${CAMILA}`],
      [`/fhir/conditions/${CAMILA}`, `Condition?patient=${CAMILA}`],
      [
        `/fhir/observation/${CAMILA}?category=laboratory&_count=3`,
        `Observation?patient=${CAMILA}&category=laboratory&_count=3`,
      ],
      [`/fhir/coverage/search?beneficiary=${CAMILA}`, `Coverage?beneficiary=${CAMILA}`],
      [
        `/fhir/Condition?patient=${CAMILA}&clinical-status=active`,
        `Condition?patient=${CAMILA}&clinical-status=active`,
      ],
      ['/fhir/organizations/none-such', 'Organization/none-such'],
    ] as const;
    for (const [path, url] of pairs) {
      const got = await ask(routes, 'GET', path);
      const direct = await fetch(`${shared.sandbox.fhirBase}/${url}`, {
        headers: { authorization: `Bearer ${accessToken}`, accept: 'application/fhir+json' },
      });
      // The links of a page name its session.
      const own = (text: string): string => text.replace(/sessionID=[\w-]+/g, '');
      expect(got.status).toBe(direct.status);
      expect(got.contentType).toBe(direct.headers.get('content-type'));
      expect(own(got.text)).toBe(own(await direct.text()));
      expect(got.headers).toMatchObject({ 'x-rounds-asked': url });
    }
  });

  it('explains Epic’s rule where a category is missing, and asks nothing', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    await ask(routes, 'GET', `/fhir/patient/${CAMILA}`);
    const before = shared.sandbox.counts().byEndpoint['search'] ?? 0;
    const error = await rejection(ask(routes, 'GET', `/fhir/observation/${CAMILA}`));
    expect(error).toMatchObject({ code: 'CONSOLE_ASK_INVALID', epicCode: '59108' });
    expect(error.message).toContain('category or code');
    expect(error.hint).toContain('laboratory');
    const episodes = await rejection(ask(routes, 'GET', `/fhir/EpisodeOfCare?patient=${CAMILA}`));
    expect(episodes.message).toContain('type');
    expect(shared.sandbox.counts().byEndpoint['search'] ?? 0).toBe(before);
    expect(parsed(await ask(routes, 'GET', `/fhir/CarePlan/${CAMILA}`)).type).toBe('searchset');
  });

  it('hands refusals on, with a hint where Epic’s code is known', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    const got = await firstWith(routes, shared, 410);
    expect(parsed(got).resourceType).toBe('OperationOutcome');
    expect(got.headers!['x-rounds-hint']).toMatch(/^Epic 4103: the record was deleted/);
    const refusedCategory = await ask(routes, 'GET', `/fhir/observation/${CAMILA}?category=procedure`);
    expect(refusedCategory.status).toBe(400);
    expect(refusedCategory.headers!['x-rounds-hint']).toMatch(/^Epic 59102/);
    expect(refusedCategory.headers!['x-rounds-hint']).toMatch(/^[\x20-\x7e]*$/);
  });

  it('finds patients by name, lists the test patients, and examples that find somebody', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    const found = parsed(await ask(routes, 'GET', '/fhir/patient/search?family=Lopez&given=Camila&limit=5'));
    expect(found.entry?.map(({ resource }) => resource.id)).toContain(CAMILA);
    const { items } = JSON.parse((await ask(routes, 'GET', '/fhir/patient/epic-test-patients')).text) as {
      items: { path: string; fhirId: string }[];
    };
    expect(items).toHaveLength(7);
    for (const { path, fhirId } of items) {
      expect(JSON.parse((await ask(routes, 'GET', path)).text)).toMatchObject({ id: fhirId });
    }
    const examples = JSON.parse((await ask(routes, 'GET', '/fhir/patient/search/common-names')).text) as {
      items: { path: string }[];
    };
    for (const { path } of examples.items.slice(0, 7)) {
      const { entry = [] } = parsed(await ask(routes, 'GET', path));
      expect(
        entry.filter(({ resource }) => resource.resourceType === 'Patient').length,
        path,
      ).toBeGreaterThan(0);
    }
  });

  it('gives a patient with all listed types, and the roster page by page, each answer whole', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    const whole = parsed(await ask(routes, 'GET', `/fhir/patient/${CAMILA}/comprehensive?_count=2`));
    expect(whole.type).toBe('batch-response');
    const asked = whole.entry!.map(({ link }) => link![0]!.url.split('?')[0]!.split('/')[0]!);
    expect(new Set(asked)).toEqual(
      new Set(TYPES_OF_EVERY_KIND.filter((type) => type !== 'Medication' && type !== 'Practitioner')),
    );
    expect(whole.entry!.every(({ response }) => response?.status === '200')).toBe(true);
    const observations = whole.entry!.find(({ link }) => link![0]!.url.includes('category=laboratory'))!;
    expect(observations.resource).toMatchObject({ resourceType: 'Bundle', type: 'searchset' });
    const pages = [0, 2].map((offset) =>
      ask(routes, 'GET', `/fhir/patients/browse?limit=2&offset=${offset}`),
    );
    const ids = (await Promise.all(pages)).flatMap((page) =>
      parsed(page).entry!.map(({ resource }) => resource.id),
    );
    expect(ids).toEqual([0, 1, 2, 3].map((ordinal) => shared.sandbox.patientIdAt(ordinal)));
  });

  it('shows no token but when it is asked to, and writes that down', async () => {
    const site = await siteForTest({ sandbox: shared.sandbox });
    const { site: own, parts, logged } = await consoleOf(site);
    const routes = gatewayRoutes(own, parts);
    const silent = await ask(routes, 'POST', '/auth/token');
    expect(JSON.parse(silent.text)).toMatchObject({
      tokenEndpoint: shared.sandbox.tokenEndpoint,
      missingScopes: [],
    });
    expect(silent.text).not.toContain('accessToken');
    const shown = JSON.parse((await ask(routes, 'POST', '/auth/token?show=true')).text) as {
      accessToken: string;
    };
    expect(shown.accessToken.length).toBeGreaterThan(10);
    const audit = await readFile(site.path('state', 'audit.ndjson'), 'utf8');
    const events = audit
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: string }).event);
    expect(events).toEqual(['gateway.used', 'token.handed-out', 'gateway.used']);
    expect(logged.join('\n') + audit).not.toContain(shown.accessToken);
  });

  it('writes each use down before its answer: who, what, and whom under a keyed hash', async () => {
    const site = await siteForTest({ sandbox: shared.sandbox });
    const { site: own, parts } = await consoleOf(site);
    const routes = gatewayRoutes(own, parts);
    await ask(routes, 'GET', `/fhir/conditions/${CAMILA}`);
    const { entry = [] } = parsed(await ask(routes, 'GET', `/fhir/conditions/${CAMILA}`));
    await ask(routes, 'GET', `/fhir/Condition/${entry[0]!.resource.id}`);
    const file = site.path('state', 'audit.ndjson');
    const text = await readFile(file, 'utf8');
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ route }) => route)).toEqual([
      'GET /fhir/conditions/{patient_id}',
      'GET /fhir/conditions/{patient_id}',
      'GET /fhir/{type}/{resource_id}',
    ]);
    expect(new Set(lines.map(({ patient }) => patient))).toEqual(new Set([parts.hash(CAMILA)]));
    expect(lines[0]).toMatchObject({
      event: 'gateway.used',
      session: 'session-1',
      answered: 200,
      job: 'default',
    });
    expect(text).not.toContain(CAMILA);
    expect(parts.hash(CAMILA)).toMatch(/^[0-9a-f]{64}$/);
    const key = site.path('state', 'console', 'patient-hash.key');
    if (process.platform !== 'win32') expect((await stat(key)).mode & 0o777).toBe(0o600);
    // The next console names the patient alike.
    const again = await consoleOf(site);
    expect(again.parts.hash(CAMILA)).toBe(parts.hash(CAMILA));
    expect(verifyAudit(file, { ledger: undefined, witnesses: [], manifests: new Map() }).damage).toEqual([]);
    expect((await site.run(['verify', '--audit'])).code).toBe(0);
  });

  it('refuses ids, parameters and paths that lead elsewhere, before anything is asked', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    const before = shared.sandbox.counts().total;
    const hostile = [
      '/fhir/patient/..%2f..%2foauth2%2ftoken',
      '/fhir/patient/%2e%2e',
      '/fhir/patient/a%0d%0aX-Evil:%201',
      '/fhir/patient/https:%2f%2fevil.example%2fPatient%2f1',
      `/fhir/Patient/${'a'.repeat(256)}`,
      '/fhir/Condition/a%3fb=c',
      '/fhir/metadata/x',
      '/fhir/Nonsense/x',
      '/fhir/Nonsense?patient=x',
      `/fhir/observation/${CAMILA}?category=laboratory&_count=1e9`,
      `/fhir/observation/${CAMILA}?category=laboratory&_count=100000`,
      `/fhir/observation/${CAMILA}?category=a%0d%0ab`,
      `/fhir/observation/${CAMILA}?category=laboratory&_include=*`,
      `/fhir/Condition?patient=${CAMILA}&_count=1e9`,
      '/fhir/Condition?patient=https://evil.example/Patient/1',
      `/fhir/Condition?patient=${CAMILA}&a%0d%0ab=c`,
      `/fhir/Condition?patient=${CAMILA}&${'n'.repeat(90)}=c`,
      '/fhir/appointments/search?date=2024',
      `/fhir/appointments/${CAMILA}?date=yesterday`,
      `/fhir/conditions/${CAMILA}?job=../../etc`,
      `/fhir/conditions/${CAMILA}?job=other`,
    ];
    for (const path of hostile) {
      const error = await rejection(ask(routes, 'GET', path));
      expect.soft(error.code, path).toBe('CONSOLE_ASK_INVALID');
      expect.soft(error.message + error.hint, path).not.toMatch(/evil|1e9|yesterday|oauth2/);
    }
    expect(shared.sandbox.counts().total).toBe(before);
  });

  it('passes on what is odd but allowed, encoded', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = gatewayRoutes(site, parts);
    const name = "O'Brien & Söhne?x=1#y";
    const got = await ask(
      routes,
      'GET',
      `/fhir/patient/search?${new URLSearchParams({ family: name }).toString()}`,
    );
    expect(got.status).toBe(200);
    const { query } = shared.sandbox.requests.at(-1)!;
    expect(new URLSearchParams(query).get('family')).toBe(name);
  });

  it('is off where the INI says so', async () => {
    const site = await siteForTest({ sandbox: shared.sandbox, settings: { 'console.gateway': 'off' } });
    const { site: own, parts } = await consoleOf(site);
    const routes = gatewayRoutes(own, parts);
    for (const path of [
      `/fhir/patient/${CAMILA}`,
      '/fhir/patients/browse',
      `/fhir/patient/${CAMILA}/comprehensive`,
    ]) {
      await expect(ask(routes, 'GET', path)).rejects.toMatchObject({ code: 'CONSOLE_UNAVAILABLE' });
    }
    await expect(ask(routes, 'POST', '/auth/token')).rejects.toMatchObject({ code: 'CONSOLE_UNAVAILABLE' });
  });
});

describe('what a server sends beside its answer', () => {
  it('stays here: cookies, redirects, pages and the token', async () => {
    const inner = await makeSite();
    const path = new URL(inner.sandbox.fhirBase).pathname;
    const relay = await startRelay({
      to: inner.sandbox.origin,
      answer: ({ url }, response) => {
        if (url.endsWith('/page')) {
          response.writeHead(200, { 'content-type': 'text/html', 'set-cookie': 'stolen=1' });
          response.end('<script>alert(1)</script>');
          return true;
        }
        if (url.endsWith('/moved')) {
          response.writeHead(302, { location: 'https://evil.example/' });
          response.end();
          return true;
        }
        if (url.endsWith('/odd')) {
          response.writeHead(200, {
            'content-type': 'application/fhir+json',
            'set-cookie': 'a=1',
            etag: 'W/"1"',
          });
          response.end('{"resourceType":"Patient","id":"odd"}');
          return true;
        }
        return false;
      },
    });
    const site = await siteForTest({
      sandbox: inner.sandbox,
      settings: { 'epic_settings.epic_endpoint': `${relay.origin}${path}` },
    });
    const { site: own, parts, logged } = await consoleOf(site);
    const routes = gatewayRoutes(own, parts);
    const answers = [
      await ask(routes, 'GET', '/fhir/patient/odd'),
      await ask(routes, 'GET', '/fhir/Organization/page'),
      await ask(routes, 'GET', `/fhir/conditions/${CAMILA}`),
    ];
    expect(answers.map(({ contentType }) => contentType)).toEqual([
      'application/fhir+json',
      'application/octet-stream',
      expect.stringMatching(/^application\/fhir\+json/),
    ]);
    const moved = await rejection(ask(routes, 'GET', '/fhir/Organization/moved'));
    expect(moved.code).toBe('URL_REFUSED');
    const seen = JSON.stringify([answers, moved.message, moved.hint, logged]);
    expect(seen).not.toMatch(/stolen|set-cookie|evil\.example|etag/i);
    const tokens = new Set(
      relay.requests.flatMap(({ authorization }) => authorization?.replace('Bearer ', '') ?? []),
    );
    expect(tokens.size).toBe(1);
    for (const token of tokens) expect(seen).not.toContain(token);
    const audit = await readFile(site.path('state', 'audit.ndjson'), 'utf8');
    for (const token of tokens) expect(audit).not.toContain(token);
    await inner.close();
  });
});

async function firstWith(routes: Parameters<typeof ask>[0], site: Site, status: number): Promise<Got> {
  for (let ordinal = 0; ordinal < site.sandbox.patientCount; ordinal++) {
    const got = await ask(routes, 'GET', `/fhir/patient/${site.sandbox.patientIdAt(ordinal)!}`);
    if (got.status === status) return got;
  }
  throw new Error(`no patient answers ${status}`);
}
