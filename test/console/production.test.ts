import { readFile } from 'node:fs/promises';
import { describe, expect, it, beforeAll, afterAll } from 'vitest';
import { consoleAdapters } from '../../src/compose.ts';
import type { JobConfig } from '../../src/config/schema.ts';
import type { Route } from '../../src/console/exchange.ts';
import { environmentOf, gatewayMode } from '../../src/console/gateway/environment.ts';
import { gatewayRoutes } from '../../src/console/gatewayRoutes.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { rejection } from '../support/rejection.ts';
import { startRelay } from '../support/relay.ts';
import { rosterOf, siteForTest, type Site, type SiteSettings } from '../support/site.ts';
import { ask, consoleOf, type TestConsole } from './support.ts';

/** A hospital's server, by its name; behind the name there is the sandbox. */
const BASE = 'https://fhir.hospital.example/interconnect/api/FHIR/R4';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 9, special: true, smtp: false });
});
afterAll(() => sandbox.close());

/** On the roster stand the patients 0 and 2; `at`: where the hospital's name leads to. */
async function production(
  settings: SiteSettings = { 'console.gateway': 'on' },
  at: { readonly fhirBase: string; readonly tokenEndpoint: string } = sandbox,
): Promise<{ readonly routes: readonly Route[]; readonly own: TestConsole; readonly site: Site }> {
  const site = await siteForTest({
    sandbox,
    roster: rosterOf(sandbox, [0, 2]),
    mail: false,
    settings: { 'epic_settings.epic_endpoint': BASE, ...settings },
  });
  const led = (job: JobConfig): JobConfig => ({
    ...job,
    settings: {
      ...job.settings,
      epic_settings: { ...job.settings.epic_settings, epic_endpoint: at.fhirBase },
      oauth_settings: { ...job.settings.oauth_settings, token_endpoint: at.tokenEndpoint },
    },
  });
  const own = await consoleOf(site, {
    adapters: (around) => {
      const { connect, openTokens } = consoleAdapters(around);
      return {
        connect: (job) => connect(led(job)),
        openTokens: (job, access) => openTokens(led(job), access),
      };
    },
  });
  return { routes: gatewayRoutes(own.site, own.parts), own, site };
}

const idAt = (ordinal: number): string => sandbox.patientIdAt(ordinal)!;

interface Bundle {
  readonly entry?: readonly { readonly resource: { readonly resourceType: string; readonly id: string } }[];
}

