import { jsonAnswer, type Answer, type Exchange } from '../exchange.ts';
import type { FaultAction } from '../faults.ts';
import { loginAnswer, outcomeAnswer } from '../fhirHandlers.ts';
import { issueOf } from '../outcomes.ts';
import { retryAfterText } from '../transport.ts';
import type { ExportJob } from './exports.ts';
import { accepts, refusal, type BulkContext } from './kickoffAnswer.ts';
import { manifestOf, pageCount, urlsExpireAtMs, type ManifestPlaces } from './manifest.ts';

/** A status request waits so long for the files of an export that the script calls done. */
const BUILD_WAIT_MS = 5_000;

async function filesAreThere(job: ExportJob): Promise<boolean> {
  if (!job.files && job.failedWith === undefined) {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, BUILD_WAIT_MS)));
    await Promise.race([job.built, patience]);
    clearTimeout(timer);
  }
  return job.files !== undefined;
}

/** The export that a client may see: its own. */
function ownExport(bulk: BulkContext, exchange: Exchange, exportId: string): ExportJob | undefined {
  const job = bulk.exports.find(exportId);
  return job?.clientId === exchange.grant?.clientId ? job : undefined;
}

const notThere = () => refusal(404, 'There is no such export.', { code: 'not-found' });

/** With `separate-export-status` the status code is the request's own, and the export's stands in a header. */
function withExportStatus(job: ExportJob, answer: Answer, text: string): Answer {
  if (!job.separateStatus) return answer;
  const headers = { ...answer.headers, 'X-Export-Status': `${answer.status} ${text}` };
  return { ...answer, status: 200, headers };
}

function progressText({ settings, exports }: BulkContext, job: ExportJob): string {
  const { progress } = settings;
  const text = progress?.[Math.min(job.polls, progress.length) - 1];
  return text ?? `${Math.floor(exports.progress(job) * 100)}% complete`;
}

/** Answers a status request, or one for a later page of the manifest (3.0.0, "Bulk Data Status Request"). */
export async function statusAnswer(
  bulk: BulkContext,
  exchange: Exchange,
  exportId: string,
  page: number,
  fault: FaultAction | undefined,
): Promise<Answer> {
  const { settings, exports, now } = bulk;
  if (!exchange.grant) return loginAnswer(exchange);
  const anyJson = ['application/json', 'application/fhir+json', 'application/*', '*/*'];
  if (exchange.header('accept') !== undefined && !accepts(exchange, ...anyJson)) {
    return refusal(406, 'A status is application/json.');
  }
  const job = ownExport(bulk, exchange, exportId);
  if (!job) return notThere();
  if (fault && 'exportFails' in fault) job.failedWith = fault.exportFails;
  const places: ManifestPlaces = { settings, statusUrl: bulk.statusUrl, fileOrigin: bulk.origin, now };

  const isDue = exports.isDue(job);
  if (!isDue && job.failedWith === undefined) {
    const last = job.lastPolledMs.get(page);
    const tooSoon = last === undefined ? 0 : settings.minPollSeconds - (now() - last) / 1000;
    if (tooSoon > 0) {
      const answer = refusal(429, 'Status was asked for too soon.', { code: 'throttled' });
      return { ...answer, headers: { 'Retry-After': String(Math.ceil(tooSoon)) } };
    }
    job.lastPolledMs.set(page, now());
    job.polls += 1;
  }
  const shows = isDue || job.request.allowPartialManifests;
  const isBuilt = shows && job.failedWith === undefined && (await filesAreThere(job));
  if (job.failedWith !== undefined) {
    return withExportStatus(
      job,
      outcomeAnswer(500, [{ ...issueOf(job.failedWith), severity: 'fatal' }]),
      'Internal Server Error',
    );
  }
  const pages = isBuilt ? pageCount(job, settings) : 0;
  const available = isDue ? pages : Math.floor(pages * exports.progress(job));
  if (page > Math.max(1, available)) return notThere();
  const manifest = page <= available ? manifestOf(job, page, available, places, fault) : undefined;
  const expires = new Date(urlsExpireAtMs(job, settings, exports.expiresAtMs(job))).toUTCString();

  if (isDue && manifest) {
    return withExportStatus(job, { ...jsonAnswer(200, manifest), headers: { Expires: expires } }, 'OK');
  }
  const headers = {
    'X-Progress': progressText(bulk, job),
    ...(settings.retryAfter === false ? {} : { 'Retry-After': retryAfterText(settings.retryAfter, now()) }),
    ...(manifest ? { Expires: expires } : {}),
  };
  const empty: Answer = { status: 202, contentType: 'text/plain', body: Buffer.alloc(0) };
  return withExportStatus(job, { ...(manifest ? jsonAnswer(202, manifest) : empty), headers }, 'Accepted');
}

/** Answers the DELETE of an export, under way or done. */
export async function cancelAnswer(bulk: BulkContext, exchange: Exchange, exportId: string): Promise<Answer> {
  if (!exchange.grant) return loginAnswer(exchange);
  const job = ownExport(bulk, exchange, exportId);
  if (!job) return notThere();
  await bulk.exports.cancel(job);
  return outcomeAnswer(202, [
    { ...issueOf('59100', 'The export is deleted.'), severity: 'information', code: 'informational' },
  ]);
}
