import type { Ledger } from '../run/ledger.ts';
import type { ChainPosition, RunRow, SharedRow } from '../run/ledgerRows.ts';
import { emptyCommit, wholeCost, type Commit, type HttpCost, type RunTally } from '../run/tally.ts';

export interface CommitChainOptions {
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly position: ChainPosition;
  readonly tally: RunTally;
  /** Running totals of requests, retries and waiting. */
  readonly cost: () => HttpCost;
}

/** A run's commits, one after the other, into the ledger and into the sum of them. One at a time appends. */
export class CommitChain {
  readonly #options: CommitChainOptions;
  #position: ChainPosition;
  #costBefore: HttpCost = { requests: 0, retries: 0, waitedMs: 0 };

  constructor(options: CommitChainOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /**
   * Appends a commit with what was spent since the one before. `newRows` of `rows` are not in the shared table yet.
   * Throws what the ledger throws; then the run ends, and its next attempt takes the sum from the ledger.
   */
  append(commit: Partial<Commit>, rows: readonly SharedRow[] = [], newRows = 0): void {
    const { ledger, run, tally, cost } = this.#options;
    const now = cost();
    const full = {
      ...emptyCommit(tally.sharedRows + newRows),
      http: costSince(this.#costBefore, now),
      ...commit,
    };
    this.#costBefore = now;
    // The sum first: a commit that does not fit it would make the ledger unreadable.
    tally.apply(full);
    this.#position = ledger.pulls.commit(run.runNo, this.#position, full, rows);
  }
}

/** What was spent since, in whole ms; what is 0 and may be left out is. */
function costSince(before: HttpCost, now: HttpCost): HttpCost {
  const [from, to] = [wholeCost(before), wholeCost(now)];
  const keys = Object.keys(to) as (keyof HttpCost)[];
  const spent = keys.map((key) => [key, Math.round(to[key]) - Math.round(from[key])] as const);
  const kept = spent.filter(([key, amount]) => amount !== 0 || !OPTIONAL_COST.has(key));
  return { requests: 0, retries: 0, waitedMs: 0, ...Object.fromEntries(kept) };
}

const OPTIONAL_COST: ReadonlySet<keyof HttpCost> = new Set(['pauses', 'pausedMs', 'outages', 'awayMs']);
