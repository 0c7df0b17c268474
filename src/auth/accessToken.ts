import { RoundsError, asRoundsError } from '../errors.ts';
import type { Http } from '../system/http.ts';
import type { Log } from '../system/logger.ts';
import { backoffMs } from '../system/retry.ts';
import { missingScopes, scopesCoverType, splitScopes } from './scopes.ts';
import { clockSkewOf, readTokenAnswer, type TokenGrant } from './tokenAnswer.ts';
import { requestToken, type TokenClient } from './tokenRequest.ts';

export interface AccessTokenOptions extends TokenClient {
  readonly log: Log;
  /** Ends a renewal under way and every later one. */
  readonly signal?: AbortSignal | undefined;
  /** 0 <= random() < 1, for the backoff. */
  readonly random: () => number;
  /** Tries of one renewal. Default 5. */
  readonly maxAttempts?: number | undefined;
}

/** A source of tokens with what it goes through; whoever opens it closes it. */
export interface TokenService {
  readonly source: AccessTokenSource;
  readonly tokenEndpoint: string;
  readonly http: Http;
  close(): Promise<void>;
}

interface CachedToken {
  readonly token: string;
  /** By the monotonic clock: a new one is fetched from here on. */
  renewAtMs: number;
  /** By the monotonic clock: the server takes it no longer. */
  readonly expiresAtMs: number;
  /** Early renewals that failed and were put off. */
  putOff: number;
}

const RENEW_AT = 0.8;
const DEFAULT_ATTEMPTS = 5;
const BACKOFF_BASE_MS = 1000;
const BACKOFF_CAP_MS = 30_000;
/** Retries of a refusal that follows an earlier success. */
const REAUTHENTICATION_RETRIES = 3;
/** A final refusal is repeated without asking again for this long, so that a pool of workers is no storm. */
const REFUSAL_HOLD_MS = 30_000;

/**
 * Access tokens by client credentials with a signed assertion (SMART Backend Services; RFC 6749, 4.4; RFC 7523).
 *
 * Promises: one renewal at a time however many ask (single-flight); a token is handed out until 80 % of its life,
 * by the monotonic clock, counted from before it was asked for; each try carries an assertion of its own; a token
 * is never decoded, cut or logged; redirects are not followed. A renewal that fails for a passing reason while the
 * old token is still good is put off instead of waited for.
 *
 * Retried with full jitter, up to `maxAttempts`, not before a Retry-After: transport failures, 408, 429, 5xx. Also
 * invalid_client and answers that are not OAuth, but only after an earlier success with this key: Epic sometimes
 * answers a re-authentication like bad credentials (H), while on the first one it means what it says.
 */
export class AccessTokenSource {
  readonly #options: AccessTokenOptions;
  readonly #ended = new AbortController();
  readonly #forwardAbort: () => void;
  readonly #requested: readonly string[];
  #cached: CachedToken | undefined;
  #flight: Promise<string> | undefined;
  #refusal: { readonly error: RoundsError; readonly untilMs: number } | undefined;
  #succeededBefore = false;
  #granted: readonly string[] | undefined;
  #scopeWarning = '';
  #skewMs: number | undefined;

