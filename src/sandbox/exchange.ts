import type { FaultAction } from './faults.ts';
import type { FaultSubject } from './faultScript.ts';
import type { GrantedToken } from './oauth.ts';
import type { Parameters } from './search.ts';

/** A request as the handlers see it. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  /** Query parameters in order, and those of a `_search` form after them. */
  readonly query: Parameters;
  readonly url: string;
  header(name: string): string | undefined;
  /** The body's text; empty for GET. */
  readonly body: string;
  /** The grant behind the bearer token, when there is a valid one. */
  readonly grant: GrantedToken | undefined;
}

/** What goes back. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  /** A stream goes out as it is, without a length of its own. */
  readonly body: Buffer | AsyncIterable<string | Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Why, for the log of requests alone. */
  readonly reason?: string;
}

/** One row of the routes table. The first row that fits answers. */
export interface Route {
  readonly methods: readonly string[];
  /** Matched against the whole path; its groups go to the handler. */
  readonly pattern: RegExp;
  /** Says how faults see the request; without it none strikes. */
  subject?(exchange: Exchange, groups: readonly string[]): FaultSubject;
  handle(exchange: Exchange, groups: readonly string[], fault: FaultAction | undefined): Promise<Answer>;
}

export const FHIR_JSON = 'application/fhir+json; charset=utf-8';
export const PLAIN_JSON = 'application/json; charset=utf-8';

export function jsonAnswer(status: number, value: unknown, reason?: string): Answer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, contentType: PLAIN_JSON, body, ...(reason === undefined ? {} : { reason }) };
}
