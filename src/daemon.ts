import { openStateLedger, sendWaitingMail, type Surroundings } from './compose.ts';
import { EXIT, type CommandContext } from './commands/context.ts';
import { LiveConfig } from './commands/liveConfig.ts';
import { noticeBadConfig, noticeOverdue, noticeRefused } from './commands/notices.ts';
import { serveRequests } from './commands/requests.ts';
import { attemptRun, factsOf, noteServed } from './commands/scheduledRuns.ts';
import type { JobConfig } from './config/schema.ts';
import { asRoundsError, type RoundsError } from './errors.ts';
import type { Ledger } from './run/ledger.ts';
import type { StateLedger } from './run/stateLedger.ts';
import { FileWatch } from './schedule/fileWatch.ts';
import { JobLoop, type Attempt, type AttemptEnd } from './schedule/jobLoop.ts';
import { Turns } from './schedule/turns.ts';
import { isoInstant, systemClock } from './system/clock.ts';
import { openLog, type Log } from './system/logger.ts';
import { serveUnderPm2 } from './system/pm2.ts';
import { systemRandom } from './system/random.ts';

/** How often waiting mail and overdue jobs are looked after. */
const LOOK_EVERY_MS = 60_000;

/**
 * `daemon`: serves the schedule of every job that has one, until SIGINT or SIGTERM. A run that is under way then is
 * checkpointed; it goes on at the next start. The INI is read again at SIGHUP and when it changes.
 */
export async function daemonCommand(context: CommandContext): Promise<number> {
  const config = await LiveConfig.load(context);
  const files = new FileWatch(() => config.current.files, systemClock);
  const known = await files.contentHash();
  // What was saved since it was read is read now; what is saved from here on has another hash.
  await config.reload();
  const [first] = config.current.jobs;
  const { paths, logging } = first!.settings;
  const log = await openLog({ ...logging, folder: paths.log_folder, human: context.terminal !== undefined });
  const state = await openStateLedger(config.current, { clock: systemClock, log }, context.note);
  try {
    await new Daemon(config, state, log, context.signal).serve(files, known);
    log.info('daemon.stopped');
    return EXIT.complete;
  } finally {
    state.close();
    await log.close();
  }
}

class Daemon {
  readonly #config: LiveConfig;
  readonly #state: StateLedger;
  readonly #around: Surroundings;
  /** Runs of one FHIR origin, and the drains of the outbox, are done one after the other. */
  readonly #turns = new Turns();
  readonly #loops = new Map<string, JobLoop>();
  readonly #ends = new Set<Promise<void>>();

  constructor(config: LiveConfig, state: StateLedger, log: Log, signal: AbortSignal) {
    this.#config = config;
    this.#state = state;
    this.#around = { clock: systemClock, log, random: systemRandom, signal };
  }

  /** `known`: the hash of the contents that the configuration was read from. */
  async serve(files: FileWatch, known: string): Promise<void> {
    const { clock, signal } = this.#around;
    await this.#use('notices', async (ledger) => ledger.notices.clear('config-invalid', undefined));
    this.#startLoops();
    const watching = files.run(known, signal, (hash) => this.#reload(hash));
    const serving = serveRequests({
      state: this.#state,
      around: this.#around,
      config: () => this.#config.current,
      attempt: (jobName, attempt, told) => this.#attempt(this.#config.job(jobName)!, attempt, told),
    });
    const reload = (): void => void files.contentHash().then((hash) => this.#reload(hash));
    process.on('SIGHUP', reload);
    serveUnderPm2();
    const fromMs = clock.now();
    while (!signal.aborted) {
      await this.#findOverdue(fromMs);
      await this.#lookAfterMail();
      await clock.sleep(this.#lookAgainMs(), signal).catch(() => undefined);
    }
    process.off('SIGHUP', reload);
    await Promise.all([watching, serving, ...this.#ends]);
    // The mail that was on its way has stopped, and has written down what became of it.
    await this.#turns.take('mail', async () => undefined);
  }

  /** A loop for each job that has a schedule and none yet; one that lost its schedule ends by itself. */
  #startLoops(): void {
    for (const jobName of this.#config.scheduled) {
      if (this.#loops.has(jobName)) continue;
      const loop = this.#loopOf(jobName);
      this.#loops.set(jobName, loop);
      const end = loop.run().then(() => {
        this.#loops.delete(jobName);
        this.#ends.delete(end);
      });
      this.#ends.add(end);
      this.#logNext(jobName);
    }
  }

  #loopOf(jobName: string): JobLoop {
    const { clock, log, signal } = this.#around;
    // The loop asks for its rules first, and ends where there are none.
    const job = (): JobConfig => this.#config.job(jobName)!;
    return new JobLoop({
      clock,
      signal,
      rules: () => this.#config.rules(jobName),
      look: () => this.#state.use((ledger) => factsOf(job(), ledger, clock.now())),
      markServed: (slotMs) => this.#state.use(async (ledger) => noteServed(job(), ledger, slotMs)),
      attempt: (attempt) => this.#attempt(job(), attempt),
      failed: (error) => log.error('schedule.failed', { job: jobName, code: asRoundsError(error).code }),
    });
  }

  /** One attempt, when it is the job's turn. `told`: who else wants to know why it could not begin. */
  #attempt(
    { jobName, method, settings }: JobConfig,
    attempt: Attempt,
    told?: (error: RoundsError) => void,
  ): Promise<AttemptEnd> {
    // A bulk export waits for days at the server, and other jobs go on; it takes the server's lock by itself.
    const turn = method === 'bulk' ? `job ${jobName}` : new URL(settings.epic_settings.epic_endpoint).origin;
    return this.#turns.take(turn, async () => {
      // It may have waited for hours, and the INI may be another one now.
      const current = this.#config.job(jobName);
      if (current === undefined) return 'waiting';
      const end = await attemptRun(current, attempt, {
        state: this.#state,
        around: this.#around,
        refused: async (one, error) => {
          told?.(error);
          const { code, message, hint } = error;
          const now = this.#around.clock.now();
          await this.#use('notices', async (ledger) =>
            noticeRefused(ledger, one, code, `${message}\n${hint}`, now),
          );
        },
        done: (one) => this.#use('notices', async (ledger) => this.#clearNotices(one, ledger)),
      });
      if (end !== 'waiting') void this.#lookAfterMail();
      return end;
    });
  }

