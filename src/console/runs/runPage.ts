import { open } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { byteSize, count, countOf } from '../../report/format.ts';
import { buildReportView, type ReportView } from '../../report/reportView.ts';
import { readManifest } from '../../publish/verify.ts';
import type { Manifest } from '../../publish/manifest.ts';
import type { Ledger } from '../../run/ledger.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { LiveRuns } from '../../views/liveRuns.ts';
import { lineRanges, troublesOf, type Trouble } from '../../views/troubles.ts';
import { htmlAnswer, type Answer, type Ask } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { page } from '../page.ts';
import type { Site } from '../site.ts';
import { liveBox } from './liveBox.ts';
import { logFileOf, timezoneOf } from './runFiles.ts';
import { badge, statusOf } from './statusWords.ts';
import { typeTable } from './typeTable.ts';

/** How much of the log's end a page shows. */
const LOG_BYTES = 64 * 1024;
const OTHER_RUNS = 60;

/** All about one run. */
export async function runPage(site: Site, ask: Ask, run: RunRow, ledger: Ledger): Promise<Answer> {
  const { runId, jobName, summary } = run;
  const job = site.config().jobs.find((one) => one.jobName === jobName);
  const stateFolder = site.config().jobs[0]!.settings.paths.state_folder;
  const view = summary && buildReportView(summary, { timezone: timezoneOf(site, jobName), locale: 'en' });
  const live =
    run.state === 'open' && job !== undefined ? await new LiveRuns(site.clock).look(job, ledger) : undefined;
  const troubles = await troublesOf(ledger, stateFolder, run);
  const main = html`${
    view === undefined
      ? html`<div class="sheet">
          ${liveBox(live, job?.method ?? 'crawl') ?? html`<p>The run has begun and not pulled anything yet.</p>`}
        </div>`
      : verdict(view)
  }
  ${
    view !== undefined &&
    html`<section class="sheet" aria-labelledby="types">
      <h2 id="types">Records and searches by type</h2>
      ${typeTable(view)}
    </section>`
  }
  ${causes(view, troubles)} ${await files(run)}
  ${
    summary !== undefined &&
    html`<section class="sheet" aria-labelledby="report">
      <h2 id="report">The report as mailed</h2>
      <p class="small"><a href="${localHref(['runs', runId, 'report'])}">Open it alone</a></p>
      <iframe
        class="report"
        title="Report of run ${runId}"
        src="${localHref(['runs', runId, 'report'])}"
        loading="lazy"
      ></iframe>
    </section>`
  }
  ${await log(site, run)} ${compare(run, ledger)}`;
  return htmlAnswer(
    page(ask, {
      title: `Run ${runId}`,
      place: 'runs',
      trail: [
        ['Runs', '/runs'],
        [jobName, localHref(['runs'], { job: jobName })],
      ],
      aside: badge(statusOf(run)),
      main,
    }),
  );
}

