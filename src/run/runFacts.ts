import { readCurrent } from '../publish/publish.ts';
import type { ExportFacts, RunFacts } from '../report/summarise.ts';
import type { RunStatus, RunSummary } from '../report/summary.ts';
import type { CloseContext } from './deps.ts';
import type { ExportTally } from './exportTally.ts';
import type { Ledger } from './ledger.ts';
import type { RunRow } from './ledgerRows.ts';
import { siteFacts } from './siteFacts.ts';
import type { Snapshot } from './snapshot.ts';

/** Everything of a closing run's summary but its searches. */
export async function runFacts(
  context: CloseContext,
  run: RunRow,
  status: RunStatus,
  snapshot: Snapshot | undefined,
): Promise<RunFacts> {
  const { clock, ledger, folders } = context;
  const finishedAtMs = clock.now();
  const current = await readCurrent(folders);
  const runs = closedRuns(ledger, run);
  const currentRun = current && ledger.findRun(current.runId);
  return {
    programVersion: context.programVersion,
    run,
    status,
    failure: undefined,
    finishedAtMs,
    durationMs: run.workedMs + clock.monotonicMs() - context.attemptFrom,
    method: context.method,
    server: new URL(context.fhirBase).host,
    environment: context.environment,
    patients: snapshot?.settings.patients ?? 0,
    notes: [
      ...ledger.incidents.open(run.jobName).map(({ text }) => text),
      ...(snapshot?.settings.notes ?? []),
    ],
    folder: undefined,
    current:
      status === 'complete' || currentRun?.finishedAtMs === undefined
        ? undefined
        : { runId: currentRun.runId, ageMs: Math.max(0, finishedAtMs - currentRun.finishedAtMs) },
    nextRunAtMs: context.nextRunAtMs,
    history: runs.flatMap(({ summary }) => (summary === undefined ? [] : [summary])),
    retryOf: retryOf(ledger, run),
    missedSlots: context.missedSlots,
    ...(await siteFacts(context, runs)),
  };
}

/** What only a bulk run can tell. */
export function exportFacts(
  ledger: Ledger,
  { runNo }: RunRow,
  exportTally: ExportTally,
  since: string | undefined,
): ExportFacts {
  const unanswered = ledger.exports.of(runNo).reduce((sum, row) => sum + row.unanswered, 0);
  return {
    transactionTime: exportTally.transactionTime,
    since,
    deletions: exportTally.files.reduce((sum, file) => sum + file.deletions, 0),
    notes: [
      ...new Set([...exportTally.dropped.values()].map(droppedNote)),
      ...exportTally.notes,
      ...(unanswered === 0
        ? []
        : [
            `${unanswered === 1 ? 'A kick-off was' : `${unanswered} kick-offs were`} sent and never answered: the server may keep an export that nobody will fetch.`,
          ]),
    ],
  };
}

function droppedNote(names: readonly string[]): string {
  return `The server refused ${names.join(', ')}: the export was asked for without.`;
}

/** Enough to find seven complete runs, and retention's thirty, also where many failed. */
const HISTORY_RUNS = 100;

/** The job's runs before this one, newest first; the last published one is among them. */
function closedRuns(ledger: Ledger, run: RunRow): readonly RunRow[] {
  const runs = ledger
    .runs({ jobName: run.jobName, limit: HISTORY_RUNS })
    .filter(({ runNo, state }) => state === 'closed' && runNo < run.runNo);
  const published = ledger.lastPublished(run.jobName);
  const isAmong = published === undefined || runs.some(({ runNo }) => runNo === published.runNo);
  return isAmong || published.runNo > run.runNo ? runs : [...runs, published];
}

function retryOf(ledger: Ledger, { baseRunId }: RunRow): RunSummary['retryOf'] {
  const base = baseRunId === undefined ? undefined : ledger.findRun(baseRunId)?.summary;
  return base && { runId: base.runId, failed: base.searches.failed };
}
