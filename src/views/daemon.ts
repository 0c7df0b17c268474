import type { Ledger } from '../run/ledger.ts';
import type { LockHolder } from '../run/ledgerRows.ts';
import { isLockHeld } from '../run/lock.ts';

/** The lock that a daemon holds while it serves requests of the console. */
export const DAEMON_LOCK = 'daemon';

/** The daemon that serves this state folder; undefined: none does. */
export function daemonOf(ledger: Ledger | undefined, stateFolder: string): Partial<LockHolder> | undefined {
  if (!isLockHeld(stateFolder, DAEMON_LOCK)) return undefined;
  return ledger?.holders.find(DAEMON_LOCK) ?? {};
}
