import path from 'node:path';
import { MANIFEST } from '../publish/manifest.ts';
import { fingerprint } from '../publish/publish.ts';
import type { RunSummary } from '../report/summary.ts';
import type { AuditEntry, AuditEvent } from './audit.ts';
import type { CloseContext, RunDeps } from './deps.ts';
import type { JobPlace } from './jobPlace.ts';
import type { RunRow } from './ledgerRows.ts';

/** What a run has written into the audit file, and when. Each may be repeated: an event of a run is written once. */

/** Before the first request. Throws DISK_FULL, PATH_UNUSABLE: what cannot be audited is not begun. */
export function auditBegun({ ledger, clock, log }: RunDeps, place: JobPlace, run: RunRow): void {
  const entry = entryOf('run.begun', run, new URL(place.fhirBase).host, clock.now());
  const { foundDamage } = ledger.audit.append(entry);
  if (foundDamage) log.error('audit.damaged', { runId: run.runId });
}

/** A run that died before it was worth a report: its begin does not stand without an end. */
export function auditDiscarded({ ledger, clock }: RunDeps, place: JobPlace, run: RunRow): void {
  if (!ledger.audit.has('run.begun', run.runId)) return;
  ledger.audit.append(entryOf('run.abandoned', run, new URL(place.fhirBase).host, clock.now()));
}

/** Before the run is closed and its mail queued, so that both can name the line. */
export async function auditEnd(
  { ledger }: CloseContext,
  run: RunRow,
  summary: RunSummary,
): Promise<RunSummary> {
  const { status, patients, records, bytes, folder, server, finishedAtMs } = summary;
  const event =
    folder === undefined ? (status === 'abandoned' ? 'run.abandoned' : 'run.failed') : 'run.published';
  const manifest = folder === undefined ? undefined : await fingerprint(path.join(folder, MANIFEST));
  const { seq, sha256, foundDamage } = ledger.audit.append({
    ...entryOf(event, run, server, finishedAtMs),
    status,
    patients,
    records,
    bytes,
    ...(manifest === undefined ? {} : { manifestSha256: manifest.sha256 }),
  });
  return {
    ...summary,
    notes: foundDamage ? [DAMAGED, ...summary.notes] : summary.notes,
    audit: { seq, sha256 },
  };
}

const DAMAGED =
  'The audit file is not as it was written: `fhir-rounds verify --audit` names the line. Keep it and its backups.';

function entryOf(event: AuditEvent, run: RunRow, server: string, atMs: number): AuditEntry {
  return { event, atMs, job: run.jobName, runId: run.runId, server, clientId: run.context.clientId };
}