function verdict({ headline, verdict, marks, facts, notes, command }: ReportView): Html {
  return html`<section class="sheet" aria-labelledby="verdict">
    <h2 id="verdict">${headline}</h2>
    ${verdict.map((sentence) => html`<p>${sentence}</p>`)}
    ${command !== undefined && html`<p>${command.purpose} <code>${command.line}</code></p>`}
    ${
      marks.length > 0 &&
      html`<div class="note warn">
        <strong>Unlike the runs before</strong>
        <ul>
          ${marks.map((mark) => html`<li>${mark}</li>`)}
        </ul>
      </div>`
    }
    <dl class="facts">
      ${facts.map(
        ([label, value]) =>
          html`<dt>${label}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
    ${
      notes.length > 0 &&
      html`<h3>Notes</h3>
        <ul>
          ${notes.map((note) => html`<li>${note}</li>`)}
        </ul>`
    }
  </section>`;
}

/** Gaps and failures by cause, with the remedy, and every roster line that they struck. */
function causes(view: ReportView | undefined, troubles: readonly Trouble[] | undefined): Html | undefined {
  const groups = view?.groups ?? [];
  if (groups.length === 0 && (troubles ?? []).length === 0) return undefined;
  return html`<section class="sheet" aria-labelledby="causes">
    <h2 id="causes">Gaps and failures by cause</h2>
    ${groups.map(
      ({ outcome, title, searches, hint }) =>
        html`<p class="note ${outcome === 'failed' ? 'bad' : 'warn'}">
          <strong>${outcome}: ${title}</strong>, ${countOf(searches, 'search', 'searches')}. ${hint}
        </p>`,
    )}
    ${
      troubles === undefined
        ? html`<p class="muted">Its folder is gone, and with it the roster lines.</p>`
        : html`<div class="scroll" tabindex="0" role="region" aria-label="Gaps and failures">
            <table>
              <thead>
                <tr>
                  <th scope="col">Outcome</th>
                  <th scope="col">Type</th>
                  <th scope="col">Cause</th>
                  <th scope="col" class="number">Searches</th>
                  <th scope="col">Roster lines</th>
                </tr>
              </thead>
              <tbody>
                ${troubles.map(
                  ({ outcome, resourceType, code, epicCode, httpStatus, searches, rosterLines }) =>
                    html`<tr>
                      <td class="${outcome === 'failed' ? 'bad' : 'warn'}">${outcome}</td>
                      <th scope="row">${resourceType}</th>
                      <td>
                        ${code}${epicCode !== undefined && `, Epic ${epicCode}`}${httpStatus !== undefined && `, HTTP ${httpStatus}`}
                      </td>
                      <td class="number">${count(searches)}</td>
                      <td>${lineRanges(rosterLines)}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>`
    }
  </section>`;
}

async function files({ runId, folder, status }: RunRow): Promise<Html> {
  const isThere = folder !== undefined && existsSync(folder);
  const manifest = isThere ? await readManifest(folder).catch(() => undefined) : undefined;
  const body =
    manifest === undefined
      ? html`<p>
          ${isThere ? 'The folder has no manifest that can be read: `fhir-rounds verify` says more.' : whyGone(status)}
        </p>`
      : html`<p class="small">
            In <code>${folder}</code>. <a href="${localHref(['data', runId])}">Look at the data</a>
          </p>
          ${fileTable(runId, manifest)}`;
  return html`<section class="sheet" aria-labelledby="files">
    <h2 id="files">Files</h2>
    ${body}
  </section>`;
}

function whyGone(status: RunRow['status']): string {
  return status === 'complete' || status === 'partial'
    ? 'The folder is gone: retention took it, or somebody else did.'
    : 'Nothing was published.';
}

function fileTable(runId: string, { output, deleted, error, extension }: Manifest): Html {
  const rows = [...output, ...deleted, ...error].map(({ type, url, count: lines, extension: size }) => ({
    type,
    url,
    lines,
    ...size,
  }));
  const others = extension.files.map(({ url, bytes, sha256 }) => ({
    ...{ type: undefined, url, lines: undefined, bytes, sha256 },
  }));
  const isData = new Set(output.map(({ url }) => url));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of files">
    <table>
      <thead>
        <tr>
          <th scope="col">File</th>
          <th scope="col" class="number">Resources</th>
          <th scope="col" class="number">Size</th>
          <th scope="col">sha256</th>
        </tr>
      </thead>
      <tbody>
        ${[...rows, ...others].map(
          ({ type, url, lines, bytes, sha256 }) =>
            html`<tr>
              <th scope="row">
                ${type !== undefined && isData.has(url) ? html`<a href="${localHref(['data', runId, type])}">${url}</a>` : url}
              </th>
              <td class="number">${lines !== undefined && count(lines)}</td>
              <td class="number">${byteSize(bytes)}</td>
              <td><code>${sha256}</code></td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

async function log(site: Site, run: RunRow): Promise<Html | undefined> {
  const file = logFileOf(site, run);
  if (file === undefined) return undefined;
  const { text, isCut } = await endOf(file);
  return html`<section class="sheet" aria-labelledby="log">
    <h2 id="log">Log</h2>
    <p class="small">
      ${isCut && 'Its end. '}<a href="${localHref(['runs', run.runId, 'log'])}">Download all of it</a>
    </p>
    <pre class="log" tabindex="0" role="region" aria-label="Log of the run">${text}</pre>
  </section>`;
}

/** The last lines of a file that may be long. */
async function endOf(file: string): Promise<{ readonly text: string; readonly isCut: boolean }> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, size - LOG_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - from), 0, size - from, from);
    const text = buffer.subarray(0, bytesRead).toString('utf8');
    return { text: from === 0 ? text : text.slice(text.indexOf('\n') + 1), isCut: from > 0 };
  } finally {
    await handle.close();
  }
}

function compare({ runId, jobName }: RunRow, ledger: Ledger): Html | undefined {
  const others = ledger
    .runs({ jobName, limit: OTHER_RUNS })
    .filter((run) => run.folder !== undefined && run.runId !== runId);
  if (others.length === 0) return undefined;
  return html`<section class="sheet" aria-labelledby="compare">
    <h2 id="compare">Difference to another run</h2>
    <form method="get" action="${localHref(['runs', runId, 'diff'])}" class="row">
      <label for="with">Run</label>
      <select id="with" name="with">
        ${others.map((run) => html`<option value="${run.runId}">${run.runId} (${run.status})</option>`)}
      </select>
      <label><input type="checkbox" name="content" value="1" /> compare each record, too (reads both)</label>
      <button>Compare</button>
    </form>
  </section>`;
}
