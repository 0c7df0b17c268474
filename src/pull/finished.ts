import type { RecordName } from '../fhir/references.ts';
import type { StoredContent } from '../run/ledgerRows.ts';
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

/** Attachments that were found in what is written already. */
export interface FoundAttachments {
  readonly kind: 'found';
  readonly typeNo: number;
  /** Their names in the ledger. */
  readonly units: readonly string[];
}

/** An attachment whose file is durable already, or that has none; `empty`: passed over, as the rules say. */
export interface FinishedAttachment {
  readonly kind: 'attachment';
  readonly typeNo: number;
  readonly unit: string;
  readonly outcome: Outcome;
  readonly cause: Cause | undefined;
  readonly content: StoredContent | undefined;
}

export type Finished = FinishedSearch | FinishedReference | FoundAttachments | FinishedAttachment;
