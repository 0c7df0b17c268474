import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { mrnOf } from '../../src/sandbox/startSandbox.ts';
import { errorsOf, expectExactly, newestRun } from '../support/publishedRun.ts';
import { oracleRows, siteForTest } from '../support/site.ts';

const PATIENTS = 5;
const MRN_SYSTEM = 'urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.14';
const TYPES = ['Patient', 'Observation', 'Condition', 'Appointment', 'MedicationRequest', 'Medication'];
const sandbox = { patients: PATIENTS, special: true } as const;
/** Of the special patients the last two share the first one's MRN. */
const TWIN = PATIENTS + 4;

const roster = (header: string, ...rows: readonly string[]) => [header, ...rows, ''].join('\n');

describe('a roster of MRNs', () => {
  it('is resolved; what matches nobody, or two patients, is a gap named by its line', async () => {
    const rows = [mrnOf(0, 1), mrnOf(3, 1), '999999998', mrnOf(TWIN, 1)];
    const site = await siteForTest({
      sandbox,
      resources: TYPES,
      roster: roster('mrn,name', ...rows.map((mrn) => `${mrn},"Somebody, Else"`)),
      settings: { 'data_sources.mrn_system': MRN_SYSTEM },
    });
    const { code, stderr } = await site.run(['run']);
    expect(code, stderr).toBe(0);

    const published = await newestRun(site);
    const ids = [0, 3].map((ordinal) => site.sandbox.patientIdAt(ordinal)!);
    await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES), ids));
    const errors = await errorsOf(published);
    const said = new Set(errors.map(({ outcome, code, rosterLine }) => `${outcome} ${code} ${rosterLine}`));
    expect(said).toEqual(new Set(['gap MRN_UNMATCHED 4', 'gap MRN_AMBIGUOUS 5']));
    const report = await published.text('report.txt');
    expect(report).toMatch(/MRN_UNMATCHED[^]*roster:4\b/);
    expect(report).toMatch(/MRN_AMBIGUOUS[^]*roster:5\b/);
  });

  it('that mixes MRNs with ids pulls a patient who stands in it twice once', async () => {
    const site = await siteForTest({ sandbox, resources: TYPES });
    const ids = [0, 1, 2].map((ordinal) => site.sandbox.patientIdAt(ordinal)!);
    // The MRN before the id of its patient, and after it.
    const rows = [`,${mrnOf(0, 1)}`, `${ids[0]},`, `${ids[1]},`, `,${mrnOf(1, 1)}`, `,${mrnOf(2, 1)}`];
    await writeFile(site.rosterFile, roster('fhir_id,mrn', ...rows));
    const { code, stderr } = await site.run(['run']);
    expect(code, stderr).toBe(0);
    const published = await newestRun(site);
    await expectExactly(published, site.sandbox.oracle(oracleRows(TYPES), ids));
    expect(await errorsOf(published)).toEqual([]);
  });
});
