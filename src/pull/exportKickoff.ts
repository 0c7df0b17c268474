import { asRoundsError, RoundsError } from '../errors.ts';
import { kickoffRequest, withoutParameters, type ExportRequest } from '../fhir/bulkKickoff.ts';
import { kickoffAnswer, type KickoffAnswer } from '../fhir/bulkStatus.ts';
import { describeRequest } from '../run/exportPlan.ts';
import type { HttpRequest } from '../system/http.ts';
import { backoffMs } from '../system/retry.ts';
import { pollWaitMs, waitUntil, type ExportContext } from './exportContext.ts';
import { shownUrl } from './exportNames.ts';

/** An export that runs at the server. */
export interface BegunExport {
  readonly statusUrl: string;
  /** The kick-off's URL, as the manifest repeats it. */
  readonly request: string;
}

const RETRY = { baseMs: 1_000, capMs: 60_000 };
const HOUR_MS = 3_600_000;
/** Epic's interval between two exports of a group by a client, by default (H/M), and a minute for two clocks. */
const GROUP_INTERVAL_MS = 24 * HOUR_MS + 60_000;
/** Where the last export of the group is not known, or the site's interval is another one. */
const LEAVE_LOOK_MS = HOUR_MS;

/**
 * Asks for an export, or finds the one that was begun before a crash. That it is asked for is in the ledger before the
 * request, and its status URL before this returns, so a crash leaves at most one export that nobody knows of.
 *
 * "Too recently" and 429 are waits, with no limit but `maxWaitMs`. Throws BULK_KICKOFF_REFUSED (a refused parameter is
 * named), BULK_WAIT_OVER, URL_REFUSED for a status URL elsewhere, and what keeps the server from answering.
 */
export async function beginExport(
  context: ExportContext,
  exportNo: number,
  patients: readonly string[],
): Promise<BegunExport> {
  const { ledger, run, snapshot, clock, random, fhirBase, urlPolicy, polling, exportTally, record } = context;
  const { exports } = ledger;
  const { request: asked, dialect } = snapshot.settings.bulk!;
  const fromMs = clock.now();
  let attempt = 0;
  for (let looks = 0; ;) {
    const row = exports.find(run.runNo, exportNo);
    const dropped = exportTally.dropped.get(exportNo) ?? [];
    const request = withoutParameters({ ...asked, patients }, dropped);
    const http = kickoffRequest(fhirBase, request, dialect);
    if (row?.state === 'running') return { statusUrl: row.statusUrl!, request: http.url };
    if (row?.state === 'waiting') await waitUntil(context, row.lookAtMs ?? 0, 'leave');
    if (clock.now() - fromMs > polling.maxWaitMs) throw waitOver();
    exports.asked(run.runNo, exportNo, targetOf(context), clock.now());
    context.emit({ event: 'run.phase', phase: 'kick-off' });
    const answer = await send(context, http, request);
    const heard = (againAtMs: number): void => exports.waits(run.runNo, exportNo, againAtMs);
    switch (answer.kind) {
      case 'accepted': {
        const statusUrl = urlPolicy.sameOrigin(answer.location, http.url).href;
        exports.accepted(run.runNo, exportNo, statusUrl);
        break;
      }
      case 'too-recent':
        heard(leaveAt(context));
        break;
      case 'parameters-refused': {
        heard(clock.now());
        // Without its patients an export would be of everyone.
        if (!request.lenient || answer.names.includes('patient')) throw answer.error;
        await record.drop(exportNo, [...dropped, ...answer.names]);
        break;
      }
      case 'again': {
        const { error } = answer;
        const isLimit = error.code === 'HTTP_TOO_MANY';
        if (error.failure !== 'transient' || (!isLimit && ++attempt >= context.maxAttempts)) throw error;
        const wait = isLimit
          ? pollWaitMs(looks++, error.retryAfterMs, polling)
          : Math.max(error.retryAfterMs ?? 0, backoffMs(attempt - 1, { ...RETRY, random }));
        // Of one that was not answered nobody knows whether it has begun an export.
        if (error.status === undefined) await clock.sleep(wait, context.signal);
        else heard(clock.now() + wait);
        break;
      }
      case 'refused':
        heard(clock.now());
        throw answer.error;
    }
  }
}

/** One kick-off, noted with what became of it; what kept the server from answering may be tried again. */
async function send(
  { client, clock, signal, note }: ExportContext,
  http: HttpRequest,
  request: ExportRequest,
): Promise<KickoffAnswer> {
  let answer: KickoffAnswer;
  try {
    answer = kickoffAnswer(await client.exchange(http), clock.now(), request);
  } catch (thrown) {
    signal.throwIfAborted();
    answer = { kind: 'again', error: asRoundsError(thrown) };
  }
  const refusal = 'error' in answer ? answer.error : undefined;
  note('kickoff', {
    exportUrl: shownUrl(http.url),
    errorCode: refusal?.status ?? null,
    errorBody: refusal?.message ?? null,
    requestParameters: describeRequest(request),
    patients: request.patients.length,
  });
  return answer;
}

/** When a group that was exported too recently may be asked for again. */
function leaveAt(context: ExportContext): number {
  const { ledger, clock } = context;
  const now = clock.now();
  const openMs = (ledger.exports.lastBegunMs(targetOf(context)) ?? 0) + GROUP_INTERVAL_MS;
  return openMs > now ? Math.min(openMs, now + GROUP_INTERVAL_MS) : now + LEAVE_LOOK_MS;
}

/** What a server counts its limits by. */
function targetOf({ fhirBase, clientId, snapshot }: ExportContext): string {
  const { level, groupId } = snapshot.settings.bulk!.request;
  return JSON.stringify([fhirBase, clientId, level, groupId ?? null]);
}

export function waitOver(): RoundsError {
  return new RoundsError('BULK_WAIT_OVER', 'the export was not done within max_wait_hours');
}
