import { ERROR_CODES, type ErrorCode } from '../errors.ts';
import type { FinishedPart } from '../ndjson/writer.ts';
import type { KeptAttachments } from '../pull/attachmentFiles.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import { ATTACHMENT, typeName, typeNames, type PullPlan } from '../run/plan.ts';
import type { RunTally } from '../run/tally.ts';
import { DISK_WARN_DAYS, diskOutlook, termMark, type DiskFacts } from './outlook.ts';
import type {
  CauseSummary,
  DiskOutlook,
  Mark,
  MergedPatient,
  RecentRun,
  RunStatus,
  RunSummary,
  SearchCounts,
  TypeSummary,
} from './summary.ts';
import { trendOf, usualRecordsOf } from './trend.ts';

const NO_SEARCHES: SearchCounts = { planned: 0, ok: 0, empty: 0, gap: 0, failed: 0 };

/** What is known of a run beside its commits. */
export interface RunFacts {
  readonly programVersion: string;
  readonly run: RunRow;
  readonly status: RunStatus;
  readonly failure: RunSummary['failure'];
  readonly finishedAtMs: number;
  readonly durationMs: number;
  readonly method: 'crawl' | 'bulk';
  readonly server: string;
  readonly environment: string | undefined;
  readonly patients: number;
  readonly notes: readonly string[];
  readonly folder: string | undefined;
  readonly current: RunSummary['current'];
  readonly nextRunAtMs: number | undefined;
  /** The closed runs of this job before this one, newest first, at least as many as a trend needs. */
  readonly history: readonly RunSummary[];
  /** Failed searches of the run that this one asks again for. */
  readonly retryOf: RunSummary['retryOf'];
  readonly missedSlots: RunSummary['missedSlots'];
  /** undefined: not known, as on a file system that does not tell. */
  readonly disk: DiskFacts | undefined;
  readonly credentials: RunSummary['credentials'];
}

/** The searches of a run as tallied; undefined for one that failed before it had a plan. */
export interface Pulled {
  readonly plan: PullPlan;
  readonly tally: RunTally;
  readonly parts: readonly FinishedPart[];
  readonly merged: readonly MergedPatient[];
  readonly attachments: KeptAttachments | undefined;
  readonly exports?: ExportFacts | undefined;
}

/** What a bulk run tells beside its files. */
export interface ExportFacts {
  readonly transactionTime: string | undefined;
  readonly since: string | undefined;
  readonly deletions: number;
  readonly notes: readonly string[];
}

