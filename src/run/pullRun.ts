import path from 'node:path';
import { mkdir, rm } from 'node:fs/promises';
import { asRoundsError } from '../errors.ts';
import type { FhirClient } from '../fhir/client.ts';
import { NdjsonWriter, type FinishedPart } from '../ndjson/writer.ts';
import { partName } from '../publish/layout.ts';
import { pullSearch, type Search } from '../pull/crawl.ts';
import { GroupCommit } from '../pull/groupCommit.ts';
import { PatientIdentity } from '../pull/identity.ts';
import { forEachConcurrent } from '../pull/pool.ts';
import { pullReferences, type DocumentQuota } from '../pull/references.ts';
import type { Clock } from '../system/clock.ts';
import { PRIVATE_MODES, type FileModes } from '../system/files.ts';
import { tellTrouble, type Emit, type RunEvent } from './events.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { referencedTypeNo, type PullPlan } from './plan.ts';
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
}

export interface PulledRun {
  readonly tally: RunTally;
  readonly parts: readonly FinishedPart[];
}

/** Bytes that unfinished searches hold in memory together before they spool. */
const MEMORY_BUDGET_BYTES = 48 * 1024 * 1024;

/**
 * Pulls what the plan names and the ledger lacks: every search, then every record that is referred to, then once
 * more what failed. After a crash it is called again with the same run and goes on.
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
    isFrozen: ({ resourceType, part }) => part <= (frozenParts[resourceType] ?? 0),
  });
  try {
    const spoolFolder = path.join(staging, '.spool');
    await mkdir(spoolFolder, { mode: PRIVATE_MODES.folder });
    const groupCommit = new GroupCommit({
      ledger,
      run,
      position,
      tally,
      writer,
      clock,
      referencedTypeNo: (resourceType) => referencedTypeNo(plan, resourceType),
      cost: () => client.cost,
      committed: () => emit(progressOf(tally, plan)),
    });
    const quota: DocumentQuota = { usedUpBy: undefined };
    try {
      await pullPass(options, tally, groupCommit, spoolFolder, quota);
      if (tally.totals.failed > 0) {
        emit({ event: 'run.phase', phase: 'second-pass' });
        await groupCommit.retryFailed();
        await pullPass(options, tally, groupCommit, spoolFolder, quota);
      }
    } catch (error) {
      const isCheckpoint = options.signal.aborted || asRoundsError(error).code === 'RUN_PAUSED';
      if (isCheckpoint) await groupCommit.drain();
      throw error;
    }
    await rm(spoolFolder, { recursive: true });
    return { tally, parts: await writer.finish() };
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
  quota: DocumentQuota,
): Promise<void> {
  const { snapshot, client, fhirBase, concurrency, signal, emit, ledger, run, clock } = options;
  const { plan } = snapshot.settings;
  const isReferenced = (resourceType: string): boolean => referencedTypeNo(plan, resourceType) !== undefined;
  const crawl = {
    client,
    settings: snapshot.settings,
    fhirBase,
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
    fhirBase,
    groupCommit,
    concurrency,
    signal,
    isReferenced,
    clock,
    emit,
    quota,
  });
}

/** The searches that are not done, patient by patient in the roster's order; the roster is never held whole. */
async function* searchesLeft(
  { snapshot, ledger, run, client }: PullOptions,
  tally: RunTally,
): AsyncGenerator<Search, void, undefined> {
  const { searched } = snapshot.settings.plan;
  for await (const patient of snapshotRoster(snapshot.folder)) {
    const identity = new PatientIdentity(patient, { ledger, run, client, snapshot });
    for (const [typeNo, type] of searched.entries()) {
      const searchNo = patient.patientNo * searched.length + typeNo;
      if (!tally.isDone(searchNo)) yield { searchNo, type, identity };
    }
  }
}

function progressOf(tally: RunTally, plan: PullPlan): RunEvent {
  const recordsOf = new Map<string, number>();
  let bytes = 0;
  for (const { resourceType, count, bytes: size } of tally.files.values()) {
    recordsOf.set(resourceType, (recordsOf.get(resourceType) ?? 0) + count);
    bytes += size;
  }
  return {
    event: 'run.progress',
    searches: tally.totals,
    records: [...recordsOf.values()].reduce((sum, records) => sum + records, 0),
    bytes,
    types: [...plan.searched, ...plan.referenced].map(({ resourceType }, typeNo) => ({
      resourceType,
      searches: tally.countsOf(typeNo),
      records: recordsOf.get(resourceType) ?? 0,
    })),
  };
}
