import { countOf, dayOf } from '../../report/format.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { html, type Html } from '../html.ts';

const DAYS = 90;
const DAY_MS = 86_400_000;
const STEP = 10;
const BAR = 8;
const HEIGHT = 60;
/** A day without records shows, too. */
const LEAST = 6;

/** Ninety days, a bar each: the newest run of the day, as high as its records, in the colour of its status. */
export function strip(runs: readonly RunRow[], timezone: string, nowMs: number): Html {
  const byDay = new Map<string, RunRow>();
  // Newest first: the first of a day is its newest.
  for (const run of runs) {
    const day = dayOf(run.startedAtMs, timezone);
    if (run.state === 'closed' && !byDay.has(day)) byDay.set(day, run);
  }
  const days = Array.from({ length: DAYS }, (_, back) => dayOf(nowMs - (DAYS - 1 - back) * DAY_MS, timezone));
  const shown = days.flatMap((day) => byDay.get(day) ?? []);
  const most = Math.max(1, ...shown.map(recordsOf));
  return html`<svg
    class="strip"
    viewBox="0 0 ${DAYS * STEP} ${HEIGHT + 2}"
    preserveAspectRatio="none"
    role="img"
    aria-label="${summaryOf(shown)}"
  >
    ${days.map((day, index) => {
      const run = byDay.get(day);
      const height = run === undefined ? 2 : Math.max(LEAST, Math.round((HEIGHT * recordsOf(run)) / most));
      return html`<rect
        class="${run?.status ?? 'none'}"
        x="${index * STEP + 1}"
        y="${HEIGHT - height}"
        width="${BAR}"
        height="${height}"
        ><title>${labelOf(day, run)}</title></rect
      >`;
    })}
  </svg>`;
}

function recordsOf({ summary }: RunRow): number {
  return summary?.records ?? 0;
}

function labelOf(day: string, run: RunRow | undefined): string {
  return run === undefined ? `${day}: no run` : `${day}: ${run.status}, ${countOf(recordsOf(run), 'record')}`;
}

/** What the picture says, in words. */
function summaryOf(runs: readonly RunRow[]): string {
  const by = new Map<string, number>();
  for (const { status } of runs) by.set(status ?? 'open', (by.get(status ?? 'open') ?? 0) + 1);
  const counts = [...by].map(([status, days]) => `${countOf(days, 'day')} ${status}`);
  return `Runs of the last ${DAYS} days: ${counts.length === 0 ? 'none' : counts.join(', ')}`;
}
