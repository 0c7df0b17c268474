import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError, RoundsError } from '../errors.ts';
import { jobFolders, makeRunId, startOfRunId } from '../publish/layout.ts';
import { discardStaging, ensureJobFolders } from '../publish/publish.ts';
import { isoInstant } from '../system/clock.ts';
import { ensureFolder, exists, makeExclusive } from '../system/files.ts';
import { closeFailed, closePublished, findPublished, needsSnapshot } from './close.ts';
import type { JobPlace } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { checkInputs, checkRosterDrop, type Inputs } from './preflight.ts';
import type { CloseContext, RunDeps, RunOptions } from './deps.ts';
import {
  adoptRosterCopy,
  hasSnapshot,
  openSnapshot,
  removeSnapshot,
  rosterDraft,
  snapshotFolder,
  type SnapshotSettings,
} from './snapshot.ts';
import { auditBegun, auditDiscarded } from './auditRun.ts';
import { copySnapshot } from './takeSnapshot.ts';

/** A run that may go to the server: an interrupted one (its inputs are in its snapshot), or a new one. */
export interface BegunRun {
  readonly run: RunRow;
  /** Of a new run; a resumed or retried one has its snapshot. */
  readonly inputs: Inputs | undefined;
}

/**
 * Picks up the job's interrupted run, or begins a new one once roster and list are found good. Makes no request. One
 * that cannot go on ends here as what it is: published where its folder is, abandoned where not.
 * Throws INPUT_INVALID, ROSTER_SHRUNK, RUN_NOT_RESUMABLE (a person's run; the daemon abandons and begins anew).
 */
export async function resumeOrBegin(
  deps: RunDeps,
  options: RunOptions,
  place: JobPlace,
  closing: CloseContext,
): Promise<BegunRun> {
  const { ledger, job, signal } = deps;
  const open = await findOpenRun(deps, options, place, closing);
  await ensureJobFolders(place.folders, place.modes);
  await discardStaging(place.folders, open.kind === 'resume' ? open.run.runId : undefined);
  await discardWorkingCopies(deps, place);
  if (open.kind === 'resume') {
    ledger.markResumed(open.run.runNo);
    auditBegun(deps, place, open.run);
    return { run: ledger.findRun(open.run.runId)!, inputs: undefined };
  }
  // At once: it may be what is to be retried.
  if (open.kind === 'published') await open.close();
  const base = options.retryFailed ? retryBase(deps, place) : undefined;
  const rosterCopy = rosterDraft(place.stateFolder, job.jobName);
  try {
    const inputs = base ? undefined : await checkInputs(job, signal, rosterCopy);
    if (inputs?.roster && !options.acceptRoster) checkRosterDrop(job, ledger, inputs.roster.patients);
    await endOpenRun(deps, place, closing, open);
    const run = await beginRun(deps, place, base);
    auditBegun(deps, place, run);
    if (base) await copySnapshot(ledger, place, base, run);
    if (inputs?.roster) await adoptRosterCopy(rosterCopy, snapshotFolder(place.stateFolder, run.runId));
    return { run, inputs };
  } finally {
    // That of a roster that was refused.
    await rm(rosterCopy, { force: true });
  }
}

/** Ends what is in the way of a new run, now that this one is to begin. */
async function endOpenRun(
  deps: RunDeps,
  place: JobPlace,
  closing: CloseContext,
  open: OpenRun,
): Promise<void> {
  if (open.kind === 'discard') {
    // It may hold the roster's ids, and no later run would take it for its own.
    await removeSnapshot(snapshotFolder(place.stateFolder, open.run.runId));
    auditDiscarded(deps, place, open.run);
    deps.ledger.discardRun(open.run.runNo);
  }
  if (open.kind === 'abandon') {
    deps.log.warn('run.abandoned', { runId: open.run.runId, why: open.why });
    await removeOldStaging(deps, place, open.run);
    await closeFailed(
      asItWas(closing, open.run),
      open.run,
      'abandoned',
      new RoundsError('RUN_NOT_RESUMABLE', `abandoned: ${open.why}`),
    );
  }
}

/** Takes away what this job's runs that died left of working copies: they hold the roster's ids. */
async function discardWorkingCopies({ ledger, job }: RunDeps, { stateFolder }: JobPlace): Promise<void> {
  await rm(rosterDraft(stateFolder, job.jobName), { force: true });
  const names = await readdir(path.dirname(snapshotFolder(stateFolder, 'any'))).catch(() => []);
  for (const name of names) {
    const run = ledger.findRun(name);
    if (run?.jobName !== job.jobName || run.state === 'open') continue;
    if (run.folder === undefined || !needsSnapshot(run.summary))
      await removeSnapshot(snapshotFolder(stateFolder, name));
  }
}

type OpenRun =
  | { readonly kind: 'none' }
  | { readonly kind: 'resume'; readonly run: RunRow }
  /** It cannot go on and need not: its folder is published, and only its close is missing. */
  | { readonly kind: 'published'; readonly close: () => Promise<unknown> }
  /** To be closed as abandoned before another run begins. */
  | { readonly kind: 'abandon'; readonly run: RunRow; readonly why: string }
  /** Begun, but it died before its snapshot was whole: nothing of it is worth a word. */
  | { readonly kind: 'discard'; readonly run: RunRow };

