import { describe, expect, it } from 'vitest';
import type { FaultRule, SandboxOptions } from '../../src/sandbox/startSandbox.ts';
import { DEMO_TYPES } from '../../src/commands/demo.ts';
import { errorsOf, expectExactly, newestRun, runsOf, type Published } from '../support/publishedRun.ts';
import { afterRequests, oracleRows, siteForTest, type Site } from '../support/site.ts';

const TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Appointment',
  'MedicationRequest',
  'Medication',
];

/** Everything a network and a server do now and then, each once or twice: nothing of it may show in the result. */
const WEATHER: readonly FaultRule[] = [
  { match: { endpoint: 'metadata' }, when: { first: 1 }, then: { html: true } },
  { match: { endpoint: 'search', type: 'Condition' }, when: { nth: [1] }, then: { reset: true } },
  { match: { endpoint: 'search', type: 'Condition' }, when: { nth: [3] }, then: { cutBodyAt: 0.5 } },
  { match: { endpoint: 'search', type: 'Observation' }, when: { nth: [2] }, then: { badJson: true } },
  { match: { endpoint: 'search', type: 'Observation' }, when: { nth: [5] }, then: { gzipCut: true } },
  { match: { endpoint: 'search', type: 'Observation' }, when: { nth: [9] }, then: { emptyBody: true } },
  {
    match: { endpoint: 'search', type: 'Encounter' },
    when: { nth: [2] },
    then: { status: 429, retryAfter: 1 },
  },
  { match: { endpoint: 'search', type: 'Encounter' }, when: { nth: [4] }, then: { status: 401 } },
  {
    match: { endpoint: 'search', type: 'Appointment' },
    when: { nth: [1, 2] },
    then: { duplicateEntry: true },
  },
  {
    match: { endpoint: 'search', type: 'MedicationRequest' },
    when: { nth: [2] },
    then: { foreignEntry: 'patient' },
  },
  { match: { endpoint: 'search', type: 'Medication' }, when: { nth: [1] }, then: { status: 503 } },
  {
    match: { endpoint: 'page' },
    when: { nth: [2] },
    then: { status: 502, body: '<html>Bad gateway</html>' },
  },
  { match: { endpoint: 'page' }, when: { nth: [6] }, then: { next: 'self' } },
  { match: { endpoint: 'page' }, when: { nth: [9] }, then: { next: 'expired' } },
];

/** A site without mail, whose pages are small. */
function siteIn(sandbox: SandboxOptions, pageSize: number): Promise<Site> {
  return siteForTest({
    sandbox: { smtp: false, ...sandbox },
    resources: TYPES,
    mail: false,
    settings: { 'api_settings.page_size': pageSize },
  });
}

async function expectComplete(site: Site): Promise<Published> {
  const { code, stdout, stderr } = await site.run(['run']);
  expect(code, stdout + stderr).toBe(0);
  const published = await newestRun(site);
  await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES)));
  return published;
}

describe('rough weather', () => {
  it('does not show in the result: the set is exact, and the run complete', async () => {
    const site = await siteIn({ patients: 4, faults: WEATHER }, 3);
    expect(await errorsOf(await expectComplete(site))).toEqual([]);
    const { byStatus } = site.sandbox.counts();
    for (const status of ['401', '429', '502', '503']) expect(byStatus[status], status).toBeGreaterThan(0);
  });

  it('of tokens that run out in the middle does not show either', async () => {
    const site = await siteIn({ patients: 4, tokenLifeSeconds: 1, latencyMs: 30 }, 5);
    await expectComplete(site);
    expect(site.sandbox.counts().byEndpoint['token']).toBeGreaterThan(1);
  });

  it('never lets a foreign link or a redirect have the token', async () => {
    const trap = await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false });
    const site = await siteIn({ patients: 2 }, 2);
    site.sandbox.setFaults([
      {
        match: { endpoint: 'search', type: 'Condition' },
        then: { next: 'foreign', origin: trap.sandbox.origin },
      },
      {
        match: { endpoint: 'search', type: 'Encounter' },
        then: { redirectTo: `${trap.sandbox.fhirBase}/Patient` },
      },
    ]);
    const { code, stdout } = await site.run(['run']);
    expect(code).toBe(3);
    expect(stdout).toContain('URL_REFUSED');
    expect(trap.sandbox.counts().total).toBe(0);
  });

  it('reports scopes that were not granted, and types that are not offered', async () => {
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      resources: ['Patient', 'Condition', 'Basic'],
      mail: false,
      settings: { 'oauth_settings.scope': 'system/Patient.read system/Condition.read system/Goal.read' },
    });
    site.sandbox.setFaults([{ match: { endpoint: 'token' }, then: { dropScope: 'system/Goal.read' } }]);
    const { code, stdout } = await site.run(['run']);
    expect(code).toBe(0);
    expect(stdout).toContain('system/Goal.read');
    expect(stdout).toMatch(/Basic/);
    const errors = await errorsOf(await newestRun(site));
    expect(errors).toMatchObject([{ outcome: 'gap', resourceType: 'Basic', code: 'TYPE_NOT_OFFERED' }]);
  });
});

describe('a retry that is killed', () => {
  it('goes on, never touches its base, and ends exact', async () => {
    const site = await siteForTest({
      sandbox: { patients: 5, smtp: false, latencyMs: 30 },
      resources: DEMO_TYPES.slice(0, 12),
      mail: false,
      settings: { 'api_settings.max_attempts': 1 },
    });
    const list = oracleRows(DEMO_TYPES.slice(0, 12));
    site.sandbox.setFaults([
      { match: { endpoint: 'search', type: 'Observation' }, then: { badJson: true } },
      { match: { endpoint: 'read', type: 'Binary' }, then: { badJson: true } },
    ]);
    expect((await site.run(['run'])).code).toBe(3);
    const base = await newestRun(site);
    site.sandbox.setFaults([]);
    await site.stopWhen(afterRequests(site.sandbox, 15), 'SIGKILL', ['run', '--retry-failed']);
    const { code, stderr } = await site.run(['run', '--retry-failed']);
    expect(code, stderr).toBe(0);
    const recovered = await newestRun(site);
    await expectExactly(recovered, site.sandbox.oracle(list));
    expect(await runsOf(site)).toEqual([base.runId, recovered.runId]);
    for (const { folder } of [base, recovered]) {
      expect((await site.run(['verify', folder])).code).toBe(0);
    }
  });
});
