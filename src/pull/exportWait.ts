import { asRoundsError, RoundsError } from '../errors.ts';
import { readManifestPage, type ManifestPage } from '../fhir/bulkManifest.ts';
import { readStatus, type ExportStatus } from '../fhir/bulkStatus.ts';
import { backoffMs } from '../system/retry.ts';
import { pollWaitMs, waitUntil, type ExportContext } from './exportContext.ts';
import { waitOver } from './exportKickoff.ts';

const STATUS_HEADERS = { accept: 'application/json' };
const RETRY = { baseMs: 1_000, capMs: 60_000 };
/** A manifest's `next` links that never end. */
const MAX_PAGES = 100_000;

/**
 * Waits for an export to be done, days if it must be, and reads all pages of its manifest. What passes (429, a proxy's
 * 503, no network, a transient OperationOutcome) is waited out. Throws BULK_EXPORT_FAILED, BULK_EXPORT_GONE,
 * BULK_WAIT_OVER, BULK_MANIFEST_INVALID, and refusals of the client itself.
 */
export async function awaitManifest(
  context: ExportContext,
  exportNo: number,
  statusUrl: string,
): Promise<readonly ManifestPage[]> {
  const { ledger, run, clock, polling, note, emit } = context;
  emit({ event: 'run.phase', phase: 'export' });
  let progress: string | undefined;
  for (let looks = 0; ; looks++) {
    const row = ledger.exports.find(run.runNo, exportNo)!;
    await waitUntil(context, row.lookAtMs ?? 0, 'export', progress);
    if (clock.now() - row.askedAtMs > polling.maxWaitMs) throw waitOver();
    const status = await look(context, statusUrl);
    if (status.kind === 'complete') return readPages(context, statusUrl, status.manifest);
    if (status.kind === 'gone' || status.kind === 'failed') {
      note('status_error', { code: status.error.status ?? null, message: status.error.message });
      throw status.error;
    }
    const isRunning = status.kind === 'running';
    const wait = pollWaitMs(looks, isRunning ? status.retryAfterMs : status.error.retryAfterMs, polling);
    ledger.exports.looksAgain(run.runNo, exportNo, clock.now() + wait);
    if (isRunning) progress = status.progress;
    note('status_progress', {
      xProgress: progress ?? null,
      retryAfter: wait / 1000,
      ...(isRunning ? {} : { message: status.error.message }),
    });
  }
}

/** One look; what keeps the server from answering passes too, unless it is a refusal of this client. */
async function look({ client, clock, signal }: ExportContext, url: string): Promise<ExportStatus> {
  try {
    const response = await client.exchange({ method: 'GET', url, headers: STATUS_HEADERS });
    return readStatus(response, clock.now());
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asRoundsError(thrown);
    if (error.failure !== 'transient' || error.code === 'SERVER_AWAY' || error.code === 'RUN_PAUSED')
      throw error;
    return { kind: 'again', error };
  }
}

/** The pages that follow the first; each is asked for until it is there. */
async function readPages(
  context: ExportContext,
  statusUrl: string,
  first: Buffer,
): Promise<readonly ManifestPage[]> {
  const { urlPolicy, note } = context;
  const pages = [readManifestPage(first, statusUrl)];
  const visited = new Set([statusUrl]);
  note('status_complete', { transactionTime: pages[0]!.transactionTime });
  for (let from = statusUrl, next = pages[0]!.next; next !== undefined;) {
    const url = urlPolicy.sameOrigin(next, from).href;
    if (visited.has(url) || pages.length === MAX_PAGES) {
      throw new RoundsError('BULK_MANIFEST_INVALID', 'the pages of the manifest run in a circle');
    }
    visited.add(url);
    const page = await readPage(context, url);
    pages.push(page);
    [from, next] = [url, page.next];
  }
  return pages;
}

async function readPage(context: ExportContext, url: string): Promise<ManifestPage> {
  const { clock, random, signal, maxAttempts } = context;
  for (let attempt = 1; ; attempt++) {
    const status = await look(context, url);
    if (status.kind === 'complete') return readManifestPage(status.manifest, url);
    if (status.kind === 'gone' || status.kind === 'failed') throw status.error;
    if (attempt === maxAttempts) {
      const cause = status.kind === 'again' ? status.error : undefined;
      throw new RoundsError('BULK_MANIFEST_INVALID', 'a page of the manifest is not there', { cause });
    }
    const asked = status.kind === 'running' ? status.retryAfterMs : status.error.retryAfterMs;
    await clock.sleep(Math.max(asked ?? 0, backoffMs(attempt - 1, { ...RETRY, random })), signal);
  }
}

/** The manifest as it is now, for fresh URLs: undefined when the server has it no more. */
export async function rereadManifest(
  context: ExportContext,
  statusUrl: string,
): Promise<readonly ManifestPage[] | undefined> {
  const status = await look(context, statusUrl);
  return status.kind === 'complete' ? readPages(context, statusUrl, status.manifest) : undefined;
}
