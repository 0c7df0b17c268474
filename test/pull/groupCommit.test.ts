import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { replay } from '../../src/run/replay.ts';
import type { SearchCounts } from '../../src/report/summary.ts';
import { createFakeClock, until } from '../support/fakeClock.ts';
import { beginTestRun, testLedger } from '../support/ledger.ts';
import { beginAttempt, finishedReference, finishedSearch, linesIn } from '../support/pulling.ts';
import { settingsOf } from '../support/settings.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const PRACTITIONER = 2;
const settings = settingsOf({ patients: 4 });

async function setUp() {
  const folder = await temporaryFolder();
  const ledger = await testLedger(folder);
  const run = beginTestRun(ledger);
  const staging = path.join(folder, 'staging');
  const clock = createFakeClock();
  const attempt = (): ReturnType<typeof beginAttempt> => beginAttempt(ledger, run, staging, clock, settings);
  return { folder, ledger, run, staging, clock, attempt, ...(await attempt()) };
}

const sumOf = ({ ok, empty, gap, failed }: SearchCounts): number => ok + empty + gap + failed;

describe('grouping', () => {
  it('commits what gathered within a second at once', async () => {
    const { groupCommit, clock, committed, ledger, run, tally } = await setUp();
    await groupCommit.submit(finishedSearch(0, [['Patient/a', '{"id":"a"}']]));
    await groupCommit.submit(finishedSearch(1));
    await clock.advance(999);
    expect(committed()).toBe(0);
    expect(tally.isDone(0)).toBe(false);
    await clock.advance(1);
    await until(() => committed() === 1);
    const commits = [...ledger.pulls.commits(run.runNo)];
    expect(commits.map(({ commit }) => commit.searches)).toEqual([
      [
        [0, 0],
        [1, 1],
      ],
    ]);
    expect(commits[0]?.commit.files).toEqual([{ resourceType: 'Patient', part: 1, bytes: 11, count: 1 }]);
  });

  it('commits without waiting when 8 MB have gathered', async () => {
    const { groupCommit, committed } = await setUp();
    const large = 'x'.repeat(5 * 1024 * 1024);
    await groupCommit.submit(finishedSearch(0, [['Patient/a', large]]));
    expect(committed()).toBe(0);
    await groupCommit.submit(finishedSearch(2, [['Patient/b', large]]));
    expect(committed()).toBe(1);
  });

  it('commits what is left when it is drained, and nothing for nothing', async () => {
    const { groupCommit, clock, committed } = await setUp();
    await groupCommit.submit(finishedSearch(0));
    await groupCommit.drain();
    await groupCommit.drain();
    expect(committed()).toBe(1);
    await clock.advance(5_000);
    expect(committed()).toBe(1);
    expect(clock.sleeping).toBe(0);
  });

  it('writes in the order in which searches ended, also while a commit is under way', async () => {
    const { groupCommit, staging, ledger, run } = await setUp();
    const first = groupCommit.submit(finishedSearch(0, [['Patient/a', 'a'.repeat(9 * 1024 * 1024)]]));
    const second = groupCommit.submit(finishedSearch(2, [['Patient/b', 'b']]));
    const drained = groupCommit.drain();
    await Promise.all([first, second, drained]);
    const lines = (await linesIn(staging))['Patient.ndjson']!;
    expect(lines.map((line) => line[0])).toEqual(['a', 'b']);
    expect([...ledger.pulls.commits(run.runNo)].map(({ commit }) => commit.searches[0]?.[0])).toEqual([0, 2]);
  });

  it('frees what a search kept once it is committed, its file too', async () => {
    const { groupCommit, folder } = await setUp();
    const spool = path.join(folder, 'search-0');
    const search = finishedSearch(0, [['Patient/a', 'x'.repeat(9 * 1024 * 1024)]], { spool });
    await search.kept.settle();
    await groupCommit.submit(search);
    await groupCommit.drain();
    expect(search.kept.count).toBe(0);
    await expect(import('node:fs/promises').then(({ stat }) => stat(spool))).rejects.toThrow('ENOENT');
  });

  it('records warnings, copies that were left out, and what was spent', async () => {
    const { groupCommit, tally, ledger, run } = await setUp();
    const brought = [
      ['Patient/a', '1'],
      ['Patient/a', '1'],
      ['Patient/a', '2'],
    ] as const;
    await groupCommit.submit(finishedSearch(0, brought, { warnings: ['4119'] }));
    await groupCommit.drain();
    await groupCommit.submit(finishedSearch(1, [], { warnings: ['4119', '59109'] }));
    await groupCommit.drain();
    expect(tally.duplicates).toEqual({ same: 1, differing: 1 });
    expect(Object.fromEntries(tally.warnings)).toEqual({ '4119': 2, '59109': 1 });
    expect(tally.http.requests).toBe(2);
    expect(replay(ledger, run, settings).tally.http).toEqual(tally.http);
  });
});

