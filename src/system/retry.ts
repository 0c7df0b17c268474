/** Backoff and the forms of Retry-After. Pure: time and randomness are arguments. */

/** The longest wait that a server's word is taken for. */
export const RETRY_AFTER_CAP_MS = 15 * 60_000;

export interface BackoffOptions {
  readonly baseMs: number;
  readonly capMs: number;
  /** 0 <= random() < 1 */
  readonly random: () => number;
}

/**
 * Full jitter: uniformly between 0 and min(cap, base x 2^attempt).
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog (2015): least work of the variants compared.
 * @param attempt 0 for the wait after the first failure
 */
export function backoffMs(attempt: number, { baseMs, capMs, random }: BackoffOptions): number {
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
}

const EPOCH_SECONDS_FROM = 1_000_000_000;

/**
 * Milliseconds a server asks for by `Retry-After` (RFC 9110, 10.2.3: seconds or an HTTP-date).
 * Some servers send epoch seconds; these are taken as the instant they name.
 * Absurd values are clamped to 0 ... `capMs`; a header that cannot be read is `undefined`.
 */
export function parseRetryAfter(
  header: string | undefined,
  nowMs: number,
  capMs: number = RETRY_AFTER_CAP_MS,
): number | undefined {
  const text = header?.trim();
  if (text === undefined || text === '') return undefined;
  let ms: number;
  if (/^[+-]?\d+(\.\d+)?$/.test(text)) {
    const seconds = Number(text);
    ms = seconds >= EPOCH_SECONDS_FROM ? seconds * 1000 - nowMs : seconds * 1000;
  } else {
    const at = parseHttpDate(text);
    if (at === undefined) return undefined;
    ms = at - nowMs;
  }
  return Math.min(capMs, Math.max(0, ms));
}

/** The instant of an HTTP-date (RFC 9110, 5.6.7) in milliseconds since 1970; `undefined` for anything else. */
export function parseHttpDate(text: string): number | undefined {
  // Date.parse alone would take any digits for a year, and the asctime form for local time.
  const isDate = /^(mon|tue|wed|thu|fri|sat|sun)/i.test(text);
  const hasZone = /\b(gmt|utc)$/i.test(text);
  if (!isDate && !hasZone) return undefined;
  const at = Date.parse(hasZone ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : at;
}

/**
 * Milliseconds until the window opens again by `RateLimit: ...;r=0;t=20` (draft-ietf-httpapi-ratelimit-headers,
 * `t` in seconds), or by `RateLimit-Remaining: 0` with `RateLimit-Reset`; `undefined` while requests remain.
 */
export function parseRateLimit(
  headers: Readonly<Record<string, string>>,
  capMs: number = RETRY_AFTER_CAP_MS,
): number | undefined {
  const structured = headers['ratelimit'];
  let remaining: string | undefined;
  let resetSeconds: string | undefined;
  if (structured !== undefined) {
    remaining = /(?:^|[;,\s])(?:r|remaining)=(\d+)/i.exec(structured)?.[1];
    resetSeconds = /(?:^|[;,\s])(?:t|reset)=(\d+)/i.exec(structured)?.[1];
  }
  remaining ??= headers['ratelimit-remaining'];
  resetSeconds ??= headers['ratelimit-reset'];
  if (remaining === undefined || Number(remaining) !== 0) return undefined;
  if (resetSeconds === undefined || !/^\d+$/.test(resetSeconds)) return undefined;
  return Math.min(capMs, Number(resetSeconds) * 1000);
}
