import { ERROR_CODES, RoundsError, type ErrorCode, type RoundsErrorOptions } from '../errors.ts';
import { parseRateLimit, parseRetryAfter } from '../system/retry.ts';
import { EPIC_CODES, ERROR_OF_KIND, type EpicCode } from './epicCodes.ts';
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from './jsonBytes.ts';

/**
 * From OperationOutcomes and HTTP statuses to our own errors. No text of the server's reaches a message: its
 * diagnostics name patients.
 */

/** One `OperationOutcome.issue`, reduced to what decisions need. */
export interface OperationOutcomeIssue {
  /** `fatal | error | warning | information`; anything else is read as `error`. */
  readonly severity: 'fatal' | 'error' | 'warning' | 'information';
  /** `issue.code`, of FHIR's issue-type value set. */
  readonly issueType: string;
  /** `issue.details.coding[].code` in order, whatever their systems; only those that are safe to print. */
  readonly codes: readonly string[];
  /** `details.text` and `diagnostics`. PHI: to be matched against, never logged or shown. */
  readonly text: string;
  /** `expression` and `location`: what it is about, by the server's word. As foreign as `text`. */
  readonly places: readonly string[];
}

/** What the issues of a 200 answer mean for its search. */
export interface IssuesVerdict {
  /** 4101: the server says that nothing was found. */
  readonly empty: boolean;
  /** 4107: a record was merged; the id that comes back may differ. */
  readonly merged: boolean;
  /** A part is missing for good; the first cause found. What came is kept. */
  readonly gap?: { readonly code: ErrorCode; readonly epicCode?: string };
  /** The answer cannot be used; the search is to be asked again. Takes precedence over `gap`. */
  readonly transient?: RoundsError;
  /** Codes (or issue types, where there is no code) of what was only remarked, for counting. */
  readonly warnings: readonly string[];
}

const SAFE_CODE = /^[A-Za-z0-9._-]{1,40}$/;
/** FHIR R4, issue-type: `transient` and its children. */
const TRANSIENT_TYPES = [
  'transient',
  'lock-error',
  'no-store',
  'exception',
  'timeout',
  'incomplete',
  'throttled',
];
/** FHIR R4, issue-type: `security` and its children, but `suppressed`, which is no refusal. */
const SECURITY_TYPES = ['security', 'login', 'unknown', 'expired', 'forbidden'];

/** The issues of an OperationOutcome; what is not shaped like one is left out. */
export function issuesOf(outcome: JsonObject): readonly OperationOutcomeIssue[] {
  return objectsIn(outcome.issue).map((issue) => {
    const details = isJsonObject(issue.details) ? issue.details : {};
    const codes = objectsIn(details.coding)
      .map((coding) => coding.code)
      .filter((value): value is string => typeof value === 'string' && SAFE_CODE.test(value));
    const texts = [details.text, issue.diagnostics].filter((value) => typeof value === 'string');
    return {
      severity: severityOf(issue.severity),
      issueType: issueTypeOf(issue.code),
      codes,
      text: texts.join('\n'),
      places: [issue.expression, issue.location].flatMap(stringsIn),
    };
  });
}

/**
 * What the issues that came with a 200 mean. Epic's code decides where it is known; else FHIR's issue type and
 * severity do: an unknown error of the transient family is asked again, any other unknown error is a gap, and
 * `suppressed` is one at every severity. Other unknown warnings and information are counted and never fail a
 * search; a known refusal is one as a warning too.
 *
 * 4119 ("may be incomplete") comes with nearly every answer at Epic (H), so it is counted, not a gap.
 */
export function classifyIssues(issues: readonly OperationOutcomeIssue[]): IssuesVerdict {
  let empty = false;
  let merged = false;
  let gap: IssuesVerdict['gap'];
  let transient: RoundsError | undefined;
  const warnings: string[] = [];
  for (const issue of issues) {
    const kind = knownCodeOf(issue)?.kind;
    if (kind === 'empty') empty = true;
    else if (kind === 'merged') merged = true;
    else {
      const code = errorCodeOf(issue);
      const epicCode = epicCodeOf(issue);
      if (code === undefined) warnings.push(epicCode ?? issue.issueType);
      else if (ERROR_CODES[code].failure === 'transient') transient ??= errorOf(code, issue);
      else gap ??= { code, ...(epicCode !== undefined && { epicCode }) };
    }
  }
  return { empty, merged, warnings, ...(gap && { gap }), ...(transient && { transient }) };
}