/** Pure: ledger facts in, summary out. */
export function summarise(facts: RunFacts, pulled: Pulled | undefined): RunSummary {
  const own = ownSummary(facts, pulled);
  const { history, disk, credentials } = facts;
  const before = history[0] && { runId: history[0].runId, status: history[0].status };
  const trend = trendOf(own, alike(own, history));
  const outlook = disk && diskOutlook(disk, [own, ...history].filter(isPublished).map(wholeSize));
  return {
    ...own,
    ...(own.status === 'complete' && before && before.status !== 'complete' ? { recovered: before } : {}),
    ...(before?.status === 'abandoned' ? { abandoned: before } : {}),
    ...(facts.retryOf === undefined ? {} : { retryOf: facts.retryOf }),
    ...(facts.missedSlots === undefined ? {} : { missedSlots: facts.missedSlots }),
    trend: { ...trend, marks: [...trend.marks, ...upcoming(own, outlook, credentials, history[0])] },
    recent: [own, ...history].slice(0, STRIP_RUNS).toReversed().map(recentRun),
    ...(outlook === undefined ? {} : { disk: outlook }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

const STRIP_RUNS = 14;

function wholeSize({ startedAtMs, bytes, attachments }: RunSummary): { startedAtMs: number; bytes: number } {
  return { startedAtMs, bytes: bytes + (attachments?.bytes ?? 0) };
}

function recentRun({ runId, status, startedAtMs, records }: RunSummary): RecentRun {
  return { runId, status, startedAtMs, records };
}

function isPublished({ status }: RunSummary): boolean {
  return status === 'complete' || status === 'partial';
}

/** What a person has to see to before it stops the runs. */
function upcoming(
  { finishedAtMs }: RunSummary,
  disk: DiskOutlook | undefined,
  credentials: RunSummary['credentials'],
  before: RunSummary | undefined,
): readonly Mark[] {
  const untilMs = credentials?.certificateUntilMs;
  const term = untilMs === undefined ? undefined : termMark(untilMs, finishedAtMs, before?.finishedAtMs);
  const isFull = disk?.daysLeft !== undefined && disk.daysLeft < DISK_WARN_DAYS;
  return [...(term ? [term] : []), ...(isFull ? [{ kind: 'disk' } as const] : [])];
}

/** The run by itself, as every ledger has it. */
function ownSummary(facts: RunFacts, pulled: Pulled | undefined): RunSummary {
  const parts = pulled?.parts ?? [];
  const attachments = pulled && attachmentSummary(pulled);
  return {
    formatVersion: 1,
    programVersion: facts.programVersion,
    jobName: facts.run.jobName,
    runId: facts.run.runId,
    status: facts.status,
    failure: facts.failure,
    startedAtMs: facts.run.startedAtMs,
    finishedAtMs: facts.finishedAtMs,
    durationMs: Math.round(facts.durationMs),
    resumed: facts.run.resumed,
    method: facts.method,
    server: facts.server,
    environment: facts.environment,
    patients: patientsOf(facts, parts),
    records: sum(parts, 'count'),
    files: parts.length,
    bytes: sum(parts, 'bytes'),
    searches: pulled?.tally.totals ?? NO_SEARCHES,
    types: pulled ? typeSummaries(pulled, alike(exportSummary(pulled.exports), facts.history)) : [],
    causes: pulled ? causeSummaries(pulled) : [],
    merged: pulled?.merged ?? [],
    duplicates: pulled?.tally.duplicates ?? { same: 0, differing: 0 },
    notes: [
      ...facts.notes,
      ...(pulled?.exports?.notes ?? []),
      ...(pulled ? warningNotes(pulled.tally, facts.method) : []),
    ],
    http: pulled?.tally.http ?? { requests: 0, retries: 0, waitedMs: 0 },
    previousRunId: facts.history.find(isPublished)?.runId,
    folder: facts.folder,
    current: facts.current,
    nextRunAtMs: facts.nextRunAtMs,
    ...exportSummary(pulled?.exports),
    ...(attachments === undefined ? {} : { attachments }),
  };
}

function attachmentSummary({ plan, tally, attachments }: Pulled): RunSummary['attachments'] {
  if (plan.attachments === undefined) return undefined;
  const passedOver = (code: ErrorCode): number =>
    tally.causes.find(({ outcome, cause }) => outcome === 'empty' && cause.code === code)?.searches ?? 0;
  return {
    files: attachments?.files ?? 0,
    bytes: attachments?.bytes ?? 0,
    otherType: passedOver('ATTACHMENT_TYPE'),
    tooLarge: passedOver('ATTACHMENT_TOO_LARGE'),
  };
}

/** The runs that a run can be compared with: what changed since a day is no measure of anything, nor is it measured. */
function alike(run: Pick<RunSummary, 'since'>, history: readonly RunSummary[]): readonly RunSummary[] {
  return run.since === undefined ? history.filter(({ since }) => since === undefined) : [];
}

function exportSummary(
  exports: ExportFacts | undefined,
): Pick<RunSummary, 'transactionTime' | 'since' | 'deletions'> {
  const { transactionTime, since, deletions } = exports ?? {};
  return {
    ...(transactionTime === undefined ? {} : { transactionTime }),
    ...(since === undefined ? {} : { since, deletions: deletions ?? 0 }),
  };
}

/** Where the server alone knows who they are, those whose own record came. */
function patientsOf({ method, patients }: RunFacts, parts: readonly FinishedPart[]): number {
  if (method === 'crawl' || patients > 0) return patients;
  return sum(
    parts.filter(({ resourceType }) => resourceType === 'Patient'),
    'count',
  );
}

function typeSummaries(
  { plan, tally, parts, attachments }: Pulled,
  history: readonly RunSummary[],
): readonly TypeSummary[] {
  const previous = history.find(isPublished);
  const names = typeNames(plan);
  const listed = [...names, ...plan.carried, ...plan.notOffered];
  const others = parts.map((part) => part.resourceType).filter((type) => !listed.includes(type));
  // Units beside the listed types are worth a row only where there are any.
  const isIdle = (name: string): boolean =>
    (plan.besides ?? []).includes(name) &&
    tally.countsOf(names.indexOf(name)).planned === 0 &&
    parts.every(({ resourceType }) => resourceType !== name);
  const shown = [...new Set([...names, ...plan.carried, ...others])].filter((name) => !isIdle(name));
  return shown.map((resourceType) => {
    const own = parts.filter((part) => part.resourceType === resourceType);
    const typeNo = names.indexOf(resourceType);
    const contents = resourceType === ATTACHMENT ? attachments : undefined;
    return {
      resourceType,
      records: sum(own, 'count'),
      files: contents?.files ?? own.length,
      bytes: contents?.bytes ?? sum(own, 'bytes'),
      searches: typeNo < 0 ? NO_SEARCHES : tally.countsOf(typeNo),
      previousRecords: previous?.types.find((type) => type.resourceType === resourceType)?.records,
      usualRecords: usualRecordsOf(resourceType, history),
      workedMs: typeNo < 0 ? 0 : tally.workedMsOf(typeNo),
    };
  });
}

function causeSummaries({ plan, tally }: Pulled): CauseSummary[] {
  return tally.causes
    .flatMap(({ outcome, typeNo, cause, searches, rosterLines, files }) => {
      if (outcome !== 'gap' && outcome !== 'failed') return [];
      const { failure, hint } = ERROR_CODES[cause.code];
      return {
        outcome,
        code: cause.code,
        failure,
        hint,
        resourceType: typeName(plan, typeNo),
        epicCode: cause.epicCode,
        httpStatus: cause.httpStatus,
        searches,
        rosterLines: rosterLines.toSorted((a, b) => a - b),
        ...(files.length === 0 ? {} : { files }),
        ...(cause.said === undefined ? {} : { said: cause.said }),
      };
    })
    .toSorted((a, b) =>
      a.outcome === b.outcome ? b.searches - a.searches : a.outcome === 'failed' ? -1 : 1,
    );
}

function warningNotes(tally: RunTally, method: RunFacts['method']): string[] {
  const [one, many] = method === 'bulk' ? ['remark', 'remarks'] : ['search', 'searches'];
  return [...tally.warnings].map(([code, searches]) => {
    const meaning = WARNING_MEANINGS[code] ?? 'a remark of the server';
    return `${searches} ${searches === 1 ? one : many}: ${code}, ${meaning}.`;
  });
}

const WARNING_MEANINGS: Readonly<Record<string, string>> = {
  '4119': 'the server says that its answer may be incomplete',
  '4117': 'the server ignored a parameter',
  '4122': 'the server ignored a parameter',
  '59100': 'the server ignored a parameter',
  '59101': 'the server ignored a parameter',
  '59109': 'the server ignored a parameter it does not know',
  'filter-refused': 'the server does not have a category that is asked for by default',
  'include-not-asked-for': 'the server added resources that were not asked for; they were left out',
};

function sum(parts: readonly FinishedPart[], key: 'count' | 'bytes'): number {
  return parts.reduce((total, part) => total + part[key], 0);
}

/** The line of a failure in summary and screen. */
export function failureOf(error: { code: ErrorCode; message: string; hint: string }): RunSummary['failure'] {
  return { code: error.code, message: error.message, hint: error.hint };
}
