import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/publish/manifest.ts';
import {
  discardStaging,
  filesBelow,
  moveCurrent,
  publishRun,
  readCurrent,
} from '../../src/publish/publish.ts';
import { jobFolders, makeRunId, partName, RUN_ID as RUN_ID_FORM } from '../../src/publish/layout.ts';
import { ensureFolder, GROUP_MODES, isWindows, PRIVATE_MODES } from '../../src/system/files.ts';
import { createFakeClock, START_MS } from '../support/fakeClock.ts';
import { RUN_ID } from '../support/ledger.ts';
import { HEAD, publishStaged, stageRun } from '../support/published.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function manifestOf(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')) as Manifest;
}

describe('publishing', () => {
  it('makes the staging folder the published one, with a manifest of every file', async () => {
    const exports = await temporaryFolder();
    const staged = await stageRun(exports);
    const folder = await publishStaged(staged);
    expect(folder).toBe(path.join(exports, 'default', RUN_ID));
    expect(await readdir(staged.folders.staging)).toEqual([]);
    const manifest = await manifestOf(folder);
    expect(manifest.output.map(({ type, url, count }) => [type, url, count])).toEqual([
      ['Device', 'Device.ndjson', 1],
      ['Patient', 'Patient.ndjson', 1],
      ['Patient', 'Patient.002.ndjson', 1],
      ['Patient', 'Patient.003.ndjson', 1],
      ['Patient', 'Patient.004.ndjson', 1],
    ]);
    expect(manifest.error.map(({ type, url, count }) => [type, url, count])).toEqual([
      ['OperationOutcome', 'error/OperationOutcome.ndjson', 1],
    ]);
    expect(manifest.extension.files.map(({ url }) => url)).toEqual(['report.txt']);
    const listed = [...manifest.output, ...manifest.error, ...manifest.extension.files].map(({ url }) => url);
    expect([...listed, 'manifest.json'].toSorted()).toEqual(await filesBelow(folder));
  });

  it('writes a manifest that keeps its schema', async () => {
    const schemaFile = path.join(import.meta.dirname, '../../src/publish/manifest.schema.json');
    const schema = JSON.parse(await readFile(schemaFile, 'utf8')) as object;
    const isValid = new Ajv().compile(schema);
    const manifest = await manifestOf(await publishStaged(await stageRun(await temporaryFolder())));
    expect(isValid(manifest), JSON.stringify(isValid.errors)).toBe(true);
    for (const url of ['../x.ndjson', '/x.ndjson', 'a/../../x', 'https://evil.example/x', 'a\\b']) {
      const [first, ...rest] = manifest.output;
      expect([url, isValid({ ...manifest, output: [{ ...first, url }, ...rest] })]).toEqual([url, false]);
    }
  });

  it('may be repeated after the rename, and changes nothing then', async () => {
    const staged = await stageRun(await temporaryFolder());
    const folder = await publishStaged(staged);
    const before = await readFile(path.join(folder, 'manifest.json'), 'utf8');
    expect(await publishStaged(staged)).toBe(folder);
    expect(await readFile(path.join(folder, 'manifest.json'), 'utf8')).toBe(before);
  });

  it('may be repeated before the rename: what an earlier attempt wrote is not taken for data', async () => {
    const staged = await stageRun(await temporaryFolder());
    await writeFile(path.join(staged.staging, 'manifest.json'), '{"half');
    const manifest = await manifestOf(await publishStaged(staged));
    expect(manifest.extension.files.map(({ url }) => url)).toEqual(['report.txt']);
  });

  it('refuses files that are not what was written', async () => {
    const longer = await stageRun(await temporaryFolder());
    await appendFile(path.join(longer.staging, 'Device.ndjson'), '{}\n');
    expect((await rejection(publishStaged(longer))).code).toBe('PUBLISH_MISMATCH');
    expect(await readdir(longer.folders.staging)).toEqual([RUN_ID]);

    const gone = await stageRun(await temporaryFolder());
    await rm(path.join(gone.staging, 'Patient.002.ndjson'));
    const refusal = await rejection(publishStaged(gone));
    expect(refusal.code).toBe('PUBLISH_MISMATCH');
    expect(refusal.message).toContain('Patient.002.ndjson');
  });

  it('publishes a run that brought nothing', async () => {
    const exports = await temporaryFolder();
    const folders = jobFolders(exports, 'default');
    await mkdir(path.join(folders.staging, RUN_ID), { recursive: true });
    const options = { folders, runId: RUN_ID, modes: PRIVATE_MODES, clock: createFakeClock() };
    const nothing = { output: [], deleted: [], remarks: [], errors: 0 };
    const manifest = await manifestOf(await publishRun(options, nothing, HEAD));
    expect([manifest.output, manifest.error, manifest.extension.files]).toEqual([[], [], []]);
  });

  it.runIf(!isWindows)('keeps the modes of the job', async () => {
    for (const modes of [PRIVATE_MODES, GROUP_MODES]) {
      const folder = await publishStaged(
        await stageRun(path.join(await temporaryFolder(), 'exports'), RUN_ID, modes),
      );
      for (const at of [path.dirname(folder), folder, path.join(folder, 'error')]) {
        expect([at, (await stat(at)).mode & 0o777]).toEqual([at, modes.folder]);
      }
      for (const url of await filesBelow(folder)) {
        expect([url, (await stat(path.join(folder, url))).mode & 0o777]).toEqual([url, modes.file]);
      }
    }
  });
});

