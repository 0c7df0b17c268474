import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, afterAll, describe, expect, it } from 'vitest';
import { apiRoutes, everyOperation } from '../../src/console/apiRoutes.ts';
import { gatewayRoutes } from '../../src/console/gatewayRoutes.ts';
import { openApiDocument } from '../../src/console/api/openApi.ts';
import type { Operation } from '../../src/console/api/operation.ts';
import { SCHEMAS, type SchemaName } from '../../src/console/api/schemas.ts';
import { rejection } from '../support/rejection.ts';
import { runHere } from '../support/runHere.ts';
import { makeSite, siteForTest, type Site } from '../support/site.ts';
import { ask, consoleOf, SESSION, type Got } from './support.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
}

const ajv = new Ajv2020({ allErrors: true, strictRequired: false, formats: { 'date-time': ISO } });
ajv.addVocabulary(['components']);
ajv.addSchema({ $id: 'openapi', components: { schemas: SCHEMAS } });

function ISO(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text);
}

function expectShape(name: SchemaName, { text }: Got): void {
  const validate = ajv.getSchema(`openapi#/components/schemas/${name}`)!;
  const isGood = validate(JSON.parse(text));
  expect(validate.errors ?? [], `${name}: ${text.slice(0, 300)}`).toEqual([]);
  expect(isGood).toBe(true);
}

/** Values that make every operation answer. */
const GIVEN: Readonly<Record<string, string>> = {
  job: 'default',
  kind: 'dry-run',
  runId: 'latest',
  patient_id: 'erXuFYUfucBZaryVksYEcMg3',
  id: 'erXuFYUfucBZaryVksYEcMg3',
  patient: 'erXuFYUfucBZaryVksYEcMg3',
  beneficiary: 'Patient/erXuFYUfucBZaryVksYEcMg3',
  category: 'laboratory',
  family: 'Lopez',
  type: 'Condition',
  resource_id: 'none-such',
};

function pathFor({ path, parameters, takesOthers }: Operation): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => GIVEN[name]!);
  const query = new URLSearchParams();
  for (const { name, in: place, required } of parameters) {
    const isWanted = required || name === 'category' || name === 'family';
    if (place === 'query' && isWanted && path !== '/fhir/CarePlan/{patient_id}')
      query.set(name, GIVEN[name]!);
  }
  if (takesOthers) query.set('patient', GIVEN.patient!);
  return `${filled}?${query.toString()}`;
}

