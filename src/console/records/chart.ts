import { countOf } from '../../report/format.ts';
import { html, type Html } from '../html.ts';
import { dateText } from './dates.ts';
import type { Point, Series } from './series.ts';

/** A series as an SVG drawn here, with what it shows as a table beneath. */

const WIDTH = 460;
const HEIGHT = 180;
const LEFT = 52;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 26;
/** Room above and below, as a part of what is shown. */
const ROOM = 0.08;
const NAMES = ['Systolic', 'Diastolic'];

interface Scale {
  readonly x: (ms: number) => number;
  readonly y: (value: number) => number;
  /** What is shown reaches from here to there. */
  readonly low: number;
  readonly high: number;
  /** Values that are written beside it. */
  readonly ticks: readonly number[];
}

/** `no`: makes the ids of a page's charts differ. */
export function chart({ title, unit, points }: Series, no: number): Html {
  const scale = scaleOf(points);
  const lines = points[0]!.values.length;
  const ids = { title: `chart-${no}-title`, text: `chart-${no}-text` };
  return html`<figure class="chart">
    <figcaption id="chart-${no}">
      ${title}${unit !== '' && html` <span class="muted">${unit}</span>`}
    </figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${ids.title} ${ids.text}">
      <title id="${ids.title}">${title}</title>
      <desc id="${ids.text}">${described(points)}</desc>
      ${Array.from({ length: lines }, (_, line) => bands(points, line, scale))} ${axes(points, scale)}
      ${Array.from({ length: lines }, (_, line) => drawn(points, line, scale))}
    </svg>
    ${lines > 1 && html`<p class="muted small">The unbroken line is the systolic, the broken one the diastolic pressure.</p>`}
    <details>
      <summary>${countOf(points.length, 'value')}<span class="unseen"> of ${title}</span></summary>
      <div class="scroll" role="region" aria-labelledby="chart-${no}" tabindex="0">${values(points)}</div>
    </details>
  </figure>`;
}

function described(points: readonly Point[]): string {
  const [first, last] = [points[0]!, points.at(-1)!];
  const judged = last.judged === undefined ? '' : ` (${last.judged.note})`;
  const abnormal = points.filter((point) => isAbnormal(point)).length;
  return (
    `${countOf(points.length, 'value')} from ${dateText(first.date)} to ${dateText(last.date)}; ` +
    `the last is ${last.text}${judged}; ${abnormal} not normal.`
  );
}

function isAbnormal({ judged }: Point): boolean {
  return judged !== undefined && judged.tone !== 'normal';
}

function scaleOf(points: readonly Point[]): Scale {
  const shown = points
    .flatMap(({ values: some, ranges }) => [...some, ...ranges.flatMap((range) => [range?.low, range?.high])])
    .filter((value) => value !== undefined);
  const [least, most] = [Math.min(...shown), Math.max(...shown)];
  const room = (most - least) * ROOM || Math.abs(most) * ROOM || 1;
  const [low, high] = [least - room, most + room];
  const [from, to] = [points[0]!.ms, points.at(-1)!.ms];
  const [wide, tall] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  return {
    x: (ms) => round(LEFT + (to === from ? wide / 2 : (wide * (ms - from)) / (to - from))),
    y: (value) => round(TOP + (tall * (high - value)) / (high - low)),
    low,
    high,
    ticks: [...new Set([least, (least + most) / 2, most])],
  };
}

function round(place: number): number {
  return Math.round(place * 10) / 10;
}

/** What is normal, as each resource says of its own: from half way to the value before to half way to the next. */
function bands(points: readonly Point[], line: number, { x, y, low, high }: Scale): readonly Html[] {
  const found: { from: number; to: number; readonly low: number; readonly high: number }[] = [];
  for (const [at, { ms, ranges }] of points.entries()) {
    const range = ranges[line];
    if (range === undefined) continue;
    const from = at === 0 ? LEFT : (x(points[at - 1]!.ms) + x(ms)) / 2;
    const to = at === points.length - 1 ? WIDTH - RIGHT : (x(ms) + x(points[at + 1]!.ms)) / 2;
    const band = { from, to, low: range.low ?? low, high: range.high ?? high };
    const before = found.at(-1);
    const goesOn =
      before !== undefined && before.to === from && before.low === band.low && before.high === band.high;
    if (goesOn) before.to = to;
    else found.push(band);
  }
  return found.map((band) => {
    const [top, bottom] = [y(band.high), y(band.low)];
    return html`<rect
      class="band"
      x="${round(band.from)}"
      y="${Math.min(top, bottom)}"
      width="${round(band.to - band.from)}"
      height="${round(Math.abs(bottom - top))}"
    />`;
  });
}

function axes(points: readonly Point[], { y, ticks }: Scale): Html {
  const reach = ticks.at(-1)! - ticks[0]!;
  const digits = reach >= 5 ? 0 : reach >= 1 ? 1 : 2;
  const day = ({ date }: Point): string => date.slice(0, 10);
  return html`<g class="axes">
    ${ticks.map(
      (value) =>
        html`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" />
          <text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end"
            >${Number(value.toFixed(digits))}</text
          >`,
    )}
    <text x="${LEFT}" y="${HEIGHT - 8}">${day(points[0]!)}</text>
    ${
      points.length > 1 &&
      html`<text x="${WIDTH - RIGHT}" y="${HEIGHT - 8}" text-anchor="end">${day(points.at(-1)!)}</text>`
    }
  </g>`;
}

function drawn(points: readonly Point[], line: number, { x, y }: Scale): Html {
  const there = points.filter(({ values: some }) => some[line] !== undefined);
  const places = there.map(({ ms, values: some }) => `${x(ms)},${y(some[line]!)}`);
  return html`<polyline class="line line-${line}" points="${places.join(' ')}" /> ${there.map((point) => {
      const [cx, cy] = [x(point.ms), y(point.values[line]!)];
      const said = html`<title>
        ${dateText(point.date)}: ${point.text}${point.judged && ` (${point.judged.note})`}
      </title>`;
      // Another shape, so that no colour is needed to tell it.
      return isAbnormal(point)
        ? html`<path class="mark ${point.judged!.tone}" d="M${cx} ${cy - 5}l5 5l-5 5l-5 -5z">${said}</path>`
        : html`<circle class="mark" cx="${cx}" cy="${cy}" r="3">${said}</circle>`;
    })}`;
}

function values(points: readonly Point[]): Html {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Date</th>
        <th scope="col" class="number">Value</th>
        <th scope="col">Judgement</th>
        <th scope="col">Normal</th>
      </tr>
    </thead>
    <tbody>
      ${points.toReversed().map(
        ({ date, text, judged, ranges }) =>
          html`<tr>
            <th scope="row">${dateText(date)}</th>
            <td class="number"><bdi>${text}</bdi></td>
            <td>${judged?.note}</td>
            <td>
              ${ranges.map((range, at) => (range === undefined ? undefined : boundsText(range, ranges.length > 1 ? NAMES[at] : undefined)))}
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function boundsText(
  { low, high }: { low: number | undefined; high: number | undefined },
  name?: string,
): string {
  const text = low === undefined ? `≤ ${high}` : high === undefined ? `≥ ${low}` : `${low} – ${high}`;
  return name === undefined ? text : `${name} ${text} `;
}
