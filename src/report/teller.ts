import { asRoundsError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import { runCommand, splitWords } from '../system/command.ts';
import type { Http } from '../system/http.ts';
import type { Log } from '../system/logger.ts';
import type { RunSummary } from './summary.ts';

export interface TellerOptions {
  /** Opened when there is something to ping; closed by `close`. */
  readonly http: Http | undefined;
  /** A secret: neither logged nor named in an error. */
  readonly pingUrl: string | undefined;
  readonly command: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const PING_TIMEOUT_MS = 5_000;
const PING_TRIES = 3;
const PING_WAIT_MS = 1_000;
const COMMAND_TIMEOUT_MS = 60_000;

/**
 * Tells a watchdog (healthchecks.io and its like: POST URL/start, URL, URL/fail) and a program of the site's how a run
 * went. No PHI and no body goes out in a ping; nothing here fails a run or throws.
 */
export class RunTeller {
  readonly #options: TellerOptions;
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  /** A run begins, or goes on. Waits for nothing. */
  started(): void {
    this.#ping('/start');
  }

  /** A run is closed. Only a complete one is a success: of all else a person wants to know. */
  ended(summary: RunSummary): void {
    this.#ping(summary.status === 'complete' ? '' : '/fail');
    if (this.#options.command !== undefined) this.#do(this.#runCommand(this.#options.command, summary));
  }

  /** A run could not begin. */
  refused(): void {
    this.#ping('/fail');
  }

  /** Resolves when all is told or given up. */
  async close(): Promise<void> {
    await Promise.all(this.#underWay);
    await this.#options.http?.close();
  }

  #ping(path: '' | '/start' | '/fail'): void {
    const { http, pingUrl } = this.#options;
    if (http === undefined || pingUrl === undefined) return;
    this.#do(this.#post(http, `${pingUrl.replace(/\/+$/, '')}${path}`));
  }

  #do(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  async #post(http: Http, url: string): Promise<void> {
    const { clock, log, signal } = this.#options;
    try {
      for (let tries = 1; ; tries++) {
        const code = await postOnce(http, url, signal);
        if (code === undefined) return;
        if (tries === PING_TRIES) return log.warn('ping.failed', { code });
        await clock.sleep(PING_WAIT_MS, signal);
      }
    } catch {
      // Told to stop: the watchdog hears of it by hearing nothing.
    }
  }

  async #runCommand(command: string, summary: RunSummary): Promise<void> {
    const { log, signal } = this.#options;
    const input = `${JSON.stringify(summary)}\n`;
    const end = await runCommand(splitWords(command), { input, timeoutMs: COMMAND_TIMEOUT_MS, signal });
    if (end === 'not started') log.warn('notify_command.not_started');
    else if (end.code !== 0) log.warn('notify_command.failed', { exitCode: end.code });
  }
}

/** What went wrong, or undefined. Throws when it was told to stop. */
async function postOnce(http: Http, url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { status } = await http.request({ method: 'POST', url, timeoutMs: PING_TIMEOUT_MS, signal });
    return status >= 200 && status < 300 ? undefined : `HTTP ${status}`;
  } catch (thrown) {
    signal.throwIfAborted();
    return asRoundsError(thrown).code;
  }
}
