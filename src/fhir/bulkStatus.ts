import { RoundsError, type ErrorCode } from '../errors.ts';
import type { HttpResponse } from '../system/http.ts';
import { parseHttpDate, parseRateLimit, parseRetryAfter } from '../system/retry.ts';
import { refusedParameters, type ExportRequest } from './bulkKickoff.ts';
import { isJsonObject, parseJson, type JsonObject } from './jsonBytes.ts';
import {
  classifyIssues,
  issuesInBody,
  issuesOf,
  saysTooRecently,
  saysTransient,
  type OperationOutcomeIssue,
} from './outcome.ts';
import { safeText } from './safeText.ts';

/**
 * What the answers to a kick-off and to a status request mean (Bulk Data Access 2.0.0 and 3.0.0). Messages hold of the
 * server's text only what `safeText` lets through.
 */

export type ExportStatus =
  /** `partial`: a manifest of what is ready, with `allowPartialManifests`. */
  | {
      readonly kind: 'running';
      readonly progress: string | undefined;
      readonly retryAfterMs: number | undefined;
      readonly partial: Buffer | undefined;
    }
  /** `expiresAtMs`: when the files go, in milliseconds since 1970. The manifest is a JSON object, and not yet read. */
  | { readonly kind: 'complete'; readonly expiresAtMs: number | undefined; readonly manifest: Buffer }
  /** The request failed and says nothing of the export: ask again, after `error.retryAfterMs` where it is there. */
  | { readonly kind: 'again'; readonly error: RoundsError }
  /** BULK_EXPORT_GONE: the server knows the export no more. */
  | { readonly kind: 'gone'; readonly error: RoundsError }
  /** BULK_EXPORT_FAILED. */
  | { readonly kind: 'failed'; readonly error: RoundsError };

export type KickoffAnswer =
  /** `location`: Content-Location as it was sent, not yet judged by the URL policy. */
  | { readonly kind: 'accepted'; readonly location: string }
  /** Epic exports a group once in a while only (24 h by default, H/M): a wait, no failure. */
  | { readonly kind: 'too-recent' }
  | { readonly kind: 'again'; readonly error: RoundsError }
  /** `names`: parameters of the request without which it may be taken. BULK_KICKOFF_REFUSED. */
  | { readonly kind: 'parameters-refused'; readonly names: readonly string[]; readonly error: RoundsError }
  /** BULK_KICKOFF_REFUSED. */
  | { readonly kind: 'refused'; readonly error: RoundsError };

/** Exports take hours, so servers may ask for more patience than in a search. */
const RETRY_AFTER_CAP_MS = 24 * 3_600_000;
/** Statuses of the moment, whatever else the answer says. */
const PASSING = [408, 429, 503];

/**
 * What became of an export, from the answer to a status request. With `separate-export-status` the export's own
 * status stands in `X-Export-Status`, and the HTTP status is the request's.
 *
 * Again: 408, 429 and 503; any other 5xx without an OperationOutcome; an OperationOutcome of the transient family with
 * any status; a 2xx whose body cannot be read. Not for a 401, which the client mends.
 * @param nowMs the clock, for Retry-After and Expires that are dates
 */
export function readStatus(response: HttpResponse, nowMs: number): ExportStatus {
  const status = isSuccess(response.status) ? (exportStatusIn(response) ?? response.status) : response.status;
  if (status === 202) return running(response, nowMs);
  if (isSuccess(status)) return completed(response, status, nowMs);
  const issues = issuesInBody(response.body);
  const isPassing =
    PASSING.includes(status) || saysTransient(issues) || (status >= 500 && issues.length === 0);
  if (isPassing) {
    const error = notNow(codeOfPassing(status), 'to a status request', response, status, nowMs);
    return { kind: 'again', error };
  }
  if (status === 404 || status === 410) {
    return { kind: 'gone', error: refusal('BULK_EXPORT_GONE', 'the export is gone', status, issues) };
  }
  return { kind: 'failed', error: refusal('BULK_EXPORT_FAILED', 'the export failed', status, issues) };
}

/**
 * What became of a kick-off. Again: 408, 429, 5xx but 501 and 505, and an OperationOutcome of the transient family: no
 * export has begun.
 * @param nowMs the clock, for a Retry-After that is a date
 * @param request what was asked, to tell which of its parameters are refused
 */
