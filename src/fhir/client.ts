import { asRoundsError, RoundsError, type ErrorCode } from '../errors.ts';
import { readContent, type Content } from './attachments.ts';
import { readCapability, type Capability } from './capability.ts';
import type { HttpCost } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import type { Http, HttpRequest, HttpResponse } from '../system/http.ts';
import { backoffMs, parseRateLimit } from '../system/retry.ts';
import { classifyIssues, failureOf, type IssuesVerdict } from './outcome.ts';
import { readResource, readSearchset, type ExactResource, type SearchsetPage } from './searchset.ts';
import type { ServerGate } from './serverGate.ts';
import type { UrlPolicy } from './urlPolicy.ts';

export interface FhirClientOptions {
  readonly http: Http;
  readonly clock: Clock;
  readonly gate: ServerGate;
  readonly urlPolicy: UrlPolicy;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly fhirBase: string;
  readonly clientId: string;
  readonly getAccessToken: () => Promise<string>;
  /** Told of a token that the server refused; the next getAccessToken() brings another. */
  readonly invalidateToken: (token: string) => void;
  readonly maxAttempts: number;
  readonly searchMethod: 'get' | 'post';
}

/** One page and the URL it came from (against which its `next` is judged). */
export interface FetchedPage {
  readonly page: SearchsetPage;
  readonly verdict: IssuesVerdict;
  readonly url: string;
}

export type SearchParameters = readonly (readonly [name: string, value: string])[];

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 60_000;
const FHIR_JSON = 'application/fhir+json';
/** A content in a FHIR Binary is base64, with other elements around it. */
const BASE64_GROWTH = 4 / 3;
const BINARY_OVERHEAD_BYTES = 64 * 1024;
/** A question's 401s, the one that renewed the token included, after which the token itself is doubted. */
const FRESH_REFUSALS = 2;

/**
 * Asks a FHIR server, one question at a time. Each method retries what is transient (408, 429, 5xx, resets,
 * time-outs, cut or malformed bodies) up to `maxAttempts` with full jitter, renews the token once on a 401, and
 * throws the last RoundsError then. A token that is refused twice right after it was granted, and is good for
 * nothing else either, stops every question: TOKEN_NOT_ACCEPTED. All may be repeated.
 */
export class FhirClient {
  readonly #options: FhirClientOptions;
  /** The token that was good for an answer last, and the question of that answer: a probe for later tokens. */
  #accepted: { readonly token: string; readonly request: HttpRequest } | undefined;
  #requests = 0;
  #retries = 0;

  constructor(options: FhirClientOptions) {
    this.#options = options;
  }

