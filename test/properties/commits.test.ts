import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NdjsonWriter } from '../../src/ndjson/writer.ts';
import { replay } from '../../src/run/replay.ts';
import { OUTCOMES, RunTally, type Commit, type CommittedFile } from '../../src/run/tally.ts';
import { PRIVATE_MODES } from '../../src/system/files.ts';
import { commitOf, searched, stateOf } from '../support/commits.ts';
import { beginTestRun, commitAll, testLedger } from '../support/ledger.ts';
import { settingsOf } from '../support/settings.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const SEARCHES = 4;
const settings = settingsOf();

/** A run's commits: each search ends once, in any order and grouping, and the files grow. */
const commits = fc
  .tuple(
    fc.shuffledSubarray([0, 1, 2, 3], { minLength: 1 }),
    fc.array(fc.tuple(fc.constantFrom(...OUTCOMES), fc.nat({ max: 90 })), {
      minLength: SEARCHES,
      maxLength: SEARCHES,
    }),
    fc.array(fc.boolean(), { minLength: SEARCHES, maxLength: SEARCHES }),
  )
  .map(([order, ends, breaks]) => {
    const list: Commit[] = [];
    let group: ReturnType<typeof searched>[] = [];
    let bytes = 0;
    order.forEach((searchNo, at) => {
      const [outcome, size] = ends[at]!;
      const isBad = outcome === 'gap' || outcome === 'failed';
      group.push(
        searched(searchNo, outcome, isBad ? { code: 'HTTP_SERVER', rosterLine: searchNo + 2 } : undefined),
      );
      bytes += size;
      if (!breaks[at] && at < order.length - 1) return;
      const files: CommittedFile[] =
        bytes > 0 ? [{ resourceType: 'Patient', part: 1, bytes, count: bytes }] : [];
      list.push(commitOf({ files, searches: group, warnings: { '4119': at }, duplicates: [at, size % 2] }));
      group = [];
    });
    return list;
  });

describe('commits', () => {
  it('replayed from the ledger, up to any one of them, give what the live run had', async () => {
    const ledger = await testLedger(await temporaryFolder());
    let runs = 0;
    fc.assert(
      fc.property(commits, fc.nat(), (list, cut) => {
        const prefix = list.slice(0, cut % (list.length + 1));
        const runId = `20261122T020000Z-${(runs++).toString(16).padStart(4, '0')}`;
        const run = beginTestRun(ledger, { runId });
        const position = commitAll(
          ledger,
          run,
          prefix.map((commit) => [commit] as const),
        );
        const live = new RunTally(2, 2, 1);
        for (const commit of prefix) live.apply(commit);
        const replayed = replay(ledger, run, settings);
        expect(replayed.position).toEqual(position);
        expect(stateOf(replayed.tally, SEARCHES, 3)).toEqual(stateOf(live, SEARCHES, 3));
      }),
      { numRuns: 60 },
    );
  });
});

describe('an unfinished file', () => {
  it('is cut back to its committed end, whatever was written after it, and goes on there', async () => {
    const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => JSON.stringify({ text }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 6 }),
        fc.uint8Array({ maxLength: 60 }),
        line,
        async (lines, torn, next) => {
          const folder = await temporaryFolder();
          const options = (committed: readonly CommittedFile[]) => ({
            folder,
            modes: PRIVATE_MODES,
            maxPartBytes: 0,
            fileName: () => 'Basic.ndjson',
            committed,
            isFrozen: () => false,
          });
          const before = await NdjsonWriter.open(options([]));
          for (const text of lines) before.append('Basic', Buffer.from(text));
          const committed = await before.sync();
          await before.close();
          await appendFile(path.join(folder, 'Basic.ndjson'), torn);
          const after = await NdjsonWriter.open(options(committed));
          after.append('Basic', Buffer.from(next));
          await after.sync();
          const [part] = await after.finish();
          const all = [...lines, next];
          expect(await readFile(path.join(folder, 'Basic.ndjson'), 'utf8')).toBe(`${all.join('\n')}\n`);
          expect(part?.count).toBe(all.length);
        },
      ),
      { numRuns: 30 },
    );
  });
});
