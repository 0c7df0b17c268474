import { html, localHref, type Html } from '../html.ts';
import type { ShownTable } from './tablePage.ts';
import { OF_COLUMN } from './tableQuery.ts';

/** The form above a table: filters, and which columns are shown. A plain GET form. */
export function tableForm({ source, resourceType, index, query }: ShownTable): Html {
  const ofColumns = [...query.filters.keys()].some((key) => key !== '');
  const sort = query.sort === undefined ? undefined : `${query.isDescending ? '-' : ''}${query.sort}`;
  const action = localHref(['data', source.sourceId, resourceType]);
  return html`<form class="sheet table-form" method="get" action="${action}" role="search">
    <p class="row">
      <label for="filter">Any column has</label>
      <input id="filter" name="filter" type="search" maxlength="200" value="${query.filters.get('')}" />
      <button class="main">Show</button>
      <a href="${action}">Start again</a>
    </p>
    ${sort !== undefined && html`<input type="hidden" name="sort" value="${sort}" />`}
    <details ${(ofColumns || query.columns.length === 0) && html`open`}>
      <summary>Columns and their filters</summary>
      <p class="muted small" id="filter-help">
        All words have to be found, in any case. <code>=final</code> is the whole cell,
        <code>!final</code> what has it not.
      </p>
      <ul class="columns">
        ${index.table.columns.map(
          ({ key, title }) =>
            html`<li>
              <label>
                <input
                  type="checkbox"
                  name="columns"
                  value="${key}"
                  ${query.columns.includes(key) && html`checked`}
                />
                ${title}
              </label>
              <input
                name="${OF_COLUMN}${key}"
                aria-label="${title} has"
                aria-describedby="filter-help"
                maxlength="200"
                value="${query.filters.get(key)}"
              />
            </li>`,
        )}
      </ul>
      <p><button>Show</button></p>
    </details>
  </form>`;
}
