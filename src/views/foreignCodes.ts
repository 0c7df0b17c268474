import type { OAuthError } from '../auth/tokenAnswer.ts';
import type { EpicCodeKind } from '../fhir/epicCodes.ts';

/** What others' codes mean to an operator, for `explain`. */

export interface Explanation {
  readonly cause: string;
  readonly remedy: string;
}

/** By kind, since Epic's codes of one kind are treated alike. `cause` goes on where the code's own meaning ends. */
export const EPIC_KINDS: Readonly<Record<EpicCodeKind, Explanation>> = {
  empty: { cause: 'The search found nothing. It counts as empty.', remedy: 'Nothing to do.' },
  ignorable: {
    cause: 'A warning: the answer stands. It is counted in the report.',
    remedy: 'If the parameter matters, mend `query` in the resource list.',
  },
  noted: {
    cause: 'Epic sends it with nearly every answer. It is no gap, and is counted in the report.',
    remedy: 'Only if you miss records: ask the customer which security classes the client’s Epic user has.',
  },
  merged: {
    cause: 'The id is an old one; the answer’s may differ. The patient is listed as merged.',
    remedy: 'Replace the id in the roster by the new one, or drop the line.',
  },
  withheld: {
    cause: 'The answer is 200 and not whole: Epic left data out. What came is kept, and the search is a gap.',
    remedy:
      'Ask the customer’s Epic team why the client’s user does not get it (security class, sensitive data, outside records).',
  },
  badRequest: {
    cause: 'Epic refuses the request as it is, so it is not repeated. The search is a gap.',
    remedy:
      'Mend `query` of this type in the resource list; `fhir-rounds check` tries each type with one record.',
  },
  deleted: {
    cause: 'The record is not there any more. The search is a gap.',
    remedy: 'Take the record’s patient off the roster if it is the patient; otherwise nothing.',
  },
  denied: {
    cause: 'Epic’s security refuses it, so it is not repeated. The search is a gap.',
    remedy:
      'Ask the customer’s Epic team to give the client’s Epic user the security class, or accept the gap.',
  },
  sessionExpired: {
    cause: 'The search was asked for its next page too late. It begins again at its first page.',
    remedy:
      'Nothing, unless it comes often: then lower [api_settings] concurrency, so that pages follow sooner.',
  },
  limit: {
    cause: 'Epic refuses to answer as much as was asked for. The search is a gap.',
    remedy: 'Narrow the search by `query` (a category, a date), in several rows.',
  },
  documentQuota: {
    cause:
      'Epic gives a client so many documents a day. No more are asked for in this run; they count as failed.',
    remedy: 'The next day: `fhir-rounds run JOB --retry-failed`; the customer can raise the quota.',
  },
  server: {
    cause: 'A passing failure on Epic’s side. It is asked again, with backoff.',
    remedy:
      'Nothing, unless it fails every time: then tell the customer’s Epic team when and for which type.',
  },
};

/** Where more is known of one code than of its kind. */
export const EPIC_REMEDIES: Readonly<Record<string, string>> = {
  '59108':
    'Give the row a `query` with category or code, or leave it bare: an Observation row then becomes its working categories.',
  '4134':
    'Break-the-Glass needs a person at the chart; no client gets through. Accept the gap, or take the patient off the roster.',
  '4118':
    'The client is not mapped to an Epic user with this right, or the API is not ticked in its registration.',
  '4110': 'The type cannot be searched without a parameter: give its row a `query`.',
};

const COMPARE = 'Compare client_id, scope and token_endpoint with the registration at Epic.';
const NOT_OURS =
  'This program sends no such request; if the token endpoint is the right one, report it as a defect.';

/** RFC 6749, 5.2, and the registry "OAuth Extensions Errors". */
export const OAUTH_ERRORS_EXPLAINED: Readonly<Record<OAuthError, Explanation>> = {
  invalid_client: {
    cause:
      'The client’s assertion is not taken. Epic says no more; the causes are those of TOKEN_INVALID_CLIENT.',
    remedy:
      '`fhir-rounds check` tells apart what can be told apart; `fhir-rounds explain TOKEN_INVALID_CLIENT` lists the rest.',
  },
  invalid_request: {
    cause: 'A field of the request is missing, twice there or unknown to the server.',
    remedy:
      'Check [oauth_settings] token_endpoint: it must be the token endpoint, not the authorize endpoint.',
  },
  invalid_grant: {
    cause: 'The assertion as a grant is refused: expired, used before, or for another audience.',
    remedy: 'Check this machine’s clock and that token_endpoint is exactly Epic’s.',
  },
  unauthorized_client: {
    cause: 'The client is known, and not registered for client_credentials.',
    remedy: 'Register it at Epic as a Backend Systems app.',
  },
  unsupported_grant_type: {
    cause: 'The token endpoint knows no client_credentials: it is another server’s, or for users only.',
    remedy: 'Check [oauth_settings] token_endpoint.',
  },
  invalid_scope: {
    cause: 'A scope that was asked for is unknown, malformed or not granted to this client.',
    remedy:
      'Leave [oauth_settings] scope out (Epic derives scopes from the registered APIs), or name only registered ones.',
  },
  access_denied: {
    cause: 'The server’s policy refuses this client.',
    remedy: 'Ask the customer’s Epic team why.',
  },
  unsupported_response_type: {
    cause: 'An error of the authorize endpoint.',
    remedy: 'Check [oauth_settings] token_endpoint.',
  },
  invalid_token: {
    cause: 'A token was refused: expired, withdrawn, or for another server.',
    remedy:
      'A new one is fetched by itself; if it goes on, epic_endpoint and token_endpoint are of two servers.',
  },
  insufficient_scope: {
    cause: 'The token does not allow this request.',
    remedy:
      'Tick the missing APIs in the registration; `fhir-rounds check` names the scopes that were not granted.',
  },
  invalid_target: { cause: 'The resource or audience that was asked for is unknown.', remedy: COMPARE },
  invalid_request_object: { cause: 'A request object is malformed.', remedy: NOT_OURS },
  unsupported_token_type: { cause: 'The server does not handle this type of token.', remedy: NOT_OURS },
  invalid_client_metadata: {
    cause: 'A dynamic registration holds something that the server refuses.',
    remedy: NOT_OURS,
  },
  unapproved_software_statement: {
    cause: 'The client’s software is not approved at this server.',
    remedy: 'Ask the customer to approve the client.',
  },
  invalid_software_statement: { cause: 'The client’s software statement is not taken.', remedy: NOT_OURS },
  use_dpop_nonce: {
    cause: 'The server wants proof of possession (DPoP), which SMART Backend Services do without.',
    remedy: 'Ask the server’s operator to register this client without DPoP.',
  },
  invalid_dpop_proof: {
    cause: 'The server wants proof of possession (DPoP), which SMART Backend Services do without.',
    remedy: 'Ask the server’s operator to register this client without DPoP.',
  },
  server_error: {
    cause: 'The token endpoint failed. It is asked again, with backoff.',
    remedy: 'Nothing, unless it goes on.',
  },
  temporarily_unavailable: {
    cause: 'The token endpoint is overloaded or in maintenance. It is asked again, with backoff.',
    remedy: 'Nothing, unless it goes on.',
  },
};