describe('the gateway towards production', () => {
  it('is off unless the INI says on', async () => {
    const before = sandbox.counts().total;
    const { routes, own } = await production({});
    const [job] = own.site.config().jobs;
    expect([environmentOf(job!), gatewayMode(job!)]).toEqual(['production', 'off']);
    for (const path of [
      `/fhir/patient/${idAt(0)}`,
      `/fhir/Condition?patient=${idAt(0)}`,
      '/fhir/patients/browse',
    ]) {
      const error = await rejection(ask(routes, 'GET', path));
      expect(error.code).toBe('CONSOLE_UNAVAILABLE');
      expect(error.hint).toContain('[console] gateway = on');
    }
    expect(sandbox.counts().total).toBe(before);
  });

  it('shows patients of the roster, and refuses others without asking the server', async () => {
    const { routes, own, site } = await production();
    const mine = [
      `/fhir/patient/${idAt(0)}`,
      `/fhir/Patient/${idAt(2)}`,
      `/fhir/Patient?_id=${idAt(2)}`,
      `/fhir/conditions/${idAt(0)}`,
      `/fhir/Condition?patient=Patient/${idAt(0)}&clinical-status=active`,
      `/fhir/Condition?subject=${idAt(0)}`,
      `/fhir/coverage/search?beneficiary=${idAt(2)}`,
      `/fhir/patient/${idAt(2)}/comprehensive`,
      // Shared with a patient who is not on the roster, as in a pull.
      `/fhir/appointments/${idAt(0)}`,
      '/fhir/patients/browse',
    ];
    for (const path of mine) expect.soft((await ask(routes, 'GET', path)).status, path).toBe(200);
    const before = sandbox.counts().total;
    const others = [
      `/fhir/patient/${idAt(1)}`,
      `/fhir/Patient/${idAt(1)}`,
      `/fhir/Patient?_id=${idAt(1)}`,
      `/fhir/conditions/${idAt(1)}`,
      `/fhir/patient/${idAt(1)}/comprehensive`,
      `/fhir/appointments/search?patient=${idAt(1)}`,
      `/fhir/patient/${idAt(0).toLowerCase()}`,
      // Several patients, or none that can be told.
      '/fhir/patient/search?family=Lopez',
      '/fhir/Patient?family=Lopez',
      `/fhir/Patient?_id=${idAt(0)},${idAt(1)}`,
      `/fhir/Condition?patient=${idAt(0)},${idAt(1)}`,
      `/fhir/Condition?patient=${idAt(0)}&patient=${idAt(1)}`,
      `/fhir/Condition?patient=${idAt(0)}&subject=${idAt(1)}`,
      '/fhir/Condition?code=123',
      '/fhir/Condition?_id=abc',
      `/fhir/Condition?patient.identifier=1`,
      `/fhir/Condition?patient=${idAt(0)}&_include=Condition:asserter`,
      `/fhir/Patient?_id=${idAt(0)}&_revinclude=Provenance:target`,
      `/fhir/Patient?_id=${idAt(0)}&_has:Observation:patient:code=1`,
      `/fhir/Condition?patient:Patient=${idAt(0)}`,
      '/fhir/Practitioner?family=Smith',
      '/fhir/Binary?_id=abc',
    ];
    for (const path of others) {
      const error = await rejection(ask(routes, 'GET', path));
      expect.soft(error.code, path).toBe('CONSOLE_REFUSED');
      expect.soft(error.message + error.hint, path).not.toContain(idAt(1));
    }
    expect(sandbox.counts().total).toBe(before);
    // Who looked for somebody else stands there, too.
    const audit = await readFile(site.path('state', 'audit.ndjson'), 'utf8');
    const lines = audit
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const refusals = lines.filter(({ patient }) => patient === own.parts.hash(idAt(1)));
    expect(refusals.length).toBeGreaterThanOrEqual(6);
    expect(refusals.every(({ status, answered }) => status === 'refused' && answered === undefined)).toBe(
      true,
    );
    expect(audit).not.toContain(idAt(0));
    expect(audit).not.toContain(idAt(1));
  });

  it('hands out what is read by id only when it is a roster patient’s, or nobody’s', async () => {
    const { routes } = await production();
    const conditionOf = async (ordinal: number): Promise<string> => {
      for await (const { type, id } of sandbox.oracle([{ resource: 'Condition' }], [idAt(ordinal)])) {
        if (type === 'Condition') return id;
      }
      throw new Error('no condition');
    };
    expect((await ask(routes, 'GET', `/fhir/Condition/${await conditionOf(0)}`)).status).toBe(200);
    const foreign = await rejection(ask(routes, 'GET', `/fhir/Condition/${await conditionOf(1)}`));
    expect(foreign.code).toBe('CONSOLE_REFUSED');
    // A record that is not there tells nothing in the server's words.
    const absent = await rejection(ask(routes, 'GET', '/fhir/Condition/none-such'));
    expect(absent).toMatchObject({ code: 'FHIR_PARAMETER_REFUSED', status: 404, epicCode: '4102' });
    expect(absent.hint).toMatch(/^Epic 4102/);
    const { entry = [] } = JSON.parse(
      (await ask(routes, 'GET', `/fhir/patient/${idAt(0)}/comprehensive`)).text,
    ) as {
      entry?: readonly {
        resource: {
          generalPractitioner?: { reference: string }[];
          managingOrganization?: { reference: string };
        };
      }[];
    };
    const { generalPractitioner, managingOrganization } = entry[0]!.resource;
    const [, practitioner] = generalPractitioner![0]!.reference.split('/');
    const [, organization] = managingOrganization!.reference.split('/');
    expect((await ask(routes, 'GET', `/fhir/practitioner/${practitioner}`)).status).toBe(200);
    expect((await ask(routes, 'GET', `/fhir/organizations/${organization}`)).status).toBe(200);
    expect((await ask(routes, 'GET', `/fhir/Practitioner?_id=${practitioner}`)).status).toBe(200);
    expect((await ask(routes, 'GET', '/fhir/organizations/none-such')).status).toBe(404);
  });

  it('shows nothing of an answer that holds another patient’s record', async () => {
    const reply: { json: unknown } = { json: undefined };
    const relay = await startRelay({
      to: sandbox.origin,
      answer: ({ url }, response) => {
        if (!/Condition|Practitioner\/|Binary|Group/.test(url)) return false;
        response.writeHead(200, { 'content-type': 'application/fhir+json' });
        response.end(JSON.stringify(reply.json));
        return true;
      },
    });
    const fhirBase = `${relay.origin}${new URL(sandbox.fhirBase).pathname}`;
    const { routes } = await production({ 'console.gateway': 'on' }, { ...sandbox, fhirBase });
    const condition = (id: string, ordinal: number): object => ({
      ...{ resourceType: 'Condition', id },
      subject: { reference: `Patient/${idAt(ordinal)}` },
    });
    const searchset = (...resources: object[]): object => ({
      ...{ resourceType: 'Bundle', type: 'searchset' },
      entry: resources.map((resource) => ({ resource })),
    });
    const refusedWith = async (path: string, json: unknown): Promise<string> => {
      reply.json = json;
      const { code, message, hint } = await rejection(ask(routes, 'GET', path));
      expect(message + hint).not.toContain('secret');
      return code;
    };
    const search = `/fhir/conditions/${idAt(0)}`;
    reply.json = searchset(condition('a', 0), { resourceType: 'Practitioner', id: 'p' });
    expect((JSON.parse((await ask(routes, 'GET', search)).text) as Bundle).entry).toHaveLength(2);
    expect(await refusedWith(search, searchset(condition('a', 0), condition('secret', 1)))).toBe(
      'FHIR_FOREIGN_PATIENT',
    );
    expect(await refusedWith(search, { note: 'secret' })).toBe('FHIR_MALFORMED');
    expect(await refusedWith(search, condition('secret', 1))).toBe('FHIR_MALFORMED');
    // One of the roster among others opens no list of patients.
    const group = (...ordinals: readonly number[]): object => ({
      ...{ resourceType: 'Group', id: 'g' },
      member: ordinals.map((one) => ({ entity: { reference: `Patient/${idAt(one)}`, display: 'secret' } })),
    });
    expect(await refusedWith('/fhir/Group/g', group(0, 1))).toBe('CONSOLE_REFUSED');
    expect(await refusedWith(`/fhir/Group?member=${idAt(0)}`, searchset(group(0, 1)))).toBe(
      'FHIR_FOREIGN_PATIENT',
    );
    reply.json = group(0, 2);
    expect((await ask(routes, 'GET', '/fhir/Group/g')).status).toBe(200);
    // Not what was asked for, or somebody's after all.
    expect(await refusedWith('/fhir/practitioner/p', condition('secret', 1))).toBe('CONSOLE_REFUSED');
    const aboutOther = {
      resourceType: 'Practitioner',
      id: 'p',
      extension: [{ valueReference: { reference: `Patient/${idAt(1)}` } }],
    };
    expect(await refusedWith('/fhir/practitioner/p', aboutOther)).toBe('CONSOLE_REFUSED');
    expect(await refusedWith('/fhir/Binary/b', { resourceType: 'Binary', id: 'b', data: 'secret' })).toBe(
      'CONSOLE_REFUSED',
    );
    expect(await refusedWith('/fhir/practitioner/p', { resourceType: 'Basic', id: 'p' })).toBe(
      'CONSOLE_REFUSED',
    );
  });

  it('is told by the host alone, not by a name in the INI', async () => {
    const at = async (endpoint: string, more: SiteSettings = {}): Promise<string> => {
      const { own } = await production({ 'epic_settings.epic_endpoint': endpoint, ...more });
      return environmentOf(own.site.config().jobs[0]!);
    };
    expect(await at('https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4')).toBe('sandbox');
    expect(await at('http://127.0.0.1:9999/api/FHIR/R4')).toBe('sandbox');
    expect(await at('https://fhir.epic.com.hospital.example/api/FHIR/R4')).toBe('production');
    expect(await at('https://127.0.0.1.hospital.example/api/FHIR/R4')).toBe('production');
    // A tunnel, with a hospital at its end.
    expect(await at('https://127.0.0.1:8443/api/FHIR/R4')).toBe('production');
    expect(
      await at(BASE, { 'epic_settings.environment': 'sandbox', 'environment sandbox.endpoint': BASE }),
    ).toBe('production');
  });
});
