import { RoundsError } from '../../errors.ts';
import { REQUEST_KINDS, type RequestKind, type RunRequest } from '../../run/ledgerRequests.ts';
import type { Ledger } from '../../run/ledger.ts';
import type { Site } from '../site.ts';

/**
 * Asks the daemon for something. A run that a process is at is told to end at once, too: that process may be a
 * `fhir-rounds run` and no daemon. Throws CONSOLE_ASK_INVALID for what cannot be asked for.
 */
export async function askDaemon(
  site: Site,
  asked: { readonly jobName: string; readonly kind: string; readonly askedBy: string },
): Promise<RunRequest> {
  const { jobName, kind, askedBy } = asked;
  if (!isKind(kind)) {
    throw new RoundsError('CONSOLE_ASK_INVALID', `the kind has to be one of ${REQUEST_KINDS.join(', ')}`);
  }
  if (site.config().jobs.every((job) => job.jobName !== jobName)) {
    throw new RoundsError('CONSOLE_NOT_FOUND', 'there is no such job in the INI');
  }
  return site.write((ledger) => {
    if (kind === 'cancel') askCancel(ledger, jobName);
    return ledger.requests.ask({ jobName, kind, askedBy }, site.clock.now());
  });
}

function askCancel(ledger: Ledger, jobName: string): void {
  const run = ledger.openRunOf(jobName);
  if (run !== undefined) ledger.askCancel(run.runNo);
}

function isKind(kind: string): kind is RequestKind {
  return (REQUEST_KINDS as readonly string[]).includes(kind);
}
