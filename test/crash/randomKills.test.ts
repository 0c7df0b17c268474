import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { draw } from '../../src/sandbox/population/dice.ts';
import { startSandbox, type OracleLine, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { askedFor, heldBy, namesIn } from '../support/asked.ts';
import { makeSite, oracleRows, TYPES_OF_EVERY_KIND, type Site } from '../support/site.ts';
import { COUNTS_REPEATS, expectWholeRuns, linesOf, mailsByRun, settled } from './aftermath.ts';
import { KILLS, SEED } from './options.ts';

const PATIENTS = 24;
/** Less than a run asks for, and more than it commits at first, so that most kills find work to be kept. */
const MOST_REQUESTS = 160;
/** Sites at once, each with a server of its own: while one waits, another has the processor. */
const LANES = 6;
/** Of all kills; one takes a second or two. */
const TIMEOUT_MS = 120_000 + KILLS * 10_000;

/** Kills that are left to all lanes, and what they met. */
interface Tally {
  left: number;
  kills: number;
  /** Kills at which the ledger held searches of an open run. */
  withWork: number;
  /** Runs that came to their end. */
  runs: number;
}

/**
 * A random moment of a run, in the run's own measures, so that a slow machine is killed as a fast one: while it
 * starts, while it pulls, or while it publishes, closes and mails.
 */
function momentOf({ sandbox, exportFolder }: Site, random: () => number): () => Promise<boolean> {
  const part = random();
  if (part < 0.15) return () => sleep(random() * 800, true);
  if (part < 0.9) {
    const from = sandbox.counts().total;
    const requests = random() * MOST_REQUESTS;
    return async () => sandbox.counts().total - from >= requests;
  }
  const staging = path.join(exportFolder, 'default', '.staging');
  return async () => {
    const [runId] = await namesIn(staging);
    if (runId === undefined || !existsSync(path.join(staging, runId, 'report.html'))) return false;
    return sleep(random() * 600, true);
  };
}

/** Sends SIGKILL at the moment, unless the run ends before it. */
async function killAt(child: ChildProcess, ended: Promise<unknown>, moment: () => Promise<boolean>) {
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver && !(await moment())) await sleep(5);
  if (!isOver) child.kill('SIGKILL');
}

/** Starts a site's run again and again, killing it at random moments, until one comes to its end. */
async function killUntilDone(
  site: Site,
  oracle: readonly OracleLine[],
  tally: Tally,
  random: () => number,
): Promise<void> {
  const { sandbox } = site;
  // The server may have said 250 to a mail of which the ledger did not know yet: the one case of a mail sent twice.
  const mostCopies = new Map<string, number>();
  let held = await heldBy(site);
  for (;;) {
    const isToBeKilled = tally.left > 0;
    if (isToBeKilled) tally.left--;
    const asked = sandbox.requests.length;
    const { child, ended } = await site.start(['run', '--quiet']);
    if (isToBeKilled) await killAt(child, ended, momentOf(site, random));
    const { code, signal, stderr } = await ended;
    await settled(sandbox);
    expect(askedFor(sandbox.requests.slice(asked)).filter((one) => held.done.has(one))).toEqual([]);
    held = await heldBy(site);
    if (signal === 'SIGKILL') {
      tally.kills++;
      if (held.done.size > 0) tally.withWork++;
      for (const runId of held.mailsWaiting) mostCopies.set(runId, 1 + (mailsByRun(sandbox).get(runId) ?? 0));
      continue;
    }
    expect(code, stderr).toBe(0);
    if (isToBeKilled) tally.left++;
    const runIds = await expectWholeRuns(site, oracle, held.closed);
    for (const runId of runIds) {
      const copies = mailsByRun(sandbox).get(runId) ?? 0;
      expect(copies, 'its mail').toBeGreaterThan(0);
      expect(copies, 'its mail').toBeLessThanOrEqual(mostCopies.get(runId) ?? 1);
    }
    tally.runs += runIds.length;
    return;
  }
}

async function runLane(tally: Tally, seed: number): Promise<void> {
  let draws = 0;
  const random = (): number => draw(seed, ++draws) / 2 ** 32;
  const sandbox: Sandbox = await startSandbox({
    patients: PATIENTS,
    latencyMs: 60,
    smtp: COUNTS_REPEATS,
    faults: [
      { match: { endpoint: 'search' }, when: { probability: 0.05 }, then: { status: 503 } },
      { match: { endpoint: 'page' }, when: { probability: 0.05 }, then: { reset: true } },
    ],
  });
  try {
    const oracle = await linesOf(sandbox.oracle(oracleRows(TYPES_OF_EVERY_KIND)));
    while (tally.left > 0) {
      const site = await makeSite({
        sandbox,
        resources: TYPES_OF_EVERY_KIND,
        settings: { 'api_settings.page_size': 20 },
      });
      try {
        await killUntilDone(site, oracle, tally, random);
      } finally {
        await site.close();
      }
    }
  } catch (error) {
    // The other lanes come to their end too.
    tally.left = 0;
    throw error;
  } finally {
    await sandbox.close();
  }
}

it(
  `${KILLS} SIGKILLs at random moments lose nothing and write nothing twice`,
  { timeout: TIMEOUT_MS },
  async () => {
    const tally: Tally = { left: KILLS, kills: 0, withWork: 0, runs: 0 };
    const lanes = Array.from({ length: LANES }, (_, lane) => runLane(tally, SEED * LANES + lane));
    const ends = await Promise.allSettled(lanes);
    const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []));
    if (failures.length > 0) throw new AggregateError(failures, `${failures[0]!.message} (seed ${SEED})`);
    const { kills, runs, withWork } = tally;
    process.stdout.write(`random kills: ${kills} in ${runs} runs, seed ${SEED}; 0 lost, 0 twice\n`);
    expect(kills).toBe(KILLS);
    expect(withWork).toBeGreaterThan(KILLS / 5);
  },
);
