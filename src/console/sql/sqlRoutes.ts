import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { asRoundsError, RoundsError } from '../../errors.ts';
import { count, countOf } from '../../report/format.ts';
import { chooseRun, folderOf } from '../../views/chooseRun.ts';
import { CSV_START, csvLine } from '../csv.ts';
import { download, htmlAnswer, seeOther, type Answer, type Ask, type Route } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { csrfField, page } from '../page.ts';
import type { Site } from '../site.ts';
import { findDuckDb, runQuery, viewsOf, writeParquet, type Answered } from './runQuery.ts';
import { savedQueries, saveQuery } from './savedQueries.ts';

const ROWS_SHOWN = 1_000;
const RUNS_OFFERED = 60;
const FIRST_QUERY = `SELECT json ->> '$.code.text' AS condition, count(*) AS records
FROM Condition_json
GROUP BY ALL ORDER BY records DESC, condition LIMIT 20`;

/** Read-only SQL over a run's files, by DuckDB. */
export function sqlRoutes(site: Site): readonly Route[] {
  const queryOf = async ({ form, params, signal }: Ask) => ({
    sql: (await form()).get('sql') ?? '',
    folder: await folderOfRun(site, params['runId']!),
    signal,
  });
  return [
    { method: 'GET', path: '/sql', answer: (ask) => start(site, ask) },
    {
      method: 'GET',
      path: '/sql/{runId}',
      answer: async (ask) => sqlPage(site, ask, await nameOf(site, ask), undefined),
    },
    {
      method: 'POST',
      path: '/sql/{runId}',
      answer: async (ask) => {
        const query = await queryOf(ask);
        const result = await resultOf(site, query).catch((thrown: unknown) => asRoundsError(thrown));
        return sqlPage(site, ask, query.sql, result);
      },
    },
    {
      method: 'POST',
      path: '/sql/{runId}/csv',
      answer: async (ask) => {
        const answered = await runQuery(site, await queryOf(ask));
        return download(`${ask.params['runId']}.csv`, 'text/csv; charset=utf-8', csvOf(answered));
      },
    },
    {
      method: 'POST',
      path: '/sql/{runId}/parquet',
      answer: async (ask) => {
        const query = await queryOf(ask);
        // The open file lives on when its folder goes.
        const handle = await writeParquet(site, query, (file) => open(file, 'r'));
        return download(
          `${ask.params['runId']}.parquet`,
          'application/vnd.apache.parquet',
          createReadStream('', { fd: handle }),
        );
      },
    },
    {
      method: 'POST',
      path: '/sql/{runId}/save',
      answer: async ({ form, params }) => {
        const given = await form();
        const name = given.get('name') ?? '';
        await saveQuery(site, { name, sql: given.get('sql') ?? '' });
        return seeOther(localHref(['sql', params['runId']!], { query: name.trim() }));
      },
    },
  ];
}

function folderOfRun(site: Site, runId: string): Promise<string> {
  return site.read((ledger) => folderOf(chooseRun(ledger, runId)));
}

/** To the run that was chosen, or the newest published one. */
async function start(site: Site, ask: Ask): Promise<Answer> {
  const runs = await publishedRuns(site);
  const chosen = ask.url.searchParams.get('run');
  const newest = runs.find((runId) => runId === chosen) ?? runs[0];
  if (newest !== undefined) return seeOther(localHref(['sql', newest]));
  return htmlAnswer(
    page(ask, { title: 'SQL', place: 'sql', main: html`<p class="lead">No run is published yet.</p>` }),
  );
}

function publishedRuns(site: Site): Promise<readonly string[]> {
  return site.read((ledger) =>
    (ledger?.runs({ limit: 500 }) ?? [])
      .filter(({ folder }) => folder !== undefined)
      .slice(0, RUNS_OFFERED)
      .map(({ runId }) => runId),
  );
}

/** The text of the saved query that the address names. */
async function nameOf(site: Site, { url }: Ask): Promise<string> {
  const name = url.searchParams.get('query');
  return (await savedQueries(site)).find((one) => one.name === name)?.sql ?? FIRST_QUERY;
}

interface Shown extends Answered {
  readonly shown: readonly (readonly (string | null)[])[];
}

async function resultOf(site: Site, query: Parameters<typeof runQuery>[1]): Promise<Shown> {
  const answered = await runQuery(site, { ...query, maxRows: ROWS_SHOWN });
  const shown: (readonly (string | null)[])[] = [];
  for await (const row of answered.rows) shown.push(row);
  return { ...answered, shown };
}

