import path from 'node:path';
import type { JobConfig, Settings } from '../config/schema.ts';
import { configHash } from '../config/view.ts';
import { TYPES_WITH_ATTACHMENTS } from '../fhir/attachments.ts';
import { problemsOfList } from '../fhir/searchRules.ts';
import type { ListedType } from '../inputs/resourceList.ts';
import { hashInName, partTimestamp } from '../publish/layout.ts';
import { ERROR_FILE } from '../publish/publish.ts';
import { readManifest } from '../publish/verify.ts';
import { ensureFolder, exists, linkOrCopy } from '../system/files.ts';
import type { JobPlace } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { assumptionsOf, makePlan, typeNames, type AttachmentRules, type PullPlan } from './plan.ts';
import type { Inputs } from './preflight.ts';
import { replay } from './replay.ts';
import type { RunDeps, Server } from './deps.ts';
import { makeBulkPlan, makeExportPlan, type BulkPlan } from './exportPlan.ts';
import {
  openSnapshot,
  snapshotFolder,
  snapshotRoster,
  writeRosterSnapshot,
  writeSnapshotSettings,
  type Snapshot,
} from './snapshot.ts';

/** Writes what a new run works from beside its copy of the roster: the plan made of list and server, the pull settings. */
export async function takeSnapshot(
  { job, ledger }: RunDeps,
  place: JobPlace,
  run: RunRow,
  { listed, roster }: Inputs,
  server: Server,
): Promise<Snapshot> {
  const { data_sources: sources, api_settings: api, file_patterns: files } = job.settings;
  const { notes } = server;
  const folder = snapshotFolder(place.stateFolder, run.runId);
  // An export of all patients has none: the server knows who they are.
  if (roster === undefined) await writeRosterSnapshot(folder, []);
  const patients = roster?.patients ?? 0;
  const hasMrns = roster !== undefined && roster.mrns > 0;
  if (hasMrns) await ledger.pulls.claimIdentities(run.runNo, knownIds(folder));
  const skipped =
    roster && roster.skipped > 0
      ? [`${roster.skipped} roster rows were skipped as malformed or repeated.`]
      : [];
  const attachments = attachmentRules(job.settings);
  const planned =
    job.method === 'bulk'
      ? planExports(job, ledger, listed, server)
      : { ...planSearches(listed, server), bulk: undefined };
  const { bulk } = planned;
  const plan = { ...planned.plan, attachments };
  await writeSnapshotSettings(folder, {
    patients,
    hasMrns,
    mrnSystem: sources.mrn_system,
    plan,
    pageSize: api.page_size,
    maxPages: api.max_pages,
    searchMethod: api.search_method,
    maxPartBytes: files.max_file_megabytes * 1_000_000,
    filePattern: files.resource_data_file,
    timestamp: partTimestamp(run.startedAtMs),
    configHash: configHash(job.settings),
    frozenParts: {},
    baseFolder: undefined,
    ...(bulk === undefined ? {} : { bulk }),
    notes: [...notes, ...skipped, ...planned.notes, ...attachmentNotes(plan)],
  });
  return openSnapshot(folder);
}

/** What a crawl asks for. */
function planSearches(
  listed: readonly ListedType[],
  { capability, dialect }: Server,
): { readonly plan: PullPlan; readonly notes: readonly string[] } {
  const plan = makePlan(listed, capability, dialect);
  const problems = problemsOfList(listed, capability, dialect).map(
    ({ resourceType, what }) => `${resourceType}: ${what}.`,
  );
  return { plan, notes: [...problems, ...assumptionsOf(plan)] };
}

/** What the exports of a new run ask for; `since = last` is resolved here, once for the run. */
function planExports(
  job: JobConfig,
  ledger: Ledger,
  listed: readonly ListedType[],
  { capability, dialect }: Server,
): { readonly plan: PullPlan; readonly bulk: BulkPlan; readonly notes: readonly string[] } {
  const { since: wanted } = job.settings.bulk;
  const last = wanted === 'last' ? ledger.lastComplete(job.jobName) : undefined;
  const since = wanted === 'last' ? last?.summary?.transactionTime : wanted;
  const plan = makeExportPlan(listed, capability);
  const notes =
    since !== undefined
      ? [`Only what changed since ${since} was asked for; the folder holds these changes alone.`]
      : wanted === 'last'
        ? ['No run was complete before, so everything was asked for.']
        : [];
  return { plan, bulk: makeBulkPlan(job, plan, listed, dialect, since), notes };
}

/** What an INI wants of attachments; undefined: nothing. */
function attachmentRules({ attachments }: Settings): AttachmentRules | undefined {
  if (!attachments.download) return undefined;
  return {
    types: attachments.types?.map((type) => type.toLowerCase()),
    maxBytes: attachments.max_megabytes * 1_000_000,
  };
}

function attachmentNotes(plan: PullPlan): readonly string[] {
  const has = typeNames(plan).some((name) => TYPES_WITH_ATTACHMENTS.some((type) => type === name));
  if (plan.attachments === undefined || has) return [];
  return [
    `Attachments are to be downloaded, and no type that has them is on the list (${TYPES_WITH_ATTACHMENTS.join(', ')}).`,
  ];
}

async function* knownIds(folder: string): AsyncGenerator<readonly [patientNo: number, patientId: string]> {
  for await (const { patientNo, patientId } of snapshotRoster(folder)) {
    if (patientId !== undefined) yield [patientNo, patientId];
  }
}

/** A retried run works from its base's snapshot, and never appends to its base's files. */
export async function copySnapshot(
  ledger: Ledger,
  place: JobPlace,
  base: RunRow,
  run: RunRow,
): Promise<void> {
  const from = await openSnapshot(snapshotFolder(place.stateFolder, base.runId));
  const to = snapshotFolder(place.stateFolder, run.runId);
  const frozenParts: Record<string, number> = {};
  for (const { resourceType, part } of replay(ledger, base, from.settings).tally.files.values()) {
    frozenParts[resourceType] = Math.max(part, frozenParts[resourceType] ?? 0);
  }
  await writeRosterSnapshot(to, snapshotRoster(from.folder));
  await writeSnapshotSettings(to, { ...from.settings, frozenParts, baseFolder: base.folder });
}

/** Puts a retried run's earlier files into its staging: hard links, or copies. Repeated harmlessly. */
export async function linkBase(
  { folders, modes }: JobPlace,
  { settings }: Snapshot,
  run: RunRow,
): Promise<void> {
  if (settings.baseFolder === undefined) return;
  const { output, deleted, error, extension } = await readManifest(settings.baseFolder);
  const attachments = extension.files.filter(({ url }) => hashInName(url) !== undefined);
  for (const { url } of [...output, ...deleted, ...error, ...attachments]) {
    // This run writes its own gaps and failures.
    if (url === ERROR_FILE) continue;
    const to = path.join(folders.staging, run.runId, url);
    if (await exists(to)) continue;
    await ensureFolder(path.dirname(to), modes);
    await linkOrCopy(path.join(settings.baseFolder, url), to);
  }
}
