import { count, countOf } from '../../report/format.ts';
import { htmlAnswer, notFound, type Answer, type Ask } from '../exchange.ts';
import { html, type Html } from '../html.ts';
import { page } from '../page.ts';
import { chart } from './chart.ts';
import { codesOf, textOf } from './datatypes.ts';
import { groupBy } from './groupBy.ts';
import { cellHref, cellHtml, resourceHref, targetReader } from './links.ts';
import type { PatientRecord, RecordItem } from './patientRecord.ts';
import { seriesOf, type Series } from './series.ts';
import type { Source } from './sources.ts';
import { timeline } from './timeline.ts';
import { sourceTrail } from './trail.ts';

/** One patient's record: who it is, what matters now, what was measured, and all of it in order. */

/** The newest of each list; the tables have them all. */
const LISTED = 200;
const SHOWN_AT_ONCE = 12;
/** The newest that charts are drawn from. */
const OBSERVATIONS = 5_000;
const CHARTS = 40;

export async function patientAnswer(
  ask: Ask,
  source: Source,
  patientId: string,
  record: PatientRecord,
): Promise<Answer> {
  const { signal } = ask;
  const [patient] = await record.ofType('Patient', 10, signal);
  if (record.entries.length === 0) throw notFound('nothing here is about such a patient');
  const list = (type: string) => record.ofType(type, LISTED, signal);
  const medications = [...(await list('MedicationRequest')), ...(await list('MedicationStatement'))];
  const observations = await record.ofType('Observation', OBSERVATIONS, signal);
  const series = seriesOf(observations.map(({ resource }) => resource));
  const main = html`${patient && who(source, patient)}
    <div class="sheets">
      ${section(source, 'Problems', await list('Condition'), ['what', 'clinical', 'onset'], isActive)}
      ${section(source, 'Medications', medications, ['what', 'status', 'dosage', 'authored', 'date'], isActive)}
      ${section(source, 'Allergies', await list('AllergyIntolerance'), ['what', 'criticality', 'reaction'], isActive)}
      ${section(source, 'Documents', await list('DocumentReference'), ['what', 'date', 'author'], () => true)}
    </div>
    ${charts('Vital signs', series, 'vital', 100)} ${charts('Laboratory', series, 'lab', 200)}
    ${charts('Other measurements', series, 'other', 300)} ${await timeline(ask, source, patientId, record)}`;
  const name = patient?.index.table.headline(patient.resource) ?? `Patient ${patientId}`;
  return htmlAnswer(page(ask, { title: name, place: 'data', trail: sourceTrail(source), main }));
}

function who(source: Source, { index, resource, id, row }: RecordItem): Html {
  return html`<section class="sheet" aria-labelledby="who">
    <h2 id="who">Patient</h2>
    <dl class="facts">
      ${index.table.columns
        .filter(({ key, isExtra }) => isExtra !== true && key !== 'name')
        .map(({ title, cell }) => {
          const made = cell(resource);
          return (
            made.text !== '' &&
            html`<dt>${title}</dt>
              <dd>${cellHtml(made)}</dd>`
          );
        })}
    </dl>
    <p><a href="${resourceHref(source, 'Patient', id, row)}">The Patient resource</a></p>
  </section>`;
}

const ENDED: readonly string[] = [
  ...['inactive', 'resolved', 'remission', 'completed', 'stopped', 'cancelled', 'entered-in-error'],
  ...['refuted', 'ended', 'not-taken'],
];

/** Of a problem, a medication or an allergy: still to be reckoned with, as far as it says. */
function isActive({ resource }: RecordItem): boolean {
  const { clinicalStatus, verificationStatus, status } = resource;
  const codes = [...codesOf(clinicalStatus), ...codesOf(verificationStatus), textOf(status) ?? ''];
  return !codes.some((code) => ENDED.includes(code));
}

function section(
  source: Source,
  title: string,
  items: readonly RecordItem[],
  keys: readonly string[],
  isNow: (item: RecordItem) => boolean,
): Html {
  const groups = groupBy(items, isNow);
  const [now, past] = [groups.get(true) ?? [], groups.get(false) ?? []];
  const [first, rest] = [now.slice(0, SHOWN_AT_ONCE), now.slice(SHOWN_AT_ONCE)];
  const id = title.toLowerCase();
  return html`<section class="sheet" aria-labelledby="${id}">
    <h2 id="${id}">${title} <span class="muted small">${count(now.length)}</span></h2>
    ${first.length === 0 ? html`<p class="muted">None that is current.</p>` : listed(source, first, keys)}
    ${
      rest.length > 0 &&
      html`<details>
        <summary>${countOf(rest.length, 'more', 'more')}</summary>
        ${listed(source, rest, keys)}
      </details>`
    }
    ${
      past.length > 0 &&
      html`<details>
        <summary>${countOf(past.length, 'past one')}</summary>
        ${listed(source, past, keys)}
      </details>`
    }
  </section>`;
}

function listed(source: Source, items: readonly RecordItem[], keys: readonly string[]): Html {
  const targetOf = targetReader(source);
  return html`<ul class="items">
    ${items.map(({ resourceType, index, id, row, resource }) => {
      const columns = index.table.columns.filter(({ key }) => keys.includes(key));
      const cells = keys.flatMap((key) => columns.find((column) => column.key === key)?.cell(resource) ?? []);
      const [what, ...others] = cells;
      const href = resourceHref(source, resourceType, id, id === undefined ? row : undefined);
      return html`<li>
        ${cellHtml(what === undefined || what.text === '' ? { text: resourceType } : what, href)}
        ${others.map(
          (other) =>
            other.text !== '' &&
            html`<span class="muted small">${cellHtml(other, cellHref(source, targetOf, other))}</span> `,
        )}
      </li>`;
    })}
  </ul>`;
}

/** Series of one value are no chart: the timeline has them. */
function charts(
  title: string,
  series: readonly Series[],
  kind: Series['kind'],
  firstNo: number,
): Html | undefined {
  const drawn = series.filter((one) => one.kind === kind && one.points.length > 1);
  if (drawn.length === 0) return undefined;
  const id = `${kind}-charts`;
  return html`<section class="sheet" aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    <div class="charts">${drawn.slice(0, CHARTS).map((one, at) => chart(one, firstNo + at))}</div>
    ${drawn.length > CHARTS && html`<p class="muted">${countOf(drawn.length - CHARTS, 'more series', 'more series')}: see the table of Observations.</p>`}
  </section>`;
}
