import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  hasSnapshot,
  openSnapshot,
  removeSnapshot,
  snapshotFolder,
  snapshotRoster,
  writeRosterSnapshot,
  writeSnapshotSettings,
  type RosterPatient,
} from '../../src/run/snapshot.ts';
import { isWindows } from '../../src/system/files.ts';
import { settingsOf } from '../support/settings.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function* rows(upTo: number) {
  for (let at = 0; at < upTo; at++) {
    yield at % 3 === 2
      ? { line: at + 2, patientId: undefined, mrn: `MRN "${at}"` }
      : { line: at + 2, patientId: `id-${at}`, mrn: undefined };
  }
}

async function readRoster(folder: string): Promise<readonly RosterPatient[]> {
  const patients: RosterPatient[] = [];
  for await (const patient of snapshotRoster(folder)) patients.push(patient);
  return patients;
}

describe('a run’s snapshot', () => {
  it('gives back ids, MRNs and lines in the roster’s order', async () => {
    const folder = snapshotFolder(await temporaryFolder(), 'run');
    await writeRosterSnapshot(folder, rows(10_000));
    const patients = await readRoster(folder);
    expect(patients).toHaveLength(10_000);
    expect(patients[0]).toEqual({ patientNo: 0, line: 2, patientId: 'id-0', mrn: undefined });
    expect(patients[9_998]).toEqual({
      patientNo: 9_998,
      line: 10_000,
      patientId: undefined,
      mrn: 'MRN "9998"',
    });
  });

  it('takes an empty roster', async () => {
    const folder = await temporaryFolder();
    await writeRosterSnapshot(folder, []);
    expect(await readRoster(folder)).toEqual([]);
  });

  it('copies nothing of a row but its id and line', async () => {
    const folder = await temporaryFolder();
    async function* named() {
      yield { line: 2, patientId: 'p', name: 'CANARY', birthDate: 'CANARY' };
    }
    await writeRosterSnapshot(folder, named());
    for (const name of await readdir(folder)) {
      expect(await readFile(path.join(folder, name), 'utf8')).not.toContain('CANARY');
    }
  });

  it('is whole only when its settings are there, and gives them back', async () => {
    const folder = await temporaryFolder();
    await writeRosterSnapshot(folder, rows(3));
    expect(await hasSnapshot(folder)).toBe(false);
    const settings = settingsOf({ patients: 3, mrnSystem: 'urn:oid:1.2', frozenParts: { Patient: 2 } });
    await writeSnapshotSettings(folder, settings);
    expect(await hasSnapshot(folder)).toBe(true);
    expect(await openSnapshot(folder)).toEqual({ folder, settings });
    expect((await readdir(folder)).toSorted()).toEqual(['roster.ndjson', 'settings.json']);
  });

  it.runIf(!isWindows)('lets the owner alone read it', async () => {
    const state = await temporaryFolder();
    const folder = snapshotFolder(state, 'run');
    await writeRosterSnapshot(folder, rows(3));
    await writeSnapshotSettings(folder, settingsOf());
    expect((await stat(path.dirname(folder))).mode & 0o777).toBe(0o700);
    for (const name of await readdir(folder)) {
      expect([name, (await stat(path.join(folder, name))).mode & 0o777]).toEqual([name, 0o600]);
    }
  });

  it('passes on what the roster’s reader throws, and leaves no snapshot that looks whole', async () => {
    const folder = await temporaryFolder();
    async function* broken() {
      yield { line: 2, patientId: 'p' };
      throw new Error('the roster changed under us');
    }
    await expect(writeRosterSnapshot(folder, broken())).rejects.toThrow('the roster changed under us');
    expect(await hasSnapshot(folder)).toBe(false);
  });

  it('is gone when it is removed, twice too', async () => {
    const folder = snapshotFolder(await temporaryFolder(), 'run');
    await writeRosterSnapshot(folder, rows(3));
    await removeSnapshot(folder);
    await removeSnapshot(folder);
    expect(await readdir(path.dirname(folder))).toEqual([]);
  });
});
