import { describe, expect, it } from 'vitest';
import type { FaultRule } from '../../src/sandbox/startSandbox.ts';
import { DEMO_TYPES } from '../../src/commands/demo.ts';
import { errorsOf, expectExactly, newestRun, runsOf } from '../support/publishedRun.ts';
import { oracleRows, siteForTest } from '../support/site.ts';

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

describe('rough weather', () => {
  it('does not show in the result: the set is exact, and the run complete', async () => {
    const site = await siteForTest({
      sandbox: { patients: 4, smtp: false, faults: WEATHER },
      resources: TYPES,
      mail: false,
      settings: { 'api_settings.page_size': 3 },
    });
    const { code, stdout, stderr } = await site.run(['run']);
    expect(code, stdout + stderr).toBe(0);
    const published = await newestRun(site);
    await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES)));
    expect(await errorsOf(published)).toEqual([]);
    const { byStatus } = site.sandbox.counts();
    for (const status of ['401', '429', '502', '503']) expect(byStatus[status], status).toBeGreaterThan(0);
  });

  it('of tokens that run out in the middle does not show either', async () => {
    const site = await siteForTest({
      sandbox: { patients: 4, smtp: false, tokenLifeSeconds: 1, latencyMs: 30 },
      resources: TYPES,
      mail: false,
      settings: { 'api_settings.page_size': 5 },
    });
    const { code, stdout, stderr } = await site.run(['run']);
    expect(code, stdout + stderr).toBe(0);
    await expectExactly(await newestRun(site), site.sandbox.oracle(oracleRows(TYPES)));
    expect(site.sandbox.counts().byEndpoint['token']).toBeGreaterThan(1);
  });

  it('never lets a foreign link or a redirect have the token', async () => {
    const trap = await siteForTest({ sandbox: { patients: 1, smtp: false }, mail: false });
    const site = await siteForTest({
      sandbox: { patients: 2, smtp: false },
      resources: TYPES,
      mail: false,
      settings: { 'api_settings.page_size': 2 },
    });
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
    const from = site.sandbox.counts().total;
    await site.stopWhen(() => site.sandbox.counts().total - from > 14, 'SIGKILL', ['run', '--retry-failed']);
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
