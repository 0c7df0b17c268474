import { byteSize, count, countOf, dayOf, daysUntil, oneLine } from './format.ts';
import type { GapsMark, Mark, RecordsMark, RunSummary, TermMark } from './summary.ts';

/** A mark as the sentence that stands on top of the report. Pure. */
export function markText(mark: Mark, summary: RunSummary, timezone: string): string {
  switch (mark.kind) {
    case 'records':
      return oneLine(recordsText(mark));
    case 'gaps':
      return oneLine(gapsText(mark));
    case 'certificate':
      return termText(mark, summary.finishedAtMs, timezone);
    case 'disk':
      return diskText(summary);
  }
}

function recordsText({ change, resourceType, now, before, runs }: RecordsMark): string {
  const what = resourceType ?? 'All types together';
  const usual = beforeText(before, runs);
  switch (change) {
    case 'vanished':
      return `${what}: no records at all; ${usual}.`;
    case 'fell':
      return `${what}: fell by ${Math.round(100 * (1 - now / before))} % to ${countOf(now, 'record')}; ${usual}.`;
    case 'grew':
      return `${what}: grew to ${(now / before).toFixed(1)} times the usual, ${countOf(now, 'record')}; ${usual}.`;
    case 'new':
      return `${what}: new, with ${countOf(now, 'record')}; no run before had any.`;
    case 'gone':
      return `${what}: not pulled any more; ${usual}.`;
  }
}

function beforeText(before: number, runs: number): string {
  if (runs === 0) return `the run before had ${count(before)}`;
  if (runs === 1) return `the last complete run had ${count(before)}`;
  return `usual are ${count(before)} (median of ${runs} complete runs)`;
}

/** `FHIR_ACCESS_DENIED (Epic 4134, HTTP 403)` */
export function causeTitle({
  code,
  epicCode,
  httpStatus,
}: Pick<GapsMark, 'code' | 'epicCode' | 'httpStatus'>): string {
  const origins = [
    ...(epicCode === undefined ? [] : [`Epic ${epicCode}`]),
    ...(httpStatus === undefined ? [] : [`HTTP ${httpStatus}`]),
  ];
  return oneLine(code + (origins.length === 0 ? '' : ` (${origins.join(', ')})`));
}

const TYPES_SHOWN = 4;

function gapsText(mark: GapsMark): string {
  const { change, resourceTypes, searches, before } = mark;
  const more = resourceTypes.length - TYPES_SHOWN;
  const types =
    resourceTypes.slice(0, TYPES_SHOWN).join(', ') + (more > 0 ? ` and ${countOf(more, 'more type')}` : '');
  const what = `${countOf(searches, 'search', 'searches')} of ${types} ended with ${causeTitle(mark)}`;
  return change === 'new'
    ? `New gaps: ${what}; the runs before had none of these.`
    : `More gaps: ${what}; the runs before had ${count(before)} at most.`;
}

function termText({ untilMs }: TermMark, nowMs: number, timezone: string): string {
  const left = daysUntil(untilMs, nowMs);
  const day = dayOf(untilMs, timezone);
  const then = 'Make a new one (fhir-rounds keys certificate) and register it at Epic.';
  if (left <= 0) return `The certificate ended on ${day}: tokens may be refused. ${then}`;
  return `The certificate ends in ${countOf(left, 'day')}, on ${day}. ${then}`;
}

function diskText({ disk }: RunSummary): string {
  if (disk?.daysLeft === undefined) return 'The disk of the exports is filling up.';
  const days = disk.daysLeft < 1 ? 'less than a day' : `about ${countOf(Math.floor(disk.daysLeft), 'day')}`;
  return `The disk of the exports is full in ${days}: ${byteSize(disk.freeBytes)} are free, and a run takes ${byteSize(disk.runBytes)}.`;
}