  /** Requests sent, how many of them were repetitions, and how long they had to wait. */
  get cost(): HttpCost {
    const { waitedMs, waits } = this.#options.gate;
    return { requests: this.#requests, retries: this.#retries, waitedMs, ...waits };
  }

  /** The first page of a search. By POST, the parameters stay out of URLs and so out of every proxy's log. */
  async search(resourceType: string, parameters: SearchParameters): Promise<FetchedPage> {
    const { fhirBase, searchMethod } = this.#options;
    const query = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    const url = `${fhirBase}/${resourceType}`;
    return searchMethod === 'post'
      ? this.#fetchPage({
          method: 'POST',
          url: `${url}/_search`,
          body: query,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        })
      : this.#fetchPage({ method: 'GET', url: `${url}?${query}` });
  }

  /**
   * The page a `next` link names, taken verbatim. Throws URL_REFUSED when it leads away from the server, and
   * FHIR_PAGING_EXPIRED also for a bare 410: servers other than Epic say so of a link that is too old.
   */
  async nextPage(next: string, from: string): Promise<FetchedPage> {
    const url = this.#options.urlPolicy.next(next, from).href;
    try {
      return await this.#fetchPage({ method: 'GET', url });
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (error.code !== 'HTTP_GONE') throw thrown;
      throw new RoundsError('FHIR_PAGING_EXPIRED', 'the server answered 410 to a next link', { status: 410 });
    }
  }

  /** The server's CapabilityStatement; open to everybody by the standard (FHIR R4, 3.1.0.1.2), so no token is sent. */
  async capability(): Promise<Capability> {
    const url = `${this.#options.fhirBase}/metadata`;
    return this.#ask({ method: 'GET', url }, ({ body }) => readCapability(body), 'anonymous');
  }

  /** One resource by its logical id (`.` and `..`: URL_REFUSED). The id that comes back may differ (a merged patient, Epic 4107). */
  async read(resourceType: string, resourceId: string): Promise<ExactResource> {
    // encodeURIComponent leaves dots alone, and the path `Patient/..` is the base.
    if (/^\.{1,2}$/.test(resourceId)) throw new RoundsError('URL_REFUSED', 'an id of dots alone is a path');
    const url = `${this.#options.fhirBase}/${resourceType}/${encodeURIComponent(resourceId)}`;
    const answer = await this.#ask({ method: 'GET', url }, ({ body }) => readResource(body));
    if (answer.resourceType === resourceType) return answer;
    throw new RoundsError('FHIR_FOREIGN_TYPE', `a read of ${resourceType} answered another type`);
  }

  /**
   * The content of a document: what an attachment's URL leads to, relative or absolute, under the base. It is asked for
   * as it is; a server that answers with a FHIR Binary is understood too. `declared`: its MIME type as the resource
   * says. Throws URL_REFUSED for a URL that leads away from the server, BODY_TOO_LARGE past `maxBytes`, and as `readContent`.
   */
  async content(url: string, declared: string | undefined, maxBytes: number): Promise<Content> {
    const { urlPolicy } = this.#options;
    const request: HttpRequest = {
      method: 'GET',
      url: urlPolicy.next(url, `${urlPolicy.base}/`).href,
      headers: { accept: declared === undefined ? '*/*' : `${declared}, */*;q=0.5` },
      maxBytes: Math.ceil(maxBytes * BASE64_GROWTH) + BINARY_OVERHEAD_BYTES,
    };
    return this.#ask(request, (response) => readContent(response, declared, maxBytes));
  }

  async #fetchPage(request: HttpRequest): Promise<FetchedPage> {
    return this.#ask(request, ({ body }) => {
      const page = readSearchset(body);
      const verdict = classifyIssues(page.outcomes);
      if (verdict.transient) throw verdict.transient;
      return { page, verdict, url: request.url };
    });
  }

  async #ask<T>(
    request: HttpRequest,
    read: (response: HttpResponse) => T,
    as: 'client' | 'anonymous' = 'client',
  ): Promise<T> {
    const { gate, clock, random, signal, maxAttempts } = this.#options;
    let refusals = 0;
    for (let attempt = 0; ;) {
      await gate.enter(signal);
      const { token, answer } = await this.#exchange(request, as);
      try {
        const response = answer();
        if (token !== undefined) this.#accepted = { token, request: this.#accepted?.request ?? request };
        return read(response);
      } catch (thrown) {
        signal.throwIfAborted();
        const error = asRoundsError(thrown);
        if (error.code === 'HTTP_UNAUTHORIZED' && token !== undefined) {
          refusals++;
          if (refusals === 1) {
            this.#options.invalidateToken(token);
            this.#retries++;
            continue;
          }
          // The first pause may be all that a cluster needs to tell its members of the new token.
          if (refusals > FRESH_REFUSALS) await this.#demandAccepted(token);
        }
        if (error.failure !== 'transient' || NOT_BY_REPETITION.has(error.code)) throw error;
        if (error.retryAfterMs !== undefined) gate.pauseFor(error.retryAfterMs);
        // While the server is away nobody's attempts are spent.
        if (!(OUTAGE.has(error.code) && gate.failed())) attempt++;
        if (attempt >= maxAttempts) throw error;
        this.#retries++;
        const wait = { baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS, random };
        await clock.sleep(backoffMs(Math.max(0, attempt - 1), wait), signal);
      }
    }
  }

  /** One exchange by who was let in by the gate. Throws what kept it from being sent; `answer` what became of it. */
  async #exchange(
    request: HttpRequest,
    as: 'client' | 'anonymous',
  ): Promise<{ readonly token: string | undefined; readonly answer: () => HttpResponse }> {
    try {
      const token = as === 'anonymous' ? undefined : await this.#token();
      const [sent] = await Promise.allSettled([this.#send(request, token)]);
      return {
        token,
        answer: () => {
          if (sent.status === 'rejected') throw sent.reason;
          return sent.value;
        },
      };
    } finally {
      this.#options.gate.leave();
    }
  }

  /** A refusal of the client itself stops everybody: a thousand searches would only ask it a thousand times. */
  async #token(): Promise<string> {
    try {
      return await this.#options.getAccessToken();
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (error.failure !== 'transient' && !this.#options.signal.aborted) this.#options.gate.stop(error);
      throw thrown;
    }
  }

  /**
   * Throws TOKEN_NOT_ACCEPTED, and lets nobody ask any more, unless this token is good for something: for a server
   * that answers 401 to one question alone refuses that question, and the others must still be asked.
   */
  async #demandAccepted(token: string): Promise<void> {
    if (this.#accepted?.token === token) return;
    if (this.#accepted !== undefined) {
      const { request } = this.#accepted;
      try {
        await this.#options.gate.enter(this.#options.signal);
        const { token: fresh = token, answer } = await this.#exchange(request, 'client');
        answer();
        this.#accepted = { token: fresh, request };
        return;
      } catch (thrown) {
        this.#options.signal.throwIfAborted();
        if (asRoundsError(thrown).code !== 'HTTP_UNAUTHORIZED') return;
      }
    }
    const what = 'the FHIR server refuses tokens that were just granted';
    const error = new RoundsError('TOKEN_NOT_ACCEPTED', what, { status: 401 });
    this.#options.gate.stop(error);
    throw error;
  }

  async #send(request: HttpRequest, token: string | undefined): Promise<HttpResponse> {
    const { http, gate, signal, clientId, clock } = this.#options;
    this.#requests++;
    const response = await http.request({
      ...request,
      headers: {
        accept: FHIR_JSON,
        ...request.headers,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        'epic-client-id': clientId,
      },
      signal,
    });
    if (response.status < 500) gate.answered();
    const windowMs = parseRateLimit(response.headers);
    if (windowMs !== undefined) gate.pauseFor(windowMs);
    if (response.status === 200) return response;
    throw failureOf(response.status, response.body, response.headers, clock.now());
  }
}

/** Passing failures that the same request meets again: the search must restart, or wait for another day. */
const NOT_BY_REPETITION: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FHIR_PAGING_EXPIRED',
  'FHIR_DOCUMENT_QUOTA',
]);

/** Failures that say "the server is not there", as against "this question is answered badly". */
const OUTAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'NETWORK',
  'NAME_NOT_RESOLVED',
  'TIMEOUT',
  'BODY_CUT',
  'HTTP_SERVER',
]);
