import { rm } from 'node:fs/promises';
import path from 'node:path';
import { ERROR_CODES, type ErrorCode, type RoundsError } from '../errors.ts';
import { attachmentsOf, MANIFEST } from '../publish/manifest.ts';
import { moveCurrent, publishRun, readCurrent } from '../publish/publish.ts';
import { emptyTrash, expiredRuns, removeRun } from '../publish/retention.ts';
import { readManifest } from '../publish/verify.ts';
import { isWorthMail } from '../report/notify.ts';
import { renderReport } from '../report/render.ts';
import { failureOf, summarise, type Pulled, type RunFacts } from '../report/summarise.ts';
import type { RunStatus, RunSummary } from '../report/summary.ts';
import { exists } from '../system/files.ts';
import { auditEnd } from './auditRun.ts';
import type { CloseContext } from './deps.ts';
import { fillStaging, manifestHead } from './fillStaging.ts';
import type { RunRow } from './ledgerRows.ts';
import type { NewMail } from './ledgerTables.ts';
import type { PullPlan } from './plan.ts';
import type { PulledRun } from './pullRun.ts';
import { mergedPatients, replay, replayExports } from './replay.ts';
import { exportFacts, runFacts } from './runFacts.ts';
import { openSnapshot, removeSnapshot, snapshotFolder, type Snapshot } from './snapshot.ts';
import type { RunTally } from './tally.ts';

/** Gaps that are no refusal of the type: something came, or the patient is not known at all. */
const NO_REFUSAL: ReadonlySet<ErrorCode> = new Set([
  'FHIR_DATA_WITHHELD',
  'FHIR_PAGE_CAP',
  'MRN_UNMATCHED',
  'MRN_AMBIGUOUS',
]);

/** The verdict of a run's searches: partial when any failed, or when a type was refused for every patient. */
function statusOf(tally: RunTally, { searched }: PullPlan): RunStatus {
  const { totals } = tally;
  if (totals.planned > 0 && totals.failed === totals.planned) return 'failed';
  if (totals.failed > 0) return 'partial';
  const refused = searched.map(() => 0);
  for (const { outcome, typeNo, cause, searches } of tally.causes) {
    const isRefusal = outcome === 'gap' && !NO_REFUSAL.has(cause.code);
    if (isRefusal && refused[typeNo] !== undefined) refused[typeNo] += searches;
  }
  const isRefusedThroughout = refused.some(
    (count, typeNo) => count > 0 && count === tally.countsOf(typeNo).planned,
  );
  return isRefusedThroughout ? 'partial' : 'complete';
}

/**
 * Ends a pulled run: reports and error file into staging, published in one rename, `current` moved when it is
 * complete, and then, in one ledger transaction, closed with its mail queued. May be repeated after a crash at
 * any point; each step finds what the one before left.
 */
export async function closePulled(
  context: CloseContext,
  run: RunRow,
  snapshot: Snapshot,
  pulled: PulledRun,
): Promise<RunSummary> {
  const { folders, clock, modes } = context;
  const { summary, facts, full } = await summaryOf(context, run, snapshot, pulled);
  if (summary.status === 'failed') {
    return closeUnpublished(
      context,
      run,
      { ...facts, failure: everyFailed(pulled.tally) },
      { ...full, parts: [], attachments: undefined },
    );
  }
  // The line of this run's own end has the manifest's hash, so the folder names the line before it.
  const inFolder = withAuditHead(context, summary);
  const errors = await fillStaging(context, run, snapshot, inFolder);
  const { parts: output, exports } = pulled;
  const head = manifestHead(context, run, snapshot, inFolder, exports?.exportTally);
  const content = { output, deleted: exports?.deleted ?? [], remarks: exports?.error ?? [], errors };
  await publishRun({ folders, runId: run.runId, modes, clock }, content, head);
  return announce(context, run, summary);
}

async function summaryOf(
  context: CloseContext,
  run: RunRow,
  snapshot: Snapshot,
  { tally, parts, attachments, exports }: PulledRun,
): Promise<{ readonly summary: RunSummary; readonly facts: RunFacts; readonly full: Pulled }> {
  const { plan } = snapshot.settings;
  const facts = await runFacts(context, run, statusOf(tally, plan), snapshot);
  const merged = await mergedPatients(context.ledger, run, snapshot.folder);
  const full = {
    plan,
    tally,
    parts,
    merged,
    attachments,
    exports:
      exports && exportFacts(context.ledger, run, exports.exportTally, snapshot.settings.bulk?.request.since),
  };
  return {
    summary: summarise({ ...facts, folder: path.join(context.folders.job, run.runId) }, full),
    facts,
    full,
  };
}

function withAuditHead({ ledger }: CloseContext, summary: RunSummary): RunSummary {
  const audit = ledger.audit.head();
  return audit === undefined ? summary : { ...summary, audit };
}

async function announce(context: CloseContext, run: RunRow, summary: RunSummary): Promise<RunSummary> {
  if (summary.status === 'complete') await moveCurrent(context.folders, run.runId, context.modes);
  return finish(context, run, summary);
}

