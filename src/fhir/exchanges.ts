import { asRoundsError, RoundsError, type ErrorCode } from '../errors.ts';
import type { HttpCost } from '../run/tally.ts';
import type { Clock } from '../system/clock.ts';
import type { Http, HttpRequest, HttpResponse, HttpStream } from '../system/http.ts';
import { backoffMs, parseRateLimit } from '../system/retry.ts';
import type { LoadSign } from './adaptiveLimit.ts';
import { failureOf } from './outcome.ts';
import type { Leave, ServerGate } from './serverGate.ts';

export interface ExchangeOptions {
  readonly http: Http;
  readonly clock: Clock;
  readonly gate: ServerGate;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly fhirBase: string;
  readonly clientId: string;
  readonly getAccessToken: () => Promise<string>;
  /** Told of a token that the server refused; the next getAccessToken() brings another. */
  readonly invalidateToken: (token: string) => void;
  readonly maxAttempts: number;
}

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 60_000;
const FHIR_JSON = 'application/fhir+json';
/** A question's 401s, the one that renewed the token included, after which the token itself is doubted. */
const FRESH_REFUSALS = 2;

/**
 * Exchanges with a FHIR server, through its gate and with its token. `ask` and `open` retry what is transient (408, 429,
 * 5xx, resets, time-outs, cut or malformed bodies) up to `maxAttempts` with full jitter, renew the token once on a 401,
 * and throw the last RoundsError then. A token that is refused twice right after it was granted, and is good for
 * nothing else either, stops every question: TOKEN_NOT_ACCEPTED. All may be repeated.
 */
