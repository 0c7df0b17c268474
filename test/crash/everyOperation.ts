import { expect } from 'vitest';
import type { FaultRule } from '../../src/sandbox/startSandbox.ts';
import { askedFor, heldBy, type Held } from '../support/asked.ts';
import { runHere } from '../support/runHere.ts';
import { expectWholeRuns, mailsByRun } from './aftermath.ts';
import { photographRun, restore, type Image, type Watched } from './crashing.ts';
import { isThorough, SEED } from './options.ts';
import { FAILS_ONCE, makeSmallSite, type SmallSite } from './smallRun.ts';

/** Images of power cuts at each operation: the worst, then others. */
const CUTS = isThorough ? 6 : 2;

/** What is crashed. */
export interface Scenario {
  /** For the line that counts its crashes. */
  readonly name: string;
  /** Brings the site to where the run begins that is to be crashed. */
  readonly prepare?: (small: SmallSite) => Promise<void>;
  /** Whether that run is a `--retry-failed`, with the run before it partial. */
  readonly isRetry?: boolean;
}

/**
 * Crashes a run at every durable operation: from each thing that a kill there leaves, or a power cut, the run goes on
 * and is held against all that must be true. Returns the operations; throws what went wrong, with where.
 */
export async function crashEverywhere({
  name,
  prepare,
  isRetry = false,
}: Scenario): Promise<readonly string[]> {
  const small = await makeSmallSite();
  try {
    await prepare?.(small);
    const before = await heldBy(small.site);
    const { kinds, images } = await photograph(small, isRetry);
    for (const image of images) {
      await restore(small.site, image);
      await goOn(small, before, isRetry, ({ site }, retryFailed) => runHere(site, { retryFailed })).catch(
        at(image),
      );
    }
    const crashes = `${kinds.length} durable operations, ${images.length} crashes`;
    process.stdout.write(`${name}: ${crashes}, seed ${SEED}; 0 lost, 0 twice\n`);
    return kinds;
  } finally {
    await small.close();
  }
}

/** A run in a process of its own, to its end, and images of what crashes would leave. */
export async function photograph({ sandbox, site }: SmallSite, isRetry = false): Promise<Watched> {
  sandbox.setFaults(faultsOf(await heldBy(site), isRetry));
  const mails = sandbox.smtp!.mails.length;
  const args = ['run', '--quiet', ...(isRetry ? ['--retry-failed'] : [])];
  const watched = await photographRun(site, args, { cuts: CUTS, seed: SEED });
  expect(watched.result.code, watched.result.stderr).toBe(0);
  expect([...mailsByRun(sandbox, mails).values()]).toEqual([1]);
  return watched;
}

/** What has failed already is asked but once more, and a retry is to mend what failed. */
function faultsOf({ failed }: Held, isRetry: boolean): readonly FaultRule[] {
  return isRetry || failed.size > 0 ? [] : FAILS_ONCE;
}

/** Starts again from what a crash left; `before` is what the ledger held before the run that was crashed. */
async function goOn(
  small: SmallSite,
  before: Held,
  isRetry: boolean,
  run: (small: SmallSite, retryFailed: boolean) => Promise<number | undefined>,
): Promise<void> {
  const { site, sandbox, oracle } = small;
  const held = await heldBy(site);
  sandbox.setFaults(faultsOf(held, isRetry));
  const asked = sandbox.requests.length;
  const mails = sandbox.smtp!.mails.length;
  // Once the retry is closed there is nothing to retry any more.
  expect(await run(small, isRetry && held.closed === before.closed)).toBe(0);
  expect(askedFor(sandbox.requests.slice(asked)).filter((one) => held.done.has(one))).toEqual([]);
  // Where the crash fell behind the run's close, starting again is another run; it sends what mail is left.
  const runIds = await expectWholeRuns(site, oracle, held.closed + 1, isRetry ? 1 : 0);
  const sent = new Set([...held.mailsWaiting, ...runIds.slice(held.closed)]);
  expect(mailsByRun(sandbox, mails)).toEqual(new Map([...sent].map((runId) => [runId, 1])));
}

function at(crash: Pick<Image, 'at' | 'kind'> & { readonly how: string }): (error: unknown) => never {
  return (error) => {
    const where = `${crash.how} at operation ${crash.at}, ${crash.kind}, seed ${SEED}`;
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  };
}
