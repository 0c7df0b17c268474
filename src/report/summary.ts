import type { FailureClass } from '../errors.ts';
import type { AuditHead } from '../run/audit.ts';
import type { HttpCost } from '../run/tally.ts';

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
  /** Median of the last complete runs (`Trend.runs` of them); undefined when they lacked the type. */
  readonly usualRecords?: number | undefined;
  /** How long its searches took, all workers together, waiting included, in ms. */
  readonly workedMs?: number;
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
  /** Of a bulk export: the first files that did not come, at most ten. */
  readonly files?: readonly string[];
  /** What the server said, in words that are safe to show. */
  readonly said?: string;
}

export interface MergedPatient {
  readonly rosterLine: number;
  /** The roster line that the same patient stands in too, if any. */
  readonly sameAsLine: number | undefined;
}

export type RunStatus = 'complete' | 'partial' | 'failed' | 'abandoned';

/** A run of the strip that a report shows. */
export interface RecentRun {
  readonly runId: string;
  readonly status: RunStatus;
  readonly startedAtMs: number;
  readonly records: number;
}

/** Something that stands on top of the report: it is unlike the runs before, or a person has to act soon. */
export type Mark = RecordsMark | GapsMark | TermMark | DiskMark;

export interface RecordsMark {
  readonly kind: 'records';
  /** `gone`: the type is not asked for any more, or not offered. */
  readonly change: 'vanished' | 'fell' | 'grew' | 'new' | 'gone';
  /** undefined: of all types together. */
  readonly resourceType: string | undefined;
  readonly now: number;
  readonly before: number;
  /** What `before` is the median of: so many complete runs; 0: it is the run before alone. */
  readonly runs: number;
}

export interface GapsMark {
  readonly kind: 'gaps';
  readonly change: 'new' | 'more';
  readonly code: string;
  readonly epicCode: string | undefined;
  readonly httpStatus: number | undefined;
  readonly resourceTypes: readonly string[];
  readonly searches: number;
  /** The most that any of the runs before had; 0 when new. */
  readonly before: number;
}

/** The certificate ends soon, or has ended. */
export interface TermMark {
  readonly kind: 'certificate';
  readonly untilMs: number;
}

export interface DiskMark {
  readonly kind: 'disk';
}

/** This run against those before it. */
export interface Trend {
  /** How many complete runs the usual numbers are the median of, at most seven; 0: there is nothing to compare with. */
  readonly runs: number;
  readonly usualRecords: number | undefined;
  readonly marks: readonly Mark[];
}

/** Room for exports. */
export interface DiskOutlook {
  readonly freeBytes: number;
  /** Median size of a published run. */
  readonly runBytes: number;
  /** Runs that retention lets stand side by side. */
  readonly runsKept: number;
  /** Days until it is full at the pace of the last runs; undefined: retention keeps it from filling, or no pace is known. */
  readonly daysLeft: number | undefined;
}

/** What the run before was, published or not. */
export interface RunBefore {
  readonly runId: string;
  readonly status: RunStatus;
}

/** Documents that were downloaded, and those that the settings leave out. */
export interface AttachmentSummary {
  readonly files: number;
  readonly bytes: number;
  readonly otherType: number;
  readonly tooLarge: number;
}

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
  readonly http: HttpCost;
  readonly previousRunId: string | undefined;
  /** Folder of the published run; undefined when nothing was published. */
  readonly folder: string | undefined;
  /** The newest complete run, when it is another than this one. */
  readonly current: { readonly runId: string; readonly ageMs: number } | undefined;
  readonly nextRunAtMs: number | undefined;
  // What follows is not in summaries of the first ledgers.
  /** Set where the run before ended otherwise than complete and this one is complete: the all-clear. */
  readonly recovered?: RunBefore;
  /** A run before this one that was given up, and told of nowhere but in its own mail. */
  readonly abandoned?: RunBefore;
  /** The run whose failed searches this one asked again. */
  readonly retryOf?: { readonly runId: string; readonly failed: number };
  /** Appointed times that passed without a run, which this one makes up for. */
  readonly missedSlots?: { readonly count: number; readonly firstMs: number };
  /** Of a bulk export: the instant that its data is at least as new as (an earlier one of several exports). */
  readonly transactionTime?: string;
  /** Of a bulk export: only what changed since then was asked for. */
  readonly since?: string;
  /** Of such a one: how many resources the server said were deleted. */
  readonly deletions?: number;
  readonly trend?: Trend;
  /** Set where attachments were to be downloaded. */
  readonly attachments?: AttachmentSummary;
  /** The last runs of the job, oldest first, this one at the end. */
  readonly recent?: readonly RecentRun[];
  readonly disk?: DiskOutlook;
  /** Since when the key is in use, and until when its certificate holds. */
  readonly credentials?: { readonly keySinceMs: number; readonly certificateUntilMs: number | undefined };
  /** The audit file's newest line; in what is mailed, that of the run's own end. */
  readonly audit?: AuditHead;
}
