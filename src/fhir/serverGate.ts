import { RoundsError } from '../errors.ts';
import type { Emit } from '../run/events.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/logger.ts';
import { backoffMs } from '../system/retry.ts';
import { createAdaptiveLimit, type LoadSign } from './adaptiveLimit.ts';

export interface ServerLimits {
  /** Requests under way at once, at most; how many it really are, the server's answers decide. */
  readonly concurrency: number;
  /** Requests started in a second; 0 = no limit. */
  readonly requestsPerSecond: number;
}

export interface ServerGateOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly emit: Emit;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Asked at each request, so that limits that change with the hour hold from that hour on. */
  readonly limits: () => ServerLimits;
  /** How long the server may be away before everybody who asks gets `afterOutage`. */
  readonly maxOutageMs: number;
  /** SERVER_AWAY: what is left of the run fails; RUN_PAUSED: the run stops, to go on later. */
  readonly afterOutage: 'SERVER_AWAY' | 'RUN_PAUSED';
  /** Transient failures in a row, over all workers, that count as "the server is away". */
  readonly failuresBeforeProbing: number;
  /** One cheap question to the server: true when it answers again. Must not enter the gate. */
  readonly probe: (signal: AbortSignal) => Promise<boolean>;
}

/** Ends a request that was let in, whatever became of it. No sign: it says nothing of the server's load. */
export type Leave = (sign?: LoadSign) => void;

/** A change of the adaptive limit by this factor is told to the log. */
const CHANGE_TO_TELL = 1.5;
const PROBE_BASE_MS = 5_000;
const PROBE_CAP_MS = 60_000;

/**
 * The one door through which every request to a FHIR server passes: it keeps to the limits, lets fewer in when
 * the server shows that it has too much to do, holds everybody while the server asked for a pause (429, 503 with
 * Retry-After), and, when the server went away, lets nobody try until a probe was answered, so that an outage spends no
 * search's attempts.
 */
export class ServerGate {
  readonly #options: ServerGateOptions;
  #adaptive = createAdaptiveLimit();
  #limitTold = this.#adaptive.limit;
  #nextSlotAt = 0;
  /** No request starts before, whatever slot it has. */
  #nextStartAt = 0;
  /** Who was let in and did not leave yet. */
  #inside = 0;
  #queue: (() => void)[] = [];
  #pausedUntil = 0;
  #failuresInARow = 0;
  #outage: Promise<void> | undefined;
  #stopped: RoundsError | undefined;
  #waitedMs = 0;
  readonly #waits = { pauses: 0, pausedMs: 0, outages: 0, awayMs: 0 };

  constructor(options: ServerGateOptions) {
    this.#options = options;
  }

  /** Time that requests were held here, all workers together, in ms. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** Pauses that the server asked for, and times that it was away, each with how long (ms, on the wall's clock). */
  get waits(): {
    readonly pauses: number;
    readonly pausedMs: number;
    readonly outages: number;
    readonly awayMs: number;
  } {
    return this.#waits;
  }

  /**
   * Resolves when a request may be sent, to what has to be called once when it is over. `question`: one object for all
   * repetitions of a request. Throws the reason of a stop, `afterOutage` once an outage outlived its limit.
   */
  async enter(signal: AbortSignal, question: object): Promise<Leave> {
    const { clock } = this.#options;
    const from = clock.monotonicMs();
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#stopped) throw this.#stopped;
        if (this.#outage) await this.#outage;
        else if (this.#pausedUntil > clock.monotonicMs()) {
          await clock.sleep(this.#pausedUntil - clock.monotonicMs(), signal);
        } else if (this.#inside >= this.#mostAtOnce()) {
          // Woken by who leaves, also at an abort: that ends the requests under way.
          await new Promise<void>((resolve) => this.#queue.push(resolve));
        } else if (await this.#takeTurn(signal)) return this.#begin(question);
      }
    } finally {
      this.#waitedMs += clock.monotonicMs() - from;
    }
  }

  #mostAtOnce(): number {
    return Math.min(this.#options.limits().concurrency, this.#adaptive.limit);
  }

  #begin(question: object): Leave {
    const { clock, limits } = this.#options;
    const adaptive = this.#adaptive;
    const request = adaptive.begin(clock.monotonicMs(), limits().concurrency);
    return (sign) => {
      adaptive.end(request, clock.monotonicMs(), sign, question);
      this.#tellLimit();
      this.#leave();
    };
  }

  #tellLimit(): void {
    const { limit } = this.#adaptive;
    const [less, more] = [limit, this.#limitTold].toSorted((a, b) => a - b) as [number, number];
    if (more < CHANGE_TO_TELL * less) return;
    this.#options.log.debug('server.concurrency', { from: this.#limitTold, to: limit });
    this.#limitTold = limit;
  }

  #leave(): void {
    this.#inside--;
    for (const wake of this.#queue.splice(0)) wake();
  }

  /** Waits for its turn by the rate; false when meanwhile the server asked for a pause, or went away. */
  async #takeTurn(signal: AbortSignal): Promise<boolean> {
    let isTurn = false;
    this.#inside++;
    try {
      isTurn = await this.#waitTurn(signal);
      return isTurn;
    } finally {
      if (!isTurn) this.#leave();
    }
  }