/** The failure that a lone OperationOutcome with status 200 stands for; FHIR_OUTCOME where it names none. */
export function failureOfIssues(issues: readonly OperationOutcomeIssue[]): RoundsError {
  const failing = issues.find((issue) => errorCodeOf(issue) !== undefined) ?? issues[0];
  const code = failing && errorCodeOf(failing);
  return errorOf(code ?? 'FHIR_OUTCOME', failing);
}

/**
 * The error that an answer other than 200 stands for. Epic's code decides for 4xx; then the status.
 *
 * Codes: HTTP_BAD_REQUEST (400, 422) HTTP_UNAUTHORIZED (401) HTTP_FORBIDDEN (403) HTTP_NOT_FOUND (404) TIMEOUT
 * (408) HTTP_GONE (410, and 4107 merged) HTTP_TOO_MANY (429) HTTP_SERVER (5xx but 501 and 505) URL_REFUSED (3xx)
 * HTTP_UNEXPECTED (the rest), FHIR_NOT_JSON (a refusal whose JSON is cut), and those of ERROR_OF_KIND.
 * @param body parsed if it is an OperationOutcome, else ignored
 * @param headers with lower-case names; `retry-after` and `ratelimit` become `retryAfterMs` of what is transient
 * @param nowMs the clock, for a Retry-After that is a date
 */