async function findOpenRun(
  deps: RunDeps,
  { fresh, manual }: RunOptions,
  place: JobPlace,
  closing: CloseContext,
): Promise<OpenRun> {
  const run = deps.ledger.openRunOf(deps.job.jobName);
  if (run === undefined) return { kind: 'none' };
  if (!(await hasSnapshot(snapshotFolder(place.stateFolder, run.runId)))) return { kind: 'discard', run };
  const { settings } = await openSnapshot(snapshotFolder(place.stateFolder, run.runId));
  const why = fresh ? 'a fresh run was asked for' : whyNotResumable(run, settings, deps, place);
  if (why === undefined) return { kind: 'resume', run };
  const close = await closeOfPublished(deps, closing, run);
  if (close) return { kind: 'published', close };
  if (fresh || !manual) return { kind: 'abandon', run, why };
  throw new RoundsError('RUN_NOT_RESUMABLE', `run ${run.runId} was interrupted and cannot go on: ${why}`);
}

/** How to end a run that is published, with the server and in the folder that it had; undefined when it is not. */
async function closeOfPublished(
  { log, job }: RunDeps,
  closing: CloseContext,
  run: RunRow,
): Promise<(() => Promise<unknown>) | undefined> {
  const there = { ...asItWas(closing, run), folders: jobFolders(run.context.exportFolder, job.jobName) };
  try {
    const published = await findPublished(there, run);
    return published && (() => closePublished(there, run, published));
  } catch (error) {
    // A disk that is no longer there, say: it must not keep every later run from beginning.
    log.warn('run.folder_unreadable', { runId: run.runId, code: asRoundsError(error).code });
    return undefined;
  }
}

/** A run is reported with the server that it asked. */
function asItWas(closing: CloseContext, { context: { server } }: RunRow): CloseContext {
  return server === closing.fhirBase ? closing : { ...closing, fhirBase: server, environment: undefined };
}

/** Where the export folder is another one now, what an abandoned run left in the old one is nobody else's to remove. */
async function removeOldStaging({ log, job }: RunDeps, { context }: JobPlace, run: RunRow): Promise<void> {
  const { exportFolder } = run.context;
  if (exportFolder === context.exportFolder) return;
  const staging = path.join(jobFolders(exportFolder, job.jobName).staging, run.runId);
  await rm(staging, { recursive: true, force: true }).catch((error: unknown) =>
    log.warn('run.staging_left', { runId: run.runId, code: asRoundsError(error).code }),
  );
}

function whyNotResumable(
  run: RunRow,
  { bulk: wasBulk }: SnapshotSettings,
  { clock, job }: RunDeps,
  { context }: JobPlace,
): string | undefined {
  if ((wasBulk !== undefined) !== (job.method === 'bulk')) return 'the method in the INI is another one now';
  if (run.context.server !== context.server) return 'the FHIR server in the INI is another one now';
  if (run.context.clientId !== context.clientId) return 'the client id in the INI is another one now';
  if (run.context.exportFolder !== context.exportFolder)
    return 'the export folder in the INI is another one now';
  const { schedule, bulk } = job.settings;
  // A bulk export may take weeks at the server; the time that it is given ends it by itself.
  const hours = Math.max(schedule.resume_within_hours, job.method === 'bulk' ? 2 * bulk.max_wait_hours : 0);
  if (clock.now() - run.startedAtMs > hours * 3_600_000) {
    return `it began at ${isoInstant(run.startedAtMs)}, longer ago than resume_within_hours`;
  }
  return undefined;
}

/** The run whose failed searches are to be asked again. Throws RUN_UNKNOWN when there is none. */
function retryBase({ ledger, job }: RunDeps, { context }: JobPlace): RunRow {
  const base = ledger.lastPublished(job.jobName);
  if (base?.summary === undefined || base.folder === undefined || base.summary.searches.failed === 0) {
    throw new RoundsError('RUN_UNKNOWN', 'the last published run has no failed search to retry', {
      hint: 'Run without --retry-failed.',
    });
  }
  if (base.context.server !== context.server || base.context.exportFolder !== context.exportFolder) {
    throw new RoundsError(
      'RUN_NOT_RESUMABLE',
      `run ${base.runId} was made with another server or export folder`,
      {
        hint: 'Run without --retry-failed.',
      },
    );
  }
  return base;
}

/** Makes a run's staging folder, snapshot folder and row. The id is unique by the staging folder's creation. */
async function beginRun(
  { ledger, clock, job }: RunDeps,
  place: JobPlace,
  base: RunRow | undefined,
): Promise<RunRow> {
  const { folders, modes, context, stateFolder } = place;
  for (;;) {
    const startedAtMs = clock.now();
    const namedAtMs = Math.max(startedAtMs, afterLastRun(ledger, job.jobName));
    const runId = makeRunId(namedAtMs, randomBytes(2).toString('hex'));
    if (await exists(path.join(folders.job, runId))) continue;
    if (!(await makeExclusive(path.join(folders.staging, runId), modes))) continue;
    const { jobName } = job;
    const run = ledger.beginRun({ runId, jobName, context, startedAtMs, ...(base ? { base } : {}) });
    // After the row: a folder that a crash left without one would be nobody's to remove.
    await ensureFolder(snapshotFolder(stateFolder, runId));
    return run;
  }
}

/**
 * Run ids sort by time, and `current` and retention go by it: on a clock that was set back a run is named by the
 * second after the last one's.
 */
function afterLastRun(ledger: Ledger, jobName: string): number {
  const [last] = ledger.runs({ jobName, limit: 1 });
  return last === undefined ? 0 : startOfRunId(last.runId) + 1_000;
}