describe('resources that several searches bring', () => {
  it('are written once, within a group and over groups', async () => {
    const { groupCommit, staging, tally } = await setUp();
    await groupCommit.submit(finishedSearch(0, [['Device/d', '{"v":1}', 'run']]));
    await groupCommit.submit(finishedSearch(1, [['Device/d', '{"v":1}', 'run']]));
    await groupCommit.drain();
    await groupCommit.submit(
      finishedSearch(3, [
        ['Device/d', '{"v":2}', 'run'],
        ['Device/e', '{}', 'run'],
      ]),
    );
    await groupCommit.drain();
    expect(await linesIn(staging)).toEqual({ 'Device.ndjson': ['{"v":1}', '{}'] });
    expect(tally.duplicates).toEqual({ same: 1, differing: 1 });
    expect(tally.sharedRows).toBe(2);
  });

  it('are written once over a crash and a resume', async () => {
    const { groupCommit, writer, staging, attempt, ledger, run } = await setUp();
    await groupCommit.submit(finishedSearch(0, [['Device/d', '{"v":1}', 'run']]));
    await groupCommit.drain();
    await groupCommit.submit(finishedSearch(1, [['Device/lost', '{}', 'run']]));
    await writer.close();

    const again = await attempt();
    expect(again.tally.isDone(0)).toBe(true);
    expect(again.tally.isDone(1)).toBe(false);
    await again.groupCommit.submit(
      finishedSearch(1, [
        ['Device/lost', '{}', 'run'],
        ['Device/d', '{"v":1}', 'run'],
      ]),
    );
    await again.groupCommit.drain();
    expect(await linesIn(staging)).toEqual({ 'Device.ndjson': ['{"v":1}', '{}'] });
    expect(again.tally.duplicates).toEqual({ same: 1, differing: 0 });
    ledger.pulls.verifyRows(run.runNo, again.tally.sharedRows);
  });
});

describe('records that are referred to', () => {
  it('are wanted once, however often they are named', async () => {
    const { groupCommit, tally, ledger, run } = await setUp();
    await groupCommit.submit(finishedSearch(0, [], { wanted: ['Practitioner/a', 'Practitioner/b'] }));
    await groupCommit.submit(finishedSearch(1, [], { wanted: ['Practitioner/a'] }));
    await groupCommit.drain();
    await groupCommit.submit(finishedSearch(2, [], { wanted: ['Practitioner/b', 'Claim/not-listed'] }));
    await groupCommit.drain();
    expect(tally.countsOf(PRACTITIONER).planned).toBe(2);
    expect(ledger.pulls.wanted(run.runNo, 'Practitioner', '', 10)).toEqual(['a', 'b']);
    expect(tally.sharedRows).toBe(2);
  });

  it('count as ok once when a search brings them after all, in the same group or later', async () => {
    const { groupCommit, tally, ledger, run, staging } = await setUp();
    await groupCommit.submit(finishedSearch(0, [], { wanted: ['Practitioner/a', 'Practitioner/b'] }));
    await groupCommit.submit(finishedSearch(1, [['Practitioner/a', '{"a":1}', 'run']]));
    await groupCommit.drain();
    await groupCommit.submit(finishedSearch(2, [['Practitioner/b', '{"b":1}', 'run']]));
    await groupCommit.submit(finishedSearch(3, [['Practitioner/b', '{"b":1}', 'run']]));
    await groupCommit.drain();
    expect(tally.countsOf(PRACTITIONER)).toEqual({ planned: 2, ok: 2, empty: 0, gap: 0, failed: 0 });
    expect(ledger.pulls.wanted(run.runNo, 'Practitioner', '', 10)).toEqual([]);
    expect((await linesIn(staging))['Practitioner.ndjson']).toEqual(['{"a":1}', '{"b":1}']);
  });

  it('are not planned when a search brings them before anything names them', async () => {
    const { groupCommit, tally } = await setUp();
    const both = finishedSearch(0, [['Practitioner/a', '{}', 'run']], { wanted: ['Practitioner/a'] });
    await groupCommit.submit(both);
    await groupCommit.drain();
    await groupCommit.submit(finishedSearch(1, [], { wanted: ['Practitioner/a'] }));
    await groupCommit.drain();
    expect(tally.countsOf(PRACTITIONER)).toEqual({ planned: 0, ok: 0, empty: 0, gap: 0, failed: 0 });
  });

  it('are fetched, refused or failed, and want others in their turn', async () => {
    const { groupCommit, tally, ledger, run, staging } = await setUp();
    const wanted = ['Practitioner/a', 'Practitioner/b', 'Practitioner/c'];
    await groupCommit.submit(finishedSearch(0, [], { wanted }));
    await groupCommit.drain();
    const next = { wanted: ['Practitioner/d', 'Practitioner/a'] };
    await groupCommit.submit(finishedReference(PRACTITIONER, 'Practitioner/a', '{"a":1}', next));
    const gap = { outcome: 'gap', cause: { code: 'HTTP_NOT_FOUND', httpStatus: 404 } } as const;
    await groupCommit.submit(finishedReference(PRACTITIONER, 'Practitioner/b', undefined, gap));
    const failed = { outcome: 'failed', cause: { code: 'TIMEOUT' } } as const;
    await groupCommit.submit(finishedReference(PRACTITIONER, 'Practitioner/c', undefined, failed));
    await groupCommit.drain();
    expect(tally.countsOf(PRACTITIONER)).toEqual({ planned: 4, ok: 1, empty: 0, gap: 1, failed: 1 });
    expect(ledger.pulls.wanted(run.runNo, 'Practitioner', '', 10)).toEqual(['d']);
    expect((await linesIn(staging))['Practitioner.ndjson']).toEqual(['{"a":1}']);

    await groupCommit.retryFailed();
    expect(ledger.pulls.wanted(run.runNo, 'Practitioner', '', 10)).toEqual(['c', 'd']);
    await groupCommit.submit(finishedReference(PRACTITIONER, 'Practitioner/c', '{"c":1}'));
    await groupCommit.submit(finishedReference(PRACTITIONER, 'Practitioner/d', '{"d":1}'));
    await groupCommit.drain();
    const counts = tally.countsOf(PRACTITIONER);
    expect(counts).toEqual({ planned: 4, ok: 3, empty: 0, gap: 1, failed: 0 });
    expect(replay(ledger, run, settings).tally.countsOf(PRACTITIONER)).toEqual(counts);
  });
});