  #clearNotices({ jobName }: JobConfig, ledger: Ledger): void {
    ledger.notices.clear('refused', jobName);
    ledger.notices.clear('overdue', jobName);
  }

  #logNext(jobName: string): void {
    const { clock, log } = this.#around;
    const next = this.#config.rules(jobName)?.slots.after(clock.now());
    log.info('schedule.started', {
      job: jobName,
      next: next === undefined ? undefined : isoInstant(next),
    });
  }

  /** A good INI counts from the next run on; with a bad one all stays, and a person is told once. */
  async #reload(hash: string): Promise<void> {
    const { clock, log } = this.#around;
    try {
      await this.#config.reload();
      log.info('config.reloaded');
      await this.#use('notices', async (ledger) => ledger.notices.clear('config-invalid', undefined));
      this.#startLoops();
      for (const [jobName, loop] of this.#loops) {
        loop.wake();
        this.#logNext(jobName);
      }
    } catch (thrown) {
      const error = asRoundsError(thrown);
      log.error('config.not_taken', { code: error.code, why: error.message });
      await this.#use('notices', async (ledger) =>
        noticeBadConfig(ledger, this.#config.current, hash, error, clock.now()),
      );
    }
    // Mail that other settings held may go now.
    await this.#lookAfterMail();
  }

  #lookAgainMs(): number {
    const limits = this.#config.scheduled.map((jobName) => overdueMs(this.#config.job(jobName)!));
    return Math.min(LOOK_EVERY_MS, ...limits.filter((ms) => ms > 0));
  }

  /** What was missed while nobody served is caught up first: nothing is overdue that was not served since `fromMs`. */
  async #findOverdue(fromMs: number): Promise<void> {
    const { clock, log } = this.#around;
    for (const [jobName, loop] of this.#loops) {
      const job = this.#config.job(jobName);
      const rules = this.#config.rules(jobName);
      const now = clock.now();
      // A server that is away is waited for, and told of when that was too long.
      if (job === undefined || rules === undefined || loop.isAway) continue;
      const limitMs = overdueMs(job);
      if (limitMs === 0 || now - fromMs < limitMs) continue;
      await this.#use('overdue', async (ledger) => {
        if (waitsForExport(ledger, jobName)) return;
        const { servedMs } = await factsOf(job, ledger, now);
        const slotMs = rules.slots.after(servedMs, now - limitMs);
        if (slotMs !== undefined && noticeOverdue(ledger, job, slotMs, now)) {
          log.warn('schedule.overdue', { job: jobName, slot: isoInstant(slotMs) });
        }
      });
    }
  }

  /** Mail never stops the scheduler: neither a locked or damaged ledger nor a full disk does. */
  #lookAfterMail(): Promise<void> {
    return this.#turns.take('mail', () =>
      this.#use('mail', async (ledger) => {
        await sendWaitingMail(this.#config.current, ledger, this.#around);
      }),
    );
  }

  /** What is done with the ledger beside the runs: a failure is logged, and it is done again in a minute. */
  async #use(what: string, work: (ledger: Ledger) => Promise<unknown>): Promise<void> {
    if (this.#around.signal.aborted) return;
    try {
      await this.#state.use(work);
    } catch (thrown) {
      const { code, hint } = asRoundsError(thrown);
      this.#around.log.error('daemon.not_done', { what, code, hint });
    }
  }
}

/** A bulk export may take days at the server, and has a limit of its own (`max_wait_hours`). */
function waitsForExport(ledger: Ledger, jobName: string): boolean {
  const open = ledger.openRunOf(jobName);
  return open !== undefined && ledger.exports.of(open.runNo).some(({ state }) => state !== 'gone');
}

/** 0: nobody is told. */
function overdueMs({ settings }: JobConfig): number {
  return settings.notify.overdue_after_hours * 3_600_000;
}
