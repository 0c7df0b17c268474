import { open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { copyInto, ERROR_FILE, type ManifestHead } from '../publish/publish.ts';
import { outcomeLine, type OutcomeRow } from '../report/outcomeFile.ts';
import { renderReport } from '../report/render.ts';
import type { RunSummary } from '../report/summary.ts';
import { isoInstant } from '../system/clock.ts';
import { ensureFolder, isWindows, writeDurable, type FileModes } from '../system/files.ts';
import type { CloseContext } from './deps.ts';
import type { ExportTally } from './exportTally.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import type { PullPlan } from './plan.ts';
import { finalOutcomes } from './replay.ts';
import { RunLog } from './runLog.ts';
import { RUN_LOG, type Snapshot } from './snapshot.ts';

/** Puts everything but the data and the manifest into staging; returns how many gaps and failures there are. */
export async function fillStaging(
  context: CloseContext,
  run: RunRow,
  snapshot: Snapshot,
  summary: RunSummary,
): Promise<number> {
  const { folders, modes, clock, timezone } = context;
  const staging = path.join(folders.staging, run.runId);
  const report = renderReport(summary, { timezone, locale: 'en', full: true });
  await writeDurable(path.join(staging, 'report.html'), report.html, modes);
  await writeDurable(path.join(staging, 'report.txt'), report.text, modes);
  const runLog = await RunLog.open(snapshot.folder, run.runId, clock);
  // A bulk export's own stands there already.
  if (summary.transactionTime === undefined) {
    runLog.add('status_complete', { transactionTime: isoInstant(run.startedAtMs) });
  }
  runLog.add('export_complete', {
    files: summary.files,
    resources: summary.records,
    bytes: summary.bytes + (summary.attachments?.bytes ?? 0),
    attachments: summary.attachments?.files ?? 0,
    duration: summary.durationMs,
  });
  await runLog.close();
  await copyInto(path.join(snapshot.folder, RUN_LOG), path.join(staging, RUN_LOG), modes);
  return writeErrors(context, run, snapshot);
}

/** Writes every gap and failure as FHIR; returns how many there are. */
async function writeErrors(context: CloseContext, run: RunRow, snapshot: Snapshot): Promise<number> {
  const file = path.join(context.folders.staging, run.runId, ERROR_FILE);
  await rm(file, { force: true });
  let count = 0;
  let block = '';
  const { plan } = snapshot.settings;
  const rows = errorRows(context.ledger, run, plan);
  let handle: FileHandle | undefined;
  try {
    for (const row of rows) {
      block += `${outcomeLine(row)}\n`;
      count++;
      if (block.length < 1 << 16) continue;
      handle ??= await openErrorFile(file, context.modes);
      await handle.writeFile(block);
      block = '';
    }
    if (count === 0) return 0;
    handle ??= await openErrorFile(file, context.modes);
    await handle.writeFile(block);
    await handle.sync();
    return count;
  } finally {
    await handle?.close();
  }
}

function* errorRows(ledger: Ledger, run: RunRow, plan: PullPlan): Generator<OutcomeRow> {
  for (const resourceType of plan.notOffered) {
    yield { resourceType, outcome: 'gap', cause: { code: 'TYPE_NOT_OFFERED' } };
  }
  yield* finalOutcomes(ledger, run, plan);
}

async function openErrorFile(file: string, modes: FileModes): Promise<FileHandle> {
  await ensureFolder(path.dirname(file), modes);
  const handle = await open(file, 'wx', modes.file);
  // Against the umask, which would take the group's right to read away.
  if (!isWindows) await handle.chmod(modes.file);
  return handle;
}

/** Everything of the manifest but its files. */
export function manifestHead(
  context: CloseContext,
  run: RunRow,
  snapshot: Snapshot,
  summary: RunSummary,
  exportTally: ExportTally | undefined,
): ManifestHead {
  const [listed] = exportTally?.listed.values() ?? [];
  return {
    transactionTime: summary.transactionTime ?? isoInstant(run.startedAtMs),
    request: listed?.request ?? context.fhirBase,
    requiresAccessToken: false,
    ...(listed?.organizedBy === undefined ? {} : { outputOrganizedBy: listed.organizedBy }),
    extension: {
      formatVersion: 1,
      job: run.jobName,
      runId: run.runId,
      status: summary.status === 'complete' ? 'complete' : 'partial',
      startedAt: isoInstant(run.startedAtMs),
      finishedAt: isoInstant(summary.finishedAtMs),
      searches: summary.searches,
      configHash: snapshot.settings.configHash,
      ...(summary.audit === undefined ? {} : { audit: summary.audit }),
    },
  };
}
