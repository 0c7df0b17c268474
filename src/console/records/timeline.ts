import { RoundsError } from '../../errors.ts';
import { count, countOf } from '../../report/format.ts';
import type { Ask } from '../exchange.ts';
import { html, localHref, type Html } from '../html.ts';
import { dateText } from './dates.ts';
import { groupBy } from './groupBy.ts';
import { cellHtml, resourceHref } from './links.ts';
import type { PatientRecord, RecordItem } from './patientRecord.ts';
import type { Source } from './sources.ts';
import { valueCell } from './observation.ts';

/** Everything of a patient, the newest first: all types, or those that are chosen; a page at a time. */

const PER_PAGE = 50;

export async function timeline(
  ask: Ask,
  source: Source,
  patientId: string,
  record: PatientRecord,
): Promise<Html> {
  const counts = record.counts();
  const params = ask.url.searchParams;
  const types = params
    .getAll('type')
    .flatMap((given) => given.split(','))
    .filter((type) => counts.has(type));
  const pageText = params.get('page') ?? '1';
  if (!/^[1-9]\d{0,6}$/.test(pageText))
    throw new RoundsError('CONSOLE_ASK_INVALID', 'a page is a number from 1');
  const pageNo = Number(pageText);
  const chosen = record.entries.filter(
    ({ resourceType }) => types.length === 0 || types.includes(resourceType),
  );
  const some = chosen.slice((pageNo - 1) * PER_PAGE, pageNo * PER_PAGE);
  const items = await record.read(some, ask.signal);
  const path = ['data', source.sourceId, 'patients', patientId];
  const pages = Math.max(1, Math.ceil(chosen.length / PER_PAGE));
  const to = (no: number, text: string): Html | false =>
    no >= 1 &&
    no <= pages &&
    html`<li>
      <a
        class="button"
        href="${localHref(path, { type: types.join(','), page: no === 1 ? undefined : no })}#timeline"
        >${text}</a
      >
    </li>`;
  return html`<section class="sheet" aria-labelledby="timeline">
    <h2 id="timeline">Timeline</h2>
    <form method="get" action="${localHref(path)}#timeline">
      <fieldset class="types">
        <legend>Types</legend>
        ${[...counts].map(
          ([type, n]) =>
            html`<label>
              <input type="checkbox" name="type" value="${type}" ${types.includes(type) && html`checked`} />
              ${type} <span class="muted">${count(n)}</span>
            </label> `,
        )}
        <button>Show</button>
      </fieldset>
    </form>
    <p role="status">${countOf(chosen.length, 'resource')}, the newest first.</p>
    <ol class="timeline">
      ${byDay(items).map(
        ([day, ofDay]) =>
          html`<li>
            <h3>${day}</h3>
            <ul>
              ${ofDay.map((item) => entry(source, item))}
            </ul>
          </li>`,
      )}
    </ol>
    ${
      pages > 1 &&
      html`<nav class="paging" aria-label="Pages of the timeline">
        <ul>
          ${to(pageNo - 1, 'Newer')}
          <li>Page ${count(pageNo)} of ${count(pages)}</li>
          ${to(pageNo + 1, 'Older')}
        </ul>
      </nav>`
    }
  </section>`;
}

function dateOf({ index, resource }: RecordItem): string | undefined {
  return index.table.when(resource);
}

/** A day as the resources say it, in the zone that each was written in. */
function byDay(items: readonly RecordItem[]): readonly (readonly [string, readonly RecordItem[]])[] {
  const days = groupBy(items, (item) => dateOf(item)?.slice(0, 10) ?? 'Without a date');
  return [...days];
}

function entry(source: Source, item: RecordItem): Html {
  const { resourceType, index, id, row, resource } = item;
  const href = resourceHref(
    source,
    resourceType,
    id,
    id === undefined || source.kind === 'upload' ? row : undefined,
  );
  const judged = resourceType === 'Observation' ? valueCell(resource) : undefined;
  const text = index.table.headline(resource) ?? id ?? resourceType;
  const date = dateText(dateOf(item) ?? '');
  return html`<li>
    <span class="badge">${resourceType}</span>
    ${cellHtml({ ...judged, text }, href)}
    ${date.length > 10 && html`<span class="muted small">${date.slice(11)}</span>`}
  </li>`;
}
