import type { ErrorCode } from '../errors.ts';

/**
 * Epic's OperationOutcome codes, found at `issue.details.coding[].code` whatever the coding system (its prefix
 * varies by site). Source: Epic's documentation of FHIR error codes; the grouping is certain (H), some meanings
 * are told here in general words only.
 */

/**
 * - `empty`: nothing was found.
 * - `ignorable`: a parameter was ignored or adjusted; the answer stands.
 * - `noted`: the answer holds what this user may see, and more may exist; Epic sends it with nearly every answer.
 * - `merged`: the record was merged into another; the id that comes back may differ.
 * - all others: the part of the answer that this issue stands for is missing.
 */
export type EpicCodeKind =
  | 'empty'
  | 'ignorable'
  | 'noted'
  | 'merged'
  | 'withheld'
  | 'badRequest'
  | 'deleted'
  | 'denied'
  | 'sessionExpired'
  | 'limit'
  | 'documentQuota'
  | 'server';

export interface EpicCode {
  readonly kind: EpicCodeKind;
  /** For messages: fixed words, never the server's. */
  readonly meaning: string;
}

const code = (kind: EpicCodeKind, meaning: string): EpicCode => ({ kind, meaning });

export const EPIC_CODES: ReadonlyMap<string, EpicCode> = new Map([
  ['4101', code('empty', 'none found')],

  ['4117', code('ignorable', 'a parameter was ignored')],
  ['4122', code('ignorable', 'a parameter was ignored')],
  ['59100', code('ignorable', 'a parameter was ignored')],
  ['59101', code('ignorable', 'a parameter was ignored')],
  ['59109', code('ignorable', 'a parameter was ignored')],
  ['4119', code('noted', 'more may exist than this user may see')],

  // The answer is 200 and silently partial (H).
  ['59204', code('withheld', 'a part of the data was withheld')],
  ['59205', code('withheld', 'a part of the data was withheld')],

  ['4100', code('badRequest', 'a parameter is invalid')],
  ['4102', code('badRequest', 'the id is invalid')],
  ['4104', code('badRequest', 'the request is invalid')],
  ['4110', code('badRequest', 'the search has no parameters')],
  ['4111', code('badRequest', 'a required parameter is missing')],
  ['4112', code('badRequest', 'the parameters do not go together')],
  ['4115', code('badRequest', 'a required parameter has an invalid value')],
  ['59102', code('badRequest', 'a parameter is invalid')],
  ['59105', code('badRequest', 'a parameter is invalid')],
  ['59108', code('badRequest', 'a filter such as category or code is missing')],
  ['59111', code('badRequest', 'a parameter is invalid')],
  ['59159', code('badRequest', 'a parameter is invalid')],

  ['4103', code('deleted', 'the record was deleted')],
  ['59144', code('deleted', 'the record is gone')],
  ['4107', code('merged', 'the record was merged into another')],

  ['4118', code('denied', 'the Epic user is not authorised')],
  ['4130', code('denied', 'the Epic user may not see this record')],
  ['4131', code('denied', 'the Epic user may not see this record')],
  ['4134', code('denied', 'Break-the-Glass protects this record')],

  ['4113', code('sessionExpired', 'the paging session has expired')],
  ['4127', code('limit', 'a limit of the server was reached')],
  ['59133', code('limit', 'a limit of the server was reached')],
  ['4135', code('documentQuota', 'the daily document quota is used up')],

  ['59177', code('server', 'the server failed')],
  ['40000', code('server', 'the server failed')],
]);

/** The error that each kind becomes; `undefined` where the kind is no failure by itself. */
export const ERROR_OF_KIND: Readonly<Record<EpicCodeKind, ErrorCode | undefined>> = {
  empty: undefined,
  ignorable: undefined,
  noted: undefined,
  merged: undefined,
  withheld: 'FHIR_DATA_WITHHELD',
  badRequest: 'FHIR_PARAMETER_REFUSED',
  deleted: 'FHIR_DELETED',
  denied: 'FHIR_ACCESS_DENIED',
  sessionExpired: 'FHIR_PAGING_EXPIRED',
  limit: 'FHIR_OUTCOME',
  documentQuota: 'FHIR_DOCUMENT_QUOTA',
  server: 'HTTP_SERVER',
};
