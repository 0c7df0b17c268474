import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generatedPopulation } from '../../src/sandbox/population/generated.ts';
import { EPIC_TEST_PATIENTS, GENERATED_TYPES, idCodec } from '../../src/sandbox/population/ids.ts';
import { mrnOf, patientIdOf, writeRoster } from '../../src/sandbox/startSandbox.ts';

const fhirBase = 'http://127.0.0.1:1/interconnect-fhir-oauth/api/FHIR/R4';
const population = (patients: number, seed = 1) =>
  generatedPopulation({ patients, seed, special: false, fhirBase });

describe('ids', () => {
  it('go both ways for every type, far out, and take nothing else', () => {
    const ids = idCodec(5);
    for (const type of GENERATED_TYPES) {
      for (const ordinal of [7, 1234, 2 ** 33]) {
        const id = ids.encode({ type, ordinal, n: 3 });
        expect(id).toMatch(/^e[A-Za-z0-9.-]{22}3$/);
        expect(ids.decode(id)).toEqual({ type, ordinal, n: 3 });
        expect(ids.decode(id.slice(0, 5) + (id[5] === 'A' ? 'B' : 'A') + id.slice(6))).toBeUndefined();
        expect(ids.decode(id.toLowerCase() === id ? id.toUpperCase() : id.toLowerCase())).toBeUndefined();
      }
    }
    expect(ids.decode(idCodec(6).encode({ type: 'Patient', ordinal: 9, n: 0 }))).toBeUndefined();
  });

  it("begin with Epic's test patients, whatever the seed", () => {
    EPIC_TEST_PATIENTS.forEach((patient, ordinal) => {
      expect([patientIdOf(ordinal, 42), mrnOf(ordinal, 42)]).toEqual([patient.id, patient.mrn]);
    });
  });

  it('and MRNs of different patients differ', () => {
    const ids = idCodec(1);
    const mrns = new Set(Array.from({ length: 5000 }, (_, ordinal) => ids.mrn(ordinal)));
    expect(mrns.size).toBe(5000);
    expect(ids.ordinalOfMrn(ids.mrn(999_999))).toBe(999_999);
    expect(ids.ordinalOfMrn('not an mrn')).toBeUndefined();
  });
});

describe('a generated population', () => {
  it('of a million patients answers for any of them without keeping them', () => {
    const million = population(1_000_000);
    for (let step = 0; step < 400; step += 1) {
      const ordinal = (step * 499_979) % 1_000_000;
      const id = patientIdOf(ordinal, 1);
      expect(million.patientIdAt(ordinal)).toBe(id);
      expect(million.read('Patient', id)?.id).toBe(id);
      expect(million.patientsByIdentifier(undefined, mrnOf(ordinal, 1))[0]?.id).toBe(id);
    }
    // What was made for a patient is at hand for a while, then let go and made again: the same, not the one.
    const first = patientIdOf(0, 1);
    const made = million.compartment(first, 'Goal');
    expect(million.compartment(first, 'Goal')).toBe(made);
    for (let ordinal = 1; ordinal <= 300; ordinal += 1) million.compartment(patientIdOf(ordinal, 1), 'Goal');
    expect(million.compartment(first, 'Goal')).not.toBe(made);
    expect(million.compartment(first, 'Goal')).toEqual(made);
    expect(million.standing(patientIdOf(1_000_000, 1))).toBeUndefined();
  });

  it('is the same for the same seed and another for another', () => {
    const [a, b, c] = [population(20), population(20), population(20, 2)];
    for (const type of GENERATED_TYPES) {
      const text = (from: typeof a, seed: number) =>
        from.compartment(patientIdOf(11, seed), type).map((resource) => resource.text.toString());
      expect(text(a, 1)).toEqual(text(b, 1));
      if (text(a, 1).length > 0) expect(text(a, 1)).not.toEqual(text(c, 2));
    }
  });

  it('has valid, cross-referring resources of every type, and patients without some type', () => {
    const twenty = population(20);
    const all = [...twenty.patientIds()].flatMap((id) =>
      GENERATED_TYPES.flatMap((type) => twenty.compartment(id, type)),
    );
    expect(all.length / 20).toBeGreaterThan(50);
    expect(all.length / 20).toBeLessThan(130);
    for (const { type, id, text, patients } of all) {
      const parsed = JSON.parse(text.toString()) as { resourceType: string; id: string };
      expect([parsed.resourceType, parsed.id]).toEqual([type, id]);
      expect(patients.length).toBeGreaterThan(0);
      for (const [, target = '', targetId = ''] of text
        .toString()
        .matchAll(/"reference":"([A-Z]\w+)\/([^"]+)"/g)) {
        expect(twenty.read(target, targetId), `${type} refers to ${target}`).toBeDefined();
      }
    }
    const first = patientIdOf(0, 1);
    const [shared] = twenty.compartment(first, 'Appointment');
    expect(shared?.patients).toEqual([first, patientIdOf(1, 1)]);
    expect(twenty.compartment(patientIdOf(1, 1), 'Appointment').map((a) => a.id)).toContain(shared?.id);
    const without = [...twenty.patientIds()].filter(
      (id) => twenty.compartment(id, 'Immunization').length === 0,
    );
    expect(without.length).toBeGreaterThan(0);
  });

  it('writes its roster', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sandbox-roster-'));
    try {
      const path = join(folder, 'roster.csv');
      await writeRoster({ path, patients: 5000 });
      const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
      expect(lines.length).toBe(5001);
      expect(lines[0]).toBe('name,fhir_id');
      expect(lines[1]).toBe('"Camila Lopez",erXuFYUfucBZaryVksYEcMg3');
      expect(lines[5000]?.endsWith(`,${patientIdOf(4999, 1)}`)).toBe(true);
      await writeRoster({ path, patients: 8, column: 'mrn' });
      expect((await readFile(path, 'utf8')).split('\n')[8]?.endsWith(mrnOf(7, 1))).toBe(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
