import path from 'node:path';
import type { Settings } from '../config/schema.ts';
import { configHash } from '../config/view.ts';
import { TYPES_WITH_ATTACHMENTS } from '../fhir/attachments.ts';
import { problemsOfList } from '../fhir/searchRules.ts';
import { readRoster } from '../inputs/patientRoster.ts';
import { ATTACHMENTS, hashInName, partTimestamp } from '../publish/layout.ts';
import { readManifest } from '../publish/verify.ts';
import { ensureFolder, exists, linkOrCopy } from '../system/files.ts';
import type { JobPlace } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { assumptionsOf, makePlan, typeNames, type AttachmentRules, type PullPlan } from './plan.ts';
import type { Inputs } from './preflight.ts';
import { replay } from './replay.ts';
import type { RunDeps, Server } from './deps.ts';
import {
  openSnapshot,
  snapshotFolder,
  snapshotRoster,
  writeRosterSnapshot,
  writeSnapshotSettings,
  type Snapshot,
} from './snapshot.ts';

/** Copies what a new run works from: the roster, the plan made of list and server, the pull settings. */
export async function takeSnapshot(
  { job, ledger, signal }: RunDeps,
  place: JobPlace,
  run: RunRow,
  { listed, roster }: Inputs,
  { capability, dialect, notes }: Server,
): Promise<Snapshot> {
  const { data_sources: sources, api_settings: api, file_patterns: files } = job.settings;
  const folder = snapshotFolder(place.stateFolder, run.runId);
  const rows = readRoster(sources.epic_sandbox_roster, { badRows: sources.roster_bad_rows, signal });
  const { patients, hasMrns } = await writeRosterSnapshot(folder, rows);
  if (hasMrns) await ledger.pulls.claimIdentities(run.runNo, knownIds(folder));
  const skipped =
    roster.skipped > 0 ? [`${roster.skipped} roster rows were skipped as malformed or repeated.`] : [];
  const attachments = attachmentRules(job.settings);
  const plan = { ...makePlan(listed, capability, dialect), attachments };
  const problems = problemsOfList(listed, capability, dialect).map(
    ({ resourceType, what }) => `${resourceType}: ${what}.`,
  );
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
    notes: [...notes, ...skipped, ...problems, ...assumptionsOf(plan), ...attachmentNotes(plan)],
  });
  return openSnapshot(folder);
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

/** Puts a retried run's earlier data and attachments into its staging: hard links, or copies. Repeated harmlessly. */
export async function linkBase(
  { folders, modes }: JobPlace,
  { settings }: Snapshot,
  run: RunRow,
): Promise<void> {
  if (settings.baseFolder === undefined) return;
  const { output, extension } = await readManifest(settings.baseFolder);
  const staging = path.join(folders.staging, run.runId);
  const attachments = extension.files.filter(({ url }) => hashInName(url) !== undefined);
  if (attachments.length > 0) await ensureFolder(path.join(staging, ATTACHMENTS), modes);
  for (const { url } of [...output, ...attachments]) {
    const to = path.join(staging, url);
    if (!(await exists(to))) await linkOrCopy(path.join(settings.baseFolder, url), to);
  }
}
