import { age, byteSize, count, countOf, instant } from '../../report/format.ts';
import { buildReportView } from '../../report/reportView.ts';
import type { JobConfig } from '../../config/schema.ts';
import type { Ledger } from '../../run/ledger.ts';
import type { RunRequest } from '../../run/ledgerRequests.ts';
import { daemonOf } from '../../views/daemon.ts';
import { LiveRuns, type LiveRun } from '../../views/liveRuns.ts';
import { siteStatus, type JobStatus, type SiteStatus } from '../../views/siteStatus.ts';
import { htmlAnswer, seeOther, type Ask, type Route } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { csrfField, page } from '../page.ts';
import type { Site } from '../site.ts';
import { askDaemon } from './jobAsks.ts';
import { liveBox } from './liveBox.ts';
import { badge, runLink } from './statusWords.ts';
import { strip } from './strip.ts';
import { typeTable } from './typeTable.ts';

const LIVE_EVERY_MS = 1_000;
/** A stream of events ends by itself, so that each new one asks whether the session still holds. */
const LIVE_FOR_MS = 60_000;
const STRIP_MS = 91 * 86_400_000;
const REQUESTS_SHOWN = 3;

/** The first page: is all well, what runs, what comes next, and what can be asked for. */
export function overviewRoutes(site: Site): readonly Route[] {
  const liveRuns = new LiveRuns(site.clock);
  return [
    { method: 'GET', path: '/', answer: (ask) => overview(site, liveRuns, ask) },
    {
      method: 'GET',
      path: '/live',
      quiet: true,
      answer: ({ url, signal }) => ({
        status: 200,
        contentType: 'text/event-stream; charset=utf-8',
        body: liveEvents(site, liveRuns, url.searchParams.get('seen') ?? '', signal),
      }),
    },
    {
      method: 'POST',
      path: '/jobs/{job}/requests',
      answer: async ({ params, form, session }) => {
        const kind = (await form()).get('kind') ?? '';
        await askDaemon(site, { jobName: params['job']!, kind, askedBy: session!.name });
        return seeOther('/');
      },
    },
  ];
}

async function overview(site: Site, liveRuns: LiveRuns, ask: Ask) {
  const config = site.config();
  return site.read(async (ledger) => {
    const status = await siteStatus(config, ledger, site.clock);
    const jobs: Html[] = [];
    for (const [index, job] of config.jobs.entries()) {
      jobs.push(await jobSheet(site, liveRuns, ask, job, status.jobs[index]!, ledger));
    }
    return htmlAnswer(
      page(ask, {
        title: 'Overview',
        place: 'overview',
        aside: badge(status.verdict),
        main: html`<div data-live="${localHref(['live'], { seen: stateOf(site, ledger) })}"></div>
          ${config.jobs.length > 1 && html`<p class="lead">${status.why}</p>`} ${daemonNote(site, ledger)}
          ${jobs} ${surroundings(status)}`,
      }),
    );
  });
}

function stateFolderOf(site: Site): string {
  return site.config().jobs[0]!.settings.paths.state_folder;
}

function daemonNote(site: Site, ledger: Ledger | undefined): Html {
  const daemon = daemonOf(ledger, stateFolderOf(site));
  if (daemon === undefined) {
    return html`<p class="note warn">
      No daemon runs for this state folder: nothing is pulled by schedule, and what is asked for here waits
      six hours for one to start (<code>pm2 start ecosystem.config.cjs</code>, or <code>npm start</code>).
    </p>`;
  }
  const since =
    daemon.sinceMs === undefined ? '' : ` for ${age(Math.max(0, site.clock.now() - daemon.sinceMs))}`;
  return html`<p class="muted small">
    The daemon runs${since}${daemon.pid !== undefined && ` (process ${daemon.pid} on ${daemon.host})`}.
  </p>`;
}

async function jobSheet(
  site: Site,
  liveRuns: LiveRuns,
  ask: Ask,
  job: JobConfig,
  status: JobStatus,
  ledger: Ledger | undefined,
): Promise<Html> {
  const { jobName, method, settings } = job;
  const { timezone } = settings.schedule;
  const now = site.clock.now();
  const runs = (ledger?.runs({ jobName, limit: 500 }) ?? []).filter(
    ({ startedAtMs }) => now - startedAtMs < STRIP_MS,
  );
  const published = ledger?.lastPublished(jobName);
  const live = ledger && (await liveRuns.look(job, ledger));
  const view = published?.summary && buildReportView(published.summary, { timezone, locale: 'en' });
  return html`<section class="sheet" aria-labelledby="job-${jobName}">
    <h2 id="job-${jobName}">${jobName} ${badge(status.verdict)}</h2>
    <p class="lead">${status.why}</p>
    ${status.next !== undefined && html`<p>To do: <code>${status.next}</code></p>`}
    ${status.warnings.map((warning) => html`<p class="note warn">${warning}</p>`)}
    ${
      view !== undefined &&
      view.marks.length > 0 &&
      html`<div class="note warn">
        <strong>Unlike the runs before</strong>
        <ul>
          ${view.marks.map((mark) => html`<li>${mark}</li>`)}
        </ul>
      </div>`
    }
    <div id="live-${jobName}">${liveBox(live, method)}</div>
    <dl class="facts">
      <dt>Next run</dt>
      <dd>
        ${status.nextRun === undefined ? 'by hand only: no cron is set' : `${instant(Date.parse(status.nextRun), timezone)}, in ${age(Math.max(0, Date.parse(status.nextRun) - now))}`}
      </dd>
      <dt>Last run</dt>
      <dd>${status.lastRun === undefined ? 'none' : runLink(status.lastRun)}</dd>
      <dt>Server</dt>
      <dd>${settings.epic_settings.epic_endpoint}</dd>
    </dl>
    ${asks(ask, jobName, live, published?.status === 'partial')}
    ${requests(ledger?.requests.recent(jobName, REQUESTS_SHOWN) ?? [], now)}
    <h3>The last 90 days</h3>
    ${strip(runs, timezone, now)}
    ${
      view !== undefined &&
      html`<h3>Records by type, ${runLink(published!.runId)}</h3>
        ${typeTable(view)}`
    }
  </section>`;
}