export function kickoffAnswer(response: HttpResponse, nowMs: number, request: ExportRequest): KickoffAnswer {
  const { status, headers, body } = response;
  const location = headers['content-location']?.trim() ?? '';
  if (status === 202 && location !== '') return { kind: 'accepted', location };
  const issues = issuesInBody(body);
  if (saysTooRecently(issues)) return { kind: 'too-recent' };
  const hasFailed = status >= 500 && status !== 501 && status !== 505;
  if (PASSING.includes(status) || hasFailed || (status >= 400 && saysTransient(issues))) {
    return { kind: 'again', error: notNow(codeOfPassing(status), 'to a kick-off', response, status, nowMs) };
  }
  const what = status === 202 ? 'the kick-off has no Content-Location' : 'the kick-off was refused';
  const error = refusal('BULK_KICKOFF_REFUSED', what, status, issues);
  const names = status >= 400 && status < 500 ? refusedParameters(request, issues) : [];
  return names.length > 0 ? { kind: 'parameters-refused', names, error } : { kind: 'refused', error };
}

function running({ headers, body }: HttpResponse, nowMs: number): ExportStatus {
  // The standard's own example has the text in quotes.
  const progress = shown(headers['x-progress']?.trim().replace(/^"(.*)"$/, '$1') ?? '');
  return {
    kind: 'running',
    progress,
    retryAfterMs: parseRetryAfter(headers['retry-after'], nowMs, RETRY_AFTER_CAP_MS),
    partial: isManifest(objectIn(body)) ? body : undefined,
  };
}

function completed(response: HttpResponse, status: number, nowMs: number): ExportStatus {
  const { headers, body } = response;
  const answer = objectIn(body);
  if (status !== 200 || answer === undefined) {
    const error = notNow('FHIR_NOT_JSON', 'without a manifest', response, status, nowMs);
    return { kind: 'again', error };
  }
  if (answer.resourceType === 'OperationOutcome') {
    const issues = issuesOf(answer);
    const { transient, gap } = classifyIssues(issues);
    if (!transient || gap) {
      return { kind: 'failed', error: refusal('BULK_EXPORT_FAILED', 'the export failed', status, issues) };
    }
    const error = notNow(transient.code, 'with an OperationOutcome', response, status, nowMs);
    return { kind: 'again', error };
  }
  const expiresAtMs = parseHttpDate(headers['expires']?.trim() ?? '');
  // A date gone by is what frameworks send with every answer, to keep it out of caches.
  const isAhead = expiresAtMs !== undefined && expiresAtMs > nowMs;
  return { kind: 'complete', expiresAtMs: isAhead ? expiresAtMs : undefined, manifest: body };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** As in `202 Accepted`; what cannot be read is passed over. */
function exportStatusIn({ headers }: HttpResponse): number | undefined {
  const code = /^\s*([2-5]\d\d)(?!\S)/.exec(headers['x-export-status'] ?? '')?.[1];
  return code === undefined ? undefined : Number(code);
}

function objectIn(body: Buffer): JsonObject | undefined {
  try {
    const value = parseJson(body);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isManifest(answer: JsonObject | undefined): boolean {
  return typeof answer?.transactionTime === 'string' && answer.resourceType !== 'OperationOutcome';
}

function codeOfPassing(status: number): ErrorCode {
  if (status === 429) return 'HTTP_TOO_MANY';
  return status === 408 ? 'TIMEOUT' : 'HTTP_SERVER';
}

function notNow(
  code: ErrorCode,
  how: string,
  { headers }: HttpResponse,
  status: number,
  nowMs: number,
): RoundsError {
  const retryAfterMs =
    parseRetryAfter(headers['retry-after'], nowMs, RETRY_AFTER_CAP_MS) ?? parseRateLimit(headers);
  return new RoundsError(code, `the server answered ${status} ${how}`, {
    status,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

function refusal(
  code: ErrorCode,
  what: string,
  status: number,
  issues: readonly OperationOutcomeIssue[],
): RoundsError {
  const issue = issues.find(({ severity }) => severity === 'fatal' || severity === 'error') ?? issues[0];
  const epicCode = issue?.codes.find((text) => EPIC_CODE.test(text));
  const words = shown(issue?.text ?? '');
  const coded = epicCode === undefined ? '' : `, ${epicCode}`;
  return new RoundsError(code, `${what} (${status}${coded})${words === undefined ? '' : `: ${words}`}`, {
    status,
    ...(epicCode !== undefined && { epicCode }),
  });
}

/** Any other code could be somebody's number. */
const EPIC_CODE = /^(?:4\d{3}|59\d{3}|40000)$/;

/** What may be shown of a text; `undefined` where nothing is left that says something. */
function shown(text: string): string | undefined {
  const safe = safeText(text);
  return /[A-Za-z0-9]/.test(safe) ? safe : undefined;
}
