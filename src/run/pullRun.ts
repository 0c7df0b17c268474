import path from 'node:path';
import { mkdir, rm } from 'node:fs/promises';
import { asRoundsError } from '../errors.ts';
import type { FhirClient } from '../fhir/client.ts';
import { referenceReader } from '../fhir/references.ts';
import { NdjsonWriter, type FinishedPart } from '../ndjson/writer.ts';
import { partName } from '../publish/layout.ts';
import type { AttachmentFolders, KeptAttachments } from '../pull/attachmentFiles.ts';
import { pullAttachments } from '../pull/attachments.ts';
import { pullSearch, type Search } from '../pull/crawl.ts';
import { CommitChain } from '../pull/commitChain.ts';
import { GroupCommit } from '../pull/groupCommit.ts';
import { PatientIdentity } from '../pull/identity.ts';
import { forEachConcurrent } from '../pull/pool.ts';
import { progressOf } from '../pull/progress.ts';
import { pullReferences, type DocumentQuota } from '../pull/references.ts';
import type { Clock } from '../system/clock.ts';
import { PRIVATE_MODES, type FileModes } from '../system/files.ts';
import {
  ATTACHMENT_ENTRIES,
  attachmentSources,
  closeAttachments,
  openAttachments,
} from './attachmentStage.ts';
import { tellTrouble, type Emit } from './events.ts';
import type { ExportTally } from './exportTally.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { attachmentTypeNo, referencedTypeNo, typeNames } from './plan.ts';
import { replay } from './replay.ts';
import { snapshotRoster, type Snapshot } from './snapshot.ts';
import type { RunTally } from './tally.ts';

export interface PullOptions {
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly snapshot: Snapshot;
  readonly staging: string;
  readonly modes: FileModes;
  readonly client: FhirClient;
  readonly fhirBase: string;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Throws RUN_CANCELLED. */
  readonly throwIfCancelled: () => void;
}

export interface PulledRun {
  readonly tally: RunTally;
  readonly parts: readonly FinishedPart[];
  /** undefined: attachments were not asked for. */
  readonly attachments: KeptAttachments | undefined;
  /** Of a bulk run: what else came, and of which exports. */
  readonly exports?: {
    readonly exportTally: ExportTally;
    readonly deleted: readonly FinishedPart[];
    readonly error: readonly FinishedPart[];
  };
}

/** Bytes that unfinished searches hold in memory together before they spool. */
const MEMORY_BUDGET_BYTES = 48 * 1024 * 1024;

/**
 * Pulls what the plan names and the ledger lacks: every search, then every record that is referred to, then the
 * attachments of all these, then once more what failed. After a crash it is called again with the same run and goes on.
 *
 * An abort, or RUN_PAUSED, is a checkpoint: what had finished is committed, then it is thrown.
 */
export async function pullRun(options: PullOptions): Promise<PulledRun> {
  const { ledger, run, snapshot, staging, modes, emit, client, clock } = options;
  const { plan, maxPartBytes, filePattern, timestamp, frozenParts } = snapshot.settings;
  const { tally, position } = replay(ledger, run, snapshot.settings);
  const writer = await NdjsonWriter.open({
    folder: staging,
    modes,
    maxPartBytes,
    fileName: (resourceType, part) => partName(filePattern, timestamp, resourceType, part),
    committed: [...tally.files.values()],
    others: plan.attachments ? ATTACHMENT_ENTRIES : [],
    isFrozen: ({ resourceType, part }) => part <= (frozenParts[resourceType] ?? 0),
  });
  try {
    const spoolFolder = path.join(staging, '.spool');
    await mkdir(spoolFolder, { mode: PRIVATE_MODES.folder });
    const attachments = plan.attachments && (await openAttachments(staging, modes));
    const groupCommit = new GroupCommit({
      ledger,
      run,
      tally,
      chain: new CommitChain({ ledger, run, position, tally, cost: () => client.cost }),
      writer,
      clock,
      referencedTypeNo: (resourceType) => referencedTypeNo(plan, resourceType),
      committed: () => emit(progressOf(tally, typeNames(plan))),
    });
    const quota: DocumentQuota = { usedUpBy: undefined };
    try {
      await pullPass(options, tally, groupCommit, spoolFolder, attachments, quota);
      if (tally.totals.failed > 0) {
        emit({ event: 'run.phase', phase: 'second-pass' });
        await groupCommit.retryFailed();
        await pullPass(options, tally, groupCommit, spoolFolder, attachments, quota);
      }
    } catch (error) {
      const isCheckpoint = options.signal.aborted || asRoundsError(error).code === 'RUN_PAUSED';
      if (isCheckpoint) await groupCommit.drain();
      throw error;
    }
    await rm(spoolFolder, { recursive: true });
    const sources = attachmentSources(staging, snapshot.settings, tally.files.values());
    const kept = attachments && (await closeAttachments({ ...options, sources, folders: attachments }));
    return { tally, parts: await writer.finish(), attachments: kept };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/** One pass over everything that is not done yet. */
async function pullPass(
  options: PullOptions,
  tally: RunTally,
  groupCommit: GroupCommit,
  spoolFolder: string,
  attachments: AttachmentFolders | undefined,
  quota: DocumentQuota,
): Promise<void> {
  const { snapshot, client, fhirBase, concurrency, signal, emit, ledger, run, clock } = options;
  const { plan } = snapshot.settings;
  const readReferences = referenceReader(fhirBase);
  const isReferenced = (resourceType: string): boolean => referencedTypeNo(plan, resourceType) !== undefined;
  const { attachments: rules } = plan;
  const crawl = {
    client,
    settings: snapshot.settings,
    readReferences,
    spoolFolder,
    budget: { used: 0, limit: MEMORY_BUDGET_BYTES },
    isReferenced,
  };
  emit({ event: 'run.phase', phase: 'searches' });
  await forEachConcurrent(searchesLeft(options, tally), concurrency, signal, async (search) => {
    const from = clock.monotonicMs();
    const finished = await pullSearch(search, crawl);
    tellTrouble(emit, search.type.resourceType, finished.outcome, finished.cause);
    await groupCommit.submit(finished, clock.monotonicMs() - from);
  });
  emit({ event: 'run.phase', phase: 'references' });
  await pullReferences({
    client,
    ledger,
    run,
    plan,
    readReferences,
    groupCommit,
    concurrency,
    signal,
    isReferenced,
    clock,
    emit,
    quota,
  });
  if (rules === undefined || attachments === undefined) return;
  emit({ event: 'run.phase', phase: 'attachments' });
  await pullAttachments({
    client,
    ledger,
    run,
    commits: groupCommit,
    sources: attachmentSources(options.staging, snapshot.settings, tally.files.values()),
    folders: attachments,
    rules,
    typeNo: attachmentTypeNo(plan),
    fhirBase,
    concurrency,
    signal,
    clock,
    emit,
    quota,
  });
}

/** The searches that are not done, patient by patient in the roster's order; the roster is never held whole. */
async function* searchesLeft(
  { snapshot, ledger, run, client, throwIfCancelled }: PullOptions,
  tally: RunTally,
): AsyncGenerator<Search, void, undefined> {
  const { searched } = snapshot.settings.plan;
  for await (const patient of snapshotRoster(snapshot.folder)) {
    const identity = new PatientIdentity(patient, { ledger, run, client, snapshot });
    for (const [typeNo, type] of searched.entries()) {
      const searchNo = patient.patientNo * searched.length + typeNo;
      if (tally.isDone(searchNo)) continue;
      throwIfCancelled();
      yield { searchNo, type, identity };
    }
  }
}
