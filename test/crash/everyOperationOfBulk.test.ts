import path from 'node:path';
import { expect, it } from 'vitest';
import { openLedgerForReading } from '../../src/run/ledger.ts';
import { replayExports } from '../../src/run/replay.ts';
import {
  EPIC_SANDBOX_GROUP,
  startSandbox,
  type FaultRule,
  type Sandbox,
} from '../../src/sandbox/startSandbox.ts';
import { BULK_TYPES, kickoffUrl } from '../support/bulkSite.ts';
import { runHere } from '../support/runHere.ts';
import { makeSite, type Site } from '../support/site.ts';
import { COUNTS_REPEATS, expectWholeRuns, linesOf, mailsByRun } from './aftermath.ts';
import { photographRun, restore } from './crashing.ts';
import { isThorough, SEED, TIMEOUT_MS } from './options.ts';

/** One file fails in the first pass, and one holds a copy of another's line. */
const FAULTS: readonly FaultRule[] = [
  { match: { endpoint: 'file', type: 'Observation', page: 2 }, when: { first: 1 }, then: { status: 503 } },
  { match: { endpoint: 'file', type: 'Condition' }, then: { insertLine: 'duplicate' } },
];

interface HeldFiles {
  /** Paths of the files that are whole, at the server. */
  readonly whole: ReadonlySet<string>;
  readonly begun: boolean;
  readonly closed: number;
  readonly mailsWaiting: readonly string[];
}

function heldFiles({ stateFolder }: Site): HeldFiles {
  const ledger = openLedgerForReading(stateFolder);
  if (ledger === undefined) return { whole: new Set(), begun: false, closed: 0, mailsWaiting: [] };
  try {
    const mailsWaiting = ledger.outbox.waitingRunIds();
    const closed = ledger.runs().filter(({ state }) => state === 'closed').length;
    const run = ledger.openRunOf('default');
    if (run === undefined) return { whole: new Set(), begun: false, closed, mailsWaiting };
    const { whole } = replayExports(ledger, run);
    const begun = ledger.exports.of(run.runNo).some(({ state }) => state === 'running');
    return { whole: new Set(whole.map(({ url }) => new URL(url).pathname)), begun, closed, mailsWaiting };
  } finally {
    ledger.close();
  }
}

const asked = (sandbox: Sandbox, endpoint: string, from: number) =>
  sandbox.requests.slice(from).filter((request) => request.endpoint === endpoint);

it(
  'a bulk run that is crashed at any of its durable operations goes on with its export, and ends exact',
  { timeout: TIMEOUT_MS },
  async () => {
    const sandbox = await startSandbox({
      patients: 3,
      smtp: COUNTS_REPEATS,
      bulk: { polls: 0, resourcesPerFile: 30, counts: false, groupWaitSeconds: 0 },
    });
    const site = await makeSite({
      sandbox,
      resources: BULK_TYPES,
      settings: {
        '[job default] method': 'bulk',
        'bulk.group_id': EPIC_SANDBOX_GROUP,
        // What was photographed is to be found again by what goes on from it.
        'bulk.delete_when_done': 'false',
        'api_settings.concurrency': 1,
        'api_settings.max_attempts': 1,
      },
    });
    try {
      const oracle = await linesOf(sandbox.bulk.oracle({ url: kickoffUrl('group') }).resources);
      sandbox.setFaults(FAULTS);
      const { result, kinds, images } = await photographRun(site, ['run', '--quiet'], {
        cuts: isThorough ? 6 : 1,
        seed: SEED,
      });
      expect(result.code, result.stderr).toBe(0);
      expect(kinds.some((kind) => kind.startsWith('rename') && kind.includes('.unique'))).toBe(true);
      for (const image of images) {
        await restore(site, image);
        const held = heldFiles(site);
        sandbox.setFaults([FAULTS[1]!]);
        const from = sandbox.requests.length;
        const mails = sandbox.smtp!.mails.length;
        const where = `${image.how} at operation ${image.at}, ${path.basename(image.kind)}, seed ${SEED}`;
        try {
          expect(await runHere(site)).toBe(0);
          const again = asked(sandbox, 'file', from).filter((request) => held.whole.has(request.path));
          expect(again.map(({ path: file }) => file)).toEqual([]);
          expect(asked(sandbox, 'kickoff', from)).toHaveLength(held.begun ? 0 : 1);
          const runIds = await expectWholeRuns(site, oracle, held.closed + 1);
          const sent = new Set([...held.mailsWaiting, ...runIds.slice(held.closed)]);
          expect(mailsByRun(sandbox, mails)).toEqual(new Map([...sent].map((runId) => [runId, 1])));
        } catch (error) {
          throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
        }
      }
      const crashes = `${kinds.length} durable operations, ${images.length} crashes`;
      process.stdout.write(`a bulk run: ${crashes}, seed ${SEED}; 0 lost, 0 twice\n`);
    } finally {
      await site.close();
      await sandbox.close();
    }
  },
);
