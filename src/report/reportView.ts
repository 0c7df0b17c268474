/** What a report says, decided once; renderText and renderHtml only lay it out. Pure. */
import { byWeight, groupCauses, type CauseGroup } from './causeGroups.ts';
import { factsOf, type Fact } from './facts.ts';
import { byteSize, change, count, countOf, dayOf, oneLine, percentChange } from './format.ts';
import { markText } from './markText.ts';
import { notesOf } from './notes.ts';
import type { RunStatus, RunSummary, TypeSummary } from './summary.ts';
import { verdictOf, type Verdict } from './verdict.ts';

export interface ReportOptions {
  /** IANA name of the job's zone. */
  readonly timezone: string;
  readonly locale: 'en';
}

export interface TypeRow {
  readonly resourceType: string;
  /** In the order of TYPE_COLUMNS, as written. */
  readonly cells: readonly string[];
  readonly hasGap: boolean;
  readonly hasFailed: boolean;
  /** Its number of records is unlike the runs before. */
  readonly isMarked: boolean;
}

/** One run of the strip. */
export interface StripCell {
  readonly status: RunStatus;
  /** `22 Nov 2026: partial, 8,849 records` */
  readonly label: string;
  /** Its records against the most of all in the strip, 0 to 1. */
  readonly height: number;
}

export interface ReportView extends Verdict {
  /** What stands on top, a sentence each. */
  readonly marks: readonly string[];
  /** The last runs, oldest first, this one at the end; empty for a first run. */
  readonly strip: readonly StripCell[];
  readonly facts: readonly Fact[];
  readonly rows: readonly TypeRow[];
  readonly total: TypeRow;
  /** What the column `change` compares with. */
  readonly baseline: string;
  readonly groups: readonly CauseGroup[];
  readonly notes: readonly string[];
  /** What was cut; empty when nothing was. */
  readonly cut: {
    readonly marks: number;
    readonly types: number;
    readonly causes: number;
    readonly notes: number;
  };
  readonly footer: string;
}

/** `change`: against the published run before. `usual`: against the median of the last complete runs. */
export const TYPE_COLUMNS = [
  'records',
  'files',
  'bytes',
  'ok',
  'empty',
  'gap',
  'failed',
  'change',
  'usual',
] as const;

/** How many of each a report lists; what is over is counted in `cut`. */
export interface ReportLimits {
  readonly marks: number;
  readonly types: number;
  readonly causes: number;
  readonly notes: number;
}

export const NO_LIMITS: ReportLimits = {
  marks: Infinity,
  types: Infinity,
  causes: Infinity,
  notes: Infinity,
};

/** Decides what the report of `summary` says. */
export function buildReportView(
  summary: RunSummary,
  options: ReportOptions,
  limits: ReportLimits = NO_LIMITS,
): ReportView {
  const causes = [...summary.causes].sort(byWeight);
  const notes = [...notesOf(summary, options.timezone)];
  const marks = summary.trend?.marks ?? [];
  const marked = new Set(marks.map((mark) => (mark.kind === 'records' ? mark.resourceType : '')));
  const hasPrevious = summary.previousRunId !== undefined;
  const rows = summary.types.map((type) => typeRow(type, hasPrevious, marked.has(type.resourceType)));
  const over = (length: number, most: number) => Math.max(0, length - most);
  return {
    ...verdictOf(summary),
    marks: marks.slice(0, limits.marks).map((mark) => markText(mark, summary, options.timezone)),
    strip: stripOf(summary, options.timezone),
    facts: factsOf(summary, options.timezone),
    rows: rows.slice(0, limits.types),
    total: totalRow(summary, marked.has(undefined)),
    baseline: oneLine(baselineOf(summary)),
    groups: groupCauses(causes.slice(0, limits.causes), causes),
    notes: notes.slice(0, limits.notes).map(oneLine),
    cut: {
      marks: over(marks.length, limits.marks),
      types: over(rows.length, limits.types),
      causes: over(causes.length, limits.causes),
      notes: over(notes.length, limits.notes),
    },
    footer: `fhir-rounds ${summary.programVersion} - run ${summary.runId}. This report holds no patient data: a patient is named by the roster's line.${auditSentence(summary)}`,
  };
}

function baselineOf({ previousRunId, trend }: RunSummary): string {
  if (previousRunId === undefined) return 'Change: this job has no earlier run to compare with.';
  const usual =
    trend === undefined || trend.runs === 0
      ? 'no run was complete before.'
      : `against the ${trend.runs === 1 ? 'last complete run' : `median of the last ${trend.runs} complete runs`}.`;
  return `Change: against run ${previousRunId}. Usual: ${usual}`;
}

/** The strip of the last runs; one run alone is no strip. */
function stripOf({ recent = [] }: RunSummary, timezone: string): readonly StripCell[] {
  if (recent.length < 2) return [];
  const most = Math.max(1, ...recent.map(({ records }) => records));
  return recent.map(({ status, startedAtMs, records }) => ({
    status,
    label: `${dayOf(startedAtMs, timezone)}: ${status}, ${countOf(records, 'record')}`,
    height: records / most,
  }));
}

function typeRow(type: TypeSummary, hasPrevious: boolean, isMarked: boolean): TypeRow {
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
      percentChange(type.records, type.usualRecords),
    ],
    hasGap: gap > 0,
    hasFailed: failed > 0,
    isMarked,
  };
}

function totalRow(summary: RunSummary, isMarked: boolean): TypeRow {
  const known = summary.types.filter((type) => type.previousRecords !== undefined);
  const before = known.reduce((sum, type) => sum + (type.previousRecords ?? 0), 0);
  return typeRow(
    {
      resourceType: 'Total',
      records: summary.records,
      files: summary.files + (summary.attachments?.files ?? 0),
      bytes: summary.bytes + (summary.attachments?.bytes ?? 0),
      searches: summary.searches,
      previousRecords: known.length === 0 ? undefined : before,
      usualRecords: summary.trend?.usualRecords,
    },
    summary.previousRunId !== undefined,
    isMarked,
  );
}

function auditSentence({ audit }: RunSummary): string {
  return audit === undefined ? '' : ` Audit line ${audit.seq}: sha256 ${audit.sha256}`;
}
