import { asRoundsError, type RoundsError } from '../errors.ts';
import { fillBallast } from './ballast.ts';
import { openLedger, type Ledger } from './ledger.ts';
import { completeHistory, type StateLedgerOptions } from './rebuildHistory.ts';
import { replaceLedger } from './replaceLedger.ts';

/**
 * The ledger of an INI's jobs as one process has it. A damaged one is replaced at its opening, or when a run meets
 * the damage: moved aside, its history rebuilt, and said in the log, on stderr, in the next reports and by `status`;
 * no person has to act. A ledger that cannot be read, or is kept locked, is not damaged, and is an error.
 */
export class StateLedger {
  readonly #options: StateLedgerOptions;
  #ledger: Ledger;

  private constructor(options: StateLedgerOptions, ledger: Ledger) {
    this.#options = options;
    this.#ledger = ledger;
  }

  /** Throws LEDGER_NEWER, PATH_UNUSABLE, DISK_FULL, LOCK_HELD. */
  static async open(options: StateLedgerOptions): Promise<StateLedger> {
    const state = new StateLedger(options, await openOrReplace(options));
    try {
      await completeHistory(options, state.#ledger);
      if (!(await fillBallast(options.stateFolder))) {
        options.log.warn('ballast.missing', { folder: options.stateFolder });
      }
      return state;
    } catch (error) {
      state.close();
      throw error;
    }
  }

  get current(): Ledger {
    return this.#ledger;
  }

  /** The ledger as it is now: another process may have replaced it. To be asked before each piece of work. */
  async fresh(): Promise<Ledger> {
    if (this.#ledger.isReplaced) {
      const ledger = await openOrReplace(this.#options);
      this.#ledger.close();
      this.#ledger = ledger;
      await completeHistory(this.#options, ledger);
    }
    return this.#ledger;
  }

  /** Does `work`, and does it once more with a new ledger when it met a damaged one. */
  async use<T>(work: (ledger: Ledger) => Promise<T>): Promise<T> {
    const ledger = await this.fresh();
    try {
      return await work(ledger);
    } catch (thrown) {
      const error = asRoundsError(thrown);
      if (error.code !== 'LEDGER_DAMAGED') throw thrown;
      // A concurrent piece of work may have met the damage first.
      if (this.#ledger === ledger) await this.#replace(error);
      return await work(this.#ledger);
    }
  }

  async #replace(error: RoundsError): Promise<void> {
    const { stateFolder, clock } = this.#options;
    const old = this.#ledger;
    this.#ledger = await replaceLedger(stateFolder, clock, error, old);
    old.close();
    await completeHistory(this.#options, this.#ledger);
  }

  /** May be repeated. */
  close(): void {
    this.#ledger.close();
  }
}

async function openOrReplace({ stateFolder, clock }: StateLedgerOptions): Promise<Ledger> {
  try {
    return await openLedger(stateFolder);
  } catch (thrown) {
    const error = asRoundsError(thrown);
    if (error.code !== 'LEDGER_DAMAGED') throw thrown;
    return await replaceLedger(stateFolder, clock, error, undefined);
  }
}