/** Buttons: each is a form of its own, so that they work without a script. */
function asks(ask: Ask, jobName: string, live: LiveRun | undefined, isPartial: boolean): Html {
  const isOpen = live !== undefined;
  const button = (kind: string, text: string, className: string, confirm?: string): Html =>
    html`<form
      method="post"
      action="${localHref(['jobs', jobName, 'requests'])}"
      ${confirm !== undefined && html` data-confirm="${confirm}"`}
    >
      ${csrfField(ask)}<input type="hidden" name="kind" value="${kind}" /><button class="${className}">
        ${text}
      </button>
    </form>`;
  return html`<div class="row" role="group" aria-label="Ask the daemon, job ${jobName}">
    ${live?.isWorking !== true && button('run', isOpen ? 'Go on with the run' : 'Run now', 'main')}
    ${button('dry-run', 'Dry run', '')} ${isPartial && button('retry-failed', 'Retry failed', '')}
    ${isOpen && button('cancel', 'Cancel the run', 'danger', `Cancel the open run of ${jobName}? Nothing of it will be published.`)}
  </div>`;
}

function requests(recent: readonly RunRequest[], nowMs: number): Html | undefined {
  if (recent.length === 0) return undefined;
  return html`<h3>Asked for</h3>
    <ul>
      ${recent.map(
        ({ kind, state, askedAtMs, answer, runId }) =>
          html`<li>
            ${kind}, ${age(Math.max(0, nowMs - askedAtMs))} ago:
            <strong>${state}</strong
            >${runId !== undefined && html`, ${runLink(runId)}`}${answer !== undefined && html`<pre>${answer}</pre>`}
          </li>`,
      )}
    </ul>`;
}

function surroundings({ outbox, disk }: SiteStatus): Html {
  const room =
    disk.runsLeft === undefined ? '' : `, room for ${countOf(disk.runsLeft, 'run')} as large as the last`;
  return html`<section class="sheet" aria-labelledby="around">
    <h2 id="around">Mail and disk</h2>
    <dl class="facts">
      <dt>Outbox</dt>
      <dd>
        ${outbox.mails === 0 ? 'empty' : `${countOf(outbox.mails, 'mail')} waiting${outbox.held > 0 ? `, ${count(outbox.held)} held until the mail settings change` : ''} (${outbox.lastCode ?? 'not tried yet'})`}
      </dd>
      <dt>Disk</dt>
      <dd>${byteSize(disk.freeBytes)} free in ${disk.folder}${room}</dd>
    </dl>
  </section>`;
}

/** What a page's buttons and verdicts depend on: when it is another, the page is loaded anew. */
function stateOf(site: Site, ledger: Ledger | undefined): string {
  const jobs = site.config().jobs.map(({ jobName }) => {
    const [last] = ledger?.runs({ jobName, limit: 1 }) ?? [];
    const [request] = ledger?.requests.recent(jobName, 1) ?? [];
    return [last?.runId, last?.state, request?.requestNo, request?.state].join('.');
  });
  return [daemonOf(ledger, stateFolderOf(site)) === undefined ? 'none' : 'served', ...jobs].join(' ');
}

/** Server-sent events (HTML standard, 9.2): what is new of each open run, by the id of its element. */
async function* liveEvents(
  site: Site,
  liveRuns: LiveRuns,
  seen: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { clock } = site;
  const untilMs = clock.monotonicMs() + LIVE_FOR_MS;
  yield 'retry: 1000\n\n';
  while (!signal.aborted && clock.monotonicMs() < untilMs) {
    const found = await site.read(async (ledger) => {
      const boxes: Record<string, string> = {};
      for (const job of site.config().jobs) {
        const live = ledger && (await liveRuns.look(job, ledger));
        boxes[`live-${job.jobName}`] = liveBox(live, job.method)?.toString() ?? '';
      }
      return { boxes, state: stateOf(site, ledger) };
    });
    if (found.state !== seen) {
      yield 'event: changed\ndata: \n\n';
      return;
    }
    yield `data: ${JSON.stringify(found.boxes)}\n\n`;
    await clock.sleep(LIVE_EVERY_MS, signal).catch(() => undefined);
  }
}