describe('the API', () => {
  let shared: Site;
  beforeAll(async () => {
    shared = await makeSite({
      sandbox: { special: true },
      resources: ['Patient', 'Observation', 'CarePlan'],
    });
    await withPublicKey(shared);
    await runHere(shared);
    await runHere(shared);
  });
  afterAll(() => shared.close());

  it('answers every operation of the table in the shape that the document gives it', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = [...apiRoutes(site, parts), ...gatewayRoutes(site, parts)];
    const operations = everyOperation(site, parts);
    expect(operations.length).toBeGreaterThan(40);
    for (const operation of operations) {
      const got = await ask(routes, operation.method, pathFor(operation));
      expect.soft([200, 404, 400], operation.key).toContain(got.status);
      expectShape(operation.answers, got);
    }
  });

  it('describes every route and no other', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = [...apiRoutes(site, parts), ...gatewayRoutes(site, parts)];
    const document = JSON.parse((await ask(routes, 'GET', '/api/v1/openapi.json')).text) as Document;
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const served = routes.map(({ method, path }) => `${method} ${path}`);
    // The page itself is for people.
    expect(described.toSorted()).toEqual(served.filter((one) => !one.endsWith(' /api')).toSorted());
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('names every parameter of a path in it, and refers to schemas that there are', async () => {
    const { site, parts } = await consoleOf(shared);
    const operations = everyOperation(site, parts);
    for (const { path, parameters } of operations) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.filter((one) => one.in === 'path').map(({ name }) => name)).toEqual(named);
    }
    const document = JSON.stringify(openApiDocument(operations, { version: '1', cookie: 'c' }));
    const refs = [...document.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
    expect(refs.length).toBeGreaterThan(40);
    expect(refs.filter((name) => !(name in SCHEMAS))).toEqual([]);
  });

  it('has every path that the gateway promises', async () => {
    const { site, parts } = await consoleOf(shared);
    const served = gatewayRoutes(site, parts).map(
      ({ method, path }) => `${method} ${path.replace(/\{\w+\}/g, '*')}`,
    );
    const promised = `POST /auth/token, GET /jwks, GET /health, GET /config/info, GET /fhir/patient/*,
      GET /fhir/patient/search, GET /fhir/patient/search/common-names, GET /fhir/patient/epic-test-patients,
      GET /fhir/patients/browse, GET /fhir/patient/*/comprehensive, GET /fhir/observation/*, GET /fhir/conditions/*,
      GET /fhir/encounters/*, GET /fhir/procedures/*, GET /fhir/documents/*, GET /fhir/appointments/*,
      GET /fhir/appointments/search, GET /fhir/coverage/*, GET /fhir/coverage/search,
      GET /fhir/ExplanationOfBenefit/*, GET /fhir/CarePlan/*, GET /fhir/organizations/*, GET /fhir/practitioner/*,
      GET /fhir/PractitionerRole/*, GET /fhir/questionnaires/*, GET /fhir/QuestionnaireResponse/*,
      GET /fhir/lists/*, GET /fhir/consents/*, GET /fhir/provenance/*, GET /fhir/DeviceUseStatement/*,
      GET /fhir/*/*, GET /fhir/*`.split(/,\s+/);
    expect(promised.filter((one) => !served.includes(one))).toEqual([]);
  });

  it('pages its lists', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = apiRoutes(site, parts);
    const all = await follow<{ readonly runId: string }>(routes, '/api/v1/runs?limit=1');
    expect(all.map(({ runId }) => runId)).toEqual(
      await site.read((ledger) => ledger!.runs().map(({ runId }) => runId)),
    );
    expect(all).toHaveLength(2);
    const searches = await follow<object>(routes, '/api/v1/runs/latest/searches?limit=2');
    const whole = await ask(routes, 'GET', '/api/v1/runs/latest/searches?limit=500');
    expect(searches.length).toBeGreaterThan(2);
    expect(searches).toEqual((JSON.parse(whole.text) as { items: object[] }).items);
  });

  it('tells of runs by roster lines alone, and of settings without secrets', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = apiRoutes(site, parts);
    const pass = shared.sandbox.smtp!.pass;
    for (const path of [
      'runs',
      'runs/latest',
      'runs/latest/searches',
      'runs/latest/files',
      'config',
      'health',
    ]) {
      const { text } = await ask(routes, 'GET', `/api/v1/${path}`);
      for (let ordinal = 0; ordinal < shared.sandbox.patientCount; ordinal++) {
        expect(text).not.toContain(shared.sandbox.patientIdAt(ordinal));
      }
      expect(text).not.toContain(pass);
      expect(text).not.toMatch(/PRIVATE KEY|eyJ/);
    }
    const { text } = await ask(routes, 'GET', '/api/v1/session');
    expect(JSON.parse(text)).toEqual({ session: SESSION.name, csrfToken: SESSION.csrfToken });
  });

  it('refuses parameters that are none, twice, too large or of another form, all at once and without their values', async () => {
    const { site, parts } = await consoleOf(shared);
    const routes = apiRoutes(site, parts);
    const error = await rejection(
      ask(routes, 'GET', '/api/v1/runs?limit=1e9&offset=-1&jobb=secret-value&job=../etc'),
    );
    expect(error.code).toBe('CONSOLE_ASK_INVALID');
    expect(error.problems.map(({ where }) => where)).toEqual(['limit', 'offset', 'jobb', 'job']);
    expect(error.message).toContain('did you mean job?');
    expect(error.message).not.toMatch(/secret-value|1e9|etc/);
    await expect(ask(routes, 'GET', '/api/v1/runs?limit=1&limit=2')).rejects.toThrow('limit is given twice');
    await expect(ask(routes, 'GET', '/api/v1/runs/none-such')).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
    await expect(ask(routes, 'GET', '/api/v1/runs/%2e%2e%2fetc')).rejects.toMatchObject({
      code: 'CONSOLE_ASK_INVALID',
    });
  });

  it('answers before there is any run', async () => {
    const { site, parts } = await consoleOf(await siteForTest());
    const routes = apiRoutes(site, parts);
    const runs = await ask(routes, 'GET', '/api/v1/runs');
    expect(JSON.parse(runs.text)).toEqual({ items: [], next: null });
    expectShape('Health', await ask(routes, 'GET', '/api/v1/health'));
  });
});

async function follow<T>(routes: Parameters<typeof ask>[0], from: string): Promise<readonly T[]> {
  const items: T[] = [];
  for (let next: string | null = from; next !== null;) {
    const page = JSON.parse((await ask(routes, 'GET', next)).text) as { items: T[]; next: string | null };
    items.push(...page.items);
    next = page.next;
  }
  return items;
}

async function withPublicKey(site: Site): Promise<void> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(site.path('public-key.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
}
