import { referenceReader, type RecordName } from '../../fhir/references.ts';
import { html, localHref, type Html } from '../html.ts';
import type { Cell } from './cells.ts';
import type { Source } from './sources.ts';

/** Where references lead: only to what is in the same source. */

export function resourceHref(
  source: Source,
  resourceType: string,
  id: string | undefined,
  row?: number,
): string {
  return localHref(['data', source.sourceId, resourceType, id ?? NO_ID], { row });
}

/** In the place of an id where a resource has none; its row says which it is. */
export const NO_ID = '-';

export function patientHref({ sourceId }: Source, patientId: string): string {
  return localHref(['data', sourceId, 'patients', patientId]);
}

/** Which record a Reference's text names, if it is one that the source could have. */
export function targetReader(source: Source): (reference: string) => RecordName | undefined {
  const read = referenceReader(source.base === '' ? 'urn:no-base' : source.base);
  return (reference) => {
    const named = [{ text: reference, as: 'reference' as const }];
    const { patients, others } = read({ resourceType: '', resourceId: '', named });
    const [patientId] = patients;
    const target = patientId === undefined ? others[0] : { resourceType: 'Patient', resourceId: patientId };
    return target !== undefined && source.tables.has(target.resourceType) ? target : undefined;
  };
}

/** A cell: its text, its judgement in a word, and where its reference leads. */
export function cellHtml({ text, tone, note }: Cell, href?: string, clip = CELL_SHOWN): Html {
  const shown = text.length > clip ? `${text.slice(0, clip)} …` : text;
  const said =
    tone !== undefined &&
    tone !== 'normal' &&
    note !== undefined &&
    html` <b class="tone ${tone}">${note}</b>`;
  return href === undefined
    ? html`<bdi>${shown}</bdi>${said}`
    : html`<a href="${href}"><bdi>${shown}</bdi></a
        >${said}`;
}

const CELL_SHOWN = 160;

/** Where a cell's reference leads: a patient's to the patient's page. */
export function cellHref(
  source: Source,
  targetOf: (reference: string) => RecordName | undefined,
  { reference }: Cell,
): string | undefined {
  const target = reference === undefined ? undefined : targetOf(reference);
  if (target === undefined) return undefined;
  const { resourceType, resourceId } = target;
  return resourceType === 'Patient'
    ? patientHref(source, resourceId)
    : resourceHref(source, resourceType, resourceId);
}