describe('another pass over what failed', () => {
  it('ends with every planned search ok, empty, gap or failed, after a replay too', async () => {
    const { groupCommit, tally, ledger, run, attempt, writer } = await setUp();
    const failed = { outcome: 'failed', cause: { code: 'HTTP_SERVER', httpStatus: 500 } } as const;
    for (let no = 0; no < 8; no++) {
      const rest = no % 2 === 0 ? failed : { wanted: [`Practitioner/${no}`] };
      await groupCommit.submit(finishedSearch(no, [], rest));
    }
    await groupCommit.drain();
    expect(tally.totals).toMatchObject({ planned: 12, failed: 4 });
    await groupCommit.retryFailed();
    expect(tally.totals.failed).toBe(0);
    expect([0, 1].map((no) => tally.isDone(no))).toEqual([false, true]);
    await groupCommit.submit(finishedSearch(0, [['Practitioner/1', '{}', 'run']]));
    await groupCommit.drain();
    await writer.close();

    const again = await attempt();
    for (const no of [2, 4, 6])
      await again.groupCommit.submit(finishedSearch(no, [], no === 6 ? failed : {}));
    for (const id of ['3', '5', '7']) {
      await again.groupCommit.submit(finishedReference(PRACTITIONER, `Practitioner/${id}`, '{}'));
    }
    await again.groupCommit.drain();
    const { totals } = again.tally;
    expect(totals).toEqual({ planned: 12, ok: 5, empty: 6, gap: 0, failed: 1 });
    expect(sumOf(totals)).toBe(totals.planned);
    expect(replay(ledger, run, settings).tally.totals).toEqual(totals);
  });
});

describe('a commit that fails', () => {
  it('fails the drain and everything after it, and commits nothing', async () => {
    const { groupCommit, writer, ledger, run } = await setUp();
    await groupCommit.submit(finishedSearch(0, [['Patient/a', '{}']]));
    await writer.close();
    await expect(groupCommit.drain()).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await groupCommit.submit(finishedSearch(1)).catch(() => undefined);
    await expect(groupCommit.drain()).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await expect(groupCommit.retryFailed()).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect([...ledger.pulls.commits(run.runNo)]).toEqual([]);
  });

  it('is told to the next search when a timer began it', async () => {
    const { groupCommit, writer, clock, tally } = await setUp();
    await groupCommit.submit(finishedSearch(0, [['Patient/a', '{}']]));
    await writer.close();
    await clock.advance(1_000);
    await expect(groupCommit.submit(finishedSearch(1))).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(tally.isDone(0)).toBe(false);
  });

  it('commits nothing behind the back of a run that stopped, not even searches that brought nothing', async () => {
    const { groupCommit, writer, clock, ledger, run } = await setUp();
    await groupCommit.submit(finishedSearch(0));
    await writer.close();
    await clock.advance(2_000);
    expect([...ledger.pulls.commits(run.runNo)]).toEqual([]);
  });

  it('refuses a search that was committed before, and keeps it out of the ledger', async () => {
    const { groupCommit, ledger, run } = await setUp();
    await groupCommit.submit(finishedSearch(0));
    await groupCommit.drain();
    await groupCommit.submit(finishedSearch(0));
    await expect(groupCommit.drain()).rejects.toThrow('committed twice');
    expect([...ledger.pulls.commits(run.runNo)]).toHaveLength(1);
  });
});
