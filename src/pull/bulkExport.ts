import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError, type ErrorCode } from '../errors.ts';
import type { FinishedPart } from '../ndjson/writer.ts';
import { besideTypeNo, fileTypeNo, typeOfFile } from '../run/exportPlan.ts';
import type { ExportTally, FileKind } from '../run/exportTally.ts';
import { attachmentTypeNo, typeNames } from '../run/plan.ts';
import type { ChainPosition } from '../run/ledgerRows.ts';
import type { RunTally } from '../run/tally.ts';
import { PRIVATE_MODES } from '../system/files.ts';
import type { AttachmentSource } from './attachmentFiles.ts';
import { pullAttachments } from './attachments.ts';
import { CommitChain } from './commitChain.ts';
import { causeOf } from './causes.ts';
import type { ExportContext, ExportPullOptions } from './exportContext.ts';
import { downloadFiles, wantedFiles } from './exportFiles.ts';
import { beginExport } from './exportKickoff.ts';
import { keysFolderOf, namedFiles } from './exportNames.ts';
import { chunkCount, patientsOf, type Chunk } from './exportPatients.ts';
import { ExportRecord } from './exportRecord.ts';
import { GroupCommit } from './groupCommit.ts';
import { awaitManifest } from './exportWait.ts';
import { progressOf } from './progress.ts';
import { makeUnique, settleUnique } from './uniqueFiles.ts';

/** What the run's commits say at the beginning of an attempt. */
export interface ExportsDone {
  readonly tally: RunTally;
  readonly position: ChainPosition;
  readonly exportTally: ExportTally;
}

/** What a bulk run has pulled. */
export interface PulledExports {
  readonly tally: RunTally;
  readonly exportTally: ExportTally;
  /** The files of each kind that came whole. */
  readonly parts: Readonly<Record<FileKind, readonly FinishedPart[]>>;
}

/**
 * Pulls by bulk exports: kick-off, waiting, download, one export after the other, then once more what failed. After a
 * crash it is called again with the same run and goes on with the same exports: what is whole is not asked for again.
 *
 * An abort is a checkpoint: what had come whole is committed, then it is thrown.
 */
export async function pullExports(options: ExportPullOptions, done: ExportsDone): Promise<PulledExports> {
  const context = openContext(options, done);
  const { snapshot, tally, exportTally, record, emit, staging } = context;
  await tidy(context);
  const exports = chunkCount(snapshot.settings);
  await passOver(context, exports);
  const lostUnits = exportTally.lost.size;
  if (tally.totals.failed > lostUnits) {
    emit({ event: 'run.phase', phase: 'second-pass' });
    const lost = [...exportTally.lost];
    await record.retryFailed();
    // An export that the server failed at is not asked for again at once: it may have taken days.
    const typeNo = besideTypeNo(snapshot.settings.plan, 'Resource');
    for (const [exportNo, cause] of lost) await record.lose(exportNo, typeNo, cause);
    await passOver(context, exports);
  }
  emit({ event: 'run.phase', phase: 'duplicates' });
  await makeUnique(context);
  const { plan } = snapshot.settings;
  await record.empty(
    plan.referenced.map((_, typeNo) => typeNo).filter((typeNo) => isMissing(context, typeNo)),
  );
  await rm(keysFolderOf(staging), { recursive: true, force: true });
  return {
    tally,
    exportTally,
    parts: {
      output: partsOf(exportTally, 'output'),
      deleted: partsOf(exportTally, 'deleted'),
      error: partsOf(exportTally, 'error'),
    },
  };
}

function openContext(
  options: ExportPullOptions,
  { tally, position, exportTally }: ExportsDone,
): ExportContext {
  const { ledger, run, snapshot, clock, client, emit, staging } = options;
  const { plan } = snapshot.settings;
  const chain = new CommitChain({ ledger, run, position, tally, cost: () => client.cost });
  const committed = (): void => emit(progressOf(tally, typeNames(plan)));
  const record = new ExportRecord({ chain, tally, exportTally, folder: staging, clock, committed });
  const commits = new GroupCommit({
    ...{ ledger, run, tally, chain, clock, committed },
    writer: NO_DATA,
    referencedTypeNo: () => undefined,
  });
  return { ...options, tally, exportTally, record, commits, quota: { usedUpBy: undefined } };
}

/** Attachments are files of their own: no resource is appended to any. */
const NO_DATA = {
  pendingBytes: 0,
  append: async (): Promise<void> => undefined,
  write: async (): Promise<void> => undefined,
  sync: async (): Promise<readonly []> => [],
};

/** Takes away what no commit knows of: files in the making, what a crash left. */
async function tidy(context: ExportContext): Promise<void> {
  const { staging, exportTally, attachments } = context;
  await settleUnique(
    context,
    exportTally.whole.map(({ name }) => name),
  );
  const known = new Set(
    exportTally.files
      .filter(({ bytes, state }) => bytes > 0 || state === 'ok')
      .map(({ name }) => path.join(staging, name)),
  );
  for (const entry of await readdir(staging, { recursive: true, withFileTypes: true })) {
    const isOthers = entry.parentPath === attachments?.kept || entry.parentPath === attachments?.arriving;
    const isKeys = entry.parentPath === keysFolderOf(staging);
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isFile() && !known.has(file) && !isOthers && !isKeys) await rm(file);
  }
  await mkdir(keysFolderOf(staging), { recursive: true, mode: PRIVATE_MODES.folder });
}

