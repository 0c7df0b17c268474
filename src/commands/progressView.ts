import { byteSize, count, countOf, duration, unitsOf } from '../report/format.ts';
import type { RunEvent, TypeProgress } from '../run/events.ts';
import { doneOf } from '../run/howFar.ts';
import { isoInstant } from '../system/clock.ts';
import { leftMs, rateOf, type Pause, type ProgressState } from './progressState.ts';

/** A run's progress as text; pure. */

const BAR_CELLS = 24;
/** Rows of types below the bar, at most. */
const TYPE_ROWS = 8;

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
}

/** The live part of a terminal: never wider than `columns`, never higher than half of `rows`. */
export function liveLines(state: ProgressState, nowMs: number, { columns, rows, colour }: Screen): string[] {
  const { searches } = state;
  const done = doneOf(searches);
  const filled = Math.round((BAR_CELLS * done) / Math.max(1, searches.planned, done));
  const percent = Math.floor((100 * done) / Math.max(1, searches.planned, done));
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`;
  const lines: Line[] = [{ text: `${bar} ${percent} %  ${overall(state)}` }];
  if (state.pause) lines.push({ text: `paused: ${pauseText(state.pause, nowMs)}`, colour: 'yellow' });
  const room = Math.max(0, Math.min(TYPE_ROWS, Math.floor(rows / 2) - lines.length));
  // The last row says how many types have none.
  const shown = mostTelling(state.types).slice(0, state.types.length > room ? Math.max(0, room - 1) : room);
  const nameWidth = Math.max(0, ...shown.map(({ resourceType }) => resourceType.length));
  for (const type of shown) lines.push(typeLine(type, nameWidth));
  const others = state.types.length - shown.length;
  if (room > 0 && others > 0) lines.push({ text: `  and ${countOf(others, 'type')} more` });
  // The last column stays free: a terminal that wraps there would move what stands below.
  const width = Math.max(0, columns - 1);
  return lines.map((line) => {
    const text = line.text.slice(0, width);
    return colour && line.colour ? `${COLOURS[line.colour]}${text}${PLAIN}` : text;
  });
}

interface Line {
  readonly text: string;
  readonly colour?: keyof typeof COLOURS;
}

const COLOURS = { red: '\x1b[31m', yellow: '\x1b[33m' } as const;
const PLAIN = '\x1b[0m';

/** Everything in one line, for a pipe or a dumb terminal. */
export function plainLine(state: ProgressState, nowMs: number): string {
  const paused = state.pause ? `; paused: ${pauseText(state.pause, nowMs)}` : '';
  return `${overall(state)}${paused}`;
}

function overall(state: ProgressState): string {
  const { searches, records, bytes } = state;
  const rate = rateOf(state);
  const left = leftMs(state);
  return [
    `${count(doneOf(searches))}/${unitsOf(searches.planned, state.method)}`,
    countOf(records, 'resource'),
    byteSize(bytes),
    ...(rate === undefined ? [] : [`${rate.toFixed(1)}/s`]),
    ...(left === undefined ? [] : [`${duration(left)} left`]),
    ...trouble(searches.gap, searches.failed),
  ].join(', ');
}

function trouble(gaps: number, failed: number): string[] {
  return [
    ...(gaps === 0 ? [] : [countOf(gaps, 'gap')]),
    ...(failed === 0 ? [] : [`${count(failed)} failed`]),
  ];
}

/** Types with trouble first, then those with most left to do, then the largest. */
function mostTelling(types: readonly TypeProgress[]): readonly TypeProgress[] {
  const left = ({ searches }: TypeProgress) => searches.planned - doneOf(searches);
  const hurt = ({ searches }: TypeProgress) => searches.failed * 1e6 + searches.gap;
  return types.toSorted((a, b) => hurt(b) - hurt(a) || left(b) - left(a) || b.records - a.records);
}

function typeLine({ resourceType, searches, records }: TypeProgress, nameWidth: number): Line {
  const done = doneOf(searches);
  const far = done === searches.planned ? 'done' : `${count(done)}/${count(searches.planned)}`;
  const parts = [countOf(records, 'resource'), ...trouble(searches.gap, searches.failed)].join(', ');
  const text = `  ${resourceType.padEnd(nameWidth)}  ${far.padStart(13)}  ${parts}`;
  if (searches.failed > 0) return { text, colour: 'red' };
  return searches.gap > 0 ? { text, colour: 'yellow' } : { text };
}

const PAUSES: Readonly<Record<Pause['reason'], string>> = {
  asked: 'the server asks for rest',
  away: 'the server is away; it is looked for until it is back',
};

function pauseText({ reason, sinceMs, untilMs }: Pause, nowMs: number): string {
  const span =
    untilMs === undefined
      ? `for ${duration(nowMs - sinceMs)}`
      : `${duration(Math.max(0, untilMs - nowMs))} to go`;
  return `${PAUSES[reason]}, ${span}`;
}

/** A line for the events that are worth one; undefined for the others. */
export function lineOfEvent(event: RunEvent): string | undefined {
  switch (event.event) {
    case 'run.started': {
      const head = `run ${event.runId}${event.resumed ? ' goes on' : ''}`;
      if (event.method === 'bulk') {
        return `${head}: a bulk export${event.patients > 0 ? ` of ${countOf(event.patients, 'patient')}` : ''}`;
      }
      return `${head}: ${countOf(event.patients, 'patient')}, ${countOf(event.planned, 'search', 'searches')}`;
    }
    case 'run.phase':
      return event.phase === 'searches' ? undefined : PHASES[event.phase];
    case 'server.paused':
      return event.reason === 'asked'
        ? `${PAUSES.asked}: nothing is sent for ${duration(event.ms)}`
        : PAUSES[event.reason];
    case 'export.waits':
      return waitText(event);
    case 'server.back':
      return `the server is back after ${duration(event.awayMs)}`;
    case 'run.progress':
    case 'search.gap':
    case 'search.failed':
    case 'run.closed':
      return undefined;
  }
}

const WAITS = {
  export: 'the server prepares the export',
  leave: 'the server gives no leave yet for an export of this group',
  server: 'another job pulls from this server',
} as const;

function waitText({ for: what, untilMs, progress }: Extract<RunEvent, { event: 'export.waits' }>): string {
  const far = progress === undefined ? '' : ` (${progress})`;
  const until =
    untilMs === undefined ? 'this one goes on after it' : `it is asked again at ${isoInstant(untilMs)}`;
  return `${WAITS[what]}${far}; ${until}`;
}

const PHASES = {
  'second-pass': 'asking once more for what failed',
  'kick-off': 'asking for the export',
  export: 'waiting for the export',
  downloads: 'downloading its files',
  duplicates: 'looking for what stands twice',
  references: 'fetching what was referred to',
  attachments: 'downloading attachments',
  publishing: 'publishing',
} as const;