  constructor(options: AccessTokenOptions) {
    this.#options = options;
    this.#requested = splitScopes(options.scope);
    this.#forwardAbort = () => this.#ended.abort(options.signal?.reason);
    if (options.signal?.aborted) this.#forwardAbort();
    else options.signal?.addEventListener('abort', this.#forwardAbort, { once: true });
  }

  /** The scopes that are asked for; none: Epic decides. */
  get requestedScopes(): readonly string[] {
    return this.#requested;
  }

  /** The scopes of the latest token; undefined: none yet, or the server did not say. */
  get grantedScopes(): readonly string[] | undefined {
    return this.#granted;
  }

  /** Server's clock minus ours at the latest answer, exact to about a second. */
  get clockSkewMs(): number | undefined {
    return this.#skewMs;
  }

  /** Seconds that the cached token is good for; 0 without one. */
  get remainingSeconds(): number {
    const leftMs = (this.#cached?.expiresAtMs ?? 0) - this.#options.clock.monotonicMs();
    return this.#cached === undefined ? 0 : Math.max(0, Math.floor(leftMs / 1000));
  }

  /** Whether the granted scopes let this type be read; true while they are unknown. */
  scopesCover(resourceType: string): boolean {
    return scopesCoverType(this.#granted, resourceType);
  }

  /**
   * A token that is good now. Throws TOKEN_INVALID_CLIENT, TOKEN_REFUSED, TOKEN_MALFORMED, URL_REFUSED, CONFIG_INVALID
   * (final: nothing is pulled without a token, so the run should stop, not the search alone); HTTP_TOO_MANY,
   * HTTP_SERVER and transport errors once the tries are used up; INTERRUPTED after `close`, or the signal's reason.
   */
  async getAccessToken(): Promise<string> {
    this.#ended.signal.throwIfAborted();
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#cached !== undefined && nowMs < this.#cached.renewAtMs) return this.#cached.token;
    if (this.#refusal !== undefined && nowMs < this.#refusal.untilMs) throw this.#refusal.error;
    this.#flight ??= this.#renew().finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  /**
   * Tells that the server answered 401 to this token. It is dropped only while it is still the cached one, so that
   * many 401s to one token cause one renewal.
   */
  invalidate(token: string): void {
    if (this.#cached?.token === token) this.#cached = undefined;
  }

  /** Ends a renewal under way and forgets the token. */
  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#forwardAbort);
    this.#ended.abort(new RoundsError('INTERRUPTED', 'the source of access tokens is closed'));
    await this.#flight?.catch(() => undefined);
    this.#cached = undefined;
  }

  async #renew(): Promise<string> {
    const { clock, log, random } = this.#options;
    const maxAttempts = this.#options.maxAttempts ?? DEFAULT_ATTEMPTS;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#authenticate();
      } catch (thrown) {
        this.#ended.signal.throwIfAborted();
        const error = asRoundsError(thrown);
        const tries = isDoubtful(error) ? Math.min(maxAttempts, REAUTHENTICATION_RETRIES + 1) : maxAttempts;
        if (!this.#mayPass(error)) throw this.#refused(error);
        const old = this.#cached;
        const jitterMs = backoffMs(old?.putOff ?? attempt, {
          baseMs: BACKOFF_BASE_MS,
          capMs: BACKOFF_CAP_MS,
          random,
        });
        const waitMs = Math.round(Math.max(jitterMs, error.retryAfterMs ?? 0));
        const fields = { code: error.code, status: error.status, attempt: attempt + 1, waitMs };
        const readyAtMs = clock.monotonicMs() + waitMs;
        if (old !== undefined && readyAtMs < old.expiresAtMs) {
          old.renewAtMs = readyAtMs;
          old.putOff++;
          log.warn('auth.renewal_put_off', fields);
          return old.token;
        }
        if (attempt + 1 >= tries) throw this.#usedUp(error);
        log.warn('auth.retry', fields);
        await clock.sleep(waitMs, this.#ended.signal);
      }
    }
  }

  #mayPass(error: RoundsError): boolean {
    return error.failure === 'transient' || (this.#succeededBefore && isDoubtful(error));
  }

  #usedUp(error: RoundsError): RoundsError {
    if (error.code === 'TOKEN_INVALID_CLIENT') return this.#refused(error);
    if (error.code !== 'TOKEN_MALFORMED') return error;
    // The endpoint has issued tokens before: what answers now (a proxy, a maintenance page) is going to pass.
    return new RoundsError(error.code, error.message, {
      failure: 'transient',
      ...(error.status === undefined ? {} : { status: error.status }),
    });
  }

  #refused(error: RoundsError): RoundsError {
    this.#refusal = { error, untilMs: this.#options.clock.monotonicMs() + REFUSAL_HOLD_MS };
    this.#options.log.error('auth.refused', { code: error.code, status: error.status });
    return error;
  }

  async #authenticate(): Promise<string> {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonicMs();
    const sentMs = clock.now();
    const answer = await requestToken(this.#options, this.#ended.signal);
    const nowMs = clock.now();
    this.#skewMs = clockSkewOf(answer, sentMs, nowMs);
    const grant = readTokenAnswer(answer, { nowMs, clockSkewMs: this.#skewMs });
    const lifeMs = grant.expiresInSeconds * 1000;
    this.#cached = {
      token: grant.accessToken,
      renewAtMs: startedMs + lifeMs * RENEW_AT,
      expiresAtMs: startedMs + lifeMs,
      putOff: 0,
    };
    this.#succeededBefore = true;
    this.#refusal = undefined;
    log.info('auth.token_received', { expiresInSeconds: grant.expiresInSeconds });
    this.#compareScopes(grant);
    return grant.accessToken;
  }

  /** Warns when the grant is narrower than the request or says nothing, once for each new finding. */
  #compareScopes({ scopes }: TokenGrant): void {
    this.#granted = scopes;
    const missing = scopes === undefined ? [] : missingScopes(this.#requested, scopes);
    const finding = scopes === undefined ? 'unknown' : missing.join(' ');
    if (finding === this.#scopeWarning) return;
    this.#scopeWarning = finding;
    if (scopes === undefined) this.#options.log.warn('auth.scope_unknown');
    else if (missing.length > 0) this.#options.log.warn('auth.scope_narrowed', { missing: finding });
  }
}

/** Final on a first authentication; after a success it may be the server's passing mood. */
function isDoubtful(error: RoundsError): boolean {
  return error.code === 'TOKEN_INVALID_CLIENT' || error.code === 'TOKEN_MALFORMED';
}
