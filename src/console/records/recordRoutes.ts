import { download, jsonAnswer, seeOther, type Answer, type Ask, type Route } from '../exchange.ts';
import { localHref } from '../html.ts';
import type { Site } from '../site.ts';
import { dataAnswer, sourceAnswer } from './dataPage.ts';
import { csvAnswer, ndjsonAnswer } from './downloads.ts';
import { forgetLostIndexes, Indexes } from './indexes.ts';
import { resourceHref, targetReader } from './links.ts';
import { chosenResource, patientsOf, resourcesOfId } from './oneResource.ts';
import { patientAnswer } from './patientPage.ts';
import { PatientRecord } from './patientRecord.ts';
import { progressAnswer } from './progressPage.ts';
import { resourceAnswer } from './resourcePage.ts';
import { findSource, type Source } from './sources.ts';
import { TableIndex } from './tableIndex.ts';
import { tableAnswer } from './tablePage.ts';
import { deleteUpload, findUpload, receiveUpload } from './uploads.ts';

/** The pages of Data and Patient, and what is downloaded and uploaded there. */
export function recordRoutes(site: Site): readonly Route[] {
  const indexes = new Indexes(site);
  /** Whose record an answer showed, which is known only once it was found. */
  const shown = new WeakMap<Ask, string>();
  const patientId = (ask: Ask): string | undefined => shown.get(ask);

  type TablePage = (ask: Ask, source: Source, type: string, index: TableIndex) => Promise<Answer>;
  /** What needs a table's index: until there is one, the page of its progress. */
  const ofTable =
    (answer: TablePage) =>
    async (ask: Ask): Promise<Answer> => {
      const source = await findSource(site, ask.params['source']!);
      const type = ask.params['type']!;
      const found = await indexes.find(source, type);
      return found instanceof TableIndex
        ? answer(ask, source, type, found)
        : progressAnswer(ask, source, type, found);
    };

  /** Notes whose resource it is; of several patients the first. */
  const resource: TablePage = async (ask, source, type, index) => {
    const found = await chosenResource(index, ask.params['id']!, ask.url.searchParams.get('row'), ask.signal);
    const patients = patientsOf(source, found.chosen.line);
    const [first] = patients;
    if (first !== undefined) shown.set(ask, first);
    if (ask.url.pathname.endsWith('/exact')) {
      return download(`${type}-${ask.params['id']}.json`, 'application/fhir+json', found.chosen.line);
    }
    const follow = await followOf(source, found.chosen.line, ask);
    return resourceAnswer(ask, source, type, index, found, patients, follow);
  };

  /** Where a resource's references lead: to what is there, or may be, in a table that nobody has looked into yet. */
  const followOf = async (source: Source, line: Buffer, ask: Ask) => {
    const targetOf = targetReader(source);
    const missing = new Set<string>();
    for (const [, reference] of line.toString('utf8').matchAll(/"reference"\s*:\s*"([^"\\]{1,400})"/g)) {
      const target = targetOf(reference!);
      if (target === undefined || missing.has(reference!)) continue;
      const index = await indexes.peek(source, target.resourceType);
      if (index === undefined) continue;
      const found = await resourcesOfId(index, target.resourceId, ask.signal);
      if (found.length === 0) missing.add(reference!);
    }
    return (reference: string): string | undefined => {
      const target = targetOf(reference);
      if (target === undefined || missing.has(reference)) return undefined;
      return resourceHref(source, target.resourceType, target.resourceId);
    };
  };

  const patient = async (ask: Ask): Promise<Answer> => {
    const source = await findSource(site, ask.params['source']!);
    const id = ask.params['patientId']!;
    shown.set(ask, id);
    const found = await indexes.findAll(source, [...source.tables.keys()]);
    return 'totalBytes' in found
      ? progressAnswer(ask, source, 'The record', found)
      : patientAnswer(ask, source, id, await PatientRecord.find(source, id, found));
  };

  const upload = async (ask: Ask): Promise<Answer> => {
    const { uploadId, label, types, badLines, bad } = await receiveUpload(
      site,
      ask.url.searchParams.get('name') ?? '',
      ask.body,
      ask.signal,
    );
    return jsonAnswer({ uploadId, href: localHref(['data', uploadId]), label, types, badLines, bad }, 201);
  };

  const get = (path: string, answer: Route['answer'], more: Partial<Route> = {}): Route => ({
    method: 'GET',
    path,
    answer,
    ...more,
  });
  return [
    get('/data', (ask) => dataAnswer(ask, site)),
    get('/data/{source}', async (ask) => {
      const source = await findSource(site, ask.params['source']!);
      return sourceAnswer(
        ask,
        source,
        source.kind === 'upload' ? await findUpload(site, source.sourceId) : undefined,
      );
    }),
    get('/data/{source}/patients/{patientId}', patient, { patientId }),
    get('/data/{source}/{type}', ofTable(tableAnswer)),
    get('/data/{source}/{type}/{id}', ofTable(resource), { patientId }),
    get('/data/{source}/{type}/{id}/exact', ofTable(resource), { patientId }),
    get('/data/{source}/{type}/-/csv', ofTable(csvAnswer)),
    get('/data/{source}/{type}/-/ndjson', ofTable(ndjsonAnswer)),
    { method: 'POST', path: '/uploads', answer: upload },
    {
      method: 'POST',
      path: '/uploads/{upload}/delete',
      answer: async (ask) => {
        await deleteUpload(site, ask.params['upload']!);
        await forgetLostIndexes(site);
        return seeOther('/data');
      },
    },
  ];
}
