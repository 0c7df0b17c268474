import type { FhirClient } from '../fhir/client.ts';
import type { UrlPolicy } from '../fhir/urlPolicy.ts';
import type { Emit } from '../run/events.ts';
import type { ExportTally } from '../run/exportTally.ts';
import type { Ledger } from '../run/ledger.ts';
import type { ExportRow } from '../run/ledgerExports.ts';
import type { RunRow } from '../run/ledgerRows.ts';
import type { Snapshot } from '../run/snapshot.ts';
import type { RunTally } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import type { FileModes } from '../system/files.ts';
import type { PartName } from './exportNames.ts';
import type { GroupCommit } from './groupCommit.ts';
import type { DocumentQuota } from './references.ts';
import type { AttachmentFolders } from './attachmentFiles.ts';
import type { ExportRecord } from './exportRecord.ts';

/** When an export is looked at, and for how long; in ms. */
export interface Polling {
  readonly firstMs: number;
  readonly longestMs: number;
  readonly maxWaitMs: number;
}

/** What pulling by bulk exports needs of its run. */
export interface ExportPullOptions {
  readonly ledger: Ledger;
  readonly run: RunRow;
  readonly snapshot: Snapshot;
  readonly staging: string;
  readonly modes: FileModes;
  readonly client: FhirClient;
  readonly urlPolicy: UrlPolicy;
  readonly fhirBase: string;
  readonly clientId: string;
  readonly concurrency: number;
  readonly maxAttempts: number;
  readonly polling: Polling;
  readonly clock: Clock;
  readonly random: () => number;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Throws RUN_CANCELLED. */
  readonly throwIfCancelled: () => void;
  /** A line of the run's log in the SMART bulk data client's format. */
  readonly note: (eventId: string, eventDetail: Readonly<Record<string, unknown>>) => void;
  readonly partName: PartName;
  /** Deletes an export at the server that nobody will fetch; never throws. */
  readonly deleteExport: (row: ExportRow) => Promise<void>;
  /** Where attachments go; undefined: they were not asked for. */
  readonly attachments: AttachmentFolders | undefined;
  /** Does `work` once no other job pulls from the server. */
  readonly withServer: <T>(work: () => Promise<T>) => Promise<T>;
}

/** The same with what an attempt keeps in hand. */
export interface ExportContext extends ExportPullOptions {
  readonly tally: RunTally;
  readonly exportTally: ExportTally;
  readonly record: ExportRecord;
  /** Of attachments: their outcomes are commits too. */
  readonly commits: GroupCommit;
  readonly quota: DocumentQuota;
}

/** A wall clock's jump, a machine that slept and a cancelled run are noticed after so long. */
const LOOK_EVERY_MS = 5_000;

/** Sleeps until the wall clock says so, and says what for. Throws the signal's reason. */
export async function waitUntil(
  { clock, signal, emit, throwIfCancelled }: ExportContext,
  untilMs: number,
  what: 'export' | 'leave',
  progress?: string,
): Promise<void> {
  if (clock.now() < untilMs) emit({ event: 'export.waits', for: what, untilMs, progress });
  for (let left = untilMs - clock.now(); left > 0; left = untilMs - clock.now()) {
    throwIfCancelled();
    await clock.sleep(Math.min(left, LOOK_EVERY_MS), signal);
  }
  signal.throwIfAborted();
  throwIfCancelled();
}

/** The wait before look number `looks` (from 0): the server's word, or one twice as long as the last; capped both ways. */
export function pollWaitMs(
  looks: number,
  retryAfterMs: number | undefined,
  { firstMs, longestMs }: Polling,
): number {
  if (retryAfterMs !== undefined) return Math.min(longestMs, Math.max(SHORTEST_POLL_MS, retryAfterMs));
  return Math.min(longestMs, firstMs * 2 ** Math.min(looks, 30));
}

/** A server that says 0 is not asked without a pause. */
const SHORTEST_POLL_MS = 1_000;
