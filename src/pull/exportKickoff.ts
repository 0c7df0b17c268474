import { asRoundsError, RoundsError } from '../errors.ts';
import { kickoffRequest, withoutParameters, type ExportRequest } from '../fhir/bulkKickoff.ts';
import { kickoffAnswer, type KickoffAnswer } from '../fhir/bulkStatus.ts';
import { describeRequest } from '../run/exportPlan.ts';
import type { HttpRequest } from '../system/http.ts';
import { backoffMs } from '../system/retry.ts';
import { pollWaitMs, waitUntil, type ExportContext } from './exportContext.ts';

/** An export that runs at the server. */
export interface BegunExport {
  readonly statusUrl: string;
  /** The kick-off's URL, as the manifest repeats it. */
  readonly request: string;
  /** What was left out of the request, for the report. */
  readonly notes: readonly string[];
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
  const { ledger, run, snapshot, clock, random, signal, fhirBase, urlPolicy, note } = context;
  const { exports } = ledger;
  const { request: asked, dialect } = snapshot.settings.bulk!;
  const fromMs = clock.now();
  const notes: string[] = [];
  let request: ExportRequest = { ...asked, patients };
  let attempt = 0;
  for (let looks = 0; ;) {
    signal.throwIfAborted();
    const row = exports.of(run.runNo).find((one) => one.exportNo === exportNo);
    const http = kickoffRequest(fhirBase, request, dialect);
    if (row?.state === 'running') return { statusUrl: row.statusUrl!, request: http.url, notes };
    if (row?.state === 'waiting' && row.lookAtMs !== undefined) {
      await waitUntil(context, row.lookAtMs, 'leave');
    }
    if (clock.now() - fromMs > context.polling.maxWaitMs) throw waitOver();
    exports.asked(run.runNo, exportNo, targetOf(context), clock.now());
    context.emit({ event: 'run.phase', phase: 'kick-off' });
    const answer = await send(context, http, request);
    const refusal = 'error' in answer ? answer.error : undefined;
    note('kickoff', {
      exportUrl: http.url,
      errorCode: refusal?.status ?? null,
      errorBody: refusal?.message ?? null,
      requestParameters: describeRequest(request),
      patients: patients.length,
    });
    switch (answer.kind) {
      case 'accepted': {
        const statusUrl = urlPolicy.sameOrigin(answer.location, http.url).href;
        exports.accepted(run.runNo, exportNo, statusUrl);
        return { statusUrl, request: http.url, notes };
      }
      case 'too-recent': {
        const now = clock.now();
        const last = exports.lastBegunMs(targetOf(context)) ?? 0;
        const open = last + GROUP_INTERVAL_MS;
        exports.waits(
          run.runNo,
          exportNo,
          open > now ? Math.min(open, now + GROUP_INTERVAL_MS) : now + LEAVE_LOOK_MS,
        );
        break;
      }
      case 'parameters-refused': {
        const dropped = answer.names.filter((name) => name !== 'patient');
        // Without its patients an export would be of everyone.
        if (!request.lenient || dropped.length === 0 || dropped.length < answer.names.length)
          throw answer.error;
        request = withoutParameters(request, dropped);
        notes.push(`The server refused ${dropped.join(', ')}: the export was asked for without.`);
        break;
      }
      case 'again': {
        const { error } = answer;
        if (error.failure !== 'transient') throw error;
        if (error.code === 'HTTP_TOO_MANY') {
          const wait = pollWaitMs(looks++, error.retryAfterMs, context.polling);
          exports.waits(run.runNo, exportNo, clock.now() + wait);
        } else {
          if (++attempt >= context.maxAttempts) throw error;
          await clock.sleep(
            Math.max(error.retryAfterMs ?? 0, backoffMs(attempt - 1, { ...RETRY, random })),
            signal,
          );
        }
        break;
      }
      case 'refused':
        throw answer.error;
    }
  }
}

/** One kick-off; what kept the server from answering is no answer, and may be tried again. */
async function send(
  { client, clock, signal }: ExportContext,
  http: HttpRequest,
  request: ExportRequest,
): Promise<KickoffAnswer> {
  try {
    return kickoffAnswer(await client.exchange(http), clock.now(), request);
  } catch (thrown) {
    signal.throwIfAborted();
    return { kind: 'again', error: asRoundsError(thrown) };
  }
}

/** What a server counts its limits by. */
function targetOf({ fhirBase, clientId, snapshot }: ExportContext): string {
  const { level, groupId } = snapshot.settings.bulk!.request;
  return JSON.stringify([fhirBase, clientId, level, groupId ?? null]);
}

export function waitOver(): RoundsError {
  return new RoundsError('BULK_WAIT_OVER', 'the export was not done within max_wait_hours');
}