async function* csvOf({ columns, rows }: Answered): AsyncGenerator<string> {
  yield CSV_START + csvLine(columns.map(({ name }) => name));
  for await (const row of rows) yield csvLine(row.map((cell) => cell ?? ''));
}

async function sqlPage(
  site: Site,
  ask: Ask,
  sql: string,
  result: Shown | RoundsError | undefined,
): Promise<Answer> {
  const runId = ask.params['runId']!;
  const folder = await folderOfRun(site, runId);
  const [views, runs, saved] = await Promise.all([viewsOf(folder), publishedRuns(site), savedQueries(site)]);
  const missing = whyMissing(site);
  const to = (...more: readonly string[]): string => localHref(['sql', runId, ...more]);
  const main = html`${missing !== undefined && html`<p class="note warn"><strong>${missing.message}.</strong> ${missing.hint}</p>`}
    <div class="sheet">
      <form method="get" action="/sql" class="row">
        <label for="run">Run</label>
        <select id="run" name="run">
          ${runs.map((one) => html`<option${one === runId && html` selected`}>${one}</option>`)}
        </select>
        <button>Choose</button>
      </form>
    </div>
    <form method="post" action="${to()}" class="sheet">
      ${csrfField(ask)}
      <label for="sql">Query</label>
      <textarea id="sql" name="sql" rows="8" spellcheck="false" autocomplete="off">${sql}</textarea>
      <p class="row">
        <button class="main">Run</button> <button formaction="${to('csv')}">CSV</button>
        <button formaction="${to('parquet')}">Parquet</button> <label for="name">Save as</label>
        <input id="name" name="name" maxlength="80" value="${ask.url.searchParams.get('query') ?? ''}" />
        <button formaction="${to('save')}">Save</button>
      </p>
      <p class="small muted">
        It reads the run’s files and nothing else, for a minute at most. A table is a type;
        <code>Patient_json</code> has each resource’s exact text in its column <code>json</code>, while the
        columns of <code>Patient</code> are DuckDB’s reading of it (numbers as DOUBLE).
      </p>
    </form>
    ${result !== undefined && resultSheet(result)}
    <div class="sheets">
      <section class="sheet" aria-labelledby="tables">
        <h2 id="tables">Tables</h2>
        <ul>
          ${views.map(({ name }) => html`<li><code>${name}</code>, <code>${name}_json</code></li>`)}
        </ul>
      </section>
      <section class="sheet" aria-labelledby="saved">
        <h2 id="saved">Saved queries</h2>
        ${
          saved.length === 0
            ? html`<p class="muted">None yet. To forget one, save it with an empty text.</p>`
            : html`<ul>
                ${saved.map(({ name }) => html`<li><a href="${localHref(['sql', runId], { query: name })}">${name}</a></li>`)}
              </ul>`
        }
      </section>
    </div>`;
  return htmlAnswer(
    page(ask, { title: 'SQL', place: 'sql', main }),
    result instanceof RoundsError ? 400 : 200,
  );
}

function whyMissing(site: Site): RoundsError | undefined {
  try {
    findDuckDb(site);
    return undefined;
  } catch (thrown) {
    return asRoundsError(thrown);
  }
}

function resultSheet(result: Shown | RoundsError): Html {
  if (result instanceof RoundsError) {
    return html`<section class="sheet" aria-labelledby="result">
      <h2 id="result">It did not work</h2>
      <pre>${result.message}</pre>
      <p>${result.hint}</p>
    </section>`;
  }
  const { columns, shown, end } = result;
  return html`<section class="sheet" aria-labelledby="result">
    <h2 id="result">${end.hasMore ? `The first ${count(end.rows)} rows` : countOf(end.rows, 'row')}</h2>
    ${end.unreadable > 0 && html`<p class="note warn">${countOf(end.unreadable, 'record')} of these tables cannot be read by DuckDB (half a surrogate pair in a text, which JSON allows) and stand as NULL.</p>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Result">
      <table>
        <thead>
          <tr>
            ${columns.map(({ name, type }) => html`<th scope="col">${name}<br /><span class="muted small">${type.slice(0, 40)}</span></th>`)}
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            (row) =>
              html`<tr>
                ${row.map((cell) => html`<td>${cell === null ? html`<span class="muted">NULL</span>` : cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
