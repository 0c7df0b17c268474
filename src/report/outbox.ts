import { asRoundsError, type RoundsError } from '../errors.ts';
import { isoInstant, type Clock } from '../system/clock.ts';
import type { Log } from '../system/logger.ts';
import { backoffMs } from '../system/retry.ts';
import type { Mailer } from './mail.ts';

/** A report that no server has taken yet. */
export interface QueuedMail {
  readonly mailNo: number;
  readonly jobName: string;
  readonly runId: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** How often it was tried in vain. */
  readonly attempts: number;
  readonly createdAtMs: number;
  readonly nextAttemptAtMs: number;
  /** Hash of the mail settings that failed for good; it waits until they are others. */
  readonly heldBy?: string;
}

/** Where mails wait. Each call is durable when it returns. */
export interface OutboxStore {
  /** Mails not sent whose next attempt is at `nowMs` or before, held ones too; oldest first, at most `limit`. */
  dueMails(nowMs: number, limit: number): readonly QueuedMail[];
  markSent(mailNo: number, atMs: number, messageId: string): void;
  /** Counts an attempt and lifts a hold. */
  markRetry(mailNo: number, nextAttemptAtMs: number, code: string): void;
  /** Counts an attempt. */
  markHeld(mailNo: number, settingsHash: string, code: string): void;
}

export interface DrainOptions {
  readonly store: OutboxStore;
  /** The job's mailer as configured now; undefined when the job mails no more. Closing it is the caller's. */
  readonly mailerFor: (jobName: string) => Mailer | undefined | Promise<Mailer | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** A person's run: what waits for its next attempt is tried now, since that person may just have mended it. */
  readonly atOnce?: boolean;
  readonly signal?: AbortSignal;
}

export interface DrainResult {
  /** Mails that a server took with its 250. */
  readonly sent: number;
  /** Mails that will be tried again by themselves. */
  readonly waiting: number;
  /** Mails that wait for other mail settings. */
  readonly held: number;
  /** Recipients that a server refused while it took the mail for others; absent when there were none. */
  readonly refusedRecipients?: number;
  /** Code of the last failure of this call. */
  readonly lastCode?: string;
}

const BACKOFF_BASE_MS = 30_000;
const BACKOFF_CAP_MS = 15 * 60_000;
/** Mails in memory at once; some 60 kB each. */
const BATCH = 200;

/** The same at each attempt, so that a receiver can drop a repeat. `.invalid` is no one's domain (RFC 2606). */
export function messageIdOf(runId: string, mailNo: number): string {
  return `<${runId}.${mailNo}@fhir-rounds.invalid>`;
}

/**
 * Sends what waits, in order within each job: while a job's oldest mail waits for its next attempt (full jitter,
 * 30 s to 15 min), those behind it wait too. Sent means the server's 250; a crash between that and `markSent`
 * sends the mail again, with the same message id.
 *
 * A permanent failure holds the mail until the settings' hash changes. Where the failure is of the settings
 * (login, TLS) and not of the one message, the mails behind it are held untried, since Bridge locks out after
 * three failures (H). A new mail is still tried once; when it goes through, the held ones follow it.
 *
 * Never throws for a failure of mail (an abort only ends it early); what the store throws passes through.
 */
export async function drainOutbox(options: DrainOptions): Promise<DrainResult> {
  const { store, signal } = options;
  const drain = new Drain(options);
  for (;;) {
    // Every waiting mail, and so which of a job's is the oldest; also those put off before the clock was set back.
    const batch = store.dueMails(Number.MAX_SAFE_INTEGER, BATCH);
    const sentBefore = drain.sent;
    drain.waiting = 0;
    drain.held = 0;
    const jobs = new Map<string, QueuedMail[]>();
    for (const mail of batch) jobs.set(mail.jobName, [...(jobs.get(mail.jobName) ?? []), mail]);
    for (const [jobName, mails] of jobs) await drain.job(jobName, mails);
    if (batch.length < BATCH || drain.sent === sentBefore || isAborted(signal)) return drain.result();
  }
}

/**
 * The text with the mail's number: Proton Bridge takes a mail whose subject, addresses and body repeat within
 * 30 minutes and drops it (seen in its source, H). Two mails may say the same, such as of a disk that is full twice;
 * a repeated attempt at one mail stays the same mail.
 */
function numbered({ text, mailNo }: QueuedMail): string {
  return `${text.trimEnd()}\n\nMail ${mailNo}\n`;
}

/** What became of one mail. */
type Outcome = 'sent' | 'stopped' | RoundsError;

