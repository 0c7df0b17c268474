import { appendFile, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/publish/manifest.ts';
import { verifyFolder } from '../../src/publish/verify.ts';
import { RUN_ID } from '../support/ledger.ts';
import { publishStaged, stageRun } from '../support/published.ts';
import { rejection } from '../support/rejection.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function published(): Promise<string> {
  return publishStaged(await stageRun(await temporaryFolder()));
}

async function editManifest(folder: string, edit: (manifest: Manifest) => unknown): Promise<void> {
  const file = path.join(folder, 'manifest.json');
  const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest;
  await writeFile(file, JSON.stringify(edit(manifest)));
}

describe('verifyFolder', () => {
  it('finds a folder as it was published', async () => {
    const folder = await published();
    expect(await verifyFolder(folder)).toEqual({
      folder,
      runId: RUN_ID,
      status: 'complete',
      files: 7,
      resources: 5,
      bytes: 4 * 21 + 11 + 8 + 36,
      damage: [],
    });
  });

  it.each([
    [
      'a changed byte',
      'Patient.ndjson was changed',
      async (folder: string) => {
        const file = path.join(folder, 'Patient.ndjson');
        await writeFile(file, (await readFile(file, 'utf8')).replace('1.50', '1.51'));
      },
    ],
    [
      'a file cut short',
      'Device.ndjson has 10 bytes, 11 were published',
      (folder: string) => truncate(path.join(folder, 'Device.ndjson'), 10),
    ],
    [
      'a file that grew',
      'Device.ndjson has 14 bytes',
      (folder: string) => appendFile(path.join(folder, 'Device.ndjson'), '{}\n'),
    ],
    [
      'a file removed',
      'Patient.002.ndjson is missing',
      (folder: string) => rm(path.join(folder, 'Patient.002.ndjson')),
    ],
    [
      'the errors removed',
      'error/OperationOutcome.ndjson is missing',
      (folder: string) => rm(path.join(folder, 'error'), { recursive: true }),
    ],
    [
      'a changed report',
      'report.txt was changed',
      (folder: string) => writeFile(path.join(folder, 'report.txt'), 'A report'),
    ],
    [
      'a file added',
      'extra.ndjson was added',
      (folder: string) => writeFile(path.join(folder, 'extra.ndjson'), ''),
    ],
    [
      'a file added below',
      'below/x was added',
      async (folder: string) => {
        await mkdir(path.join(folder, 'below'));
        await writeFile(path.join(folder, 'below', 'x'), '');
      },
    ],
    [
      'a wrong count',
      'Device.ndjson has 1 lines, the manifest counts 2',
      (folder: string) =>
        editManifest(folder, (manifest) => ({
          ...manifest,
          output: manifest.output.map((file) =>
            file.url === 'Device.ndjson' ? { ...file, count: 2 } : file,
          ),
        })),
    ],
    [
      'a file of another folder',
      'the manifest names a file outside its folder',
      (folder: string) =>
        editManifest(folder, (manifest) => ({
          ...manifest,
          extension: {
            ...manifest.extension,
            files: [{ ...manifest.extension.files[0], url: '../../current.json' }],
          },
        })),
    ],
    [
      'an absolute path',
      'the manifest names a file outside its folder',
      (folder: string) =>
        editManifest(folder, (manifest) => ({
          ...manifest,
          output: [...manifest.output, { ...manifest.output[0], url: '/etc/passwd' }],
        })),
    ],
    [
      'a file listed twice',
      'Device.ndjson is missing',
      (folder: string) =>
        editManifest(folder, (manifest) => ({
          ...manifest,
          output: [...manifest.output, manifest.output[0]],
        })),
    ],
  ])('shows %s', async (_, damage, harm) => {
    const folder = await published();
    await harm(folder);
    const result = await verifyFolder(folder);
    expect(result.damage).toEqual(expect.arrayContaining([expect.stringContaining(damage)]));
  });

  it('names all that is wrong, not the first thing alone', async () => {
    const folder = await published();
    await rm(path.join(folder, 'Patient.002.ndjson'));
    await rename(path.join(folder, 'Patient.003.ndjson'), path.join(folder, 'Patient.005.ndjson'));
    expect((await verifyFolder(folder)).damage.toSorted()).toEqual([
      'Patient.002.ndjson is missing',
      'Patient.003.ndjson is missing',
      'Patient.005.ndjson was added',
    ]);
  });

  it.each([
    ['{"half'],
    ['null'],
    ['[]'],
    ['{"output":[],"error":[],"extension":{}}'],
    ['{"output":[{"type":"Patient"}],"error":[],"extension":{"files":[]}}'],
    ['{"output":[null],"error":[],"extension":{"files":[]}}'],
    ['{"output":[],"error":[],"extension":{"files":[{"url":7}]}}'],
  ])('refuses a manifest that is none: %s', async (content) => {
    const folder = await published();
    await writeFile(path.join(folder, 'manifest.json'), content);
    expect((await rejection(verifyFolder(folder))).code).toBe('VERIFY_DAMAGED');
  });

  it('says where there is no manifest, or no folder', async () => {
    const folder = await temporaryFolder();
    for (const where of [folder, path.join(folder, 'none')]) {
      const refusal = await rejection(verifyFolder(where));
      expect(refusal.code).toBe('VERIFY_DAMAGED');
      expect(refusal.hint).toContain('exports/<job>/<runId>');
    }
  });
});
