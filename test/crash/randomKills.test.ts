import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type OracleLine, type Sandbox } from '../../src/sandbox/startSandbox.ts';
import { draw } from '../../src/sandbox/population/dice.ts';
import { makeSite, oracleRows, type Site } from '../support/site.ts';
import { expectWholeRuns, linesOf, mailsSince, settled } from './aftermath.ts';
import { askedFor, heldBy, namesIn } from './asked.ts';
import { KILLS, SEED } from './options.ts';

const PATIENTS = 60;
const TYPES = [
  'Patient',
  'Observation',
  'Condition',
  'Encounter',
  'Appointment',
  'MedicationRequest',
  'Medication',
  'Practitioner',
  'Procedure',
  'DiagnosticReport',
];
/** Less than a run asks for, and more than it commits at first, so that most kills find work to be kept. */
const MOST_REQUESTS = 600;
/** Of all kills; a kill and what it costs takes a second or two. */
const TIMEOUT_MS = 60_000 + KILLS * 20_000;

let sandbox: Sandbox;
let oracle: readonly OracleLine[];
beforeAll(async () => {
  sandbox = await startSandbox({ patients: PATIENTS, latencyMs: 5 });
  oracle = await linesOf(sandbox.oracle(oracleRows(TYPES)));
});
afterAll(() => sandbox.close());

/** What one run went through on its way to its end. */
interface Tally {
  kills: number;
  /** Kills at which the ledger held searches of an open run. */
  withWork: number;
}

/**
 * A random moment of a run, in the run's own measures, so that a slow machine is killed as a fast one: while it
 * starts, while it pulls, or while it publishes, closes and mails.
 */
function momentOf(site: Site, random: () => number): () => Promise<boolean> {
  const part = random();
  if (part < 0.2) return () => sleep(random() * 800, true);
  if (part < 0.8) {
    const from = sandbox.counts().total;
    const requests = random() * MOST_REQUESTS;
    return async () => sandbox.counts().total - from >= requests;
  }
  const staging = path.join(site.exportFolder, 'default', '.staging');
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
  while (!isOver && !(await moment())) await sleep(3);
  if (!isOver) child.kill('SIGKILL');
}

/** Starts a run again and again, killing it at random moments, until it comes to its end or no kill is left. */
async function killUntilDone(site: Site, kills: number, random: () => number): Promise<Tally> {
  const tally: Tally = { kills: 0, withWork: 0 };
  const mailsBefore = sandbox.smtp!.mails.length;
  let mostCopies = 1;
  for (;;) {
    const held = await heldBy(site);
    const asked = sandbox.requests.length;
    const { child, ended } = await site.start(['run', '--quiet']);
    if (tally.kills < kills) await killAt(child, ended, momentOf(site, random));
    const { code, signal, stderr } = await ended;
    await settled(sandbox);
    expect(askedFor(sandbox.requests.slice(asked)).filter((one) => held.done.has(one))).toEqual([]);
    if (signal === 'SIGKILL') {
      tally.kills++;
      const now = await heldBy(site);
      if (now.done.size > 0) tally.withWork++;
      if (now.closed === 0) continue;
      // The run is over but for its mail, which the next one sends: once more where the server had said 250 already.
      if (now.mailWaits && sandbox.smtp!.mails.length > mailsBefore) mostCopies = 2;
      const next = await site.run(['run', '--quiet']);
      expect(next.code, next.stderr).toBe(0);
      await expectWholeRuns(site, oracle, 2);
      const [first, second] = mailsSince(sandbox, mailsBefore);
      expect(first).toBeLessThanOrEqual(mostCopies);
      expect(second).toBe(1);
      return tally;
    }
    expect(code, stderr).toBe(0);
    await expectWholeRuns(site, oracle);
    expect(mailsSince(sandbox, mailsBefore)).toEqual([1]);
    return tally;
  }
}

describe('SIGKILL at random moments, again and again', () => {
  it(`${KILLS} times loses nothing and writes nothing twice`, { timeout: TIMEOUT_MS }, async () => {
    let draws = 0;
    const random = (): number => draw(SEED, ++draws) / 2 ** 32;
    const total: Tally = { kills: 0, withWork: 0 };
    let runs = 0;
    while (total.kills < KILLS) {
      sandbox.setFaults([
        { match: { endpoint: 'search' }, when: { probability: 0.05 }, then: { status: 503 } },
        { match: { endpoint: 'page' }, when: { probability: 0.05 }, then: { reset: true } },
      ]);
      const site = await makeSite({ sandbox, resources: TYPES, settings: { 'api_settings.page_size': 20 } });
      try {
        const { kills, withWork } = await killUntilDone(site, KILLS - total.kills, random);
        total.kills += kills;
        total.withWork += withWork;
        runs++;
      } catch (error) {
        const where = `after ${total.kills} kills of seed ${SEED}: ${(error as Error).message}`;
        throw new Error(where, { cause: error });
      } finally {
        await site.close();
      }
    }
    process.stdout.write(`random kills: ${total.kills} in ${runs} runs, seed ${SEED}; 0 lost, 0 twice\n`);
    expect(total.withWork).toBeGreaterThan(KILLS / 10);
  });
});
