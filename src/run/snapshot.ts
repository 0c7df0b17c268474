import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { readLines } from '../ndjson/reader.ts';
import { asFileError, ensureFolder, PRIVATE_MODES, writeAtomic, exists } from '../system/files.ts';
import type { BulkPlan } from './exportPlan.ts';
import type { PullPlan } from './plan.ts';

/**
 * What a run works from: its own copy of the roster (ids and line numbers alone, no names), the plan and the pull
 * settings (no secrets), in `state/runs/<runId>`. A new roster or an edited INI waits for the next run.
 */

/** A row of the roster. `patientNo` counts from 0; `line` is the roster file's, for people. */
export interface RosterPatient {
  readonly patientNo: number;
  readonly line: number;
  readonly patientId: string | undefined;
  readonly mrn: string | undefined;
}

export interface SnapshotSettings {
  readonly patients: number;
  /** Whether any row has an MRN in place of an id. */
  readonly hasMrns: boolean;
  readonly mrnSystem: string | undefined;
  readonly plan: PullPlan;
  readonly pageSize: number;
  readonly maxPages: number;
  readonly searchMethod: 'get' | 'post';
  readonly maxPartBytes: number;
  readonly filePattern: string;
  readonly timestamp: string;
  readonly configHash: string;
  /** For a retried run: by type, the highest part that it shares with its base and never appends to. */
  readonly frozenParts: Readonly<Record<string, number>>;
  /** For a retried run: the published folder that it stands on. */
  readonly baseFolder?: string | undefined;
  /** Set where the run pulls by bulk exports. */
  readonly bulk?: BulkPlan;
  /** Sentences for the report that belong to the run as planned. */
  readonly notes: readonly string[];
}

export interface Snapshot {
  readonly folder: string;
  readonly settings: SnapshotSettings;
}

const ROSTER = 'roster.ndjson';
const SETTINGS = 'settings.json';
/** The run's log in the making; copied into the published folder. */
export const RUN_LOG = 'log.ndjson';

export function snapshotFolder(stateFolder: string, runId: string): string {
  return path.join(stateFolder, 'runs', runId);
}

/** What is copied of a roster's row. */
interface CopiedRow {
  readonly line: number;
  readonly patientId?: string | undefined;
  readonly mrn?: string | undefined;
}

/** Where a job's roster is copied to while it is checked: before the run that it is for has a folder. */
export function rosterDraft(stateFolder: string, jobName: string): string {
  return path.join(stateFolder, 'runs', `roster-${jobName}.draft`);
}

/** Makes a copy of a roster from what `read` puts; durable when it returns. Returns what `read` does. */
export async function writeRosterCopy<T>(
  file: string,
  read: (put: (rows: readonly CopiedRow[]) => Promise<void>) => Promise<T>,
): Promise<T> {
  await ensureFolder(path.dirname(file));
  const handle = await open(file, 'w', PRIVATE_MODES.file).catch(failWith(file));
  try {
    const result = await read(async (rows) => {
      let block = '';
      for (const { line, patientId, mrn } of rows) {
        const named = mrn === undefined ? JSON.stringify(patientId) : `null,${JSON.stringify(mrn)}`;
        block += `[${line},${named}]\n`;
      }
      await handle.writeFile(block).catch(failWith(file));
    });
    await handle.sync().catch(failWith(file));
    return result;
  } finally {
    await handle.close();
  }
}

/** Gives a run the copy that was made as its roster was checked. */
export async function adoptRosterCopy(draft: string, folder: string): Promise<void> {
  await rename(draft, path.join(folder, ROSTER));
}

const COPIED_AT_ONCE = 1024;

/** Copies patients into a run's folder, as writeRosterCopy does. */
export async function writeRosterSnapshot(
  folder: string,
  patients: AsyncIterable<CopiedRow> | Iterable<CopiedRow>,
): Promise<void> {
  await writeRosterCopy(path.join(folder, ROSTER), async (put) => {
    let rows: CopiedRow[] = [];
    for await (const patient of patients) {
      if (rows.push(patient) < COPIED_AT_ONCE) continue;
      await put(rows);
      rows = [];
    }
    await put(rows);
  });
}

function failWith(file: string): (error: unknown) => never {
  return (error) => {
    throw asFileError(error, file);
  };
}

/** Makes the snapshot whole, in one step: a run whose settings are there has its roster too. */
export async function writeSnapshotSettings(folder: string, settings: SnapshotSettings): Promise<void> {
  await writeAtomic(path.join(folder, SETTINGS), JSON.stringify(settings, null, 1));
}

/** Whether a run's snapshot is whole: without it the run cannot go on. */
export async function hasSnapshot(folder: string): Promise<boolean> {
  return exists(path.join(folder, SETTINGS));
}

export async function openSnapshot(folder: string): Promise<Snapshot> {
  const text = await readFile(path.join(folder, SETTINGS), 'utf8');
  return { folder, settings: JSON.parse(text) as SnapshotSettings };
}

/** The run's patients in the roster's order. */
export async function* snapshotRoster(folder: string): AsyncGenerator<RosterPatient, void, undefined> {
  let patientNo = 0;
  for await (const text of readLines(path.join(folder, ROSTER))) {
    const [line, patientId, mrn] = JSON.parse(text.toString('utf8')) as [number, string | null, string?];
    yield { patientNo: patientNo++, line, patientId: patientId ?? undefined, mrn };
  }
}

export async function removeSnapshot(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
