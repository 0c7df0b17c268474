import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { mkdir } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import type { RecordName } from '../../src/fhir/references.ts';
import { NdjsonWriter } from '../../src/ndjson/writer.ts';
import { partName } from '../../src/publish/layout.ts';
import { CommitChain } from '../../src/pull/commitChain.ts';
import type { FinishedReference, FinishedSearch } from '../../src/pull/finished.ts';
import { GroupCommit } from '../../src/pull/groupCommit.ts';
import { KeptResources, type Uniqueness } from '../../src/pull/keptResources.ts';
import type { Ledger } from '../../src/run/ledger.ts';
import type { RunRow } from '../../src/run/ledgerRows.ts';
import { referencedTypeNo } from '../../src/run/plan.ts';
import { replay } from '../../src/run/replay.ts';
import type { SnapshotSettings } from '../../src/run/snapshot.ts';
import type { Outcome, RunTally } from '../../src/run/tally.ts';
import { PRIVATE_MODES } from '../../src/system/files.ts';
import type { FakeClock } from './fakeClock.ts';

/** One attempt at a run: what it works with, opened from ledger and staging as after a crash. */
export interface Attempt {
  readonly tally: RunTally;
  readonly writer: NdjsonWriter;
  readonly groupCommit: GroupCommit;
  /** How many groups were committed by this attempt. */
  readonly committed: () => number;
}

export async function beginAttempt(
  ledger: Ledger,
  run: RunRow,
  staging: string,
  clock: FakeClock,
  settings: SnapshotSettings,
): Promise<Attempt> {
  await mkdir(staging, { recursive: true });
  const { tally, position } = replay(ledger, run, settings);
  const writer = await NdjsonWriter.open({
    folder: staging,
    modes: PRIVATE_MODES,
    maxPartBytes: 0,
    fileName: (resourceType, part) => partName(settings.filePattern, settings.timestamp, resourceType, part),
    committed: [...tally.files.values()],
    isFrozen: () => false,
  });
  onTestFinished(() => writer.close());
  let groups = 0;
  let requests = 0;
  const cost = () => ({ requests: ++requests, retries: 0, waitedMs: requests / 2 });
  const groupCommit = new GroupCommit({
    ledger,
    run,
    tally,
    chain: new CommitChain({ ledger, run, position, tally, cost }),
    writer,
    clock,
    referencedTypeNo: (resourceType) => referencedTypeNo(settings.plan, resourceType),
    committed: () => groups++,
  });
  return { tally, writer, groupCommit, committed: () => groups };
}

export type Brought = readonly [name: string, content: string, uniqueness?: Uniqueness];

/** A search that ended, with what it brought: `Type/id`, the bytes, and whether others may bring it too. */
export function finishedSearch(
  searchNo: number,
  brought: readonly Brought[] = [],
  given: Partial<Omit<FinishedSearch, 'wanted'>> & {
    readonly wanted?: readonly string[];
    readonly spool?: string;
  } = {},
): FinishedSearch {
  const { wanted = [], spool = 'unused', ...rest } = given;
  const kept = new KeptResources(path.dirname(spool), path.basename(spool), {
    used: 0,
    limit: Number.MAX_SAFE_INTEGER,
  });
  for (const [name, content, uniqueness = 'search'] of brought) {
    const { resourceType, resourceId } = recordOf(name);
    kept.add({ resourceType, resourceId, bytes: Buffer.from(content) }, uniqueness);
  }
  const outcome: Outcome = brought.length > 0 ? 'ok' : 'empty';
  return {
    kind: 'search',
    searchNo,
    outcome,
    cause: undefined,
    kept,
    warnings: [],
    ...rest,
    wanted: wantedOf(wanted),
  };
}

export function finishedReference(
  typeNo: number,
  name: string,
  content: string | undefined,
  given: Partial<Omit<FinishedReference, 'wanted'>> & { readonly wanted?: readonly string[] } = {},
): FinishedReference {
  const { wanted = [], ...rest } = given;
  return {
    kind: 'reference',
    typeNo,
    record: recordOf(name),
    outcome: 'ok',
    cause: undefined,
    bytes: content === undefined ? undefined : Buffer.from(content),
    ...rest,
    wanted: wantedOf(wanted),
  };
}

function recordOf(name: string): RecordName {
  const [resourceType = '', resourceId = ''] = name.split('/');
  return { resourceType, resourceId };
}

function wantedOf(names: readonly string[]): ReadonlyMap<string, RecordName> {
  return new Map(names.map((name) => [name, recordOf(name)]));
}

/** The lines of every file of a folder, by file name. */
export async function linesIn(folder: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.ndjson')).toSorted();
  const read = async (name: string): Promise<readonly [string, readonly string[]]> => {
    const text = await readFile(path.join(folder, name), 'utf8');
    return [name, text === '' ? [] : text.slice(0, -1).split('\n')];
  };
  return Object.fromEntries(await Promise.all(names.map(read)));
}
