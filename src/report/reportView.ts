/** What a report says, decided once; renderText and renderHtml only lay it out. Pure. */
import { age, byteSize, change, count, countOf, duration, instant, oneLine, rosterLines } from './format.ts';
import type { CauseSummary, RunSummary, TypeSummary } from './summary.ts';
import { verdictOf, type Verdict } from './verdict.ts';

export interface ReportOptions {
  /** IANA name of the job's zone. */
  readonly timezone: string;
  readonly locale: 'en';
}

export interface TypeRow {
  readonly resourceType: string;
  /** records, files, bytes, ok, empty, gap, failed, change: as written */
  readonly cells: readonly string[];
  readonly hasGap: boolean;
  readonly hasFailed: boolean;
}

interface CauseRow {
  readonly searches: string;
  readonly resourceType: string;
  readonly lines: string;
}

/** All of one code (and Epic code and HTTP status), by type. */
export interface CauseGroup {
  readonly outcome: 'gap' | 'failed';
  /** `FHIR_ACCESS_DENIED (Epic 4134, HTTP 403)` */
  readonly title: string;
  readonly searches: number;
  readonly hint: string;
  readonly rows: readonly CauseRow[];
}

export interface ReportView extends Verdict {
  readonly facts: readonly (readonly [label: string, value: string])[];
  readonly rows: readonly TypeRow[];
  readonly total: TypeRow;
  /** What the column `change` compares with. */
  readonly baseline: string;
  readonly groups: readonly CauseGroup[];
  readonly notes: readonly string[];
  /** What was cut; empty when nothing was. */
  readonly cut: { readonly types: number; readonly causes: number; readonly notes: number };
  readonly footer: string;
}

export const TYPE_COLUMNS = ['records', 'files', 'bytes', 'ok', 'empty', 'gap', 'failed', 'change'] as const;

/** How many of each a report lists; what is over is counted in `cut`. */
export interface ReportLimits {
  readonly types: number;
  readonly causes: number;
  readonly notes: number;
}

export const NO_LIMITS: ReportLimits = { types: Infinity, causes: Infinity, notes: Infinity };

/** Decides what the report of `summary` says. */
export function buildReportView(
  summary: RunSummary,
  options: ReportOptions,
  limits: ReportLimits = NO_LIMITS,
): ReportView {
  const causes = [...summary.causes].sort(byWeight);
  const notes = [...notesOf(summary)];
  const rows = summary.types.map((type) => typeRow(type, summary.previousRunId !== undefined));
  const over = (length: number, most: number) => Math.max(0, length - most);
  return {
    ...verdictOf(summary),
    facts: factsOf(summary, options.timezone),
    rows: rows.slice(0, limits.types),
    total: totalRow(summary),
    baseline:
      summary.previousRunId === undefined
        ? 'Change: this job has no earlier run to compare with.'
        : oneLine(`Change: against run ${summary.previousRunId}.`),
    groups: groupCauses(causes.slice(0, limits.causes), causes),
    notes: notes.slice(0, limits.notes).map(oneLine),
    cut: {
      types: over(rows.length, limits.types),
      causes: over(causes.length, limits.causes),
      notes: over(notes.length, limits.notes),
    },
    footer: `fhir-rounds ${summary.programVersion} - run ${summary.runId}. This report holds no patient data: a patient is named by the roster's line.${auditSentence(summary)}`,
  };
}

function factsOf(summary: RunSummary, timezone: string): ReportView['facts'] {
  const { environment, current } = summary;
  const facts: [string, string][] = [
    ['Started', instant(summary.startedAtMs, timezone)],
    [
      'Duration',
      duration(summary.durationMs) +
        (summary.resumed > 0 ? `, picked up again ${times(summary.resumed)}` : ''),
    ],
    ['Server', summary.server + (environment === undefined ? '' : ` (${environment})`)],
    ['Job', `${summary.jobName}, by ${summary.method === 'bulk' ? 'bulk export' : 'searches'}`],
    // A bulk export of a group does not say how many patients it has before it is counted.
    ...(summary.patients > 0 || summary.method === 'crawl'
      ? [['Patients', count(summary.patients)] satisfies [string, string]]
      : []),
    [
      'Requests',
      `${count(summary.http.requests)}, ${count(summary.http.retries)} retried` +
        (summary.http.waitedMs >= 1000 ? `, ${duration(summary.http.waitedMs)} waited for the server` : ''),
    ],
    ['Folder', summary.folder ?? 'none: nothing was published'],
  ];
  if (current !== undefined) {
    facts.push(['Current', `${current.runId}, ${age(current.ageMs)} old: it did not move`]);
  } else if (summary.status !== 'complete') {
    facts.push(['Current', 'none: no run of this job has been complete yet']);
  }
  const next = summary.nextRunAtMs;
  facts.push(['Next run', next === undefined ? 'none planned' : instant(next, timezone)]);
  return facts.map(([label, value]) => [label, oneLine(value)]);
}

