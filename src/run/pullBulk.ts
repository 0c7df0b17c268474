import { asRoundsError } from '../errors.ts';
import { partName } from '../publish/layout.ts';
import type { ExportPullOptions } from '../pull/exportContext.ts';
import { closeAttachments, openAttachments } from './attachmentStage.ts';
import type { RunDeps, Server } from './deps.ts';
import type { RunSummary } from '../report/summary.ts';
import type { ExportRow } from './ledgerExports.ts';
import type { RunRow } from './ledgerRows.ts';
import type { RunLocks } from './lock.ts';
import type { PulledRun } from './pullRun.ts';
import { replay, replayExports } from './replay.ts';
import type { RunLog } from './runLog.ts';

const HOUR_MS = 3_600_000;

/** Pulls a run by bulk exports, by the settings of its job. */
export async function pullBulk(
  shared: RunDeps &
    Pick<
      ExportPullOptions,
      'run' | 'snapshot' | 'staging' | 'modes' | 'client' | 'fhirBase' | 'concurrency' | 'throwIfCancelled'
    >,
  server: Server,
  runLog: RunLog,
  locks: RunLocks,
): Promise<PulledRun> {
  const { job, signal, emit } = shared;
  // Some 20 files, which a crawl does not wait for.
  const { attachmentSources, pullExports } = await import('../pull/bulkExport.ts');
  const { urlPolicy, capability } = server;
  const { bulk, api_settings: api, oauth_settings: oauth } = job.settings;
  const waitsForServer = (): void => {
    emit({ event: 'export.waits', for: 'server', untilMs: undefined, progress: undefined });
  };
  const { ledger, run, snapshot } = shared;
  const done = { ...replay(ledger, run, snapshot.settings), exportTally: replayExports(ledger, run) };
  const { plan } = snapshot.settings;
  const folders = plan.attachments && (await openAttachments(shared.staging, shared.modes));
  const software = {
    softwareName: 'fhir-rounds',
    softwareVersion: shared.programVersion,
    fhirVersion: capability.fhirVersion,
  };
  const { tally, exportTally, parts } = await pullExports(
    {
      ...shared,
      urlPolicy,
      clientId: oauth.client_id,
      maxAttempts: api.max_attempts,
      polling: {
        firstMs: bulk.first_poll_seconds * 1000,
        longestMs: bulk.longest_poll_minutes * 60_000,
        maxWaitMs: bulk.max_wait_hours * HOUR_MS,
      },
      note: (eventId, eventDetail) =>
        runLog.add(eventId, eventId === 'kickoff' ? { ...eventDetail, ...software } : eventDetail),
      withServer: (work) => locks.withServer(work, signal, waitsForServer),
      partName,
      deleteExport: (row) => deleteExport(shared, server, row),
      attachments: folders,
    },
    done,
  );
  const { output, deleted, error } = parts;
  const sources = attachmentSources(exportTally, shared.staging);
  const attachments = folders && (await closeAttachments({ ...shared, sources, folders }));
  return { tally, parts: output, attachments, exports: { exportTally, deleted, error } };
}

/** Deletes at the server what earlier runs of this job left there: they are closed, and nobody takes a file of them any more. */
export async function deleteLeftExports(
  deps: Pick<RunDeps, 'ledger' | 'log'>,
  server: Pick<Server, 'client' | 'urlPolicy'>,
  jobName: string,
): Promise<void> {
  for (const row of deps.ledger.exports.leftBy(jobName)) await deleteExport(deps, server, row);
}

/**
 * After a run's close: its exports go, now that all of it is published or nothing will be. Those of a partial run stay
 * for `--retry-failed`, until the job's next run.
 */
export async function endExports(
  deps: RunDeps,
  server: Server,
  { runNo }: RunRow,
  { status }: RunSummary,
): Promise<void> {
  if (status === 'partial') return;
  const { ledger, job } = deps;
  for (const row of ledger.exports.of(runNo).filter(({ state }) => state === 'running')) {
    if (job.settings.bulk.delete_when_done) await deleteExport(deps, server, row);
    else ledger.exports.gone(runNo, row.exportNo);
  }
}

/**
 * DELETE of an export's status URL: a server that knows it no more has done so already. A failure, or an abort, is no run's:
 * the export stays in the ledger as one to be deleted, and the next run of the job tries again.
 */
async function deleteExport(
  { ledger, log }: Pick<RunDeps, 'ledger' | 'log'>,
  { client, urlPolicy }: Pick<Server, 'client' | 'urlPolicy'>,
  { runNo, exportNo, statusUrl }: ExportRow,
): Promise<void> {
  if (statusUrl === undefined) return;
  try {
    const url = urlPolicy.sameOrigin(statusUrl).href;
    const { status } = await client.exchange({ method: 'DELETE', url });
    const isGone = (status >= 200 && status < 300) || status === 404 || status === 410;
    if (isGone) ledger.exports.gone(runNo, exportNo);
    log.info('export.deleted', { status, isGone });
  } catch (thrown) {
    const { code } = asRoundsError(thrown);
    // It lies at another server than the INI names now, and there it has its own end.
    if (code === 'URL_REFUSED') ledger.exports.gone(runNo, exportNo);
    log.warn('export.left', { code });
  }
}
