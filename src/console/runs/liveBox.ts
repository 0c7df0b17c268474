import { byteSize, count, duration, unitsOf } from '../../report/format.ts';
import { doneOf } from '../../run/howFar.ts';
import type { LiveRun } from '../../views/liveRuns.ts';
import { html, type Html } from '../html.ts';
import { runLink } from './statusWords.ts';

/** How far an open run has come. It is shown anew each second, so it holds nothing that could have the focus for long. */
export function liveBox(run: LiveRun | undefined, method: 'crawl' | 'bulk'): Html | undefined {
  if (run === undefined) return undefined;
  const { runId, isWorking, counts, records, bytes, perSecond, leftMs, pausedMs, types } = run;
  const done = doneOf(counts);
  const percent = counts.planned === 0 ? 0 : Math.floor((100 * done) / counts.planned);
  const rate = perSecond === undefined ? undefined : `${perSecond.toFixed(1)} a second`;
  const left = leftMs === undefined || !isWorking ? undefined : `about ${duration(leftMs)} left`;
  return html`<p>
      <strong>${isWorking ? 'Under way' : 'Interrupted'}</strong>: run ${runLink(runId)}, ${count(done)} of
      ${unitsOf(counts.planned, method)} (${percent} %)${rate && `, ${rate}`}${left && `, ${left}`}.
    </p>
    <progress
      max="${Math.max(1, counts.planned)}"
      value="${done}"
      aria-label="Progress of the run"
    ></progress>
    ${pausedMs > 0 && html`<p class="note warn">The server asked for a pause: it goes on in ${duration(pausedMs)}.</p>`}
    <p class="small">
      ${count(records)} records, ${byteSize(bytes)}; ok ${count(counts.ok)}, empty ${count(counts.empty)},
      gaps ${count(counts.gap)}, failed ${count(counts.failed)}.
    </p>
    <details>
      <summary>By type</summary>
      <ul>
        ${types.map(
          ({ resourceType, counts }) =>
            html`<li>
              ${resourceType}: ${count(doneOf(counts))} of
              ${count(counts.planned)}${counts.gap > 0 && `, ${count(counts.gap)} gaps`}${counts.failed > 0 && `, ${count(counts.failed)} failed`}
            </li>`,
        )}
      </ul>
    </details>`;
}
