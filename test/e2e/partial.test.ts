import { copyFile, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FaultRule } from '../../src/sandbox/startSandbox.ts';
import type { CliResult } from '../support/cli.ts';
import {
  currentOf,
  errorsOf,
  expectExactly,
  newestRun,
  readRun,
  runsOf,
  type Published,
} from '../support/publishedRun.ts';
import { makeSite, oracleRows, type Site } from '../support/site.ts';

const TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'MedicationRequest',
  'Medication',
  'Procedure',
];
const FAILING = [1, 3];

/** One type of two patients, beyond all attempts and both passes. */
const faults: readonly FaultRule[] = FAILING.map((patient) => ({
  match: { endpoint: 'search', type: 'MedicationRequest', patient },
  then: { status: 500 },
}));

describe('a run in which some searches fail for good', () => {
  let site: Site;
  let before: Published;
  let base: Published;
  let result: CliResult;
  let mailsBefore: number;

  beforeAll(async () => {
    site = await makeSite({
      sandbox: { patients: 5 },
      resources: TYPES,
      settings: { 'api_settings.max_attempts': 2 },
    });
    expect((await site.run(['run'])).code).toBe(0);
    before = await newestRun(site);
    mailsBefore = site.sandbox.smtp!.mails.length;
    site.sandbox.setFaults(faults);
    result = await site.run(['run']);
    base = await newestRun(site);
  });
  afterAll(() => site.close());

  it('is published as partial and exits 3', () => {
    expect(result.code, result.stderr).toBe(3);
    expect(base.runId).not.toBe(before.runId);
    expect(base.manifest.extension.status).toBe('partial');
    expect(base.manifest.extension.searches.failed).toBe(FAILING.length);
    expect(result.stdout).toContain('--retry-failed');
  });

  it('names each failed search by type, cause and roster line, and keeps nothing of it', async () => {
    const errors = await errorsOf(base);
    const said = errors.map((error) => [error.outcome, error.resourceType, error.code, error.rosterLine]);
    expect(said.toSorted()).toEqual(
      FAILING.map((ordinal) => ['failed', 'MedicationRequest', 'HTTP_SERVER', ordinal + 2]),
    );
    for (const ordinal of FAILING) {
      const id = site.sandbox.patientIdAt(ordinal)!;
      const kept = base.lines.filter(
        ({ resourceType, text }) => resourceType === 'MedicationRequest' && text.includes(id),
      );
      expect(kept).toEqual([]);
    }
  });

  it('was tried in both passes, each time by all attempts', () => {
    const patientId = site.sandbox.patientIdAt(FAILING[0]!)!;
    const tries = site.sandbox.requests.filter(
      ({ type, query, status }) =>
        type === 'MedicationRequest' && query.includes(patientId) && status === 500,
    );
    expect(tries).toHaveLength(4);
  });

  it('does not move `current`, and says so in the mail', async () => {
    expect(await currentOf(site)).toBe(before.runId);
    const mails = site.sandbox.smtp!.mails.slice(mailsBefore);
    expect(mails.map(({ subject }) => subject)).toEqual([
      expect.stringMatching(/^PARTIAL 2 of .*, default: /),
    ]);
    expect(mails[0]!.subject).toContain(base.runId);
    const status = await site.run(['status']);
    expect(status.code).toBe(1);
    expect(status.stdout).toContain('partial');
  });

  it('is mended by --retry-failed: earlier files linked and left alone, what was recovered in further parts', async () => {
    const away = site.path('copy');
    await mkdir(away);
    for (const name of base.files) {
      await mkdir(path.dirname(path.join(away, name)), { recursive: true });
      await copyFile(path.join(base.folder, name), path.join(away, name));
    }
    site.sandbox.setFaults([]);
    const asked = site.sandbox.requests.length;
    const retried = await site.run(['run', '--retry-failed']);
    expect(retried.code, retried.stderr).toBe(0);

    const recovered = await newestRun(site);
    expect(recovered.runId).not.toBe(base.runId);
    expect(recovered.manifest.extension.status).toBe('complete');
    await expectExactly(recovered, site.sandbox.oracle(oracleRows(TYPES)));
    const searched = site.sandbox.requests.slice(asked).filter(({ endpoint }) => endpoint === 'search');
    expect(searched.filter(({ query }) => query.includes('patient=')).map(({ type }) => type)).toEqual(
      FAILING.map(() => 'MedicationRequest'),
    );

    for (const { url } of base.manifest.output) {
      const [old, linked] = await Promise.all(
        [base, recovered].map(({ folder }) => stat(path.join(folder, url))),
      );
      expect(linked!.ino, url).toBe(old!.ino);
    }
    const added = recovered.manifest.output.map(({ url }) => url).filter((url) => !base.files.includes(url));
    expect(added).toContain('MedicationRequest.002.ndjson');
    expect(await currentOf(site)).toBe(recovered.runId);
    expect(await runsOf(site)).toHaveLength(3);

    // The base is as it was, to the byte.
    for (const name of base.files) {
      expect(await (await readRun(base.folder)).text(name), name).toBe(
        await (await readRun(away)).text(name),
      );
    }
    for (const { folder } of [before, base, recovered]) {
      const verified = await site.run(['verify', folder]);
      expect(verified.code, verified.stdout).toBe(0);
    }
    expect(site.sandbox.smtp!.mails.at(-1)!.subject).toMatch(/^RECOVERED default: /);
  });

  it('leaves nothing for a second --retry-failed', async () => {
    const again = await site.run(['run', '--retry-failed']);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('no failed search to retry');
  });
});

describe('a type that is refused for every patient', () => {
  it('makes the run partial, though nothing failed', async () => {
    const site = await makeSite({
      sandbox: { patients: 3, smtp: false },
      resources: ['Patient', 'Condition'],
    });
    try {
      site.sandbox.setFaults([{ match: { endpoint: 'search', type: 'Condition' }, then: { status: 403 } }]);
      const { code, stdout } = await site.run(['run']);
      expect(code).toBe(3);
      expect(stdout).toContain('HTTP_FORBIDDEN');
      const published = await newestRun(site);
      expect(published.manifest.extension).toMatchObject({
        status: 'partial',
        searches: { gap: 3, failed: 0 },
      });
      expect(await currentOf(site)).toBeUndefined();
    } finally {
      await site.close();
    }
  });
});
