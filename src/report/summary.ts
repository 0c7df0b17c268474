import type { FailureClass } from '../errors.ts';
import type { AuditHead } from '../run/audit.ts';

/** Searches by outcome. `planned` is the sum of the others at a run's close. */
export interface SearchCounts {
  readonly planned: number;
  readonly ok: number;
  readonly empty: number;
  readonly gap: number;
  readonly failed: number;
}

/** One row of the report's table. */
export interface TypeSummary {
  readonly resourceType: string;
  readonly records: number;
  readonly files: number;
  readonly bytes: number;
  readonly searches: SearchCounts;
  /** Records of the previous published run of this job; undefined when there was none or it lacked the type. */
  readonly previousRecords: number | undefined;
}

/** Gaps or failures of one cause and type. */
export interface CauseSummary {
  readonly outcome: 'gap' | 'failed';
  /** A code of ours (errors.ts). */
  readonly code: string;
  readonly failure: FailureClass;
  readonly hint: string;
  readonly resourceType: string;
  /** Epic's OperationOutcome code, such as `4134`. */
  readonly epicCode: string | undefined;
  readonly httpStatus: number | undefined;
  readonly searches: number;
  /** The first roster lines it struck, at most ten; empty for units without a patient. */
  readonly rosterLines: readonly number[];
}

export interface MergedPatient {
  readonly rosterLine: number;
  /** The roster line that the same patient stands in too, if any. */
  readonly sameAsLine: number | undefined;
}

export type RunStatus = 'complete' | 'partial' | 'failed' | 'abandoned';

/** All that a report says. Holds no PHI: counts, codes, roster lines and names of ours. */
export interface RunSummary {
  readonly formatVersion: 1;
  readonly programVersion: string;
  readonly jobName: string;
  readonly runId: string;
  readonly status: RunStatus;
  /** Set when status is failed: why nothing was published. */
  readonly failure: { readonly code: string; readonly message: string; readonly hint: string } | undefined;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  /** Over all attempts of a resumed run, the time it worked (monotonic), in ms. */
  readonly durationMs: number;
  /** How often the run was picked up again after an interruption. */
  readonly resumed: number;
  readonly method: 'crawl' | 'bulk';
  /** Host of the FHIR server, and the [environment] name where there is one. */
  readonly server: string;
  readonly environment: string | undefined;
  readonly patients: number;
  readonly records: number;
  readonly files: number;
  readonly bytes: number;
  readonly searches: SearchCounts;
  readonly types: readonly TypeSummary[];
  readonly causes: readonly CauseSummary[];
  readonly merged: readonly MergedPatient[];
  /** Repeated copies of a type/id that were not written again, and how many of these differed. */
  readonly duplicates: { readonly same: number; readonly differing: number };
  /** One sentence each: types not offered, scopes narrowed, rows skipped, warnings of the server by code. */
  readonly notes: readonly string[];
  readonly http: { readonly requests: number; readonly retries: number; readonly waitedMs: number };
  readonly previousRunId: string | undefined;
  /** Folder of the published run; undefined when nothing was published. */
  readonly folder: string | undefined;
  /** The newest complete run, when it is another than this one. */
  readonly current: { readonly runId: string; readonly ageMs: number } | undefined;
  readonly nextRunAtMs: number | undefined;
  /** The audit file's newest line; in what is mailed, that of the run's own end. */
  readonly audit?: AuditHead;
}
