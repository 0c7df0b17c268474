import type { SharedRow } from '../run/ledgerRows.ts';
import { OUTCOMES, type Cause, type Commit } from '../run/tally.ts';
import type { Finished } from './finished.ts';

export interface DraftedRow {
  readonly row: SharedRow;
  readonly isNew: boolean;
}

/** A group in the making: its rows are looked up here before the ledger. */
export class GroupDraft {
  readonly duplicates = { same: 0, differing: 0 };
  readonly references: [number, number, Cause?][] = [];
  readonly wanted = new Map<number, number>();
  readonly #searches: [number, number, Cause?][] = [];
  readonly #warnings: Record<string, number> = {};
  readonly #rows = new Map<string, DraftedRow>();
  readonly #inLedger: (resourceType: string, resourceId: string) => SharedRow | undefined;

  constructor(inLedger: (resourceType: string, resourceId: string) => SharedRow | undefined) {
    this.#inLedger = inLedger;
  }

  find(resourceType: string, resourceId: string): SharedRow | undefined {
    return this.#rows.get(`${resourceType}/${resourceId}`)?.row ?? this.#inLedger(resourceType, resourceId);
  }

  put(row: SharedRow): void {
    const key = `${row.resourceType}/${row.resourceId}`;
    const isNew =
      this.#rows.get(key)?.isNew ?? this.#inLedger(row.resourceType, row.resourceId) === undefined;
    this.#rows.set(key, { row, isNew });
  }

  count(finished: Finished): void {
    if (finished.kind === 'found') return;
    const outcome = OUTCOMES.indexOf(finished.outcome);
    const { cause } = finished;
    if (finished.kind !== 'search') {
      this.references.push(cause ? [finished.typeNo, outcome, cause] : [finished.typeNo, outcome]);
      return;
    }
    this.#searches.push(cause ? [finished.searchNo, outcome, cause] : [finished.searchNo, outcome]);
    for (const code of finished.warnings) this.#warnings[code] = (this.#warnings[code] ?? 0) + 1;
  }

  get rows(): readonly DraftedRow[] {
    return [...this.#rows.values()];
  }

  commit(): Pick<Commit, 'searches' | 'references' | 'wanted' | 'duplicates' | 'warnings'> {
    return {
      searches: this.#searches,
      references: this.references,
      wanted: [...this.wanted],
      duplicates: [this.duplicates.same, this.duplicates.differing],
      warnings: this.#warnings,
    };
  }
}
