import { createReadStream } from 'node:fs';
import { byteSize, count, duration, instant } from '../../report/format.ts';
import { renderReport } from '../../report/render.ts';
import type { RunSummary } from '../../report/summary.ts';
import type { Ledger } from '../../run/ledger.ts';
import type { RunRow } from '../../run/ledgerRows.ts';
import { chooseRun } from '../../views/chooseRun.ts';
import { download, htmlAnswer, notFound, type Answer, type Ask, type Route } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { page } from '../page.ts';
import type { Site } from '../site.ts';
import { diffPage } from './diffPage.ts';
import { logFileOf, timezoneOf } from './runFiles.ts';
import { runPage } from './runPage.ts';
import { badge, runLink, statusOf } from './statusWords.ts';

const RUNS_A_PAGE = 50;

/** The history, one run, its report, its log, and what set it apart from another. */
export function runRoutes(site: Site): readonly Route[] {
  const withRun = async (ask: Ask, work: (run: RunRow, ledger: Ledger) => Promise<Answer> | Answer) =>
    site.read((ledger) => work(chooseRun(ledger, ask.params['runId']!), ledger!));
  return [
    { method: 'GET', path: '/runs', answer: (ask) => site.read((ledger) => runList(site, ask, ledger)) },
    {
      method: 'GET',
      path: '/runs/{runId}',
      answer: (ask) => withRun(ask, (run, ledger) => runPage(site, ask, run, ledger)),
    },
    {
      method: 'GET',
      path: '/runs/{runId}/report',
      answer: (ask) => withRun(ask, (run) => reportAnswer(run, timezoneOf(site, run.jobName))),
    },
    {
      method: 'GET',
      path: '/runs/{runId}/log',
      answer: (ask) => withRun(ask, (run) => logAnswer(site, run)),
    },
    {
      method: 'GET',
      path: '/runs/{runId}/diff',
      answer: (ask) => withRun(ask, (run, ledger) => diffPage(ask, run, ledger)),
    },
  ];
}

function runList(site: Site, ask: Ask, ledger: Ledger | undefined): Answer {
  const jobName = ask.url.searchParams.get('job') ?? '';
  const [given = '1'] = /^[1-9]\d{0,5}$/.exec(ask.url.searchParams.get('page') ?? '') ?? [];
  const pageNo = Number(given);
  const limit = pageNo * RUNS_A_PAGE + 1;
  const found = ledger?.runs(jobName === '' ? { limit } : { jobName, limit }) ?? [];
  const shown = found.slice((pageNo - 1) * RUNS_A_PAGE, pageNo * RUNS_A_PAGE);
  const jobs = site.config().jobs.map((job) => job.jobName);
  const toPage = (to: number): string => localHref(['runs'], { job: jobName, page: to });
  return htmlAnswer(
    page(ask, {
      title: 'Runs',
      place: 'runs',
      main: html`${
          jobs.length > 1 &&
          html`<form method="get" action="/runs" class="row">
            <label for="job">Job</label>
            <select id="job" name="job">
              <option value="">all</option>
              ${jobs.map((name) => html`<option${name === jobName && html` selected`}>${name}</option>`)}
            </select>
            <button>Show</button>
          </form>`
        }
        <div class="sheet">
          ${shown.length === 0 ? html`<p>No run is recorded.</p>` : runTable(site, shown)}
          <nav class="row" aria-label="Pages">
            ${pageNo > 1 && html`<a class="button" href="${toPage(pageNo - 1)}">Newer</a>`}${found.length > pageNo * RUNS_A_PAGE && html`<a class="button" href="${toPage(pageNo + 1)}">Older</a>`}
          </nav>
        </div>`,
    }),
  );
}

function runTable(site: Site, runs: readonly RunRow[]): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Runs">
    <table>
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">Job</th>
          <th scope="col">Status</th>
          <th scope="col">Began</th>
          <th scope="col" class="number">Took</th>
          <th scope="col" class="number">Records</th>
          <th scope="col" class="number">Size</th>
          <th scope="col" class="number">Gaps</th>
          <th scope="col" class="number">Failed</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map((run) => {
          const { summary } = run;
          const cells = summary === undefined ? ['', '', '', '', ''] : cellsOf(summary);
          return html`<tr>
            <th scope="row">${runLink(run.runId)}</th>
            <td>${run.jobName}</td>
            <td>${badge(statusOf(run))}</td>
            <td>${instant(run.startedAtMs, timezoneOf(site, run.jobName))}</td>
            ${cells.map((cell) => html`<td class="number">${cell}</td>`)}
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

function cellsOf({ durationMs, records, bytes, searches }: RunSummary): readonly string[] {
  return [duration(durationMs), count(records), byteSize(bytes), count(searches.gap), count(searches.failed)];
}

/** The report as it was mailed, in a frame of its own: its styles stand inline, so this answer alone allows them. */
function reportAnswer({ summary, runId }: RunRow, timezone: string): Answer {
  if (summary === undefined) throw notFound(`run ${runId} is not closed, and has no report yet`);
  return {
    status: 200,
    contentType: 'text/html; charset=utf-8',
    headers: {
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'; sandbox",
      'x-frame-options': 'SAMEORIGIN',
    },
    body: renderReport(summary, { timezone, locale: 'en', full: true }).html,
  };
}

function logAnswer(site: Site, run: RunRow): Answer {
  const file = logFileOf(site, run);
  if (file === undefined) throw notFound(`the log of run ${run.runId} is gone with its folder`);
  return download(`${run.runId}-log.ndjson`, 'application/x-ndjson', createReadStream(file));
}