export class Exchanges {
  readonly #options: ExchangeOptions;
  /** The server's origin. */
  readonly #home: string;
  /** The token that was good for an answer last, and the question of that answer: a probe for later tokens. */
  #accepted: { readonly token: string; readonly request: HttpRequest } | undefined;
  #requests = 0;
  #retries = 0;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#home = new URL(options.fhirBase).origin;
  }

  /** Requests sent, how many of them were repetitions, and how long they had to wait. */
  get cost(): HttpCost {
    const { waitedMs, waits } = this.#options.gate;
    return { requests: this.#requests, retries: this.#retries, waitedMs, ...waits };
  }

  /** A question, and its answer as `read` understands it; what `read` throws counts as a failed exchange. */
  async ask<T>(
    request: HttpRequest,
    read: (response: HttpResponse) => T,
    as: FileLocation['as'],
  ): Promise<T> {
    const question = { as, send: (token: string | undefined) => this.#send(request, token), probe: request };
    return this.#repeat(question, read, this.#signalOf(request));
  }

  /**
   * One exchange, whatever its status, and no repetition but for a token that is refused: for what must not be sent
   * twice, or has waits of its own (a kick-off, a status request, a DELETE).
   */
  async exchange(request: HttpRequest): Promise<HttpResponse> {
    const { gate, http } = this.#options;
    const signal = this.#signalOf(request);
    const question: Question<HttpResponse> = {
      as: 'client',
      send: (token) => http.request(this.#headed(request, token)),
    };
    for (let isRenewed = false; ; isRenewed = true) {
      const { token, answer } = await this.#exchange(question, await gate.enter(signal, question), signal);
      const response = answer();
      this.#hear(response);
      if (response.status !== 401 || isRenewed) return response;
      this.#options.invalidateToken(token!);
      this.#retries++;
    }
  }

  /**
   * A file to be streamed, with the token or without: status 200, 206 or 416. What comes before its body is retried as
   * any question is; a redirect goes where `redirect` says, or throws. Throws what the other methods throw; a 401 that
   * stays is this file's alone.
   */
  async open(
    request: HttpRequest,
    as: FileLocation['as'],
    redirect: (location: string, from: string) => FileLocation,
  ): Promise<HttpStream> {
    let at: FileLocation = { url: request.url, as };
    for (let hops = 0; ; hops++) {
      const asked = { ...request, url: at.url };
      const found = await this.#repeat(
        { as: at.as, send: (token) => this.#open(asked, token) },
        (stream) => stream,
        this.#signalOf(request),
      );
      if (!isRedirect(found.status)) return found;
      found.close();
      if (hops === MAX_REDIRECTS) throw new RoundsError('URL_REFUSED', 'a file is redirected without end');
      at = redirect(found.headers.location!, at.url);
    }
  }

  async #repeat<R, T>(question: Question<R>, read: (response: R) => T, signal: AbortSignal): Promise<T> {
    const { gate, clock, random, maxAttempts } = this.#options;
    const { probe } = question;
    let refusals = 0;
    for (let attempt = 0; ;) {
      const { token, answer } = await this.#exchange(question, await gate.enter(signal, question), signal);
      try {
        const response = answer();
        if (token !== undefined && probe !== undefined) {
          this.#accepted = { token, request: this.#accepted?.request ?? probe };
        }
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
          if (refusals > FRESH_REFUSALS && probe !== undefined) await this.#demandAccepted(token);
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
  async #exchange<R>(
    { as, send }: Question<R>,
    leave: Leave,
    signal: AbortSignal,
  ): Promise<{ readonly token: string | undefined; readonly answer: () => R }> {
    let sign: LoadSign | undefined;
    try {
      const token = as === 'anonymous' ? undefined : await this.#token();
      const [sent] = await Promise.allSettled([send(token)]);
      if (!signal.aborted) sign = signOf(sent);
      return {
        token,
        answer: () => {
          if (sent.status === 'rejected') throw sent.reason;
          return sent.value;
        },
      };
    } finally {
      leave(sign);
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
        const { gate, signal } = this.#options;
        const question: Question<HttpResponse> = {
          as: 'client',
          send: (other) => this.#send(request, other),
        };
        const leave = await gate.enter(signal, question);
        const { token: fresh = token, answer } = await this.#exchange(question, leave, signal);
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
    const { http, clock } = this.#options;
    const response = await http.request(this.#headed(request, token));
    this.#hear(response);
    if (response.status === 200) return response;
    throw failureOf(response.status, response.body, response.headers, clock.now());
  }

  async #open(request: HttpRequest, token: string | undefined): Promise<HttpStream> {
    const { http, clock } = this.#options;
    const stream = await http.open(this.#headed(request, token));
    this.#hear(stream);
    const { status, headers } = stream;
    if (STREAMED.has(status) || (isRedirect(status) && headers.location !== undefined)) return stream;
    throw failureOf(status, await readStart(stream), headers, clock.now());
  }

  #headed(request: HttpRequest, token: string | undefined): HttpRequest {
    const { clientId } = this.#options;
    this.#requests++;
    // Nearly always it is seen without parsing the URL.
    const isHome = request.url.startsWith(`${this.#home}/`) || new URL(request.url).origin === this.#home;
    return {
      ...request,
      headers: {
        accept: FHIR_JSON,
        ...request.headers,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(isHome ? { 'epic-client-id': clientId } : {}),
      },
      signal: this.#signalOf(request),
    };
  }

  /** A request may have a signal of its own, which then has to follow the general one. */
  #signalOf({ signal }: HttpRequest): AbortSignal {
    return signal ?? this.#options.signal;
  }

  /** What every answer tells of its server. */
  #hear({ status, headers }: Pick<HttpResponse, 'status' | 'headers'>): void {
    const { gate } = this.#options;
    if (status < 500) gate.answered();
    const windowMs = parseRateLimit(headers);
    if (windowMs !== undefined) gate.pauseFor(windowMs);
  }
}

/** How one exchange is done, and by whom. */
interface Question<R> {
  readonly as: 'client' | 'anonymous';
  readonly send: (token: string | undefined) => Promise<R>;
  /** What a later token may be tried with. */
  readonly probe?: HttpRequest;
}

/** Where a file lies, and whether the token goes there. */
export interface FileLocation {
  readonly url: string;
  readonly as: 'client' | 'anonymous';
}

/** What may come of a request for a file or a part of it. */
const STREAMED: ReadonlySet<number> = new Set([200, 206, 416]);
const MAX_REDIRECTS = 5;
/** Enough for any OperationOutcome. */
const MAX_OUTCOME_BYTES = 1 << 20;

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400 && status !== 304;
}

async function readStart(stream: HttpStream): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream.body) {
      size += chunk.length;
      if (size > MAX_OUTCOME_BYTES) return undefined;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    // The status says enough.
    return undefined;
  } finally {
    stream.close();
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

function signOf(sent: PromiseSettledResult<unknown>): LoadSign {
  if (sent.status === 'fulfilled') return 'ok';
  const { code, status } = asRoundsError(sent.reason);
  if (code === 'HTTP_TOO_MANY') return 'refused';
  if (status === 503) return 'busy';
  return OUTAGE.has(code) ? 'failed' : 'ok';
}
