import { age, count, countOf, unitsOf } from '../report/format.ts';
import type { SearchCounts } from '../report/summary.ts';
import { doneOf } from '../run/howFar.ts';
import type { ExportRow } from '../run/ledgerExports.ts';
import type { LockHolder, RunRow } from '../run/ledgerRows.ts';

/** A job's verdict: pure, from what the ledger, the locks and the schedule say. */

export type JobVerdict = 'healthy' | 'running' | 'interrupted' | 'late' | 'never run' | 'partial' | 'failed';
export type Verdict = 'healthy' | 'running' | 'late' | 'partial' | 'failed';

export interface JobFacts {
  readonly jobName: string;
  readonly method: 'crawl' | 'bulk';
  readonly nowMs: number;
  /** The newest run. */
  readonly last: RunRow | undefined;
  /** The newest complete one. */
  readonly lastComplete: RunRow | undefined;
  readonly isRunning: boolean;
  /** Who holds the job's lock, while it is held. */
  readonly holder: LockHolder | undefined;
  readonly progress: SearchCounts | undefined;
  /** The bulk export that the open run waits for, at the server or for leave to ask. */
  readonly waitsFor: ExportRow | undefined;
  /** A slot of the schedule that passed and that no run has served, long enough ago to worry. */
  readonly missedSlotMs: number | undefined;
  /** Another job has the FHIR server: this one waits its turn. */
  readonly waitsForServer: boolean;
}

export interface JobHealth {
  readonly verdict: JobVerdict;
  readonly why: string;
  /** What the operator does now; undefined: nothing. */
  readonly next: string | undefined;
}

/** Decides a job's verdict: what runs now comes first, then what is overdue, then how the last run ended. */
export function healthOf(facts: JobFacts): JobHealth {
  const { last, isRunning, missedSlotMs, waitsForServer } = facts;
  if (isRunning) return { verdict: 'running', why: runningWhy(facts), next: undefined };
  const byLast = last === undefined ? neverRun(facts) : healthOfLast(facts, last);
  if (missedSlotMs === undefined || byLast.verdict === 'failed') return byLast;
  const when = `${age(facts.nowMs - missedSlotMs)} ago`;
  if (waitsForServer) {
    return { ...byLast, why: `Its run of ${when} waits for another job on the same server. ${byLast.why}` };
  }
  return {
    verdict: 'late',
    why: `A run was due ${when} and nothing runs. ${byLast.why}`,
    next: 'See whether the daemon lives (`pm2 status`, or whatever keeps it); its log says why nothing began.',
  };
}

function neverRun({ jobName }: JobFacts): JobHealth {
  return {
    verdict: 'never run',
    why: 'No run is recorded.',
    next: `fhir-rounds check, then fhir-rounds run ${jobName}`,
  };
}

function healthOfLast({ jobName, nowMs, lastComplete, waitsFor }: JobFacts, last: RunRow): JobHealth {
  const { runId, summary } = last;
  if (last.state === 'open') {
    return {
      verdict: 'interrupted',
      why: `Run ${runId} stopped half way; the next run goes on with it.${waitsFor === undefined ? '' : ` ${waitWhy(waitsFor, nowMs)}`}`,
      next: `fhir-rounds run ${jobName}, unless the daemon does it`,
    };
  }
  const when = `Run ${runId}, ${ageSince(last, nowMs)} ago`;
  switch (last.status) {
    case 'complete': {
      const gaps = summary?.searches.gap ?? 0;
      const withGaps = gaps === 0 ? '' : `, ${countOf(gaps, 'gap')}`;
      return {
        verdict: 'healthy',
        why: `${when}: ${countOf(summary?.records ?? 0, 'resource')}${withGaps}.`,
        next: undefined,
      };
    }
    case 'partial': {
      const failed = summary?.searches.failed ?? 0;
      const older =
        lastComplete === undefined
          ? 'no run was ever complete'
          : `the last complete run is ${ageSince(lastComplete, nowMs)} old`;
      return failed > 0
        ? {
            verdict: 'partial',
            why: `${when}: ${unitsOf(failed, summary?.method ?? 'crawl')} failed; ${older}.`,
            next: `fhir-rounds run ${jobName} --retry-failed`,
          }
        : {
            verdict: 'partial',
            why: `${when}: a type was refused for every patient; ${older}.`,
            next: `fhir-rounds show ${runId}`,
          };
    }
    case 'abandoned':
      return {
        verdict: 'failed',
        why: `${when}: interrupted, and given up for good.`,
        next: `fhir-rounds run ${jobName}`,
      };
    case 'failed':
    case undefined:
      return {
        verdict: 'failed',
        why: `${when}: ${summary?.failure?.code ?? 'no search came to an end'}. Nothing was published.`,
        next: summary?.failure?.hint ?? `fhir-rounds show ${runId}`,
      };
  }
}

function runningWhy({ nowMs, last, holder, progress, method, waitsFor }: JobFacts): string {
  const runId = last?.state === 'open' ? last.runId : undefined;
  const who =
    holder === undefined
      ? ''
      : `, by \`${holder.command}\` (process ${holder.pid} on ${holder.host}) for ${age(Math.max(0, nowMs - holder.sinceMs))}`;
  const far =
    progress === undefined || progress.planned === 0
      ? ''
      : `: ${count(doneOf(progress))} of ${unitsOf(progress.planned, method)} done`;
  const wait = waitsFor === undefined ? '' : ` ${waitWhy(waitsFor, nowMs)}`;
  return `${runId === undefined ? 'A run begins' : `Run ${runId}`}${who}${far}.${wait}`;
}

/** What a bulk run waits for, and till when. */
function waitWhy({ state, lookAtMs, askedAtMs }: ExportRow, nowMs: number): string {
  const what =
    state === 'waiting'
      ? 'The server gives no leave yet for the export'
      : `The server prepares the export, asked for ${age(Math.max(0, nowMs - askedAtMs))} ago`;
  if (lookAtMs === undefined || lookAtMs <= nowMs) return `${what}.`;
  return `${what}; it is asked again in ${age(lookAtMs - nowMs)}.`;
}

/** A clock that was set back makes no run end in the future. */
function ageSince(run: RunRow, nowMs: number): string {
  return age(Math.max(0, nowMs - (run.finishedAtMs ?? run.startedAtMs)));
}

/** From the gravest down. */
const GRAVITY: readonly Verdict[] = ['failed', 'late', 'partial', 'running', 'healthy'];

const WHOLE: Readonly<Record<JobVerdict, Verdict>> = {
  healthy: 'healthy',
  running: 'running',
  interrupted: 'late',
  late: 'late',
  'never run': 'late',
  partial: 'partial',
  failed: 'failed',
};

/** The verdict of all jobs together: the gravest. */
export function wholeVerdict(verdicts: readonly JobVerdict[]): Verdict {
  const all = new Set(verdicts.map((verdict) => WHOLE[verdict]));
  return GRAVITY.find((verdict) => all.has(verdict)) ?? 'healthy';
}

/** Whether this job's verdict makes the whole what it is. */
export function weighs(verdict: JobVerdict, whole: Verdict): boolean {
  return WHOLE[verdict] === whole;
}