function typeRow(type: TypeSummary, hasPrevious: boolean): TypeRow {
  const { planned, ok, empty, gap, failed } = type.searches;
  // Provenance at Epic comes along with other types' searches and has none of its own.
  const searches = [ok, empty, gap, failed].map((number) => (planned > 0 ? count(number) : '-'));
  return {
    resourceType: oneLine(type.resourceType),
    cells: [
      count(type.records),
      count(type.files),
      byteSize(type.bytes),
      ...searches,
      change(type.records, type.previousRecords, hasPrevious),
    ],
    hasGap: gap > 0,
    hasFailed: failed > 0,
  };
}

function totalRow(summary: RunSummary): TypeRow {
  const known = summary.types.filter((type) => type.previousRecords !== undefined);
  const before = known.reduce((sum, type) => sum + (type.previousRecords ?? 0), 0);
  return typeRow(
    {
      resourceType: 'Total',
      records: summary.records,
      files: summary.files,
      bytes: summary.bytes,
      searches: summary.searches,
      previousRecords: known.length === 0 ? undefined : before,
    },
    summary.previousRunId !== undefined,
  );
}

/** Failures before gaps, then the more frequent first. */
function byWeight(a: CauseSummary, b: CauseSummary): number {
  if (a.outcome !== b.outcome) return a.outcome === 'failed' ? -1 : 1;
  return b.searches - a.searches;
}

function causeKey(cause: CauseSummary): string {
  return [cause.outcome, cause.code, cause.epicCode ?? '', cause.httpStatus ?? ''].join('|');
}

/** Groups what is shown; a group's count is over all its causes, also those that were cut. */
function groupCauses(shown: readonly CauseSummary[], all: readonly CauseSummary[]): CauseGroup[] {
  const groups = new Map<string, CauseSummary[]>();
  for (const cause of shown) {
    const key = causeKey(cause);
    groups.set(key, [...(groups.get(key) ?? []), cause]);
  }
  return [...groups].map(([key, causes]) => {
    const first = causes[0]!;
    const origins = [
      ...(first.epicCode === undefined ? [] : [`Epic ${first.epicCode}`]),
      ...(first.httpStatus === undefined ? [] : [`HTTP ${first.httpStatus}`]),
    ];
    return {
      outcome: first.outcome,
      title: oneLine(first.code + (origins.length === 0 ? '' : ` (${origins.join(', ')})`)),
      searches: all.filter((c) => causeKey(c) === key).reduce((sum, c) => sum + c.searches, 0),
      hint: oneLine(first.hint),
      rows: causes.map((cause) => ({
        searches: count(cause.searches),
        resourceType: oneLine(cause.resourceType),
        lines: rosterLines(cause.rosterLines, cause.searches),
      })),
    };
  });
}

function* notesOf(summary: RunSummary): Generator<string> {
  yield* summary.notes;
  const { same, differing } = summary.duplicates;
  if (same + differing > 0) {
    const differ =
      differing === 0
        ? 'all were alike'
        : `${count(differing)} differed from the first copy, which is the one that stays`;
    yield `The server sent ${countOf(same + differing, 'resource')} more than once; each was written once (${differ}).`;
  }
  for (const { rosterLine, sameAsLine } of summary.merged) {
    yield sameAsLine === undefined
      ? `roster:${rosterLine} is a merged patient: the server answers with another id.`
      : `roster:${rosterLine} and roster:${sameAsLine} are one patient (a merged record, or an MRN beside its id), pulled once.`;
  }
}

function auditSentence({ audit }: RunSummary): string {
  return audit === undefined ? '' : ` Audit line ${audit.seq}: sha256 ${audit.sha256}`;
}

function times(n: number): string {
  return n === 1 ? 'once' : `${count(n)} times`;
}
