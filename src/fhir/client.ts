import { asRoundsError, RoundsError } from '../errors.ts';
import type { HttpCost } from '../run/tally.ts';
import type { HttpRequest, HttpResponse, HttpStream } from '../system/http.ts';
import { readContent, type Content } from './attachments.ts';
import { readCapability, type Capability } from './capability.ts';
import { Exchanges, type ExchangeOptions, type FileLocation } from './exchanges.ts';
import { classifyIssues, type IssuesVerdict } from './outcome.ts';
import { readResource, readSearchset, type ExactResource, type SearchsetPage } from './searchset.ts';
import type { UrlPolicy } from './urlPolicy.ts';

export interface FhirClientOptions extends ExchangeOptions {
  readonly urlPolicy: UrlPolicy;
  readonly searchMethod: 'get' | 'post';
}

/** One page and the URL it came from (against which its `next` is judged). */
export interface FetchedPage {
  readonly page: SearchsetPage;
  readonly verdict: IssuesVerdict;
  readonly url: string;
}

export type SearchParameters = readonly (readonly [name: string, value: string])[];

/** A content in a FHIR Binary is base64, with other elements around it. */
const BASE64_GROWTH = 4 / 3;
const BINARY_OVERHEAD_BYTES = 64 * 1024;

/** Asks a FHIR server, one question at a time; each method keeps the promises of `Exchanges`. */
export class FhirClient {
  readonly #options: FhirClientOptions;
  readonly #exchanges: Exchanges;

  constructor(options: FhirClientOptions) {
    this.#options = options;
    this.#exchanges = new Exchanges(options);
  }

  get cost(): HttpCost {
    return this.#exchanges.cost;
  }

  /**
   * The first page of a search. By POST, the parameters stay out of URLs and so out of every proxy's log. `signal`, here
   * and below: in place of the client's own.
   */
  async search(
    resourceType: string,
    parameters: SearchParameters,
    signal?: AbortSignal,
  ): Promise<FetchedPage> {
    const { fhirBase, searchMethod } = this.#options;
    const query = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    const url = `${fhirBase}/${resourceType}`;
    return searchMethod === 'post'
      ? this.#fetchPage({
          method: 'POST',
          url: `${url}/_search`,
          body: query,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          ...within(signal),
        })
      : this.#fetchPage({ method: 'GET', url: `${url}?${query}`, ...within(signal) });
  }

  /**
   * The page a `next` link names, taken verbatim. Throws URL_REFUSED when it leads away from the server, and
   * FHIR_PAGING_EXPIRED also for a bare 410: servers other than Epic say so of a link that is too old.
   */
  async nextPage(next: string, from: string, signal?: AbortSignal): Promise<FetchedPage> {
    const url = this.#options.urlPolicy.next(next, from).href;
    try {
      return await this.#fetchPage({ method: 'GET', url, ...within(signal) });
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (error.code !== 'HTTP_GONE') throw thrown;
      throw new RoundsError('FHIR_PAGING_EXPIRED', 'the server answered 410 to a next link', { status: 410 });
    }
  }

  /** The server's CapabilityStatement; open to everybody by the standard (FHIR R4, 3.1.0.1.2), so no token is sent. */
  async capability(signal?: AbortSignal): Promise<Capability> {
    const url = `${this.#options.fhirBase}/metadata`;
    const request: HttpRequest = { method: 'GET', url, ...within(signal) };
    return this.#ask(request, ({ body }) => readCapability(body), 'anonymous');
  }

  /** One resource by its logical id (`.` and `..`: URL_REFUSED). The id that comes back may differ (a merged patient, Epic 4107). */
  async read(resourceType: string, resourceId: string, signal?: AbortSignal): Promise<ExactResource> {
    // encodeURIComponent leaves dots alone, and the path `Patient/..` is the base.
    if (/^\.{1,2}$/.test(resourceId)) throw new RoundsError('URL_REFUSED', 'an id of dots alone is a path');
    const url = `${this.#options.fhirBase}/${resourceType}/${encodeURIComponent(resourceId)}`;
    const answer = await this.#ask({ method: 'GET', url, ...within(signal) }, ({ body }) =>
      readResource(body),
    );
    if (answer.resourceType === resourceType) return answer;
    throw new RoundsError('FHIR_FOREIGN_TYPE', `a read of ${resourceType} answered another type`);
  }

  /** See `Exchanges.exchange`. */
  async exchange(request: HttpRequest): Promise<HttpResponse> {
    return this.#exchanges.exchange(request);
  }

  /** See `Exchanges.open`. */
  async open(...how: Parameters<Exchanges['open']>): Promise<HttpStream> {
    return this.#exchanges.open(...how);
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
    as: FileLocation['as'] = 'client',
  ): Promise<T> {
    return this.#exchanges.ask(request, read, as);
  }
}

function within(signal: AbortSignal | undefined): Pick<HttpRequest, 'signal'> {
  return signal === undefined ? {} : { signal };
}