/** A run that was published by an attempt which died before it could say so. */
export async function findPublished(
  { folders, ledger, stateFolder }: CloseContext,
  run: RunRow,
): Promise<{ readonly snapshot: Snapshot; readonly pulled: PulledRun } | undefined> {
  const folder = path.join(folders.job, run.runId);
  if (!(await exists(path.join(folder, MANIFEST)))) return undefined;
  const snapshot = await openSnapshot(snapshotFolder(stateFolder, run.runId));
  const { tally } = replay(ledger, run, snapshot.settings);
  const manifest = await readManifest(folder);
  const parts = manifest.output.map(({ type, url, count, extension }) => ({
    resourceType: type,
    name: url,
    part: 1,
    count,
    ...extension,
  }));
  const exports = snapshot.settings.bulk && {
    exportTally: replayExports(ledger, run),
    deleted: [],
    error: [],
  };
  return {
    snapshot,
    pulled: {
      tally,
      parts,
      attachments: attachmentsOf(manifest),
      ...(exports === undefined ? {} : { exports }),
    },
  };
}

/** Ends a run that `findPublished` found: what is left to do after the rename. */
export async function closePublished(
  context: CloseContext,
  run: RunRow,
  { snapshot, pulled }: { readonly snapshot: Snapshot; readonly pulled: PulledRun },
): Promise<RunSummary> {
  const { summary } = await summaryOf(context, run, snapshot, pulled);
  return announce(context, run, summary);
}

/** Ends a run that publishes nothing: it failed before or while pulling, or was abandoned. */
export async function closeFailed(
  context: CloseContext,
  run: RunRow,
  status: 'failed' | 'abandoned',
  error: RoundsError,
): Promise<RunSummary> {
  const facts = await runFacts(context, run, status, undefined);
  return closeUnpublished(context, run, { ...facts, failure: failureOf(error) }, undefined);
}

async function closeUnpublished(
  context: CloseContext,
  run: RunRow,
  facts: RunFacts,
  pulled: Pulled | undefined,
): Promise<RunSummary> {
  const summary = summarise(facts, pulled);
  await rm(path.join(context.folders.staging, run.runId), { recursive: true, force: true });
  return finish(context, run, summary);
}

function everyFailed(tally: RunTally): RunSummary['failure'] {
  const worst = tally.causes.toSorted((a, b) => b.searches - a.searches)[0];
  const code = worst?.cause.code ?? 'INTERNAL';
  const { failed } = tally.totals;
  const said = worst?.cause.said;
  // A bulk export that came to nothing is one unit, and what the server said of it says more than a count.
  const message = said ?? `all ${failed} searches failed, most with ${code}`;
  return { code, message, hint: ERROR_CODES[code].hint };
}

/** The run's last transaction, then what may be repeated: old runs and this one's working copy go. */
async function finish(context: CloseContext, run: RunRow, summary: RunSummary): Promise<RunSummary> {
  const { ledger, stateFolder } = context;
  const audited = await auditEnd(context, run, summary);
  ledger.closeRun(run.runNo, audited, mailOf(context, audited));
  if (!needsSnapshot(summary)) await removeSnapshot(snapshotFolder(stateFolder, run.runId));
  await applyRetention(context, run);
  return audited;
}

/** Whether a closed run's working copy stays: what failed can be asked again from it (`--retry-failed`). */
export function needsSnapshot(summary: RunSummary | undefined): boolean {
  return summary?.folder !== undefined && summary.searches.failed > 0;
}

function mailOf({ notifyOn, timezone }: CloseContext, summary: RunSummary): NewMail | undefined {
  if (notifyOn === undefined || !isWorthMail(summary, notifyOn)) return undefined;
  return renderReport(summary, { timezone, locale: 'en' });
}

async function applyRetention(context: CloseContext, run: RunRow): Promise<void> {
  const { ledger, folders, clock, keepRuns, keepDays, stateFolder } = context;
  await emptyTrash(folders);
  const current = await readCurrent(folders);
  const runs = ledger.runs({ jobName: run.jobName });
  const keep = new Set([
    run.runId,
    ...(current ? [current.runId] : []),
    ...ledger.exports
      .leftBy(run.jobName)
      .map(({ runNo }) => runs.find((one) => one.runNo === runNo)?.runId ?? ''),
    ...runs.filter((one) => one.state === 'open').flatMap((one) => [one.runId, one.baseRunId ?? '']),
    ...ledger.outbox.waitingRunIds(),
  ]);
  const published = runs.map(({ runId, finishedAtMs, folder }) => ({
    runId,
    finishedAtMs: finishedAtMs ?? 0,
    folder,
  }));
  for (const expired of expiredRuns(published, { keepRuns, keepDays, keep }, clock.now())) {
    const row = ledger.findRun(expired.runId)!;
    if (await exists(path.join(folders.job, expired.runId))) await removeRun(folders, expired.runId);
    await removeSnapshot(snapshotFolder(stateFolder, expired.runId));
    ledger.forgetSearches(row.runNo);
  }
}
