import { expect } from 'vitest';
import { expectWholeRuns, mailsSince, settled } from './aftermath.ts';
import { askedFor, heldBy } from './asked.ts';
import { runToCrash, type CrashPlan } from './crashing.ts';
import type { SmallRun } from './smallRun.ts';

/**
 * Crashes one run as planned, starts it again and holds what came of it against all that must be true. Returns the
 * operation's kind; undefined when the run had fewer operations.
 */
async function crashAndResume(run: SmallRun, plan: CrashPlan): Promise<string | undefined> {
  const { sandbox, oracle } = run;
  const site = await run.makeSite();
  try {
    const mailsBefore = sandbox.smtp!.mails.length;
    const { crashed, kind, result } = await runToCrash(site, plan);
    if (!crashed) {
      expect(result.code, result.stderr).toBe(0);
      return undefined;
    }
    await settled(sandbox);
    const held = await heldBy(site);
    const asked = sandbox.requests.length;
    const taken = sandbox.smtp!.mails.length - mailsBefore;
    const again = await site.run(['run', '--quiet']);
    expect(again.code, `${kind}\n${again.stderr}`).toBe(0);
    if (held.runId !== undefined) {
      expect(askedFor(sandbox.requests.slice(asked)).filter((one) => held.done.has(one))).toEqual([]);
    }
    // Where the crash fell behind the run's close, starting again is another run; it sends what mail is left.
    const runs = held.closed + 1;
    await expectWholeRuns(site, oracle, runs);
    const copies = Array.from({ length: runs }, () => 1);
    // The mail server had said 250, and the ledger did not know it yet: the one case of a mail sent twice.
    if (held.mailWaits && taken > 0) copies[0] = 2;
    expect(mailsSince(sandbox, mailsBefore)).toEqual(copies);
    return kind;
  } catch (error) {
    throw new Error(`operation ${plan.at}, ${plan.how}: ${(error as Error).message}`, { cause: error });
  } finally {
    await site.close();
  }
}

/**
 * Every operation of a run, each in the ways given, until one lies beyond the run's end; several at a time, each
 * lane with a server of its own. Returns what went wrong, and how many crashes there were.
 */
export async function crashEverywhere(
  lanes: readonly SmallRun[],
  seed: number,
  plans: (at: number) => readonly CrashPlan['how'][],
): Promise<{
  readonly crashes: number;
  readonly kinds: readonly string[];
  readonly failures: readonly string[];
}> {
  const kinds: string[] = [];
  const failures: string[] = [];
  let next = 1;
  let isOver = false;
  const work = async (run: SmallRun): Promise<void> => {
    while (!isOver) {
      const at = next++;
      for (const how of plans(at)) {
        try {
          const kind = await crashAndResume(run, { at, how, seed: seed * 1_000 + at });
          if (kind === undefined) isOver = true;
          else kinds.push(kind);
        } catch (error) {
          // At once, since the rest takes minutes.
          process.stderr.write(`${(error as Error).message}\n`);
          failures.push((error as Error).message);
        }
      }
    }
  };
  await Promise.all(lanes.map(work));
  return { crashes: kinds.length + failures.length, kinds, failures };
}
