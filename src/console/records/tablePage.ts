import { byteSize, count, countOf } from '../../report/format.ts';
import { htmlAnswer, type Answer, type Ask } from '../exchange.ts';
import { html, type Html } from '../html.ts';
import { page } from '../page.ts';
import { textOf } from './datatypes.ts';
import { readExact, type ExactObject } from './exactJson.ts';
import { cellHref, cellHtml, resourceHref, targetReader } from './links.ts';
import type { Source } from './sources.ts';
import { chosenRows, type TableIndex } from './tableIndex.ts';
import { tableForm } from './tableForm.ts';
import { readTableQuery, ROWS_PER_PAGE, tableHref, type TableQuery } from './tableQuery.ts';
import { sourceTrail } from './trail.ts';

/** A table: what is chosen of it, a page at a time. */

export interface ShownTable {
  readonly source: Source;
  readonly resourceType: string;
  readonly index: TableIndex;
  readonly query: TableQuery;
}

/** The rows that a table's address chooses, and how many they are. Throws CONSOLE_ASK_INVALID. */
export async function chooseRows(
  ask: Ask,
  index: TableIndex,
): Promise<{ readonly query: TableQuery; readonly matches: number; readonly rows: Iterable<number> }> {
  const query = readTableQuery(ask.url.searchParams, index.table);
  const chosen = await index.filter(query.filters, ask.signal);
  const order = query.sort === undefined ? undefined : await index.orderBy(query.sort);
  const { rows: total } = index.meta;
  const isTurned = query.isDescending;
  return { query, matches: chosen?.size ?? total, rows: chosenRows(total, order, isTurned, chosen) };
}

export async function tableAnswer(
  ask: Ask,
  source: Source,
  resourceType: string,
  index: TableIndex,
): Promise<Answer> {
  const { query, matches, rows } = await chooseRows(ask, index);
  const shown: ShownTable = { source, resourceType, index, query };
  const some: number[] = [];
  let passed = 0;
  for (const row of rows) {
    if (passed++ < (query.page - 1) * ROWS_PER_PAGE) continue;
    some.push(row);
    if (some.length === ROWS_PER_PAGE) break;
  }
  const trs: Html[] = [];
  const rowHtml = rowMaker(shown);
  for await (const { row, line } of index.lines(some, ask.signal))
    trs.push(rowHtml(row, readExact(line) ?? {}));
  const main = html`${tableForm(shown)}
    <div class="sheet">
      ${summary(shown, matches)}
      ${
        trs.length === 0
          ? html`<p>
              Nothing here. <a href="${tableHref(pathOf(shown), bare(query), index.table)}">Show all</a>
            </p>`
          : html`<div class="scroll" role="region" aria-label="${resourceType}" tabindex="0">
              <table class="records">
                <thead>
                  <tr>
                    ${heads(shown)}
                  </tr>
                </thead>
                <tbody>
                  ${trs}
                </tbody>
              </table>
            </div>`
      }
      ${paging(shown, matches)}
    </div>`;
  return htmlAnswer(
    page(ask, {
      title: resourceType,
      place: 'data',
      trail: sourceTrail(source),
      aside: downloads(shown),
      main,
    }),
  );
}

function pathOf({ source, resourceType }: ShownTable): readonly string[] {
  return ['data', source.sourceId, resourceType];
}

/** Without filters, on the first page. */
function bare(query: TableQuery): TableQuery {
  return { ...query, filters: new Map(), page: 1 };
}

function summary({ index, query }: ShownTable, matches: number): Html {
  const { rows, badLines, files } = index.meta;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const of =
    query.filters.size > 0 ? `${count(matches)} of ${countOf(rows, 'resource')}` : countOf(rows, 'resource');
  return html`<p role="status">${of}, ${countOf(files.length, 'file')} of ${byteSize(bytes)}.</p>
    ${badLines > 0 && html`<p class="note warn">${countOf(badLines, 'line')} could not be read and ${badLines === 1 ? 'is' : 'are'} left out.</p>`}`;
}

function heads(shown: ShownTable): readonly Html[] {
  const { index, query } = shown;
  return visible(shown).map(({ key, title, isNumber }) => {
    const isSorted = query.sort === key;
    const next = { ...query, sort: key, isDescending: isSorted && !query.isDescending, page: 1 };
    const direction = isSorted && (query.isDescending ? 'descending' : 'ascending');
    return html`<th
      scope="col"
      class="${isNumber && 'number'}"
      ${direction && html`aria-sort="${direction}"`}
    >
      <a href="${tableHref(pathOf(shown), next, index.table)}">${title}</a>
      ${direction && html`<span aria-hidden="true">${query.isDescending ? '▼' : '▲'}</span>`}
    </th>`;
  });
}

function visible({ index, query }: ShownTable) {
  return index.table.columns.filter(({ key }) => query.columns.includes(key));
}

function rowMaker(shown: ShownTable): (row: number, resource: ExactObject) => Html {
  const { source, resourceType } = shown;
  const columns = visible(shown);
  const targetOf = targetReader(source);
  return (row, resource) => {
    const id = textOf(resource['id']);
    const own = resourceHref(
      source,
      resourceType,
      id,
      id === undefined || source.kind === 'upload' ? row : undefined,
    );
    const cells = columns.map(({ cell, isNumber, isDate }, index) => {
      const made = cell(resource);
      const kind = isNumber ? 'number' : isDate && 'date';
      if (index === 0) {
        const text = made.text === '' ? '(nothing said)' : made.text;
        return html`<th scope="row" class="${kind}">${cellHtml({ ...made, text }, own)}</th>`;
      }
      return html`<td class="${kind}">${cellHtml(made, cellHref(source, targetOf, made))}</td>`;
    });
    return html`<tr>
      ${cells}
    </tr>`;
  };
}

function paging(shown: ShownTable, matches: number): Html | undefined {
  const { query, index } = shown;
  const pages = Math.max(1, Math.ceil(matches / ROWS_PER_PAGE));
  if (pages === 1 && query.page === 1) return undefined;
  const to = (pageNo: number, text: string): Html | false =>
    pageNo >= 1 &&
    pageNo <= pages &&
    pageNo !== query.page &&
    html`<li>
      <a class="button" href="${tableHref(pathOf(shown), { ...query, page: pageNo }, index.table)}"
        >${text}</a
      >
    </li>`;
  return html`<nav class="paging" aria-label="Pages">
    <ul>
      ${query.page > 2 && to(1, 'First')} ${to(query.page - 1, 'Previous')}
      <li>Page ${count(query.page)} of ${count(pages)}</li>
      ${to(query.page + 1, 'Next')} ${query.page < pages - 1 && to(pages, 'Last')}
    </ul>
  </nav>`;
}

function downloads(shown: ShownTable): Html {
  const { query, index } = shown;
  const all = { ...query, page: 1 };
  const href = (kind: string): string => tableHref([...pathOf(shown), '-', kind], all, index.table);
  return html`<span class="row">
    <a class="button" href="${href('csv')}" download>CSV</a>
    <a class="button" href="${href('ndjson')}" download>NDJSON</a>
  </span>`;
}
