import path from 'node:path';
import { configHash } from '../config/view.ts';
import { problemsOfList } from '../fhir/searchRules.ts';
import { readRoster } from '../inputs/patientRoster.ts';
import { partTimestamp } from '../publish/layout.ts';
import { readManifest } from '../publish/verify.ts';
import { exists, linkOrCopy } from '../system/files.ts';
import type { JobPlace } from './jobPlace.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { assumptionsOf, makePlan } from './plan.ts';
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
  const plan = makePlan(listed, capability, dialect);
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
    notes: [...notes, ...skipped, ...problems, ...assumptionsOf(plan)],
  });
  return openSnapshot(folder);
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
export async function linkBase({ folders }: JobPlace, { settings }: Snapshot, run: RunRow): Promise<void> {
  if (settings.baseFolder === undefined) return;
  const { output } = await readManifest(settings.baseFolder);
  for (const { url } of output) {
    const to = path.join(folders.staging, run.runId, url);
    if (!(await exists(to))) await linkOrCopy(path.join(settings.baseFolder, url), to);
  }
}
