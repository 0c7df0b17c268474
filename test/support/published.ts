import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { NdjsonWriter, type FinishedPart } from '../../src/ndjson/writer.ts';
import { jobFolders, partName, type JobFolders } from '../../src/publish/layout.ts';
import { ensureJobFolders, ERROR_FILE, publishRun, type ManifestHead } from '../../src/publish/publish.ts';
import { ensureFolder, PRIVATE_MODES, writeDurable, type FileModes } from '../../src/system/files.ts';
import { createFakeClock, START_MS } from './fakeClock.ts';
import { RUN_ID } from './ledger.ts';

export const HEAD: ManifestHead = {
  transactionTime: new Date(START_MS).toISOString(),
  request: 'https://fhir.example/R4',
  requiresAccessToken: false,
  extension: {
    formatVersion: 1,
    job: 'default',
    runId: RUN_ID,
    status: 'complete',
    startedAt: new Date(START_MS).toISOString(),
    finishedAt: new Date(START_MS + 5_000).toISOString(),
    searches: { planned: 4, ok: 2, empty: 1, gap: 1, failed: 0 },
    configHash: 'c'.repeat(64),
  },
};

export interface Staged {
  readonly folders: JobFolders;
  readonly staging: string;
  readonly parts: readonly FinishedPart[];
  readonly modes: FileModes;
  readonly runId: string;
}

/** A run's staging with two types, one of them in four parts, a report and an error file. */
export async function stageRun(exports: string, runId = RUN_ID, modes = PRIVATE_MODES): Promise<Staged> {
  const folders = jobFolders(exports, 'default');
  await ensureJobFolders(folders, modes);
  const staging = path.join(folders.staging, runId);
  await mkdir(staging, { mode: modes.folder });
  const writer = await NdjsonWriter.open({
    folder: staging,
    modes,
    maxPartBytes: 40,
    fileName: (resourceType, part) => partName('${ResourceType}.ndjson', '', resourceType, part),
    committed: [],
    isFrozen: () => false,
  });
  for (let no = 0; no < 4; no++) writer.append('Patient', Buffer.from(`{"id":"p${no}","n":1.50}`));
  writer.append('Device', Buffer.from('{"id":"d"}'));
  await writer.sync();
  const parts = await writer.finish();
  await writeDurable(path.join(staging, 'report.txt'), 'a report', modes);
  await ensureFolder(path.join(staging, 'error'), modes);
  await writeDurable(path.join(staging, ERROR_FILE), '{"resourceType":"OperationOutcome"}\n', modes);
  return { folders, staging, parts, modes, runId };
}

/** Publishes what was staged; returns the folder. */
export function publishStaged({ folders, parts, modes, runId }: Staged): Promise<string> {
  const head = { ...HEAD, extension: { ...HEAD.extension, runId } };
  const content = { output: parts, deleted: [], remarks: [], errors: 1 };
  return publishRun({ folders, runId, modes, clock: createFakeClock() }, content, head);
}
