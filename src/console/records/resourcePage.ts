import { byteSize, count } from '../../report/format.ts';
import { htmlAnswer, type Answer, type Ask } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { page } from '../page.ts';
import { textOf } from './datatypes.ts';
import { cellHref, cellHtml, patientHref, resourceHref, targetReader } from './links.ts';
import type { FoundResource } from './oneResource.ts';
import { treeOf, type FollowReference } from './resourceTree.ts';
import type { Source } from './sources.ts';
import type { TableIndex } from './tableIndex.ts';
import { tableTrail } from './trail.ts';

/** A longer text is shown by its beginning, and downloaded whole. */
const TEXT_BYTES = 200_000;

/** One resource: what its table says of it, as a tree, and as the exact text of its line. */
export function resourceAnswer(
  ask: Ask,
  source: Source,
  resourceType: string,
  index: TableIndex,
  found: { readonly chosen: FoundResource; readonly sameId: readonly FoundResource[] },
  patients: ReadonlySet<string>,
  follow: FollowReference,
): Answer {
  const { chosen, sameId } = found;
  const { resource, line, row } = chosen;
  const id = textOf(resource['id']);
  const title = index.table.headline(resource) ?? id ?? resourceType;
  const exactHref = localHref(['data', source.sourceId, resourceType, id ?? '-', 'exact'], { row });
  const main = html`${sameId.length > 1 && twice(source, resourceType, sameId, row)}
    <section class="sheet" aria-labelledby="overview">
      <h2 id="overview">${resourceType}</h2>
      ${overview(source, index, chosen)}
      ${[...patients].map(
        (patientId) =>
          html`<p><a class="button" href="${patientHref(source, patientId)}">The patient’s record</a></p>`,
      )}
    </section>
    <section class="sheet" aria-labelledby="tree">
      <h2 id="tree">As a tree</h2>
      ${treeOf(resource, follow)}
    </section>
    <section class="sheet" aria-labelledby="exact">
      <h2 id="exact">Exact text</h2>
      <p class="muted">
        ${byteSize(line.length)}, row ${count(row + 1)}. <a href="${exactHref}" download>Download it</a>
      </p>
      ${line.length > TEXT_BYTES && html`<p class="note">The first ${byteSize(TEXT_BYTES)} are shown.</p>`}
      <pre
        class="exact"
        tabindex="0"
        role="region"
        aria-label="The line"
      ><bdi>${line.toString('utf8', 0, TEXT_BYTES)}</bdi></pre>
    </section>`;
  return htmlAnswer(page(ask, { title, place: 'data', trail: tableTrail(source, resourceType), main }));
}

function overview(source: Source, { table }: TableIndex, { resource }: FoundResource): Html {
  const targetOf = targetReader(source);
  return html`<dl class="facts">
    ${table.columns.map(({ title, cell }) => {
      const made = cell(resource);
      if (made.text === '') return undefined;
      return html`<dt>${title}</dt>
        <dd>${cellHtml(made, cellHref(source, targetOf, made), 1_000)}</dd>`;
    })}
  </dl>`;
}

function twice(source: Source, resourceType: string, sameId: readonly FoundResource[], shown: number): Html {
  return html`<div class="note warn">
    <p>This id stands ${count(sameId.length)} times in the file:</p>
    <ul>
      ${sameId.map(({ row, resource }) => {
        const text = `row ${count(row + 1)}`;
        const href = resourceHref(source, resourceType, textOf(resource['id']), row);
        return html`<li>
          ${row === shown ? html`<span aria-current="true">${text} (shown here)</span>` : html`<a href="${href}">${text}</a>`}
        </li>`;
      })}
    </ul>
  </div>`;
}
