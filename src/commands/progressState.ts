import type { SearchCounts } from '../report/summary.ts';
import type { RunEvent, TypeProgress } from '../run/events.ts';
import { doneOf } from '../run/howFar.ts';

/** What is known of a run at work, as the sum of its events; pure. Times are of one monotonic clock. */

/** The rate is that of the last so many milliseconds: what an hour ago was fast says nothing about the rest. */
const RATE_WINDOW_MS = 60_000;
const MAX_SAMPLES = 120;

type PauseReason = Extract<RunEvent, { event: 'server.paused' }>['reason'];

export interface Pause {
  readonly reason: PauseReason;
  readonly sinceMs: number;
  /** undefined: until the server is back. */
  readonly untilMs: number | undefined;
}

interface Sample {
  readonly atMs: number;
  readonly done: number;
}

export interface ProgressState {
  readonly method: 'crawl' | 'bulk';
  readonly searches: SearchCounts;
  readonly records: number;
  readonly bytes: number;
  readonly types: readonly TypeProgress[];
  readonly pause: Pause | undefined;
  readonly samples: readonly Sample[];
}

export const NOTHING_YET: ProgressState = {
  method: 'crawl',
  searches: { planned: 0, ok: 0, empty: 0, gap: 0, failed: 0 },
  records: 0,
  bytes: 0,
  types: [],
  pause: undefined,
  samples: [],
};

export function advance(state: ProgressState, event: RunEvent, atMs: number): ProgressState {
  switch (event.event) {
    case 'run.started':
      return {
        ...NOTHING_YET,
        method: event.method,
        searches: { ...NOTHING_YET.searches, planned: event.planned },
      };
    case 'run.progress': {
      const { searches, records, bytes, types } = event;
      // An answer came, so nobody waits for the server to come back. A rest that it asked for ends by itself.
      const pause = state.pause?.untilMs === undefined ? undefined : state.pause;
      const samples = [...state.samples, { atMs, done: doneOf(searches) }];
      const recent = samples.filter((sample) => atMs - sample.atMs <= RATE_WINDOW_MS).slice(-MAX_SAMPLES);
      return { ...state, searches, records, bytes, types, pause, samples: recent };
    }
    case 'server.paused': {
      const untilMs = event.reason === 'asked' ? atMs + event.ms : undefined;
      return { ...state, pause: { reason: event.reason, sinceMs: atMs, untilMs } };
    }
    case 'export.waits':
      return state;
    case 'server.back':
      // What was slow while the server was away is no measure of what comes.
      return { ...state, pause: undefined, samples: [] };
    case 'run.phase':
    case 'search.gap':
    case 'search.failed':
    case 'run.closed':
      return state;
  }
}

/** Searches a second; undefined while there is too little to tell. */
export function rateOf({ samples }: ProgressState): number | undefined {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.atMs - first.atMs < 1000) return undefined;
  const rate = ((last.done - first.done) * 1000) / (last.atMs - first.atMs);
  return rate > 0 ? rate : undefined;
}

/** Milliseconds until the planned searches are done at this rate; undefined while there is too little to tell. */
export function leftMs(state: ProgressState): number | undefined {
  const rate = rateOf(state);
  const { searches } = state;
  return rate === undefined ? undefined : ((searches.planned - doneOf(searches)) / rate) * 1000;
}
