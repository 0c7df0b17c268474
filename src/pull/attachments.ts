import { asRoundsError, type ErrorCode } from '../errors.ts';
import {
  contentOfBase64,
  isListedType,
  mimeTypeOf,
  type AttachmentPlace,
  type Content,
} from '../fhir/attachments.ts';
import type { FhirClient } from '../fhir/client.ts';
import { tellTrouble, type Emit } from '../run/events.ts';
import type { Ledger } from '../run/ledger.ts';
import type { RunRow, SharedState } from '../run/ledgerRows.ts';
import { ATTACHMENT, type AttachmentRules } from '../run/plan.ts';
import type { Cause } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import {
  attachmentRow,
  placesIn,
  storeContent,
  type AttachmentFolders,
  type AttachmentSource,
  type FoundPlace,
} from './attachmentFiles.ts';
import { causeOf, isFinalAnswer, isServersDoing } from './causes.ts';
import type { FinishedAttachment } from './finished.ts';
import type { GroupCommit } from './groupCommit.ts';
import { forEachConcurrent } from './pool.ts';
import type { DocumentQuota } from './references.ts';

export interface AttachmentPullOptions {
  readonly client: Pick<FhirClient, 'content'>;
  readonly ledger: Ledger;
  readonly run: RunRow;
  /** Makes outcomes durable; of the group commit of whoever pulls. */
  readonly commits: Pick<GroupCommit, 'submit' | 'drain'>;
  /** The files that name the attachments; all that is in them is committed. */
  readonly sources: readonly AttachmentSource[];
  readonly folders: AttachmentFolders;
  readonly rules: AttachmentRules;
  /** Of attachments, in the run's plan. */
  readonly typeNo: number;
  readonly fhirBase: string;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly quota: DocumentQuota;
}

/** Units told to the ledger in one commit. */
const FOUND_A_COMMIT = 5_000;
/** Units kept in memory between their end and the commit that says so. */
const UNCOMMITTED_UNITS = 1_000;
const WANTED: SharedState = 0;
/** What the content is when neither resource nor server says it (RFC 9110, 8.3). */
const UNKNOWN_TYPE = 'application/octet-stream';

/**
 * Downloads the attachments that the sources name, each content once: first all are entered in the ledger as wanted,
 * then each is fetched, stored durably and committed. What cannot be had ends as gap or failed, what the rules leave out
 * as empty. To be followed by `writeIndex`.
 *
 * May be called again after a crash, or for another pass after `retryFailed`, and does what is left. Throws what ends
 * a run (an abort, RUN_PAUSED, DISK_FULL ...), never for what the server does.
 */
export async function pullAttachments(options: AttachmentPullOptions): Promise<void> {
  await findAttachments(options);
  await fetchWanted(options);
}

async function findAttachments({
  commits,
  sources,
  typeNo,
  fhirBase,
  signal,
}: AttachmentPullOptions): Promise<void> {
  const units = new Set<string>();
  const tell = async (): Promise<void> => {
    await commits.submit({ kind: 'found', typeNo, units: [...units] });
    await commits.drain();
    units.clear();
  };
  for await (const { unit } of placesIn(sources, fhirBase, signal)) {
    if (units.add(unit).size === FOUND_A_COMMIT) await tell();
  }
  if (units.size > 0) await tell();
}

async function fetchWanted(options: AttachmentPullOptions): Promise<void> {
  const { ledger, run, commits, sources, fhirBase, concurrency, signal, clock, emit } = options;
  /** Begun, and still wanted in the ledger: other places of the same content are passed by. */
  const begun = new Set<string>();
  const ended: string[] = [];
  const wanted = async function* (): AsyncGenerator<FoundPlace> {
    for await (const found of placesIn(sources, fhirBase, signal)) {
      if (begun.has(found.unit) || attachmentRow(ledger, run, found.unit)?.state !== WANTED) continue;
      begun.add(found.unit);
      yield found;
    }
  };
  await forEachConcurrent(wanted(), concurrency, signal, async (found) => {
    const from = clock.monotonicMs();
    const finished = await fetchAttachment(found, options);
    tellTrouble(emit, ATTACHMENT, finished.outcome, finished.cause);
    await commits.submit(finished, clock.monotonicMs() - from);
    ended.push(found.unit);
    if (ended.length < UNCOMMITTED_UNITS) return;
    const committed = ended.splice(0);
    await commits.drain();
    for (const unit of committed) begun.delete(unit);
  });
  await commits.drain();
}

async function fetchAttachment(
  { place, unit }: FoundPlace,
  options: AttachmentPullOptions,
): Promise<FinishedAttachment> {
  const { rules, folders, typeNo, quota } = options;
  const ended = (
    outcome: FinishedAttachment['outcome'],
    cause: Cause | undefined,
    content?: FinishedAttachment['content'],
  ): FinishedAttachment => ({ kind: 'attachment', typeNo, unit, outcome, cause, content });
  const passedOver = (code: ErrorCode): FinishedAttachment => ended('empty', { code });

  const declared = mimeTypeOf(place.contentType);
  if (declared !== undefined && !isListedType(declared, rules.types)) return passedOver('ATTACHMENT_TYPE');
  if (place.size !== undefined && place.size > rules.maxBytes) return passedOver('ATTACHMENT_TOO_LARGE');
  try {
    if (place.data === undefined && quota.usedUpBy) return ended('failed', quota.usedUpBy);
    const { bytes, contentType } = await contentOf(place, declared, options);
    if (!isListedType(declared ?? contentType ?? UNKNOWN_TYPE, rules.types)) {
      return passedOver('ATTACHMENT_TYPE');
    }
    const sha256 = await storeContent(bytes, folders);
    const said = contentType === undefined ? {} : { contentType };
    return ended('ok', undefined, { sha256, bytes: bytes.length, ...said });
  } catch (thrown) {
    const error = asRoundsError(thrown);
    if (!isServersDoing(error)) throw thrown;
    if (error.code === 'BODY_TOO_LARGE') return passedOver('ATTACHMENT_TOO_LARGE');
    const cause = causeOf(error);
    if (error.code === 'FHIR_DOCUMENT_QUOTA') quota.usedUpBy = cause;
    return ended(isFinalAnswer(error) ? 'gap' : 'failed', cause);
  }
}

async function contentOf(
  { data, url }: AttachmentPlace,
  declared: string | undefined,
  { client, rules }: AttachmentPullOptions,
): Promise<Content> {
  if (data === undefined) return client.content(url!, declared, rules.maxBytes);
  return { bytes: contentOfBase64(data, rules.maxBytes), contentType: declared };
}
