import { crc32 } from 'node:zlib';
import type { RecordName } from '../fhir/references.ts';
import type { NdjsonWriter } from '../ndjson/writer.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow, SharedRow, SharedState } from '../run/ledgerRows.ts';
import { ATTACHMENT } from '../run/plan.ts';
import { OUTCOMES, type Commit, type RunTally } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import type { CommitChain } from './commitChain.ts';
import type {
  Finished,
  FinishedAttachment,
  FinishedReference,
  FinishedSearch,
  FoundAttachments,
} from './finished.ts';
import { GroupDraft } from './groupDraft.ts';
import type { KeptResource } from './keptResources.ts';

export interface GroupCommitOptions {
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly tally: RunTally;
  readonly chain: CommitChain;
  readonly writer: Pick<NdjsonWriter, 'append' | 'write' | 'sync' | 'pendingBytes'>;
  readonly clock: Clock;
  /** typeNo of a type reached by reference. */
  readonly referencedTypeNo: (resourceType: string) => number | undefined;
  readonly committed: () => void;
}

const GROUP_MS = 1_000;
const GROUP_BYTES = 8 * 1024 * 1024;
/** Known shared records kept in memory, to spare the ledger a look-up for each Practitioner. */
const KNOWN_LIMIT = 100_000;
const WANTED: SharedState = 0;
const WRITTEN: SharedState = 1;
const STATE_OF_OUTCOME = { ok: WRITTEN, empty: 2, gap: 2, failed: 3 } as const satisfies Record<
  string,
  SharedState
>;

