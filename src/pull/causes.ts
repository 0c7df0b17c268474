import type { ErrorCode, RoundsError } from '../errors.ts';
import type { Cause } from '../run/tally.ts';

/** What a failure is to what was pulled: the run's end, a gap, or one to be asked again; and how it is recorded. */

/** Failures that end the run, as against the server's answer to one search. */
const ENDS_RUN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DISK_FULL',
  'PATH_UNUSABLE',
  'LEDGER_DAMAGED',
  'INTERRUPTED',
  'RUN_PAUSED',
  'RUN_CANCELLED',
  'INTERNAL',
]);

/** Whether a failure is the server's doing, and so the outcome of one search. */
export function isServersDoing(error: RoundsError): boolean {
  return !ENDS_RUN.has(error.code);
}

/** Refusals of the client itself, not of one request: they say nothing of the data. */
const REFUSES_CLIENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOKEN_INVALID_CLIENT',
  'TOKEN_REFUSED',
  'TOKEN_NOT_ACCEPTED',
  'TOKEN_MALFORMED',
]);

/** Whether the server has answered for good, so that asking again changes nothing: a gap. */
export function isFinalAnswer(error: RoundsError): boolean {
  const isFinal = error.failure === 'permanent' || error.failure === 'denied';
  return isFinal && isServersDoing(error) && !REFUSES_CLIENT.has(error.code);
}

/** How often a search begins again at its first page (an expired session, a page that contradicts itself). */
export const MAX_RESTARTS = 2;

const NEEDS_RESTART: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FHIR_PAGING_EXPIRED',
  'FHIR_PAGING_LOOP',
  'FHIR_FOREIGN_PATIENT',
  'FHIR_FOREIGN_TYPE',
]);

/** Whether the whole search is to be asked again: the client has spent its attempts on what a repeated request mends. */
export function needsRestart({ code }: RoundsError): boolean {
  return NEEDS_RESTART.has(code);
}

export function causeOf(error: RoundsError): Omit<Cause, 'rosterLine'> {
  return {
    code: error.code,
    ...(error.epicCode === undefined ? {} : { epicCode: error.epicCode }),
    ...(error.status === undefined ? {} : { httpStatus: error.status }),
  };
}
