import {
  age,
  byteSize,
  count,
  countOf,
  dayOf,
  daysUntil,
  duration,
  instant,
  oneLine,
  percentChange,
} from './format.ts';
import type { RunSummary, TypeSummary } from './summary.ts';

/** The report's list of what, when, where and how long: label and value, as written. Pure. */
export type Fact = readonly [label: string, value: string];

export function factsOf(summary: RunSummary, timezone: string): readonly Fact[] {
  const { environment, resumed, folder, nextRunAtMs: next } = summary;
  const facts: readonly (Fact | undefined)[] = [
    ['Started', instant(summary.startedAtMs, timezone)],
    ['Duration', duration(summary.durationMs) + (resumed > 0 ? `, picked up again ${times(resumed)}` : '')],
    ['Server', summary.server + (environment === undefined ? '' : ` (${environment})`)],
    ['Job', `${summary.jobName}, by ${summary.method === 'bulk' ? 'bulk export' : 'searches'}`],
    // A bulk export of a group does not say how many patients it has before it is counted.
    summary.patients > 0 || summary.method === 'crawl' ? ['Patients', count(summary.patients)] : undefined,
    folder === undefined ? undefined : ['Records', recordsText(summary)],
    exportFact(summary, timezone),
    attachmentFact(summary),
    ['Requests', requestsText(summary)],
    slowestFact(summary.types),
    ['Folder', folder ?? 'none: nothing was published'],
    currentFact(summary),
    ['Next run', next === undefined ? 'none planned' : instant(next, timezone)],
    diskFact(summary),
    keyFact(summary, timezone),
  ];
  return facts.filter((fact) => fact !== undefined).map(([label, value]): Fact => [label, oneLine(value)]);
}

/** How new a bulk export is, and what it is the difference to. */
function exportFact(
  { transactionTime, since, deletions = 0 }: RunSummary,
  timezone: string,
): Fact | undefined {
  if (transactionTime === undefined) return undefined;
  const asOf = `as of ${instant(Date.parse(transactionTime), timezone)}`;
  if (since === undefined) return ['Export', asOf];
  return [
    'Export',
    `${asOf}; changes since ${instant(Date.parse(since), timezone)}, ${countOf(deletions, 'deletion')}`,
  ];
}

function recordsText({ records, bytes, files, types, previousRunId, trend }: RunSummary): string {
  const size = `${count(records)} in ${countOf(files, 'file')} (${byteSize(bytes)})`;
  const known = types.filter((type) => type.previousRecords !== undefined);
  const before = known.reduce((sum, type) => sum + (type.previousRecords ?? 0), 0);
  const references = [
    ...(previousRunId !== undefined && known.length > 0 ? [['the run before', before] as const] : []),
    ...(trend?.usualRecords !== undefined && trend.runs > 1
      ? [[`the median of ${trend.runs} complete runs`, trend.usualRecords] as const]
      : []),
  ];
  const changes = new Map<string, string[]>();
  for (const [what, then] of references) {
    const change = against(records, then);
    changes.set(change, [...(changes.get(change) ?? []), what]);
  }
  return [size, ...[...changes].map(([change, what]) => `${change} ${what.join(' and ')}`)].join('; ');
}

function attachmentFact({ attachments, folder }: RunSummary): Fact | undefined {
  if (attachments === undefined || folder === undefined) return undefined;
  const { files, bytes, otherType, tooLarge } = attachments;
  const passedOver = [
    ...(otherType > 0 ? [`${count(otherType)} by type`] : []),
    ...(tooLarge > 0 ? [`${count(tooLarge)} by size`] : []),
  ];
  const rest = passedOver.length > 0 ? `; passed over ${passedOver.join(', ')}` : '';
  return ['Attachments', `${countOf(files, 'file')} (${byteSize(bytes)})${rest}`];
}

function against(now: number, before: number): string {
  if (now === before) return 'as many as';
  const change = percentChange(now, before);
  return change === '=' ? 'about as many as' : `${change.replace('%', ' %')} against`;
}

function requestsText({ http }: RunSummary): string {
  const { requests, retries, waitedMs, pauses = 0, pausedMs = 0, outages = 0, awayMs = 0 } = http;
  return [
    `${count(requests)}, ${count(retries)} retried`,
    ...(pauses > 0
      ? [`the server asked for ${countOf(pauses, 'pause')} (${duration(pausedMs)} in all)`]
      : []),
    ...(outages > 0 ? [`it was away ${times(outages)} (${duration(awayMs)} in all)`] : []),
    ...(waitedMs >= 1000 ? [`requests waited ${duration(waitedMs)}, all workers together`] : []),
  ].join('; ');
}

const SLOWEST_SHOWN = 3;

/** Where the time went, by share: what to look at when a run is to be shorter. */
function slowestFact(types: readonly TypeSummary[]): Fact | undefined {
  const total = types.reduce((sum, { workedMs = 0 }) => sum + workedMs, 0);
  if (total <= 0) return undefined;
  const slowest = types
    .filter(({ workedMs = 0 }) => workedMs > 0)
    .toSorted((a, b) => b.workedMs! - a.workedMs!)
    .slice(0, SLOWEST_SHOWN)
    .map(({ resourceType, workedMs = 0, searches }) => {
      const each = searches.planned > 0 ? `, ${duration(workedMs / searches.planned)} each` : '';
      return `${resourceType} ${Math.round((100 * workedMs) / total)} % of the time${each}`;
    });
  return ['Slowest', slowest.join('; ')];
}

function currentFact({ current, status }: RunSummary): Fact | undefined {
  if (current !== undefined) {
    return ['Current', `${current.runId}, ${age(current.ageMs)} old: it did not move`];
  }
  return status === 'complete' ? undefined : ['Current', 'none: no run of this job has been complete yet'];
}

function diskFact({ disk }: RunSummary): Fact | undefined {
  if (disk === undefined) return undefined;
  const { freeBytes, runBytes, runsKept, daysLeft } = disk;
  const free = `${byteSize(freeBytes)} free; a run takes ${byteSize(runBytes)}`;
  if (daysLeft === undefined) {
    return ['Disk', `${free}: room for the ${countOf(runsKept, 'run')} that retention keeps`];
  }
  const days = daysLeft < 1 ? 'less than a day' : countOf(Math.floor(daysLeft), 'day');
  return ['Disk', `${free}: ${days} left, since retention keeps ${countOf(runsKept, 'run')}`];
}

function keyFact({ credentials, finishedAtMs }: RunSummary, timezone: string): Fact | undefined {
  if (credentials === undefined) return undefined;
  const { keySinceMs, certificateUntilMs: until } = credentials;
  const key = `${age(Math.max(0, finishedAtMs - keySinceMs))} old`;
  if (until === undefined) return ['Key', key];
  const left = daysUntil(until, finishedAtMs);
  const term = left <= 0 ? 'its certificate has ended' : `its certificate ends in ${countOf(left, 'day')}`;
  return ['Key', `${key}; ${term} (${dayOf(until, timezone)})`];
}

function times(n: number): string {
  return n === 1 ? 'once' : `${count(n)} times`;
}