/** One call's counts, and what it learnt about each settings' server. */
class Drain {
  readonly #options: DrainOptions;
  /** By settings' hash: a failure that any other mail would meet too. */
  readonly #troubles = new Map<string, RoundsError>();
  #lastCode: string | undefined;
  #refusedRecipients = 0;
  sent = 0;
  waiting = 0;
  held = 0;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  result(): DrainResult {
    const { sent, waiting, held } = this;
    return {
      ...{ sent, waiting, held },
      ...(this.#refusedRecipients === 0 ? {} : { refusedRecipients: this.#refusedRecipients }),
      ...(this.#lastCode === undefined ? {} : { lastCode: this.#lastCode }),
    };
  }

  /** One job's mails, oldest first. */
  async job(jobName: string, mails: readonly QueuedMail[]): Promise<void> {
    const mailer = await this.#mailer(jobName, mails[0]!);
    if (mailer === undefined) {
      this.waiting += mails.length;
      return;
    }
    const sentBefore = this.sent;
    const heldBefore: QueuedMail[] = [];
    let blocked = false;
    for (const mail of mails) {
      if (mail.heldBy === mailer.settingsHash) {
        heldBefore.push(mail);
        continue;
      }
      // A mail that other settings held is tried at once.
      const notYet = mail.heldBy === undefined && !this.#isDue(mail);
      if (blocked || notYet) {
        blocked = true;
        this.waiting++;
        continue;
      }
      const outcome = this.#troubles.get(mailer.settingsHash) ?? (await this.#send(mailer, mail));
      blocked = this.#settle(mailer, mail, outcome);
    }
    for (const mail of heldBefore) {
      const proven = this.sent > sentBefore && !blocked && !this.#troubles.has(mailer.settingsHash);
      if (proven) blocked = this.#settle(mailer, mail, await this.#send(mailer, mail));
      else this.held++;
    }
  }

  #isDue({ nextAttemptAtMs }: QueuedMail): boolean {
    const { atOnce, clock } = this.#options;
    const nowMs = clock.now();
    // No wait is longer than the cap: a later instant was meant by another clock.
    const isOfOtherClock = nextAttemptAtMs > nowMs + BACKOFF_CAP_MS;
    return atOnce === true || nextAttemptAtMs <= nowMs || isOfOtherClock;
  }

  /** The job's mailer; when its settings cannot be used the oldest mail is put off. */
  async #mailer(jobName: string, oldest: QueuedMail): Promise<Mailer | undefined> {
    try {
      return await this.#options.mailerFor(jobName);
    } catch (error) {
      if (this.#isDue(oldest)) this.#putOff(oldest, asRoundsError(error));
      return undefined;
    }
  }

  async #send(mailer: Mailer, mail: QueuedMail): Promise<Outcome> {
    const { store, clock, log, signal } = this.#options;
    if (isAborted(signal)) return 'stopped';
    const messageId = messageIdOf(mail.runId, mail.mailNo);
    let refused: readonly number[];
    try {
      const { subject, html, runId } = mail;
      const text = numbered(mail);
      ({ refused } = await mailer.send({
        ...{ subject, text, html, messageId, runId },
        ...(signal === undefined ? {} : { signal }),
      }));
    } catch (error) {
      // An aborted attempt proves nothing about the server, and is not counted.
      return isAborted(signal) ? 'stopped' : asRoundsError(error);
    }
    store.markSent(mail.mailNo, clock.now(), messageId);
    const fields = { job: mail.jobName, run: mail.runId, mail: mail.mailNo };
    log.info('mail.sent', { ...fields, attempts: mail.attempts + 1 });
    if (refused.length > 0) {
      this.#refusedRecipients += refused.length;
      log.warn('mail.recipients_refused', {
        ...fields,
        recipients: refused.length,
        places: refused.join(', '),
      });
    }
    return 'sent';
  }

  /** Records an outcome; true when the job's later mails have to wait. */
  #settle(mailer: Mailer, mail: QueuedMail, outcome: Outcome): boolean {
    if (outcome === 'sent') {
      this.sent++;
      return false;
    }
    if (outcome === 'stopped') {
      this.waiting++;
      return true;
    }
    // MAIL_REFUSED is about one message; all else would meet every mail of these settings.
    if (outcome.code !== 'MAIL_REFUSED') this.#troubles.set(mailer.settingsHash, outcome);
    if (outcome.failure === 'transient' || outcome.code === 'INTERNAL') {
      this.#putOff(mail, outcome);
      this.waiting++;
      return true;
    }
    this.#lastCode = outcome.code;
    this.#options.store.markHeld(mail.mailNo, mailer.settingsHash, outcome.code);
    this.#options.log.error('mail.held', {
      ...{ job: mail.jobName, run: mail.runId, mail: mail.mailNo },
      ...{ code: outcome.code, why: outcome.message },
    });
    this.held++;
    return false;
  }

  #putOff(mail: QueuedMail, error: RoundsError): void {
    const { store, clock, random, log } = this.#options;
    const wait = backoffMs(mail.attempts, { baseMs: BACKOFF_BASE_MS, capMs: BACKOFF_CAP_MS, random });
    const nextAttemptAtMs = Math.ceil(clock.now() + wait);
    this.#lastCode = error.code;
    store.markRetry(mail.mailNo, nextAttemptAtMs, error.code);
    log.warn('mail.waiting', {
      ...{ job: mail.jobName, run: mail.runId, mail: mail.mailNo },
      ...{ code: error.code, why: error.message, next: isoInstant(nextAttemptAtMs) },
    });
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
