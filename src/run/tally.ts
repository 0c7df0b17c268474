import type { ErrorCode } from '../errors.ts';
import type { SearchCounts } from '../report/summary.ts';
import type { BulkStep } from './exportTally.ts';

/**
 * A run's state as the sum of its commits.
 *
 * The ledger keeps a run as an append-only list of commits (one per group); everything that is known of a run
 * (which searches are done, where each file ends, counts by type, causes) is this reducer over that list. A live
 * run and a replay after a crash go through the same code, so they cannot disagree.
 */

export const OUTCOMES = ['ok', 'empty', 'gap', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Why a search ended as gap or failed (or empty, for a patient merged into another of the roster). */
export interface Cause {
  readonly code: ErrorCode;
  readonly epicCode?: string;
  readonly httpStatus?: number;
  /** Line of the roster; absent for units without a patient. */
  readonly rosterLine?: number;
  /** For a merged patient: the line that the same patient stands in too. */
  readonly sameAsLine?: number;
  /** Of a bulk export: the file that did not come, by its name in the folder. */
  readonly file?: string;
  /** What the server said, in words that are safe to show (fhir/safeText.ts). */
  readonly said?: string;
}

/** A search as committed: [searchNo, outcome index, cause?]. Short, since there are millions. */
export type CommittedSearch = readonly [searchNo: number, outcome: number, cause?: Cause];

/** A reference unit or an attachment as committed: [typeNo, outcome index, cause?]; its id stands in the shared table. */
export type CommittedReference = readonly [typeNo: number, outcome: number, cause?: Cause];

/** Where a file ends after a commit. */
export interface CommittedFile {
  readonly resourceType: string;
  /** 1 for the first part. */
  readonly part: number;
  readonly bytes: number;
  readonly count: number;
}

export interface Commit {
  readonly files: readonly CommittedFile[];
  readonly searches: readonly CommittedSearch[];
  readonly references: readonly CommittedReference[];
  /** Newly wanted references and attachments by typeNo: [typeNo, how many]. */
  readonly wanted: readonly (readonly [typeNo: number, count: number])[];
  /** Copies of a type/id that were not written again: [same bytes, differing bytes]. */
  readonly duplicates: readonly [same: number, differing: number];
  /** Warnings the server gave, by Epic code. */
  readonly warnings: Readonly<Record<string, number>>;
  /** Cost since the commit before. */
  readonly http: HttpCost;
  /** Time that searches and fetches took since the commit before, waiting included: [typeNo, ms]. */
  readonly worked?: readonly (readonly [typeNo: number, ms: number])[];
  /** Rows of the shared table after this commit: a lost row shows. */
  readonly sharedRows: number;
  /** What became of a bulk export and its files (exportTally.ts). */
  readonly bulk?: readonly BulkStep[];
  /** Set on a commit that begins another pass: what had failed so far counts as not done again. */
  readonly retry?: true;
}

/** What the server took. The keys that may be left out are 0 then, as in commits of earlier versions. */
export interface HttpCost {
  readonly requests: number;
  readonly retries: number;
  /** Time that requests were held back, all workers together, in ms. */
  readonly waitedMs: number;
  /** How often the server asked for a pause, and how long it lasted on the wall's clock. */
  readonly pauses?: number;
  readonly pausedMs?: number;
  /** How often the server was away, and how long. */
  readonly outages?: number;
  readonly awayMs?: number;
}

const NO_COST = { requests: 0, retries: 0, waitedMs: 0, pauses: 0, pausedMs: 0, outages: 0, awayMs: 0 };

/** Every key of a cost, those that may be left out as 0. */
export function wholeCost(cost: HttpCost): Required<HttpCost> {
  return { ...NO_COST, ...cost };
}

export function emptyCommit(sharedRows: number): Commit {
  return {
    files: [],
    searches: [],
    references: [],
    wanted: [],
    duplicates: [0, 0],
    warnings: {},
    http: { requests: 0, retries: 0, waitedMs: 0 },
    sharedRows,
  };
}

export interface CauseTally {
  readonly outcome: Outcome;
  readonly typeNo: number;
  readonly cause: Omit<Cause, 'rosterLine' | 'sameAsLine' | 'file'>;
  searches: number;
  readonly rosterLines: number[];
  readonly files: string[];
}

const NOT_DONE = 0;
const FAILED = OUTCOMES.indexOf('failed');
const KEPT_LINES = 10;

/** Mutable sum of commits; made by `replay`, kept up by the run that goes on. */
export class RunTally {
  readonly files = new Map<string, CommittedFile>();
  readonly warnings = new Map<string, number>();
  readonly #outcomes: Uint8Array;
  readonly #typeCount: number;
  readonly #byType: { planned: number; counts: number[] }[];
  readonly #causes = new Map<string, CauseTally>();
  duplicates = { same: 0, differing: 0 };
  http = { ...NO_COST };
  sharedRows = 0;
  readonly #workedMs: number[];

  /**
   * @param patients rows of the roster's snapshot
   * @param searchTypes types with one search a patient; searchNo = patientNo x searchTypes + typeNo
   * @param unitTypes types without searches (by reference, attachments); their typeNos follow
   */
  constructor(patients: number, searchTypes: number, unitTypes: number) {
    this.#typeCount = searchTypes;
    this.#outcomes = new Uint8Array(patients * searchTypes);
    this.#workedMs = Array.from({ length: searchTypes + unitTypes }, () => 0);
    this.#byType = Array.from({ length: searchTypes + unitTypes }, (_, typeNo) => ({
      planned: typeNo < searchTypes ? patients : 0,
      counts: OUTCOMES.map(() => 0),
    }));
  }

  apply(commit: Commit): void {
    if (commit.retry) this.#forgetFailed();
    for (const file of commit.files) this.files.set(`${file.resourceType} ${file.part}`, file);
    for (const [searchNo, outcome, cause] of commit.searches) this.#applySearch(searchNo, outcome, cause);
    for (const [typeNo, outcome, cause] of commit.references) {
      this.#count(typeNo, outcome, 1);
      if (cause) this.#addCause(typeNo, outcome, cause);
    }
    for (const [typeNo, count] of commit.wanted) this.#type(typeNo).planned += count;
    this.duplicates.same += commit.duplicates[0];
    this.duplicates.differing += commit.duplicates[1];
    for (const [code, count] of Object.entries(commit.warnings)) {
      this.warnings.set(code, (this.warnings.get(code) ?? 0) + count);
    }
    const cost = wholeCost(commit.http);
    for (const key of Object.keys(NO_COST) as (keyof HttpCost)[]) this.http[key] += cost[key];
    for (const [typeNo, ms] of commit.worked ?? []) this.#workedMs[typeNo] = this.workedMsOf(typeNo) + ms;
    this.sharedRows = commit.sharedRows;
  }

  #applySearch(searchNo: number, outcome: number, cause: Cause | undefined): void {
    const before = this.#outcomes[searchNo];
    if (before === undefined) throw new RangeError(`search ${searchNo} is not of this run`);
    if (before !== NOT_DONE) throw new RangeError(`search ${searchNo} was committed twice`);
    const typeNo = this.typeNoOf(searchNo);
    this.#outcomes[searchNo] = outcome + 1;
    this.#count(typeNo, outcome, 1);
    if (cause) this.#addCause(typeNo, outcome, cause);
  }

  #forgetFailed(): void {
    for (let searchNo = 0; searchNo < this.#outcomes.length; searchNo++) {
      if (this.#outcomes[searchNo] === FAILED + 1) this.#outcomes[searchNo] = NOT_DONE;
    }
    for (const type of this.#byType) type.counts[FAILED] = 0;
    for (const [key, cause] of this.#causes) if (cause.outcome === 'failed') this.#causes.delete(key);
  }

  /** Which type a search is of. */
  typeNoOf(searchNo: number): number {
    return searchNo % this.#typeCount;
  }

  isDone(searchNo: number): boolean {
    return this.#outcomes[searchNo] !== NOT_DONE;
  }

  outcomeOf(searchNo: number): Outcome | undefined {
    const stored = this.#outcomes[searchNo];
    return stored === undefined || stored === NOT_DONE ? undefined : OUTCOMES[stored - 1];
  }

  countsOf(typeNo: number): SearchCounts {
    const { planned, counts } = this.#type(typeNo);
    return { planned, ok: counts[0]!, empty: counts[1]!, gap: counts[2]!, failed: counts[3]! };
  }

  /** How long the searches of a type took, all workers together, waiting included. */
  workedMsOf(typeNo: number): number {
    const ms = this.#workedMs[typeNo];
    if (ms === undefined) throw new RangeError(`type ${typeNo} is not of this run`);
    return ms;
  }

  get totals(): SearchCounts {
    return addCounts(this.#byType.map((_, typeNo) => this.countsOf(typeNo)));
  }

  get causes(): readonly CauseTally[] {
    return [...this.#causes.values()];
  }

  #type(typeNo: number): { planned: number; counts: number[] } {
    const type = this.#byType[typeNo];
    if (type === undefined) throw new RangeError(`type ${typeNo} is not of this run`);
    return type;
  }

  #count(typeNo: number, outcome: number, by: number): void {
    const { counts } = this.#type(typeNo);
    if (counts[outcome] === undefined) throw new RangeError(`there is no outcome ${outcome}`);
    counts[outcome] += by;
  }

  #addCause(
    typeNo: number,
    outcome: number,
    { rosterLine, sameAsLine: _sameAsLine, file, ...cause }: Cause,
  ): void {
    const key = [outcome, typeNo, cause.code, cause.epicCode, cause.httpStatus, cause.said].join(' ');
    let tally = this.#causes.get(key);
    if (tally === undefined) {
      tally = { outcome: OUTCOMES[outcome]!, typeNo, cause, searches: 0, rosterLines: [], files: [] };
      this.#causes.set(key, tally);
    }
    tally.searches++;
    if (rosterLine !== undefined && tally.rosterLines.length < KEPT_LINES) tally.rosterLines.push(rosterLine);
    if (file !== undefined && tally.files.length < KEPT_LINES) tally.files.push(file);
  }
}

export function addCounts(all: readonly SearchCounts[]): SearchCounts {
  const sum = { planned: 0, ok: 0, empty: 0, gap: 0, failed: 0 };
  for (const counts of all) {
    for (const key of Object.keys(sum) as (keyof SearchCounts)[]) sum[key] += counts[key];
  }
  return sum;
}