export function failureOf(
  status: number,
  body: Buffer | undefined,
  headers: Readonly<Record<string, string>>,
  nowMs: number,
): RoundsError {
  if (body !== undefined && isGarbled(status, body, headers)) {
    return errorOf('FHIR_NOT_JSON', undefined, { status });
  }
  const issues = body === undefined ? [] : issuesInBody(body);
  const refused = issues.find((issue) => errorOfRefusal(issue) !== undefined);
  const byCode = refused && errorOfRefusal(refused);
  const code = byCode !== undefined && codeDecides(status, byCode) ? byCode : codeOfStatus(status);
  const retryAfterMs =
    ERROR_CODES[code].failure === 'transient'
      ? (parseRetryAfter(headers['retry-after'], nowMs) ?? parseRateLimit(headers))
      : undefined;
  return errorOf(code, refused ?? issues[0], { status, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}

/** Whether Epic refused a bulk kick-off since the group was exported within its interval (24 h by default; H/M). */
export function saysTooRecently(issues: readonly OperationOutcomeIssue[]): boolean {
  return issues.some((issue) => /requested this group too recently/i.test(issue.text));
}

/**
 * Whether all that went wrong will pass by itself, by FHIR's issue types alone: the word of a server whose status
 * request failed while the export goes on (Bulk Data Access 3.0.0, "Response - Error Status").
 */
export function saysTransient(issues: readonly OperationOutcomeIssue[]): boolean {
  const failing = issues.filter(({ severity }) => severity === 'fatal' || severity === 'error');
  return failing.length > 0 && failing.every(({ issueType }) => TRANSIENT_TYPES.includes(issueType));
}

/**
 * Whether a refusal's reason did not come whole: it calls itself JSON and is none. What it refused, and whether for good (an
 * expired page is a 400 at Epic), is not known then, so it is no final answer.
 */
function isGarbled(status: number, body: Buffer, headers: Readonly<Record<string, string>>): boolean {
  const isRefusal = status >= 400 && status < 500 && !SAYS_ENOUGH.has(status);
  if (!isRefusal || body.length === 0 || !/\bjson\b/i.test(headers['content-type'] ?? '')) return false;
  try {
    parseJson(body);
    return false;
  } catch {
    return true;
  }
}

/** Statuses that are transient by themselves, and so lose nothing without a reason. */
const SAYS_ENOUGH: ReadonlySet<number> = new Set([401, 408, 429]);

/** The issues of a body that is an OperationOutcome; none for any other body. */
export function issuesInBody(body: Buffer): readonly OperationOutcomeIssue[] {
  try {
    const value = parseJson(body);
    return isJsonObject(value) && value.resourceType === 'OperationOutcome' ? issuesOf(value) : [];
  } catch {
    return [];
  }
}

/** The error an issue stands for, or `undefined` where it is only a remark. */
function errorCodeOf(issue: OperationOutcomeIssue): ErrorCode | undefined {
  const known = knownCodeOf(issue);
  if (known) {
    // What is marked as mere information is a remark; withheld data and denials count however they are marked.
    const always = known.kind === 'withheld' || known.kind === 'denied';
    return issue.severity === 'information' && !always ? undefined : ERROR_OF_KIND[known.kind];
  }
  if (issue.issueType === 'suppressed') return 'FHIR_DATA_WITHHELD';
  if (issue.severity === 'warning' || issue.severity === 'information') return undefined;
  if (issue.issueType === 'throttled') return 'HTTP_TOO_MANY';
  if (TRANSIENT_TYPES.includes(issue.issueType)) return 'HTTP_SERVER';
  if (SECURITY_TYPES.includes(issue.issueType)) return 'FHIR_ACCESS_DENIED';
  return issue.issueType === 'deleted' ? 'FHIR_DELETED' : 'FHIR_OUTCOME';
}

/** With a 4xx the severity says nothing new: the code alone decides. */
function errorOfRefusal(issue: OperationOutcomeIssue): ErrorCode | undefined {
  const kind = knownCodeOf(issue)?.kind;
  return kind === undefined ? undefined : kind === 'merged' ? 'HTTP_GONE' : ERROR_OF_KIND[kind];
}

/** Statuses that ask for a new token or for patience say it better than a code, but for a quota that lasts all day. */
function codeDecides(status: number, byCode: ErrorCode): boolean {
  if (status === 429) return byCode === 'FHIR_DOCUMENT_QUOTA';
  return status >= 400 && status < 500 && status !== 401 && status !== 408;
}

function codeOfStatus(status: number): ErrorCode {
  if (status >= 300 && status < 400) return 'URL_REFUSED';
  if (status === 400 || status === 422) return 'HTTP_BAD_REQUEST';
  if (status === 401) return 'HTTP_UNAUTHORIZED';
  if (status === 403) return 'HTTP_FORBIDDEN';
  if (status === 404) return 'HTTP_NOT_FOUND';
  if (status === 408) return 'TIMEOUT';
  if (status === 410) return 'HTTP_GONE';
  if (status === 429) return 'HTTP_TOO_MANY';
  // 501 and 505 say that the server will never do this (RFC 9110, 15.6): asking again only looks like an outage.
  if (status >= 500 && status < 600 && status !== 501 && status !== 505) return 'HTTP_SERVER';
  return 'HTTP_UNEXPECTED';
}

function errorOf(
  code: ErrorCode,
  issue: OperationOutcomeIssue | undefined,
  options: RoundsErrorOptions = {},
): RoundsError {
  const epicCode = issue && epicCodeOf(issue);
  const meaning = epicCode === undefined ? undefined : EPIC_CODES.get(epicCode)?.meaning;
  const answered = options.status === undefined ? 'an OperationOutcome' : String(options.status);
  const because =
    epicCode === undefined ? '' : ` (${epicCode}${meaning === undefined ? '' : `: ${meaning}`})`;
  return new RoundsError(code, `the server answered ${answered}${because}`, {
    ...options,
    ...(epicCode !== undefined && { epicCode }),
  });
}

function knownCodeOf(issue: OperationOutcomeIssue): EpicCode | undefined {
  const code = issue.codes.find((value) => EPIC_CODES.has(value));
  return code === undefined ? undefined : EPIC_CODES.get(code);
}

function epicCodeOf(issue: OperationOutcomeIssue): string | undefined {
  return issue.codes.find((value) => EPIC_CODES.has(value)) ?? issue.codes[0];
}

function severityOf(value: JsonValue | undefined): OperationOutcomeIssue['severity'] {
  return value === 'fatal' || value === 'warning' || value === 'information' ? value : 'error';
}

function issueTypeOf(value: JsonValue | undefined): string {
  return typeof value === 'string' && SAFE_CODE.test(value) ? value : 'unknown-type';
}

function objectsIn(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function stringsIn(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
