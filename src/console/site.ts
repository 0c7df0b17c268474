import type { Config } from '../config/schema.ts';
import type { Ledger } from '../run/ledger.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/logger.ts';

/** What the console's pages work with: one INI's jobs, and the ledger that they share. */
export interface Site {
  /** As the INI stands now; the last good one while it cannot be read. */
  readonly config: () => Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly programVersion: string;
  /** Folder of what the console keeps: links, table indexes, uploads, saved queries. Mode 0700. */
  readonly folder: string;
  /** Looks into the ledger; undefined when there is none yet. It is open as long as `work` runs. */
  read<T>(work: (ledger: Ledger | undefined) => Promise<T> | T): Promise<T>;
  /** Writes into the ledger: requests to the daemon and the audit, each a short transaction. */
  write<T>(work: (ledger: Ledger) => T): Promise<T>;
}
