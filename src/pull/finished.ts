import type { RecordName } from '../fhir/references.ts';
import type { Cause, Outcome } from '../run/tally.ts';
import type { KeptResources } from './keptResources.ts';

/** A search of a patient that came to its end. */
export interface FinishedSearch {
  readonly kind: 'search';
  readonly searchNo: number;
  readonly outcome: Outcome;
  readonly cause: Cause | undefined;
  readonly kept: KeptResources;
  /** Records of reference types that the kept resources name. */
  readonly wanted: ReadonlyMap<string, RecordName>;
  readonly warnings: readonly string[];
}

/** A record that was fetched because it is referred to. */
export interface FinishedReference {
  readonly kind: 'reference';
  readonly typeNo: number;
  readonly record: RecordName;
  readonly outcome: Exclude<Outcome, 'empty'>;
  readonly cause: Cause | undefined;
  readonly bytes: Buffer | undefined;
  readonly wanted: ReadonlyMap<string, RecordName>;
}

export type Finished = FinishedSearch | FinishedReference;