/** One pass over everything that is not done yet: the exports, then the attachments of what came. */
async function passOver(context: ExportContext, exports: number): Promise<void> {
  for (let exportNo = 0; exportNo < exports; exportNo++) await bring(context, exportNo);
  const { attachments: folders, snapshot, exportTally, staging, commits, emit, withServer } = context;
  const { plan } = snapshot.settings;
  const { attachments: rules } = plan;
  if (rules === undefined || folders === undefined) return;
  emit({ event: 'run.phase', phase: 'attachments' });
  const sources = attachmentSources(exportTally, staging);
  const typeNo = attachmentTypeNo(plan);
  await withServer(() => pullAttachments({ ...context, commits, sources, folders, rules, typeNo }));
}

/** The data files that came whole and may name attachments. */
export function attachmentSources({ whole }: ExportTally, staging: string): readonly AttachmentSource[] {
  return whole.flatMap(({ kind, type, name }) =>
    kind === 'output' && type !== undefined ? [{ resourceType: type, file: path.join(staging, name) }] : [],
  );
}

/** Failures of one export that say nothing of the others. */
const LOSES_EXPORT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BULK_KICKOFF_REFUSED',
  'BULK_EXPORT_FAILED',
  'BULK_EXPORT_GONE',
  'BULK_MANIFEST_INVALID',
  'BULK_WAIT_OVER',
  'URL_REFUSED',
]);

/** Brings one export, from wherever it stands to its last file. */
async function bring(context: ExportContext, exportNo: number): Promise<void> {
  const { exportTally, record, snapshot, ledger, run, signal, withServer } = context;
  if (exportTally.lost.has(exportNo)) return;
  if (!exportTally.listed.has(exportNo)) {
    const { plan } = snapshot.settings;
    const typeNo = besideTypeNo(plan, 'Resource');
    try {
      await list(context, exportNo, await chunkOf(context, exportNo));
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asRoundsError(thrown);
      if (!LOSES_EXPORT.has(error.code)) throw thrown;
      await record.lose(exportNo, typeNo, { ...causeOf(error), said: error.message });
      const row = ledger.exports.find(run.runNo, exportNo);
      if (row?.state !== 'running') return;
      // Whoever asks for it again asks for a new one.
      await context.deleteExport(row);
      ledger.exports.gone(run.runNo, exportNo);
      return;
    }
  }
  if (wantedFiles(context, exportNo).length > 0) await withServer(() => downloadFiles(context, exportNo));
}

/** MRNs are asked of the server, and so in its turn. */
async function chunkOf(context: ExportContext, exportNo: number): Promise<Chunk> {
  const find = () => patientsOf(context, exportNo);
  return context.snapshot.settings.hasMrns ? context.withServer(find) : find();
}

/** Kick-off, waiting, manifest: until the files are in the ledger. */
async function list(context: ExportContext, exportNo: number, { patientIds, gaps }: Chunk): Promise<void> {
  const { exportTally, record, snapshot, note, partName } = context;
  const { settings } = snapshot;
  const begun = await beginExport(context, exportNo, patientIds);
  const pages = await awaitManifest(context, exportNo, begun.statusUrl);
  const [first] = pages;
  const files = namedFiles(pages, exportTally.files, settings, partName);
  const { transactionTime, requiresAccessToken, organizedBy } = first!;
  const typeNos = files.map((file) => fileTypeNo(settings.plan, file));
  await record.list(
    {
      step: 'listed',
      exportNo,
      transactionTime,
      request: begun.request,
      requiresAccessToken,
      ...(organizedBy === undefined ? {} : { organizedBy }),
      files,
      notes: [...new Set(pages.flatMap((page) => page.notes))],
    },
    typeNos,
    { typeNo: besideTypeNo(settings.plan, 'Resource'), causes: gaps },
  );
  const count = (kind: FileKind): number => files.filter((file) => file.kind === kind).length;
  note('manifest_complete', {
    transactionTime,
    totalOutputFileCount: count('output'),
    totalDeletedFileCount: count('deleted'),
    totalErrorFileCount: count('error'),
    totalManifests: pages.length,
  });
}

/** Whether no file of a listed type came, or is to come. */
function isMissing({ tally, exportTally }: ExportContext, typeNo: number): boolean {
  // Where an export was lost, or files are of any type, nothing is known of a type.
  const isKnown =
    exportTally.lost.size === 0 &&
    exportTally.files.every(({ kind, type }) => kind !== 'output' || type !== undefined);
  return isKnown && tally.countsOf(typeNo).planned === 0;
}

function partsOf({ whole }: ExportTally, kind: FileKind): readonly FinishedPart[] {
  return whole
    .filter((file) => file.kind === kind)
    .map(({ type, name, bytes, lines, sha256, fileNo, continuesIn }) => ({
      ...(continuesIn === undefined ? {} : { continuesIn }),
      resourceType: typeOfFile({ kind, ...(type === undefined ? {} : { type }) }) ?? 'Resource',
      part: fileNo + 1,
      name,
      bytes,
      count: lines,
      sha256: sha256!,
    }));
}