  async #waitTurn(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    let wait = this.#takeSlot(clock.monotonicMs()) || this.#tooEarly(clock.monotonicMs());
    for (; wait > 0; wait = this.#tooEarly(clock.monotonicMs())) {
      await clock.sleep(wait, signal);
      if (this.#isShut()) return false;
    }
    return true;
  }

  #isShut(): boolean {
    const isPaused = this.#pausedUntil > this.#options.clock.monotonicMs();
    return isPaused || this.#stopped !== undefined || this.#outage !== undefined;
  }

  #takeSlot(now: number): number {
    const { requestsPerSecond } = this.#options.limits();
    if (requestsPerSecond <= 0) return 0;
    const slot = Math.max(now, this.#nextSlotAt);
    this.#nextSlotAt = slot + 1000 / requestsPerSecond;
    return slot - now;
  }

  /** After a stall all whose slots have passed wake at once: they start one after the other all the same. */
  #tooEarly(now: number): number {
    const { requestsPerSecond } = this.#options.limits();
    if (requestsPerSecond <= 0) return 0;
    const early = this.#nextStartAt - now;
    // A timer may ring a part of a millisecond before its time.
    if (early >= 1) return early;
    this.#nextStartAt = Math.max(now, this.#nextStartAt) + 1000 / requestsPerSecond;
    return 0;
  }

  /** Holds every request for `ms`: the server's own word. */
  pauseFor(ms: number): void {
    const now = this.#options.clock.monotonicMs();
    const until = now + ms;
    if (ms <= 0 || until <= this.#pausedUntil) return;
    // Asked for again while it lasts, a pause only grows.
    if (this.#pausedUntil <= now) this.#waits.pauses++;
    this.#waits.pausedMs += until - Math.max(now, this.#pausedUntil);
    this.#pausedUntil = until;
    this.#options.emit({ event: 'server.paused', ms, reason: 'asked' });
    this.#options.log.info('server.paused', { ms: Math.round(ms) });
  }

  /** Whether it lets nobody in any more. */
  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** Lets nobody in any more: every request that waits or comes fails with `reason`. */
  stop(reason: RoundsError): void {
    this.#stopped ??= reason;
    this.#outage = undefined;
  }

  /** The server answered, whatever it said. */
  answered(): void {
    this.#failuresInARow = 0;
  }

  /** The server failed or did not answer. Returns whether it now counts as away: then no attempt is spent. */
  failed(): boolean {
    // Nobody gets in again, so there is nothing to probe for.
    if (this.#stopped) return true;
    this.#failuresInARow++;
    if (this.#outage === undefined && this.#failuresInARow >= this.#options.failuresBeforeProbing) {
      this.#outage = this.#waitUntilBack();
      // Who waits in enter() sees the rejection; nobody waiting must not mean an unhandled one.
      this.#outage.catch(() => undefined);
    }
    return this.#outage !== undefined;
  }

  async #waitUntilBack(): Promise<void> {
    const { clock } = this.#options;
    const from = clock.monotonicMs();
    this.#waits.outages++;
    try {
      await this.#probeUntilBack(from);
    } finally {
      this.#waits.awayMs += clock.monotonicMs() - from;
    }
  }

  async #probeUntilBack(from: number): Promise<void> {
    const { clock, log, emit, random, signal, maxOutageMs, afterOutage, probe } = this.#options;
    log.warn('server.away', { failures: this.#failuresInARow });
    emit({ event: 'server.paused', ms: 0, reason: 'away' });
    for (let tries = 0; !(await probe(signal)); tries++) {
      if (this.#stopped) return;
      const left = from + maxOutageMs - clock.monotonicMs();
      if (left <= 0) {
        log.error('server.gave_up', { awayMs: Math.round(clock.monotonicMs() - from) });
        this.stop(new RoundsError(afterOutage, 'the server stayed away longer than max_outage_minutes'));
        return;
      }
      const wait = backoffMs(tries, { baseMs: PROBE_BASE_MS, capMs: PROBE_CAP_MS, random });
      await clock.sleep(Math.min(left, Math.max(wait, PROBE_BASE_MS / 10)), signal);
    }
    const awayMs = clock.monotonicMs() - from;
    log.info('server.back', { awayMs: Math.round(awayMs) });
    emit({ event: 'server.back', awayMs });
    this.#failuresInARow = 0;
    // What it refused while it broke down is not its measure.
    this.#adaptive = createAdaptiveLimit();
    this.#outage = undefined;
  }
}