describe('current', () => {
  const older = '20261121T020000Z-ffff';
  const newer = '20261122T020000Z-0000';

  it('names the newest complete run, and moves forward only', async () => {
    const folders = jobFolders(await temporaryFolder(), 'default');
    await ensureFolder(folders.job);
    expect(await readCurrent(folders)).toBeUndefined();
    await moveCurrent(folders, older, PRIVATE_MODES);
    await moveCurrent(folders, newer, PRIVATE_MODES);
    await moveCurrent(folders, older, PRIVATE_MODES);
    expect(await readCurrent(folders)).toEqual({ runId: newer, path: newer, status: 'complete' });
    expect((await readdir(folders.job)).filter((name) => !name.startsWith('current'))).toEqual([]);
  });

  it.runIf(!isWindows)('has a symlink beside it, which is mended too', async () => {
    const folders = jobFolders(await temporaryFolder(), 'default');
    await ensureFolder(folders.job);
    await moveCurrent(folders, older, PRIVATE_MODES);
    expect(await readlink(folders.currentLink)).toBe(older);
    // A crash between the two.
    await rm(folders.currentLink);
    await symlink('elsewhere', folders.currentLink);
    await moveCurrent(folders, older, PRIVATE_MODES);
    expect(await readlink(folders.currentLink)).toBe(older);
    await moveCurrent(folders, newer, PRIVATE_MODES);
    expect(await readlink(folders.currentLink)).toBe(newer);
    expect((await readdir(folders.job)).toSorted()).toEqual(['current', 'current.json']);
  });

  it('leaves a folder of that name alone', async () => {
    const folders = jobFolders(await temporaryFolder(), 'default');
    await ensureFolder(folders.currentLink);
    await writeFile(path.join(folders.currentLink, 'mine'), '');
    await moveCurrent(folders, newer, PRIVATE_MODES);
    expect(await readdir(folders.currentLink)).toEqual(['mine']);
    expect((await readdir(folders.job)).toSorted()).toEqual(['current', 'current.json']);
  });

  it.each(['', 'null', '{"runId":', '{"runId":"../x"}', '[]'])('takes %j for none', async (content) => {
    const folders = jobFolders(await temporaryFolder(), 'default');
    await ensureFolder(folders.job);
    await writeFile(folders.currentFile, content);
    expect(await readCurrent(folders)).toBeUndefined();
    await moveCurrent(folders, newer, PRIVATE_MODES);
    expect((await readCurrent(folders))?.runId).toBe(newer);
  });
});

describe('staging', () => {
  it('that no open run owns is removed', async () => {
    const exports = await temporaryFolder();
    const { folders } = await stageRun(exports);
    await mkdir(path.join(folders.staging, '20261101T000000Z-0000', 'error'), { recursive: true });
    expect(await discardStaging(folders, RUN_ID)).toEqual(['20261101T000000Z-0000']);
    expect(await readdir(folders.staging)).toEqual([RUN_ID]);
    await discardStaging(folders, undefined);
    expect(await readdir(folders.staging)).toEqual([]);
  });
});

describe('names', () => {
  it('of runs sort by their start', () => {
    expect(makeRunId(START_MS, '3f2a')).toBe('20261122T020000Z-3f2a');
    expect(makeRunId(START_MS, '3f2a')).toMatch(RUN_ID_FORM);
    expect(makeRunId(START_MS, 'ffff') < makeRunId(START_MS + 1_000, '0000')).toBe(true);
  });

  it.each([
    ['${ResourceType}.ndjson', 1, 'Patient.ndjson'],
    ['${ResourceType}.ndjson', 2, 'Patient.002.ndjson'],
    ['${ResourceType}.ndjson', 1000, 'Patient.1000.ndjson'],
    ['${Timestamp}_${ResourceType}.ndjson', 3, '20261122T020000Z_Patient.003.ndjson'],
    ['${ResourceType}', 2, 'Patient.002'],
  ])('of part files follow %j (part %i)', (pattern, part, name) => {
    expect(partName(pattern, '20261122T020000Z', 'Patient', part)).toBe(name);
  });
});
