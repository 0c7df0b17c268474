import type { Emit, RunEvent } from '../run/events.ts';
import { isoInstant, type Clock } from '../system/clock.ts';
import type { CommandContext, Terminal } from './context.ts';
import { advance, NOTHING_YET, type ProgressState } from './progressState.ts';
import { lineOfEvent, liveLines, plainLine } from './progressView.ts';

/** Plain lines, when piped, come no more often than this. */
const LINE_EVERY_MS = 10_000;
/** A live view is drawn anew so often also when nothing happens: pauses run down. */
const DRAW_EVERY_MS = 1_000;

export interface Progress {
  readonly emit: Emit;
  /** Leaves the last state on the screen and the cursor below it. May be repeated. */
  readonly end: () => void;
}

/**
 * Shows a run's events on stderr: a live view on a terminal, plain lines when piped, with --json each event as one
 * JSON object a line, nothing with --quiet.
 */
export function showProgress(context: CommandContext, clock: Clock): Progress {
  if (context.quiet) return { emit: () => undefined, end: () => undefined };
  if (context.json) return jsonLines(context, clock);
  return context.terminal ? new LiveView(context, context.terminal, clock) : plainLines(context, clock);
}

function jsonLines({ noteEvent }: CommandContext, clock: Clock): Progress {
  return {
    emit: ({ event, ...rest }) => noteEvent({ event, at: isoInstant(clock.now()), ...rest }),
    end: () => undefined,
  };
}

function plainLines({ note }: CommandContext, clock: Clock): Progress {
  let state = NOTHING_YET;
  let lastLineAt = -Infinity;
  return {
    emit: (event) => {
      const nowMs = clock.monotonicMs();
      state = advance(state, event, nowMs);
      const line = lineOfEvent(event);
      if (line !== undefined) note(line);
      else if (event.event === 'run.progress' && nowMs - lastLineAt >= LINE_EVERY_MS) {
        lastLineAt = nowMs;
        note(plainLine(state, nowMs));
      }
    },
    end: () => undefined,
  };
}

const CLEAR_BELOW = '\x1b[J';

/**
 * Some lines that are drawn over again. Each is cut to the terminal's width at the moment it is drawn. After a resize
 * it is not known how many rows they take, so the next ones are drawn below and nothing above is touched.
 */
class LiveView implements Progress {
  readonly #context: CommandContext;
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  #state: ProgressState = NOTHING_YET;
  #isPulling = false;
  #drawn = 0;

  constructor(context: CommandContext, terminal: Terminal, clock: Clock) {
    this.#context = context;
    this.#terminal = terminal;
    this.#clock = clock;
    terminal.onResize(() => (this.#drawn = 0), this.#ended.signal);
    void this.#keepDrawing();
  }

  readonly emit = (event: RunEvent): void => {
    this.#state = advance(this.#state, event, this.#clock.monotonicMs());
    if (event.event === 'run.progress') this.#isPulling = true;
    const line = lineOfEvent(event);
    if (line !== undefined) {
      this.#erase();
      this.#context.note(line);
    }
    if (event.event === 'run.closed') this.#isPulling = false;
    this.#draw();
  };

  readonly end = (): void => this.#ended.abort();

  async #keepDrawing(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#clock.sleep(DRAW_EVERY_MS, signal).catch(() => undefined);
      if (!signal.aborted) this.#draw();
    }
  }

  #draw(): void {
    if (!this.#isPulling || this.#ended.signal.aborted) return;
    const { columns, rows } = this.#terminal.size();
    const lines = liveLines(this.#state, this.#clock.monotonicMs(), {
      columns,
      rows,
      colour: this.#context.useColour,
    });
    this.#terminal.write(`${this.#toTop()}${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  #erase(): void {
    if (this.#drawn > 0) this.#terminal.write(this.#toTop());
    this.#drawn = 0;
  }

  /** To the first line that was drawn, with all below it gone. */
  #toTop(): string {
    return this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\r${CLEAR_BELOW}`;
  }
}
