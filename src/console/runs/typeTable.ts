import { TYPE_COLUMNS, type ReportView } from '../../report/reportView.ts';
import { html, type Html } from '../html.ts';

/** Records, files and searches by type against the runs before: the report's own table. */
export function typeTable({ rows, total, baseline }: Pick<ReportView, 'rows' | 'total' | 'baseline'>): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Records by type">
    <table>
      <caption>
        ${baseline}
      </caption>
      <thead>
        <tr>
          <th scope="col">type</th>
          ${TYPE_COLUMNS.map((name) => html`<th scope="col" class="number">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${[...rows, total].map(
          (row) =>
            html`<tr>
              <th scope="row">
                ${row.resourceType}${row.isMarked && html` <span class="badge warn">marked</span>`}
              </th>
              ${row.cells.map(
                (cell, index) => html`<td class="number${toneOf(row, TYPE_COLUMNS[index])}">${cell}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function toneOf({ hasGap, hasFailed }: ReportView['total'], column: string | undefined): string {
  if (column === 'failed' && hasFailed) return ' bad';
  return column === 'gap' && hasGap ? ' warn' : '';
}
