import type { ErrorCode } from '../errors.ts';
import type { SearchCounts } from '../report/summary.ts';
import type { Log, LogFields } from '../system/logger.ts';
import type { Cause, Outcome } from './tally.ts';

/**
 * What a run tells while it works: for the log, the progress line and the console. Events inform; nothing
 * durable hangs on them (the ledger is called and awaited). None holds PHI.
 */
export type RunEvent =
  | {
      readonly event: 'run.started';
      readonly runId: string;
      readonly method: 'crawl' | 'bulk';
      /** 0: the server knows who they are. */
      readonly patients: number;
      readonly planned: number;
      readonly resumed: boolean;
    }
  | {
      readonly event: 'run.progress';
      readonly searches: SearchCounts;
      readonly records: number;
      readonly bytes: number;
      readonly types: readonly TypeProgress[];
    }
  | {
      readonly event: 'run.phase';
      readonly phase:
        | 'searches'
        | 'second-pass'
        | 'references'
        | 'attachments'
        | 'kick-off'
        | 'export'
        | 'downloads'
        | 'duplicates'
        | 'publishing';
    }
  /** A bulk export is waited for: at the server, for leave to ask for it, or for another job to leave the server. */
  | {
      readonly event: 'export.waits';
      readonly for: 'export' | 'leave' | 'server';
      /** undefined: till the other job ends. */
      readonly untilMs: number | undefined;
      /** What the server says of how far it is, in words that are safe to show. */
      readonly progress: string | undefined;
    }
  | {
      readonly event: 'search.gap' | 'search.failed';
      readonly resourceType: string;
      readonly rosterLine: number | undefined;
      readonly code: ErrorCode;
      readonly epicCode: string | undefined;
      readonly httpStatus: number | undefined;
    }
  | { readonly event: 'server.paused'; readonly ms: number; readonly reason: 'asked' | 'away' }
  | { readonly event: 'server.back'; readonly awayMs: number }
  | { readonly event: 'run.closed'; readonly runId: string; readonly status: string };

/** How far one resource type has come. */
export interface TypeProgress {
  readonly resourceType: string;
  readonly searches: SearchCounts;
  readonly records: number;
}

export type Emit = (event: RunEvent) => void;

/** Tells of a search that did not come whole; says nothing of one that did. */
export function tellTrouble(
  emit: Emit,
  resourceType: string,
  outcome: Outcome,
  cause: Cause | undefined,
): void {
  if (cause === undefined || (outcome !== 'gap' && outcome !== 'failed')) return;
  const { code, rosterLine, epicCode, httpStatus } = cause;
  emit({ event: `search.${outcome}`, resourceType, rosterLine, code, epicCode, httpStatus });
}

/** Events as log lines; progress is for screens alone. */
export function toLog(log: Log, { event, ...fields }: RunEvent): void {
  switch (event) {
    case 'run.progress':
      break;
    case 'search.failed':
    case 'search.gap':
      log.warn(event, fields as LogFields);
      break;
    case 'run.started':
    case 'run.phase':
    case 'server.paused':
    case 'server.back':
    case 'export.waits':
    case 'run.closed':
      log.info(event, fields as LogFields);
      break;
  }
}
