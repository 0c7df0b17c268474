import type { Answer, Exchange } from '../exchange.ts';
import type { FaultAction } from '../faults.ts';
import { loginAnswer, outcomeAnswer } from '../fhirHandlers.ts';
import { issueOf, type OutcomeIssue } from '../outcomes.ts';
import type { SearchContext } from '../search.ts';
import type { Changes } from './changes.ts';
import type { Exports } from './exports.ts';
import type { Members } from './groups.ts';
import { kickoffRequest, type ExportLevel, type KickoffDecision } from './kickoffRequest.ts';
import type { BulkSettings } from './options.ts';
import { parametersOfBody } from './parametersBody.ts';

/** What the endpoints of an export are answered from. */
export interface BulkContext {
  readonly context: SearchContext;
  readonly changes: Changes;
  readonly settings: BulkSettings;
  readonly exports: Exports;
  readonly members: (level: ExportLevel, groupId: string | undefined) => Members | undefined;
  readonly statusUrl: (exportId: string) => string;
  /** Origin of the files and of the status URL; `other` of the other listener. */
  readonly origin: (other: boolean) => string;
  readonly now: () => number;
}

export function refusal(status: number, text: string, more: Partial<OutcomeIssue> = {}): Answer {
  return outcomeAnswer(status, [{ ...issueOf('59102', text), severity: 'error', ...more }]);
}

/** The media types of an Accept header, without their parameters. */
export function accepts(exchange: Exchange, ...types: readonly string[]): boolean {
  const given = (exchange.header('accept') ?? '').split(',').map((part) => part.split(';')[0]?.trim() ?? '');
  return given.some((type) => types.includes(type));
}

/** The preferences of a request (RFC 7240), lower case, without blanks and quotes. */
function preferences(exchange: Exchange): readonly string[] {
  return (exchange.header('prefer') ?? '')
    .toLowerCase()
    .split(/[,;]/)
    .map((part) => part.replaceAll(/[\s"]/g, ''));
}

const WHY_NOT = {
  // The text is Epic's (H); which status it comes with is not known (L).
  'too-recent': [403, 'Request not allowed: The Client requested this Group too recently.'],
  'too-many': [429, 'An export of this client is running.'],
} as const;

/** Answers a kick-off: 202 with the status URL, or why not (3.0.0, "Bulk Data Kick-off Request"). */
export async function kickoffAnswer(
  bulk: BulkContext,
  exchange: Exchange,
  level: ExportLevel,
  groupId: string | undefined,
  fault: FaultAction | undefined,
): Promise<Answer> {
  const { context, settings, exports } = bulk;
  if (!exchange.grant) return loginAnswer(exchange);
  const isPost = exchange.method === 'POST';
  if (settings.dialect === 'epic' && level !== 'group') {
    return refusal(404, 'Exports are for groups only.', { code: 'not-supported' });
  }
  if (settings.dialect === 'epic' && isPost) return refusal(405, 'A kick-off is a GET.');
  const preferred = preferences(exchange);
  if (!preferred.includes('respond-async')) return refusal(400, 'Prefer: respond-async is required.');
  if (!accepts(exchange, 'application/fhir+json')) {
    return refusal(406, 'Accept: application/fhir+json is required.');
  }
  let given = exchange.query;
  if (isPost) {
    if (!/^application\/(fhir\+)?json\s*(;|$)/i.test(exchange.header('content-type') ?? '')) {
      return refusal(415, 'The body must be application/fhir+json.');
    }
    const body = parametersOfBody(exchange.body);
    if (body.kind === 'refused') return refusal(400, body.why);
    if (exchange.query.length > 0) return refusal(400, 'Parameters of a POST stand in its body.');
    given = body.parameters;
  }
  const decision: KickoffDecision = kickoffRequest(
    bulk,
    {
      level,
      groupId,
      method: isPost ? 'POST' : 'GET',
      lenient: preferred.includes('handling=lenient') && !preferred.includes('handling=strict'),
      scope: exchange.grant.scope,
    },
    given,
  );
  if (decision.kind === 'refused') return outcomeAnswer(decision.status, decision.issues);
  const { clientId } = exchange.grant;
  const notNow = exports.refusal(clientId, groupId);
  if (notNow) {
    const [status, text] = WHY_NOT[notNow.why];
    const answer = refusal(status, text, { code: notNow.why === 'too-many' ? 'throttled' : 'business-rule' });
    return notNow.why === 'too-many'
      ? { ...answer, headers: { 'Retry-After': String(notNow.seconds) } }
      : answer;
  }
  const members = bulk.members(level, groupId);
  if (!members) return refusal(404, 'There is no such Group.');
  const separateStatus = settings.dialect !== 'epic' && preferred.includes('separate-export-status');
  const job = await exports.start({
    clientId,
    request: decision.request,
    kickoffUrl: exchange.url,
    separateStatus,
    selection: { context, changes: bulk.changes, members },
  });
  const url = bulk.statusUrl(job.exportId);
  const elsewhere = fault && 'toOtherOrigin' in fault;
  return {
    ...outcomeAnswer(202, [
      { ...issueOf('59100', 'The export has begun.'), severity: 'information', code: 'informational' },
    ]),
    headers: {
      'Content-Location': elsewhere ? `${bulk.origin(true)}${new URL(url).pathname}` : url,
      ...(separateStatus ? { 'Preference-Applied': 'respond-async, separate-export-status' } : {}),
    },
  };
}
