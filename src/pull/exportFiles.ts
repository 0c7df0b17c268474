import { rm } from 'node:fs/promises';
import path from 'node:path';
import { asRoundsError } from '../errors.ts';
import type { FileLocation } from '../fhir/exchanges.ts';
import { deletionsIn } from '../fhir/deletions.ts';
import { parseJson, isJsonObject } from '../fhir/jsonBytes.ts';
import { classifyIssues, issuesOf } from '../fhir/outcome.ts';
import { Judge } from '../ndjson/judge.ts';
import { readLines } from '../ndjson/reader.ts';
import { tellTrouble } from '../run/events.ts';
import { besideTypeNo, fileTypeNo, typeOfFile } from '../run/exportPlan.ts';
import type { ExportedFile } from '../run/exportTally.ts';
import { typeName } from '../run/plan.ts';
import type { Cause } from '../run/tally.ts';
import { ensureFolder } from '../system/files.ts';
import type { HttpStream } from '../system/http.ts';
import { downloadFile, type DownloadedFile } from './bulkDownload.ts';
import { causeOf, isServersDoing } from './causes.ts';
import type { ExportContext } from './exportContext.ts';
import { keysFileOf, shownUrl } from './exportNames.ts';
import type { Remarks } from './exportRecord.ts';
import { FileUrls } from './fileUrls.ts';
import { forEachConcurrent } from './pool.ts';

/** So much of a large file is made durable and committed at a time: what a crash can cost. */
const CHECKPOINT_BYTES = 64 * 1024 * 1024;

/** What of one export is still to come. */
export function wantedFiles({ exportTally }: ExportContext, exportNo: number): readonly ExportedFile[] {
  return exportTally.files.filter((file) => file.exportNo === exportNo && file.state === 'wanted');
}

/** Downloads what is wanted of one export, each file on its own: one that fails, fails alone and by name. */
export async function downloadFiles(context: ExportContext, exportNo: number): Promise<void> {
  const { concurrency, signal, record, emit, staging, modes, throwIfCancelled } = context;
  const wanted = wantedFiles(context, exportNo);
  emit({ event: 'run.phase', phase: 'downloads' });
  const urls = new FileUrls(context, exportNo);
  const folders = new Set(wanted.map(({ name }) => path.dirname(path.join(staging, name))));
  for (const folder of folders) await ensureFolder(folder, modes);
  const source = async function* (): AsyncGenerator<ExportedFile> {
    for (const file of wanted) {
      throwIfCancelled();
      yield file;
    }
  };
  const judge = Judge.start();
  try {
    await forEachConcurrent(source(), concurrency, signal, (file) => downloadOne(context, urls, judge, file));
  } finally {
    await judge.close();
    // What came whole before a failure or an abort is not asked for again.
    await record.drain();
  }
}

async function downloadOne(
  context: ExportContext,
  urls: FileUrls,
  judge: Judge,
  file: ExportedFile,
): Promise<void> {
  const { snapshot, clock, record, note, emit, signal, staging, modes } = context;
  const { plan } = snapshot.settings;
  const typeNo = fileTypeNo(plan, file);
  const from = clock.monotonicMs();
  const at = path.join(staging, file.name);
  const named = { fileUrl: shownUrl(file.url), fileName: file.name };
  note('download_request', { ...named, itemType: file.kind, resourceType: file.type ?? null });
  try {
    const downloaded = await downloadFile({
      open: (headers) => open(context, urls, file, headers),
      file: at,
      keysFile: keysFileOf(staging, file.fileNo),
      modes,
      resourceType: typeOfFile(file),
      judge,
      expectedCount: file.count,
      from:
        file.bytes === 0
          ? undefined
          : {
              bytes: file.bytes,
              count: file.lines,
              ...(file.etag === undefined ? {} : { etag: file.etag }),
            },
      checkpointBytes: CHECKPOINT_BYTES,
      checkpoint: async (point) => {
        await record.checkpoint(file, point);
        context.throwIfCancelled();
      },
      maxAttempts: context.maxAttempts,
      clock,
      random: context.random,
      signal,
    });
    const read = await readingOf(context, file, at, downloaded).catch(async (error: unknown) => {
      await downloaded.close();
      throw error;
    });
    await record.finish({ file, typeNo, downloaded, workedMs: clock.monotonicMs() - from, ...read });
    note('download_complete', { ...named, resourceCount: downloaded.count, fileSize: downloaded.bytes });
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asRoundsError(thrown);
    if (!isServersDoing(error)) throw thrown;
    const cause: Cause = causeOf(error);
    await rm(at, { force: true });
    await record.fail(file, typeNo, cause);
    tellTrouble(emit, typeName(plan, typeNo), 'failed', cause);
    note('download_error', {
      ...named,
      code: error.status ?? null,
      message: `${error.code}: ${error.message}`,
    });
  }
}

/** Answers that a URL which is too old may get: by the standard 410, at stores of signed URLs 403 or 404. */
const EXPIRED: ReadonlySet<number | undefined> = new Set([403, 404, 410]);

async function open(
  { client }: ExportContext,
  urls: FileUrls,
  file: ExportedFile,
  headers: Readonly<Record<string, string>>,
): Promise<HttpStream> {
  for (let isRefreshed = false; ; isRefreshed = true) {
    const { url, as } = urls.locationOf(file);
    const redirect = (location: string, from: string): FileLocation => urls.redirected(location, from, as);
    try {
      const asked = { accept: 'application/fhir+ndjson', ...headers };
      return await client.open({ method: 'GET', url, headers: asked }, as, redirect);
    } catch (thrown) {
      const isExpired = EXPIRED.has(asRoundsError(thrown).status);
      if (!isExpired || isRefreshed || !(await urls.refresh())) throw thrown;
    }
  }
}

/** What has to be known of files that are no data. */
async function readingOf(
  context: ExportContext,
  { kind }: ExportedFile,
  at: string,
  downloaded: DownloadedFile,
): Promise<{ readonly remarks?: Remarks; readonly deletions?: number }> {
  if (kind === 'output' || downloaded.count === 0) return {};
  if (kind === 'error') return { remarks: await remarksIn(context, at) };
  let deletions = 0;
  for await (const line of readLines(at)) deletions += deletionsIn(line).length;
  return { deletions };
}

/** The server's remarks by their weight: what is missing for good is a gap, anything else is counted. */
async function remarksIn({ snapshot }: ExportContext, at: string): Promise<Remarks> {
  const gaps: Cause[] = [];
  const warnings: Record<string, number> = {};
  for await (const line of readLines(at)) {
    const outcome = parseJson(line);
    const verdict = classifyIssues(isJsonObject(outcome) ? issuesOf(outcome) : []);
    // What the server failed at is missing from this export for good.
    const { code, epicCode } = verdict.gap ?? verdict.transient ?? {};
    if (code !== undefined) gaps.push({ code, ...(epicCode === undefined ? {} : { epicCode }) });
    for (const warning of verdict.warnings) warnings[warning] = (warnings[warning] ?? 0) + 1;
  }
  return { typeNo: besideTypeNo(snapshot.settings.plan, 'OperationOutcome'), gaps, warnings };
}