/**
 * The one writer of a run. Finished searches gather into a group, closed after a second or 8 MB; then their
 * resources are appended and made durable, and one ledger transaction says so. Until that returned, nothing of the
 * group counts; after it, nothing of it is ever pulled again.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #group: Finished[] = [];
  #groupBytes = 0;
  /** By type, how long what is in the group took. */
  #worked = new Map<number, number>();
  #timer: AbortController | undefined;
  /** Commits run one after the other; a failed one fails all that follow. */
  #running: Promise<void> = Promise.resolve();
  #known = new Map<string, SharedRow>();
  /** Why a commit begun by the timer failed: the next submit throws it. */
  #failure: { readonly error: unknown } | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /**
   * Takes a finished search, and how long it took. Resolves when there is room for the next, not when this one is
   * durable.
   */
  async submit(finished: Finished, workedMs = 0): Promise<void> {
    if (this.#failure) throw this.#failure.error;
    this.#group.push(finished);
    const { tally } = this.#options;
    const typeNo = finished.kind === 'search' ? tally.typeNoOf(finished.searchNo) : finished.typeNo;
    this.#worked.set(typeNo, (this.#worked.get(typeNo) ?? 0) + workedMs);
    this.#groupBytes += bytesOf(finished);
    if (this.#groupBytes >= GROUP_BYTES) await this.#close();
    else this.#startTimer();
  }

  /** Resolves when all that was submitted is durable. */
  async drain(): Promise<void> {
    await this.#close();
  }

  /** Begins another pass: what had failed is wanted again. */
  async retryFailed(): Promise<void> {
    await this.#close();
    this.#options.chain.append({ retry: true });
    this.#known = new Map();
  }

  #startTimer(): void {
    if (this.#timer) return;
    const timer = new AbortController();
    this.#timer = timer;
    this.#options.clock.sleep(GROUP_MS, timer.signal).then(
      () => {
        this.#close().catch((error: unknown) => {
          this.#failure = { error };
        });
      },
      () => undefined,
    );
  }

  async #close(): Promise<void> {
    this.#timer?.abort();
    this.#timer = undefined;
    const group = this.#group;
    const worked = [...this.#worked].map(([typeNo, ms]) => [typeNo, Math.round(ms)] as const);
    this.#group = [];
    this.#groupBytes = 0;
    this.#worked = new Map();
    this.#running = this.#running.then(() => (group.length === 0 ? undefined : this.#commit(group, worked)));
    await this.#running;
  }

  async #commit(group: readonly Finished[], worked: NonNullable<Commit['worked']>): Promise<void> {
    const { writer, chain } = this.#options;
    const draft = new GroupDraft((resourceType, resourceId) => this.#sharedRow(resourceType, resourceId));
    for (const finished of group) {
      await this.#put(finished, draft);
      draft.count(finished);
    }
    const files = await writer.sync();
    const rows = draft.rows.map(({ row }) => row);
    const newRows = draft.rows.filter(({ isNew }) => isNew).length;
    chain.append({ ...draft.commit(), files, worked }, rows, newRows);
    for (const row of rows) this.#remember(row);
    for (const finished of group) if (finished.kind === 'search') await finished.kept.clear();
    this.#options.committed();
  }

  async #put(finished: Finished, draft: GroupDraft): Promise<void> {
    switch (finished.kind) {
      case 'search':
        await this.#putSearch(finished, draft);
        return this.#putWanted(finished.wanted, draft);
      case 'reference':
        this.#putReference(finished, draft);
        return this.#putWanted(finished.wanted, draft);
      case 'found':
        return putFound(finished, draft);
      case 'attachment':
        return putAttachment(finished, draft);
    }
  }

  async #putSearch({ kept }: FinishedSearch, draft: GroupDraft): Promise<void> {
    const { writer } = this.#options;
    for await (const block of kept.blocks()) {
      for (const resource of block) {
        if (resource.uniqueness === 'run' && !this.#claim(resource, draft)) continue;
        writer.append(resource.resourceType, resource.bytes);
      }
      if (writer.pendingBytes > GROUP_BYTES) await writer.write();
    }
    draft.duplicates.same += kept.duplicates.same;
    draft.duplicates.differing += kept.duplicates.differing;
  }

  /** Whether this copy of a shared resource is the first of the run, and so the one that is written. */
  #claim(resource: KeptResource, draft: GroupDraft): boolean {
    const { resourceType, resourceId, contentCrc } = resource;
    const row = draft.find(resourceType, resourceId);
    if (row?.state === WRITTEN) {
      draft.duplicates[row.contentCrc === contentCrc ? 'same' : 'differing']++;
      return false;
    }
    // Wanted by reference, and now it came by itself.
    const typeNo = row === undefined ? undefined : this.#options.referencedTypeNo(resourceType);
    if (row?.state === WANTED && typeNo !== undefined)
      draft.references.push([typeNo, OUTCOMES.indexOf('ok')]);
    draft.put({ resourceType, resourceId, state: WRITTEN, contentCrc });
    return true;
  }

  #putReference({ record, outcome, bytes }: FinishedReference, draft: GroupDraft): void {
    const contentCrc = bytes === undefined ? 0 : crc32(bytes);
    draft.put({ ...record, state: STATE_OF_OUTCOME[outcome], contentCrc });
    if (bytes !== undefined) this.#options.writer.append(record.resourceType, bytes);
  }

  #putWanted(wanted: ReadonlyMap<string, RecordName>, draft: GroupDraft): void {
    for (const { resourceType, resourceId } of wanted.values()) {
      const typeNo = this.#options.referencedTypeNo(resourceType);
      if (typeNo !== undefined) want(typeNo, resourceType, resourceId, draft);
    }
  }

  #sharedRow(resourceType: string, resourceId: string): SharedRow | undefined {
    const key = `${resourceType}/${resourceId}`;
    const known = this.#known.get(key);
    if (known) return known;
    const row = this.#options.ledger.pulls.sharedRow(this.#options.run.runNo, resourceType, resourceId);
    if (row) this.#remember(row);
    return row;
  }

  #remember(row: SharedRow): void {
    if (this.#known.size >= KNOWN_LIMIT) this.#known = new Map();
    this.#known.set(`${row.resourceType}/${row.resourceId}`, row);
  }
}

function bytesOf(finished: Finished): number {
  if (finished.kind === 'search') return finished.kept.bytes;
  return finished.kind === 'reference' ? (finished.bytes?.length ?? 0) : 0;
}

/** Wants what nobody has asked for yet. */
function want(typeNo: number, resourceType: string, resourceId: string, draft: GroupDraft): void {
  if (draft.find(resourceType, resourceId) !== undefined) return;
  draft.put({ resourceType, resourceId, state: WANTED, contentCrc: 0 });
  draft.wanted.set(typeNo, (draft.wanted.get(typeNo) ?? 0) + 1);
}

function putFound({ typeNo, units }: FoundAttachments, draft: GroupDraft): void {
  for (const unit of units) want(typeNo, ATTACHMENT, unit, draft);
}

function putAttachment({ unit, outcome, content }: FinishedAttachment, draft: GroupDraft): void {
  draft.put({
    resourceType: ATTACHMENT,
    resourceId: unit,
    state: STATE_OF_OUTCOME[outcome],
    contentCrc: 0,
    ...(content === undefined ? {} : { content }),
  });
}
