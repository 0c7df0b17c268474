import { asRoundsError, RoundsError } from '../errors.ts';
import type { FhirClient } from '../fhir/client.ts';
import type { ReadReferences, RecordName } from '../fhir/references.ts';
import type { ExactResource } from '../fhir/searchset.ts';
import { tellTrouble, type Emit } from '../run/events.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import type { PullPlan, ReferencedType } from '../run/plan.ts';
import type { Cause } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import { causeOf, isFinalAnswer, isServersDoing } from './causes.ts';
import type { FinishedReference } from './finished.ts';
import type { GroupCommit } from './groupCommit.ts';
import { forEachConcurrent } from './pool.ts';

export interface ReferencePullOptions {
  readonly client: FhirClient;
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly plan: PullPlan;
  readonly readReferences: ReadReferences;
  readonly groupCommit: GroupCommit;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly isReferenced: (resourceType: string) => boolean;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Shared by all passes of a run: once Epic's daily quota is used up, no more documents are asked for. */
  readonly quota: DocumentQuota;
}

export interface DocumentQuota {
  usedUpBy: Cause | undefined;
}

/** Ids asked for in one `_id` search: short enough for any server's URL limit, ids of 64 characters included. */
const IDS_A_SEARCH = 20;

/**
 * Fetches every listed record that what was pulled refers to and no search brought, then what these refer to, until
 * nothing is wanted any more. What is wanted stands in the ledger, so a crash loses no reference.
 */
export async function pullReferences(options: ReferencePullOptions): Promise<void> {
  const { groupCommit, plan } = options;
  await groupCommit.drain();
  for (let found = true; found;) {
    found = false;
    for (const type of plan.referenced) found = (await pullType(type, options)) || found;
  }
}

async function pullType(type: ReferencedType, options: ReferencePullOptions): Promise<boolean> {
  const { concurrency, signal, groupCommit, clock } = options;
  let found = false;
  const groupSize = type.byIdSearch ? IDS_A_SEARCH : 1;
  const groups = async function* (): AsyncGenerator<readonly string[]> {
    for (let after = ''; ;) {
      const ids = options.ledger.pulls.wanted(options.run.runNo, type.resourceType, after, groupSize);
      if (ids.length === 0) return;
      found = true;
      yield ids;
      after = ids.at(-1)!;
    }
  };
  await forEachConcurrent(groups(), concurrency, signal, async (ids) => {
    const from = clock.monotonicMs();
    const group = await fetchGroup(type, ids, options);
    const share = (clock.monotonicMs() - from) / group.length;
    for (const finished of group) {
      tellTrouble(options.emit, type.resourceType, finished.outcome, finished.cause);
      await groupCommit.submit(finished, share);
    }
  });
  await groupCommit.drain();
  return found;
}

async function fetchGroup(
  type: ReferencedType,
  ids: readonly string[],
  options: ReferencePullOptions,
): Promise<readonly FinishedReference[]> {
  const found =
    type.byIdSearch && ids.length > 1 ? await searchByIds(type, ids, options) : new Map<string, never>();
  const finished: FinishedReference[] = [];
  for (const resourceId of ids) {
    const record = { resourceType: type.resourceType, resourceId };
    const brought = found.get(resourceId);
    // One that the search left out is asked for by itself: only so does the server say why.
    finished.push(brought ? finish(record, brought, options) : await fetchOne(type, record, options));
  }
  return finished;
}

/** Those of `ids` that one search brings; none when it fails, since each is then asked for by itself. */
async function searchByIds(
  type: ReferencedType,
  ids: readonly string[],
  { client }: ReferencePullOptions,
): Promise<ReadonlyMap<string, ExactResource>> {
  const found = new Map<string, ExactResource>();
  try {
    let fetched = await client.search(type.resourceType, [
      ['_id', ids.join(',')],
      ['_count', String(ids.length)],
    ]);
    const visited = new Set<string>();
    for (;;) {
      for (const entry of fetched.page.entries) {
        if (entry.mode === 'match' && entry.resourceType === type.resourceType)
          found.set(entry.resourceId, entry);
      }
      const { next } = fetched.page;
      if (next === undefined || visited.has(next)) return found;
      visited.add(next);
      fetched = await client.nextPage(next, fetched.url);
    }
  } catch (thrown) {
    if (!isServersDoing(asRoundsError(thrown))) throw thrown;
    return found;
  }
}

async function fetchOne(
  type: ReferencedType,
  record: RecordName,
  options: ReferencePullOptions,
): Promise<FinishedReference> {
  const { usedUpBy } = options.quota;
  if (usedUpBy && record.resourceType === 'Binary') {
    return { ...finish(record, undefined, options), outcome: 'failed', cause: usedUpBy };
  }
  try {
    const found = await readOrSearch(type, record, options.client);
    if (found.resourceId !== record.resourceId) {
      throw new RoundsError(
        'REFERENCE_MISSING',
        'the server answered with another record than was referred to',
      );
    }
    return finish(record, found, options);
  } catch (thrown) {
    const error = asRoundsError(thrown);
    if (!isServersDoing(error)) throw thrown;
    const cause = causeOf(error);
    if (error.code === 'FHIR_DOCUMENT_QUOTA') options.quota.usedUpBy = cause;
    return { ...finish(record, undefined, options), outcome: isFinalAnswer(error) ? 'gap' : 'failed', cause };
  }
}

async function readOrSearch(
  type: ReferencedType,
  record: RecordName,
  client: FhirClient,
): Promise<ExactResource> {
  if (type.byRead) return client.read(record.resourceType, record.resourceId);
  const { page, verdict } = await client.search(record.resourceType, [['_id', record.resourceId]]);
  const found = page.entries.find((entry) => entry.resourceType === record.resourceType);
  if (found) return found;
  const code = verdict.gap?.code ?? 'REFERENCE_MISSING';
  throw new RoundsError(code, 'the server does not return a record that is referred to', {
    ...(verdict.gap?.epicCode === undefined ? {} : { epicCode: verdict.gap.epicCode }),
  });
}

function finish(
  record: RecordName,
  found: ExactResource | undefined,
  { plan, readReferences, isReferenced }: ReferencePullOptions,
): FinishedReference {
  const wanted = new Map<string, RecordName>();
  if (found) {
    for (const other of readReferences(found).others) {
      if (isReferenced(other.resourceType)) wanted.set(`${other.resourceType}/${other.resourceId}`, other);
    }
  }
  const typeNo =
    plan.searched.length + plan.referenced.findIndex((type) => type.resourceType === record.resourceType);
  return { kind: 'reference', typeNo, record, outcome: 'ok', cause: undefined, bytes: found?.bytes, wanted };
}
