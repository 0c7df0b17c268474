import { contentHash } from './smtpMessage.ts';

/** What Proton Mail Bridge does beside SMTP; seen in its source and documentation (H). */

const LOCKOUT_FAILURES = 3;
const LOCKOUT_MS = 20_000;

/** Every login is refused for 20 s after more than three wrong ones in quick succession. */
export class Lockout {
  readonly #now: () => number;
  #failures: number[] = [];
  #untilMs = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get isOn(): boolean {
    return this.#now() < this.#untilMs;
  }

  note(wasRight: boolean): void {
    const now = this.#now();
    this.#failures = wasRight ? [] : [...this.#failures, now].filter((at) => now - at < LOCKOUT_MS);
    if (this.#failures.length > LOCKOUT_FAILURES && !this.isOn) this.#untilMs = now + LOCKOUT_MS;
  }
}

const REPEAT_MS = 30 * 60_000;

/** A mail of the same content to the same recipients within 30 minutes is taken with 250, and dropped. */
export class Repeats {
  readonly #seen = new Map<string, number>();

  /** Whether it is one; remembers it when not. */
  isRepeat(mail: {
    readonly raw: string;
    readonly to: readonly string[];
    readonly receivedAtMs: number;
  }): boolean {
    const key = [contentHash(mail.raw), ...mail.to.toSorted()].join(' ');
    const before = this.#seen.get(key);
    if (before !== undefined && mail.receivedAtMs - before < REPEAT_MS) return true;
    this.#seen.set(key, mail.receivedAtMs);
    return false;
  }
}
