import type { Emit, RunEvent } from '../run/events.ts';
import type { Clock } from '../system/clock.ts';
import type { CommandContext } from './context.ts';

const BAR_CELLS = 24;
/** Plain lines, when piped, come no more often than this. */
const LINE_EVERY_MS = 10_000;

const PHASES = {
  searches: 'pulling',
  'second-pass': 'asking failed searches once more',
  references: 'fetching what was referred to',
  publishing: 'publishing',
} as const;

/** Shows a run's events on stderr: a live bar on a terminal, plain lines when piped, nothing with --quiet. */
export function showProgress(context: CommandContext, clock: Clock): { emit: Emit; end(): void } {
  if (context.quiet) return { emit: () => undefined, end: () => undefined };
  const screen = new Screen(context, clock);
  return { emit: (event) => screen.take(event), end: () => screen.end() };
}

class Screen {
  readonly #context: CommandContext;
  readonly #clock: Clock;
  readonly #startedAt: number;
  #lastLineAt = 0;
  #hasBar = false;
  #doneAtStart: number | undefined;

  constructor(context: CommandContext, clock: Clock) {
    this.#context = context;
    this.#clock = clock;
    this.#startedAt = clock.monotonicMs();
  }

  take(event: RunEvent): void {
    switch (event.event) {
      case 'run.started':
        this.#line(
          `run ${event.runId}${event.resumed ? ' goes on' : ''}: ${event.patients} patients, ${event.planned} searches`,
        );
        break;
      case 'run.progress':
        this.#progress(event);
        break;
      case 'run.phase':
        if (event.phase !== 'searches') this.#line(PHASES[event.phase]);
        break;
      case 'server.paused':
        this.#line(
          event.reason === 'asked'
            ? `the server asks for ${seconds(event.ms)} of rest`
            : 'the server is away; waiting for it',
        );
        break;
      case 'server.back':
        this.#line(`the server is back after ${seconds(event.awayMs)}`);
        break;
      case 'search.gap':
      case 'search.failed':
      case 'run.closed':
        break;
    }
  }

  end(): void {
    if (this.#hasBar) this.#context.note('');
    this.#hasBar = false;
  }

  #progress({ searches, records, bytes }: Extract<RunEvent, { event: 'run.progress' }>): void {
    const done = searches.ok + searches.empty + searches.gap + searches.failed;
    this.#doneAtStart ??= done;
    const now = this.#clock.monotonicMs();
    const rate = (done - this.#doneAtStart) / Math.max(1, (now - this.#startedAt) / 1000);
    const left = rate > 0 ? `, ${seconds(((searches.planned - done) / rate) * 1000)} left` : '';
    const trouble =
      searches.failed + searches.gap > 0 ? `, ${searches.gap} gaps, ${searches.failed} failed` : '';
    const text =
      `${done}/${searches.planned} searches, ${records} resources, ${(bytes / 1e6).toFixed(1)} MB, ` +
      `${rate.toFixed(1)}/s${left}${trouble}`;
    if (this.#context.isTerminal) {
      const filled = Math.round((BAR_CELLS * done) / Math.max(1, searches.planned));
      process.stderr.write(`\r\x1b[2K[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}] ${text}`);
      this.#hasBar = true;
    } else if (now - this.#lastLineAt >= LINE_EVERY_MS) {
      this.#lastLineAt = now;
      this.#context.note(text);
    }
  }

  #line(text: string): void {
    this.end();
    this.#context.note(text);
  }
}

function seconds(ms: number): string {
  const s = Math.round(ms / 1000);
  if (s < 90) return `${s} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}
